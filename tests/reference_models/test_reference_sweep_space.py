"""What a sweep varies: spans that hold the recipe's own values, and one sentence for what cannot be varied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import available, get
from torchglass.reference_models.exhibit import ReferenceModel
from torchglass.reference_models.recipe import SWITCHES, Recipe
from torchglass.reference_models.sweeping.judging import SweepOrder
from torchglass.reference_models.sweeping.space import Choice, Span, defaults, search_space, suggest

LENET = get("lenet5")


class Lowest:
    """Chooses the first of everything, and remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[Any, ...]] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.asked[name] = ("float", low, high, log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.asked[name] = ("int", low, high, log)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked[name] = ("choice", *choices)
        return choices[0]


def of(names: Sequence[str] | None = None, exhibit: ReferenceModel = LENET, **changes: Any) -> dict[str, Any]:
    recipe = Recipe(learning_rate=0.01, **changes)
    return dict(search_space(exhibit, recipe, names))


def test_without_names_every_switch_with_a_span_is_varied_and_no_other() -> None:
    spans = {name for name, switch in SWITCHES.items() if switch.search is not None}
    assert set(of()) == spans - {name for name in spans if not LENET.honours(name)}
    assert {"learning_rate", "batch_size"} <= set(of())
    assert "epochs" not in of()


def test_each_kind_of_switch_is_asked_for_in_its_own_way() -> None:
    trial = Lowest()
    names = ["batch_size", "label_smoothing", "optimizer", "augment", "initialization"]
    chosen = suggest(trial, of(names))
    assert trial.asked["batch_size"] == ("int", 16, 256, True)
    assert trial.asked["label_smoothing"] == ("float", 0.0, 0.2, False)
    assert trial.asked["optimizer"] == ("choice", "adamw", "sgd")
    assert trial.asked["augment"] == ("choice", False, True)
    assert trial.asked["initialization"][:2] == ("choice", None)
    assert list(chosen) == names


def test_a_span_widens_to_the_recipes_own_value_and_from_zero_goes_by_value() -> None:
    assert of(["batch_size"], batch_size=300) == {"batch_size": Span(16, 300, True, whole=True)}
    assert of(["weight_decay"], weight_decay=1e-6)["weight_decay"].low == 1e-6
    zero = of(["weight_decay"], weight_decay=0.0)["weight_decay"]
    assert (zero.low, zero.log) == (0.0, False)


def test_every_models_own_recipe_lies_in_its_search_space() -> None:
    for exhibit in available():
        if not exhibit.honours("validation"):
            continue
        for source in exhibit.sources:
            space = search_space(exhibit, source.recipe)
            own = defaults(exhibit, source.recipe, space)
            for name, values in space.items():
                assert own[name] is not None, (exhibit.name, name)
                if isinstance(values, Span):
                    assert values.low <= own[name] <= values.high, (exhibit.name, name)
                    assert values.low > 0 or not values.log, (exhibit.name, name)
                else:
                    assert isinstance(values, Choice)
                    assert own[name] in values.values, (exhibit.name, name)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["speed"], "no switch is called 'speed': choose among"),
        (["dropout"], "lenet5 does not heed dropout: name other switches"),
        (["epochs"], "epochs has no span to search in: choose among"),
        ([], "no switch is named that a sweep could vary"),
    ],
)
def test_what_cannot_be_varied_is_said(names: list[str], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        of(names)


@pytest.mark.parametrize(
    ("model", "dataset", "metric"),
    [
        ("linear", None, "validation/accuracy"),
        ("linear", "diabetes", "validation/r2"),
        ("mlp", "diabetes", "validation/r2"),
        ("perceptron", "wine", "validation/accuracy"),
    ],
)
def test_a_sweep_goes_by_the_bar_of_its_data_and_varies_nothing_that_training_refuses(
    model: str, dataset: str | None, metric: str
) -> None:
    order = SweepOrder(model=model, dataset=dataset)
    assert order.metric == metric
    refuses = model == "perceptron" or dataset == "diabetes"
    assert ("label_smoothing" in order.space) == (not refuses)


def test_a_switch_that_the_data_set_ignores_is_not_heeded_on_it() -> None:
    linear = get("linear")
    assert linear.honours("label_smoothing", "wine")
    assert not linear.honours("label_smoothing", "diabetes")
    for name in ("mlp", "linear", "perceptron", "bilstm", "hf_classifier"):
        exhibit = get(name)
        assert not any(exhibit.honours("augment", dataset) for dataset in exhibit.datasets)


def test_a_model_that_holds_nothing_out_cannot_be_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchglass.reference_models.sweeping import judging

    alone = replace(LENET, switches=frozenset({"epochs", "learning_rate"}))
    monkeypatch.setattr(judging, "get", lambda name: alone)
    with pytest.raises(OptionError, match="lenet5 holds no samples out to choose by, so it cannot be swept"):
        judging.SweepOrder(model="lenet5", name="s")

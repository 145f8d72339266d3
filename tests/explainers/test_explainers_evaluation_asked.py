"""The door of the metrics: what is asked is checked, what cannot be said has its reason, and nothing is left behind."""

import pickle
import random
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from explainers_judged import OnePixel, Weighted, by_hand, spot
from explainers_written import TEXT_ZOO, rows_network, texts
from explainers_zoo import ZOO, LeNet
from torch import nn

import torchglass
from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import Explanation, evaluate, explain, metric_names

BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown metric": ({"metrics": ("road",)}, OptionError, "unknown metric 'road': choose among agreement, compl"),
    "one name": ({"metrics": "deletion"}, OptionError, "metrics is 'deletion': give a sequence of names"),
    "one step": ({"steps": 1}, OptionError, "steps is 1: give at least 2"),
    "no time": ({"budget": 0}, OptionError, "budget is 0: give seconds above 0"),
    "no explanation": (
        {"explanation": np.ones(3)},
        ExplainError,
        "explanation is a ndarray: give what explain returned",
    ),
    "no model": ({"model": "lenet"}, ExplainError, "model is a str"),
    "another model": ({"model": LeNet()}, ExplainError, r"cannot run on inputs of shape \(1, 1, 8, 8\)"),
    "truth's shape": (
        {"truth": np.ones((1, 4, 4))},
        ExplainError,
        r"truth has shape \(1, 4, 4\), wanted \(1, 8, 8\) like the attributions",
    ),
    "inputs' shape": (
        {"inputs": torch.ones(2, 1, 8, 8)},
        ExplainError,
        r"inputs have shape \(2, 1, 8, 8\), and explained were \(1, 1, 8, 8\)",
    ),
    "another's agreement": (
        {"others": [by_hand(OnePixel(), spot() + 1, spot())]},
        ExplainError,
        r"others\[0\] explains other inputs or classes",
    ),
    "background": ({"background": float("nan")}, ExplainError, "background is nan: give a finite number"),
}


@pytest.mark.parametrize(("wrong", "kind", "sentence"), BAD.values(), ids=BAD.keys())
def test_each_mistake_gives_one_sentence(wrong: dict[str, Any], kind: type[Exception], sentence: str) -> None:
    asked: dict[str, Any] = {"explanation": by_hand(OnePixel(), spot(), spot()), "model": OnePixel()}
    with pytest.raises(kind, match=sentence) as caught:
        evaluate(**asked | wrong)
    assert "\n" not in str(caught.value)


def test_a_model_that_was_trained_on_is_another_one() -> None:
    own, model = by_hand(Weighted(), torch.ones(1, 4), [[4, 2, -1, 0]]), Weighted()
    with torch.no_grad():
        model.line.bias.add_(0.5)
    with pytest.raises(ExplainError, match=r"scores input 0 with 12\.5, and explained was 12: give the model as it"):
        evaluate(own, model)


def test_what_cannot_be_said_has_its_reason() -> None:
    found = evaluate(by_hand(OnePixel(), spot(), torch.zeros(1, 1, 8, 8)), OnePixel())
    assert found.missing == {
        "agreement": "there is no other explanation to agree with: give others",
        "completeness_error": "method 'by_hand' does not promise to add up",
        "pointing_game": "what decides is not known: give truth",
        "relevance_mass": "what decides is not known: give truth",
        "relevance_rank": "what decides is not known: give truth",
        "randomisation": "the model has no weights",
        "sensitivity": "the attributions are zero everywhere",
        "sparseness": "the attributions are zero everywhere, for inputs [0]",
    }
    assert set(found.values) | set(found.missing) == set(metric_names())


def test_a_constant_map_has_no_rank_correlation() -> None:
    model = rows_network().eval()
    rows = torch.rand(2, 6)
    own = by_hand(model, rows, np.ones((2, 6)), output_space="logit", method="occlusion")
    found = evaluate(own, model, metrics=("randomisation",))
    assert np.isnan(found.values["randomisation"]).all()
    assert "constant, for inputs [0, 1]" in found.missing["randomisation"]


def test_token_ids_are_not_moved_and_an_output_without_effect_has_no_share() -> None:
    model = TEXT_ZOO["LSTM"]().eval()
    found = evaluate(explain(model, texts(), method="occlusion"), model, metrics=("sensitivity",))
    assert found.missing == {"sensitivity": "token ids cannot be moved by a little"}
    still = Weighted()
    nothing = evaluate(by_hand(still, torch.zeros(1, 4), [[1, 2, 3, 4]]), still, metrics=("deletion",))
    assert nothing.missing == {"deletion": "the output is the same with the content hidden, for inputs [0]"}


def test_an_input_without_attributions_has_no_share_to_move_by() -> None:
    model, rows = Weighted(), torch.tensor([[1.0, 1, 1, 1], [0, 0, 0, 0]])
    found = evaluate(explain(model, rows, method="occlusion"), model, metrics=("sensitivity",))
    assert np.isnan(found.values["sensitivity"]).tolist() == [False, True]
    assert found.missing == {"sensitivity": "the attributions are zero everywhere, for inputs [1]"}


def test_a_layer_whose_reset_wants_arguments_has_its_weights_shuffled() -> None:
    class Scaled(nn.Linear):
        def reset_parameters(self, gain: float) -> None:  # type: ignore[override]
            raise AssertionError("asked without a gain")

        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.weight, self.bias = nn.Parameter(torch.arange(12.0).reshape(2, 6)), None

    own = explain(Scaled(), torch.rand(1, 6), 0, method="occlusion")
    found = evaluate(own, Scaled(), metrics=("randomisation",))
    assert found.missing == {}
    assert found.values["randomisation"][0] < 1


def test_a_token_id_that_hides_words_must_be_one_that_the_model_embeds() -> None:
    model = TEXT_ZOO["LSTM"]().eval()
    own = explain(model, texts(), method="occlusion")
    with pytest.raises(ExplainError, match="token id 1000000 is out of range: the model embeds ids"):
        evaluate(own, model, background=10**6, metrics=("deletion",))


def test_a_budget_leaves_out_what_comes_after_it_and_what_would_take_longer() -> None:
    ticks = count(0, 5)
    own = by_hand(Weighted(), torch.ones(1, 4), [[4, 2, -1, 0]], method="occlusion", seconds=100.0)
    asked = ("sparseness", "deletion", "sensitivity")
    late = evaluate(own, Weighted(), metrics=asked, budget=8.0, clock=lambda: float(next(ticks)))
    assert list(late.values) == ["sparseness"]
    assert set(late.missing.values()) == {"the budget of 8 s was spent before"}
    short = evaluate(own, Weighted(), metrics=asked, budget=30.0, clock=lambda: 0.0)
    assert short.missing == {"sensitivity": "explaining 11 times would take 1.1e+03 s, and the budget leaves 30 s"}


def test_explaining_again_takes_the_options_the_layer_and_what_is_given() -> None:
    model, pictures = LeNet().eval(), torch.rand(1, 1, 32, 32)
    reference = torch.rand(2, 1, 32, 32)
    own = explain(model, pictures, method="gradcam", layer="features.1", relu=True)
    assert own.options == {"relu": True}
    by_relu = evaluate(own, model, metrics=("sensitivity",)).values["sensitivity"]
    assert by_relu < 1
    plain = explain(model, pictures, method="integrated_gradients", background=reference, steps=16)
    same, other = (
        evaluate(plain, model, metrics=("sensitivity",), again=again).values["sensitivity"]
        for again in ({"background": reference}, {"background": 5.0})
    )
    assert same < other


@pytest.mark.parametrize("name", ZOO)
def test_an_awkward_model_comes_back_as_it_was(name: str) -> None:
    model = ZOO[name]()
    pictures = torch.rand(2, 1, 32, 32)
    own = explain(model, pictures, method="integrated_gradients", steps=16)
    _no_trace(model, lambda: evaluate(own, model, truth=torch.ones(2, 32, 32), steps=4))


@pytest.mark.parametrize("name", [*TEXT_ZOO, "rows"])
def test_models_of_texts_and_rows_come_back_as_they_were(name: str) -> None:
    model = rows_network() if name == "rows" else TEXT_ZOO[name]()
    own = explain(model, torch.rand(3, 6) if name == "rows" else texts(), method="occlusion")
    _no_trace(model, lambda: evaluate(own, model))


def test_nothing_is_left_after_a_failure() -> None:
    model = LeNet()
    own = explain(model, torch.rand(1, 1, 32, 32))
    with torch.no_grad():
        model.head[-1].bias.add_(1e3)

    def fail() -> None:
        with pytest.raises(ExplainError, match="give the model as it was explained"):
            evaluate(own, model)

    _no_trace(model, fail)


def _no_trace(model: nn.Module, call: Any) -> None:
    def state() -> list[object]:
        tensors = [(t.detach().numpy().tobytes(), t._version, t.grad) for t in model.parameters()]
        buffers = [(t.numpy().tobytes(), t._version) for t in model.buffers()]
        hooks = [(len(m._forward_hooks), len(m._backward_hooks), m.training) for m in model.modules()]
        legacy = pickle.dumps(np.random.get_state())
        generators = [torch.get_rng_state().numpy().tobytes(), random.getstate(), legacy]
        return [tensors, buffers, hooks, generators, torch.is_grad_enabled()]

    before = state()
    call()
    assert state() == before


def test_a_seed_repeats_the_scores_and_another_draws_other_maps() -> None:
    model, rows = rows_network().eval(), torch.rand(2, 6)
    own = explain(model, rows)
    one, same, other = (evaluate(own, model, seed=seed) for seed in (1, 1, 2))
    assert one.summary() == same.summary()
    assert one.values["infidelity"].tolist() != other.values["infidelity"].tolist()
    assert one.baselines["random"]["deletion"].tolist() != other.baselines["random"]["deletion"].tolist()
    assert one.values["deletion"].tolist() == other.values["deletion"].tolist()


def test_all_three_maps_of_a_picture_cost_one_batch() -> None:
    seen: list[int] = []

    class Counting(OnePixel):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            seen.append(len(pictures))
            return super().forward(pictures)

    found = evaluate(by_hand(OnePixel(), spot(), spot()), Counting(), metrics=("deletion",), steps=16)
    # The check of the model, both ends, and 15 steps of the map, three random ones and the edges.
    assert seen == [1, 2, 15 * 5]
    assert found.model_evaluations == sum(seen)


def test_what_explaining_again_costs_is_counted() -> None:
    model, rows = rows_network().eval(), torch.rand(1, 6)
    own = explain(model, rows, method="occlusion")
    found = evaluate(own, model, metrics=("sensitivity",))
    # The check, the row again, and ten beside it, which are checked once together.
    assert own.model_evaluations == 2 + (1 + 7)
    assert found.model_evaluations == 1 + own.model_evaluations + 2 + 10 * (1 + 7)


def test_explaining_again_is_of_the_same_layer_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def noted(*given: Any, **named: Any) -> Explanation:
        asked.append(named)
        return explain(*given, **named)

    monkeypatch.setattr("torchglass.explainers.evaluation.again.explain", noted)
    model = LeNet().eval()
    own = explain(model, torch.rand(1, 1, 32, 32), method="gradcam", layer="features.1", seed=3)
    evaluate(own, model, metrics=("sensitivity",), again={"layer": None, "background": 0.5})
    assert [(one["layer"], one["seed"], one["background"]) for one in asked] == [("features.1", 3, 0.5)] * 2


def test_it_is_found_at_the_front() -> None:
    assert torchglass.evaluate is evaluate
    assert torchglass.Scores.__name__ == "Scores"


class OneBox(nn.Module):
    """A detector that always proposes one box, whose objectness is the brightness at row 2, column 5."""

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        count = len(pictures)
        box = torch.tensor([[1.0, 1, 7, 7]]).expand(count, 1, 4)
        return box, pictures[:, 0, 2, 5, None], torch.tensor([[[0.0, 1.0]]]).expand(count, 1, 2)


def test_a_detector_s_box_is_judged_through_the_method_s_own_reading() -> None:
    boxes: dict[str, Any] = {"boxes": torch.tensor([[1.0, 1, 7, 7]]), "labels": torch.tensor([1])}
    own = explain(OneBox(), spot(), method="drise", masks=600, cells=8, **boxes)
    found = evaluate(own, OneBox(), truth=spot()[:, 0], steps=64)
    assert own.outputs.tolist() == [1]
    assert found.values["deletion"] == pytest.approx([1 / 128])
    assert found.baselines["random"]["deletion"][0] > 0.1
    assert found.values["pointing_game"].tolist() == [1]
    assert "explains what its options name in these inputs alone" in found.missing["sensitivity"]


def test_a_detector_that_is_read_by_a_function_is_judged_by_the_same_one_given_again() -> None:
    class Named(OneBox):
        def forward(self, pictures: torch.Tensor) -> Any:
            return dict(zip(("where", "sure", "what"), super().forward(pictures), strict=True))

    asked: dict[str, Any] = {"boxes": [[1.0, 1, 7, 7]], "labels": [1], "proposals": lambda out: tuple(out.values())}
    own = explain(Named(), spot(), method="drise", masks=50, cells=8, **asked)
    found = evaluate(own, Named(), metrics=("sparseness",), again={"proposals": asked["proposals"]})
    assert found.missing == {}

"""What cannot be explained is refused by every method in one sentence, and what can be is explained."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from explainers_written import WORDS, Attentive, rows_network, texts
from explainers_zoo import LeNet
from test_explainers_no_trace import process_state, state
from test_explainers_no_trace_zoo import CHEAP, ROWS
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain, method_names
from torchglass.explainers.kinds import KINDS, Kind
from torchglass.explainers.registry import load_method

PICTURES = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(2))
EVERY = [(kind, method) for kind in KINDS for method in method_names(kind)]
IDS = [f"{method} of {kind}" for kind, method in EVERY]
GIVEN: dict[str, tuple[Callable[[], nn.Module], Tensor, dict[str, Any]]] = {
    "pictures": (LeNet, PICTURES, {}),
    "text": (Attentive, texts(), {"background": 2}),
    "table": (rows_network, ROWS[:3], {"background": ROWS}),
}


def holed(inputs: Tensor) -> Tensor:
    other = inputs.clone()
    other.flatten()[3] = torch.nan
    return other


Case = tuple[Callable[[Tensor], dict[str, Any]], str]
WRONG: dict[str, Case] = {
    "no inputs": (lambda x: {"inputs": x[:0]}, r"shape \(0, .*\): there is nothing to explain"),
    "no batch axis": (lambda x: {"inputs": x[0]}, "wanted .*: add the batch axis"),
    "a list": (lambda _: {"inputs": [1.0]}, "inputs is a list: give a tensor or numpy array"),
    "class too high": (lambda _: {"target": 99}, "target class 99 is out of range: the model has classes 0 to "),
    "class below 0": (lambda _: {"target": -1}, "target class -1 is out of range"),
    "half a class": (lambda _: {"target": 0.5}, "target is 0.5: give a class index"),
    "unknown layer": (lambda _: {"layer": "nowhere"}, "layer 'nowhere' is not in the model: choose one of "),
    "unknown option": (lambda _: {"mood": "blue"}, "has no option 'mood': it takes "),
    "no time": (lambda _: {"budget": 0}, "budget is 0: give seconds above 0"),
    "background": (lambda _: {"background": "black"}, "background is "),
}
OF_NUMBERS: dict[str, Case] = {
    "NaN": (lambda x: {"inputs": holed(x)}, r"inputs hold NaN or infinity in (pictures|rows) \[0\]"),
    "infinity": (lambda x: {"inputs": x / 0}, "inputs hold NaN or infinity"),
    "integers": (lambda x: {"inputs": x.int()}, "inputs hold torch.int32: convert to float"),
    "another width": (lambda x: {"inputs": x[..., :3], "background": 0.0}, "the model cannot run on inputs of shape"),
}
OF_WORDS: dict[str, Case] = {
    "nothing but padding": (lambda x: {"inputs": x * 0}, "hold nothing but padding"),
    "unknown word": (lambda x: {"inputs": x * WORDS}, "token id .* is out of range: the model embeds ids 0 to 19"),
    "negative word": (lambda x: {"inputs": -x}, "ids count from 0"),
    "fractions": (lambda x: {"inputs": x + 0.5}, "text is given as integer token ids"),
}


@pytest.mark.parametrize(("kind", "method"), EVERY, ids=IDS)
def test_every_method_refuses_bad_input_in_one_sentence(kind: Kind, method: str) -> None:
    build, inputs, given = GIVEN[kind]
    model = build()
    before, process = state(model), process_state()
    for name, (wrong, sentence) in {**WRONG, **(OF_WORDS if kind == "text" else OF_NUMBERS)}.items():
        asked = {"inputs": inputs, "kind": kind, "method": method, **options(kind, method), **given, **wrong(inputs)}
        # A detector's classes are named by its labels, and it takes no target at all.
        sentence = (
            "this method explains what its own options name" if "target" in asked and method == "drise" else sentence
        )
        with pytest.raises((ExplainError, OptionError), match=sentence) as caught:
            explain(model, **asked)
        assert "\n" not in str(caught.value), name
    assert state(model) == before
    assert process_state() == process


@pytest.mark.parametrize(("kind", "method"), EVERY, ids=IDS)
def test_a_model_without_values_or_with_parts_elsewhere_is_refused(kind: Kind, method: str) -> None:
    build, inputs, given = GIVEN[kind]
    asked = {"inputs": inputs, "method": method, **options(kind, method), **given}
    with pytest.raises(ExplainError, match="model is on the device 'meta', where weights have no values"):
        explain(build().to("meta"), **asked)
    torn = build()
    list(torn.children())[-1].to("meta")
    with pytest.raises(ExplainError, match=r"the model cannot run on inputs of shape .*meta") as caught:
        explain(torn, **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("kind", "method"), EVERY, ids=IDS)
def test_inputs_go_to_the_device_of_the_model(kind: Kind, method: str) -> None:
    if method in ("attention_rollout", "drise") and kind == "pictures":
        pytest.skip("a plain network has no attention, and proposes nothing")
    build, inputs, given = GIVEN[kind]
    explain(build().cuda(), inputs, method=method, **options(kind, method), **given)


def options(kind: Kind, method: str) -> dict[str, Any]:
    """Make a method cheap, but name the background alike for all."""
    cheap = CHEAP.get(method, {}) if kind == "pictures" else {}
    return {name: value for name, value in cheap.items() if name != "background"}


OPTIONS = [
    pytest.param(kind, method, option, id=f"{option} of {method} of {kind}")
    for kind, method in EVERY
    for option, taken in inspect.signature(load_method(kind, method, {})).parameters.items()
    if taken.kind is taken.KEYWORD_ONLY and option not in ("boxes", "labels", "proposals")
]


@pytest.mark.parametrize(("kind", "method", "option"), OPTIONS)
def test_every_option_refuses_none_at_all_and_other_types_in_one_sentence(kind: Kind, method: str, option: str) -> None:
    build, inputs, given = GIVEN[kind]
    taken = inspect.signature(load_method(kind, method, {})).parameters[option]
    asked = options(kind, method)
    if method == "shap" and option in ("segments", "segmentation"):
        asked["algorithm"] = "kernel"  # the only one that reads them
    is_number = taken.annotation in (int, float, int | None)
    wrong: list[Any] = [float("nan"), float("inf"), [1], *(("many", True, 0, -1) if is_number else ("many", 2.5))]
    if option == "gamma":
        wrong.remove(0)  # leaves nothing to favour, and is epsilon's rule
    if taken.annotation is int or taken.annotation == int | None:
        wrong += [2.5]
    for value in wrong:
        with pytest.raises(OptionError, match=rf"^{option}\b.* (is|are) ") as caught:
            explain(build(), inputs, method=method, **given, **{**asked, option: value})
        assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    plain = explain(LeNet(), PICTURES, 1, "integrated_gradients", steps=16).options
    own = explain(LeNet(), PICTURES, 1, "integrated_gradients", steps=np.int64(16)).options
    assert plain == own
    explain(LeNet(), PICTURES, 1, "smoothgrad", samples=np.int32(2), noise=np.float32(0.1), absolute=np.bool_(True))
    explain(LeNet(), PICTURES, 1, "smoothgrad", samples=2, noise=1)


@pytest.mark.parametrize("method", method_names("pictures"))
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_constant_picture_is_explained(method: str, value: float) -> None:
    constant = torch.full((2, 1, 32, 32), value)
    asked = {"method": method, "background": value, **options("pictures", method)}
    if method == "attention_rollout":
        with pytest.raises(ExplainError, match="no attention was seen"):
            explain(LeNet(), constant, **asked)
        return
    found = explain(LeNet(), constant, **asked)
    assert np.isfinite(found.attributions).all()
    if method in ("deeplift", "integrated_gradients", "lime", "occlusion", "rise", "drise", "shap"):
        # The picture is its own background, so that no part of it could matter.
        np.testing.assert_allclose(found.attributions, 0, atol=1e-6)


class NoWeights(nn.Module):
    """Its scores are the mean, the spread and the largest number of an input."""

    def forward(self, given: Tensor) -> Tensor:
        flat = given.float().flatten(1)
        return torch.stack((flat.mean(1), flat.std(1), flat.amax(1)), dim=1)


class Detached(nn.Module):
    """Hands its scores out without what a gradient could follow."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, given: Tensor) -> Tensor:
        scores: Tensor = self.inner(given)
        return scores.detach()


class Flat(Detached):
    """Gives every input the same scores."""

    def forward(self, given: Tensor) -> Tensor:
        scores: Tensor = self.inner(given)
        return 0 * scores + 1


ASK_SCORES_ALONE = {"lime", "occlusion", "rise", "drise", "shap"}
"""Methods that work whatever a model is made of, on condition that they may ask it often."""


@pytest.mark.parametrize(("kind", "method"), EVERY, ids=IDS)
def test_without_weights_a_model_is_explained_or_the_method_says_what_it_lacks(kind: Kind, method: str) -> None:
    _, inputs, given = GIVEN[kind]
    asked = {"method": method, **options(kind, method), **given}
    needs_layers = (
        "cam" in method
        or method in ("lrp", "attention_rollout")
        or (kind == "text" and method == "integrated_gradients")
    )
    if needs_layers:
        with pytest.raises(ExplainError, match=r"no layer of|no rule for|no attention was seen") as caught:
            explain(NoWeights(), inputs, **asked)
        assert "\n" not in str(caught.value)
    else:
        assert explain(NoWeights(), inputs, **asked).attributions.any()


@pytest.mark.parametrize(("kind", "method"), EVERY, ids=IDS)
def test_a_frozen_model_is_explained_as_if_it_could_be_trained(kind: Kind, method: str) -> None:
    if kind == "pictures" and method == "attention_rollout":
        pytest.skip("a plain network has no attention")
    build, inputs, given = GIVEN[kind]
    model = build()
    trained, frozen = (
        explain(model.requires_grad_(trains), inputs, method=method, **options(kind, method), **given)
        for trains in (True, False)
    )
    np.testing.assert_array_equal(frozen.attributions, trained.attributions)
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("kind", "method"), EVERY, ids=IDS)
def test_without_a_gradient_only_methods_that_ask_for_scores_alone_answer(kind: Kind, method: str) -> None:
    build, inputs, given = GIVEN[kind]
    asked = {"method": method, **options(kind, method), **given}
    if method in ASK_SCORES_ALONE:
        inner = build()
        found = explain(Detached(inner), inputs, **asked).attributions
        assert found.any()
        if method != "shap":  # of the plain network it may take another way, along gradients
            np.testing.assert_allclose(found, explain(inner, inputs, **asked).attributions, atol=1e-6)
        return
    if kind == "text" and method == "attention_rollout":
        assert explain(Detached(build()), inputs, **asked).attributions.any()  # which words are read is not told apart
        return
    reason = r"have no gradient, something in it detaches, .*: use a method that asks for scores alone"
    others = r"no rule for the function detach|no attention was seen|vectors \(N, T, D\) that the target depends on"
    with pytest.raises(ExplainError, match=f"{reason}|{others}") as caught:
        explain(Detached(build()), inputs, **asked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "method"), EVERY, ids=IDS)
def test_scores_that_never_change_give_a_map_of_nothing_or_a_sentence(kind: Kind, method: str) -> None:
    build, inputs, given = GIVEN[kind]
    target = None if method == "drise" else 0
    asked = {"target": target, "method": method, **options(kind, method), **given}
    refused = re.compile(r"no layer of Flat .*that the target depends on|no rule for the function add|no attention was")
    found = None
    try:
        found = explain(Flat(build()), inputs, **asked).attributions
    except ExplainError as error:
        if refused.search(str(error)) is None or method in ASK_SCORES_ALONE:
            raise
    if found is not None and method != "attention_rollout":  # attention is there, whatever becomes of what was read
        assert np.abs(found).max() < 1e-6

"""Every method on every awkward network: explained or refused in one sentence, and nothing is left behind."""

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import captum.attr  # noqa: F401
import lime.lime_image  # noqa: F401
import numpy as np
import pytest
import shap  # noqa: F401
import torch
from explainers_written import TEXT_ZOO, Attentive, rows_network, texts
from explainers_zoo import WRAPPED, ZOO, LeNet, PatchReader
from test_explainers_no_trace import lived_in, process_state, state
from torch import Tensor, distributed, nn

from torchglass.errors import ExplainError, TorchglassError
from torchglass.explainers import Erase, Probes, evaluate, explain, find_shortcuts, method_names, what_if
from torchglass.explainers.kinds import Kind

NETWORKS: dict[str, Callable[[], nn.Module]] = {**ZOO, **WRAPPED}
ROWS = torch.randn(12, 6, generator=torch.Generator().manual_seed(9))


def one_box(answer: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Read any classifier as a detector that always proposes the same box."""
    scores = answer["scores"] if isinstance(answer, dict) else answer[0] if isinstance(answer, tuple) else answer
    boxes = torch.tensor([2.0, 2.0, 20.0, 20.0]).expand(len(scores), 1, 4)
    return boxes, torch.ones(len(scores), 1), scores.softmax(1)[:, None]


CHEAP: dict[str, dict[str, Any]] = {
    "deeplift": {"background": 0.3},
    "drise": {"boxes": [[2, 2, 20, 20]] * 2, "labels": [1, 2], "proposals": one_box, "masks": 64, "cells": 4},
    "integrated_gradients": {"steps": 16},
    "lime": {"samples": 60, "segments": 16, "segmentation": "grid"},
    "occlusion": {"window": 8, "stride": 8, "references": 1},
    "rise": {"masks": 64, "cells": 4},
    "shap": {"background": 0.3, "evaluations": 40},
    "smoothgrad": {"samples": 3},
}
NEED_MAPS = {"gradcam", "gradcam_plus_plus", "layercam", "scorecam", "ablationcam", "guided_gradcam"}


def refusal(network: str, method: str) -> str | None:
    """What the refusal says where a method cannot explain a network."""
    if network in ("dict output", "tuple output"):
        # A detector's answer is read by the caller, whatever it is packed in.
        return None if method == "drise" else rf"the model returns {network.split()[0]}: wrap it to return a tensor"
    if method == "attention_rollout":
        return None if network == "transformer" else "no attention was seen in .*; use another method"
    if network == "recurrent" and method in NEED_MAPS:
        return r"no layer of RowReader gives maps \(N, C, h, w\) .*; use method 'shap' or 'lime'"
    return REFUSED.get((network, method))


REFUSED = {
    ("restless", "guided_gradcam"): "cannot be trusted to see every ReLU, .*: use method 'gradcam'",
    ("restless", "lrp"): "its rewritten form gives other scores: use method 'deeplift'",
    ("parametrized", "lrp"): "LRP has no rule for _SpectralNorm, _WeightNorm of ParametrizedNet: use method 'deeplift'",
    ("recurrent", "lrp"): "LRP has no rule for LSTM of RowReader: use method 'deeplift'",
    ("transformer", "lrp"): "LRP has no rule for LayerNorm, the function mean of PatchReader: use method 'deeplift'",
    ("transformer", "guided_gradcam"): "PatchReader has no ReLU, so there is nothing to guide: use method 'gradcam'",
    ("half precision", "lrp"): "LRP has no rule for the function to of Casting: use method 'deeplift'",
}


class Fuse:
    """Counts the passes forward through a last layer and the passes backward, and ends one of them by an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = {"forward": 0, "backward": 0}
        self.blows: tuple[str, int, BaseException] | None = None
        linear, grad = torch.nn.functional.linear, torch.autograd.grad

        def counted_linear(*arguments: Any, **named: Any) -> Any:
            self._passes("forward")
            return linear(*arguments, **named)

        def counted_grad(*arguments: Any, **named: Any) -> Any:
            self._passes("backward")
            return grad(*arguments, **named)

        monkeypatch.setattr(torch.nn.functional, "linear", counted_linear)
        monkeypatch.setattr(torch.autograd, "grad", counted_grad)

    def reset(self, blows: tuple[str, int, BaseException] | None = None) -> None:
        self.calls = {"forward": 0, "backward": 0}
        self.blows = blows

    def _passes(self, way: str) -> None:
        self.calls[way] += 1
        if self.blows is not None and self.blows[:2] == (way, self.calls[way]):
            raise self.blows[2]


@pytest.fixture(scope="module", autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of one process, which a distributed network asks for."""
    store: Path = tmp_path_factory.mktemp("group") / "store"
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("name", NETWORKS)
def test_pictures(name: str, pictures: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    given = pictures[:2]
    model, hook_calls = lived_in(NETWORKS[name]())
    fuse = Fuse(monkeypatch)
    before, process, untouched = state(model), process_state(), given.clone()
    for method in method_names("pictures"):
        options = {"method": method, **CHEAP.get(method, {})}
        sentence = refusal(name, method)
        fuse.reset()
        if sentence is None:
            assert explain(model, given, **options).attributions.any(), method
            _blow_everywhere(fuse, lambda options=options: explain(model, given, **options))
        else:
            with pytest.raises(ExplainError, match=sentence) as refused:
                explain(model, given, **options)
            assert "\n" not in str(refused.value)
        assert process_state() == process, method
        assert state(model) == before, method
    assert hook_calls == []
    assert torch.equal(given, untouched)
    assert not given.requires_grad


@pytest.mark.parametrize("name", [name for name in NETWORKS if "output" not in name])
def test_scores_of_trust_looks_changes_and_searches(
    name: str, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, hook_calls = lived_in(NETWORKS[name]())
    many = torch.rand(16, 1, 32, 32) * torch.linspace(-3, 3, 16)[:, None, None, None]
    own = explain(model, pictures, 1, "saliency")
    probes = Probes(pictures, 1, {"saliency": {}, "occlusion": CHEAP["occlusion"]})
    fuse = Fuse(monkeypatch)
    before, process = state(model), process_state()
    for ask in (
        lambda: evaluate(own, model, truth=torch.ones(3, 32, 32), steps=2),
        lambda: probes.begin(model).look(model),
        lambda: what_if(model, pictures[0], Erase((2, 2, 9, 9)), 1),
        lambda: _search(model, many),
    ):
        fuse.reset()
        ask()
        assert fuse.calls["forward"] > 0
        assert process_state() == process
        _blow_everywhere(fuse, ask)
        assert process_state() == process
        assert state(model) == before
    assert hook_calls == []


def _search(model: nn.Module, pictures: Tensor) -> None:
    # A network that was never trained may take all pictures for the same class, and then there is nothing to search.
    with suppress(ExplainError):
        find_shortcuts(model, pictures, method="saliency", controls=19, cells=4, most_groups=2)


def _switches(model: LeNet) -> dict[str, Callable[[], object]]:
    first = next(model.parameters())
    return {
        "mode": model.eval,
        "deep mode": model.head[2].eval,
        "gradient": lambda: first.grad.mul_(2),
        "no gradient": lambda: setattr(first, "grad", None),
        "weights": lambda: first.data.mul_(2),
        "trainable": lambda: first.requires_grad_(False),
        "hook": lambda: model.head[1].register_forward_hook(lambda *_: None),
        "backward hook": lambda: model.head[1].register_full_backward_hook(lambda *_: None),
        "gradient hook": lambda: first.register_hook(lambda _: None),
        "attribute": lambda: setattr(model.head[1], "shap_values", 1),
    }


def test_every_trace_would_be_noticed_on_a_model() -> None:
    for what in _switches(LeNet()):
        model = LeNet()
        lived_in(model)
        before = state(model)
        _switches(model)[what]()
        assert state(model) != before, what


def test_every_trace_would_be_noticed_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = process_state()
    threads = torch.get_num_threads()
    turned: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "torch's generator": (lambda: torch.rand(1), lambda: None),
        "fast attention": (
            lambda: torch.backends.mha.set_fastpath_enabled(False),
            lambda: torch.backends.mha.set_fastpath_enabled(True),
        ),
        "threads": (lambda: torch.set_num_threads(threads + 1), lambda: torch.set_num_threads(threads)),
        "gradients": (lambda: torch.set_grad_enabled(False), lambda: torch.set_grad_enabled(True)),
        "type": (
            lambda: torch.set_default_dtype(torch.float64),
            lambda: torch.set_default_dtype(torch.float32),
        ),
        "numpy's errors": (lambda: np.seterr(divide="raise"), lambda: np.seterr(divide="warn")),
    }
    for what, (turn, back) in turned.items():
        state_before = torch.get_rng_state()
        turn()
        try:
            assert process_state() != before, what
        finally:
            back()
            torch.set_rng_state(state_before)
        assert process_state() == before, what
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark)
    assert process_state() != before


@pytest.mark.parametrize("name", [*TEXT_ZOO, "rows"])
def test_words_and_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind: Kind = "table" if name == "rows" else "text"
    inputs = ROWS[:3] if kind == "table" else texts()
    model = (rows_network if kind == "table" else TEXT_ZOO[name])().train()
    model.register_forward_hook(lambda *_: pytest.fail("a hook of the caller's was called"))
    fuse = Fuse(monkeypatch)
    before, process, untouched = state(model), process_state(), inputs.clone()
    for method in method_names(kind):
        fuse.reset()
        options = {"method": method, **_cheap(kind, method)}
        if method == "attention_rollout" and name != "transformer":
            with pytest.raises(ExplainError, match=r"no attention was seen in .*; use another method"):
                explain(model, inputs, **options)
        else:
            assert explain(model, inputs, **options).attributions.any()
            _blow_everywhere(fuse, lambda options=options: explain(model, inputs, **options))
        assert process_state() == process, method
        assert state(model) == before, method
    assert torch.equal(inputs, untouched)


@pytest.mark.parametrize("kind", ["pictures", "text", "table"])
def test_no_method_piles_up_memory(kind: Kind, pictures: Tensor) -> None:
    def tensors() -> int:
        gc.collect()
        return sum(type(thing) in (Tensor, nn.Parameter) for thing in gc.get_objects())

    given: dict[str, tuple[nn.Module, Tensor]] = {
        "pictures": (PatchReader(), pictures[:2]),
        "text": (Attentive(), texts()),
        "table": (rows_network(), ROWS[:3]),
    }
    model, inputs = given[kind]
    counts = []
    for _ in range(3):
        for method in method_names(kind):
            with suppress(ExplainError):
                explain(model, inputs, method=method, **_cheap(kind, method))
        counts.append(tensors())
    assert counts[2] == counts[1]


def _cheap(kind: Kind, method: str) -> dict[str, Any]:
    if kind == "pictures":
        return CHEAP.get(method, {})
    options: dict[str, Any] = {"background": ROWS if kind == "table" else 2}
    return options | ({"samples": 100} if method == "lime" else {})


def _blow_everywhere(fuse: Fuse, explained: Callable[[], object]) -> None:
    """Let the pass in the middle fail, and the last one be broken off as by Ctrl-C, on either way."""
    for way, count in dict(fuse.calls).items():
        for number, error in ((count // 2 + 1, RuntimeError("blown")), (count, KeyboardInterrupt())):
            if count == 0:
                continue
            fuse.reset((way, number, error))
            # A method may answer by another way, or say in a sentence of its own that it could not.
            with suppress(TorchglassError, type(error)):
                explained()
            assert fuse.calls[way] >= number

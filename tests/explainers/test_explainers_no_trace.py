"""The trained model comes back as it was, after success and after failure."""

import copy
import gc
import logging
import pickle
import random
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_zoo import ZOO, BatchNormNet, LeNet
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers import explain
from torchglass.explainers.private.private_copy import private_copy

METHODS: list[tuple[str, dict[str, Any]]] = [
    ("gradcam", {}),
    ("shap", {}),
    ("shap", {"algorithm": "partition", "evaluations": 20}),
    ("lime", {"samples": 60, "segments": 30}),
    ("integrated_gradients", {"steps": 16}),
]
FAILURES: list[dict[str, Any]] = [
    {"target": 99},
    {"layer": "nowhere"},
    {"method": "shap", "algorithm": "tree"},
    {"method": "dowsing"},
]
GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def lived_in(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """Give a model what training and a watcher leave behind: gradients, moved statistics and hooks of every kind.

    The second return value grows with every call of a hook, on the model's behalf or on a copy's.
    """
    answer = model(torch.rand(4, 1, 32, 32))
    scores = answer["scores"] if isinstance(answer, dict) else answer[0] if isinstance(answer, tuple) else answer
    F.cross_entropy(scores, torch.tensor([0, 1, 2, 3])).backward()  # type: ignore[no-untyped-call]
    calls: list[str] = []
    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *_: calls.append("forward"))
            module.register_forward_pre_hook(lambda *_: calls.append("forward pre"))
    first = next(iter(model.children()))
    first.register_full_backward_hook(lambda *_: calls.append("backward"))
    first.register_full_backward_pre_hook(lambda *_: calls.append("backward pre"))
    next(iter(model.parameters())).register_hook(lambda _: calls.append("gradient"))  # type: ignore[no-untyped-call]
    return model, calls


def state(model: nn.Module) -> list[object]:
    """List everything about a model that explaining could touch, in comparable form."""

    def raw(tensor: Tensor | None) -> object:
        if tensor is None:
            return None
        # Seen as bytes, because numpy has no bfloat16.
        return (tensor.detach().flatten().view(torch.uint8).numpy().tobytes(), tensor._version, id(tensor))

    facts: list[object] = []
    for name, module in model.named_modules():
        facts.append((name, type(module), module.training, module.__dict__.get("inplace")))
        facts.append(sorted(module.__dict__))
        facts += [[(key, id(hook)) for key, hook in getattr(module, kind).items()] for kind in HOOKS]
    for name, parameter in model.named_parameters():
        hooks = [id(hook) for hook in (parameter._backward_hooks or {}).values()]
        facts.append((name, raw(parameter), raw(parameter.grad), parameter.requires_grad, hooks))
    facts += [(name, raw(buffer)) for name, buffer in model.named_buffers()]
    return facts


def process_state() -> dict[str, object]:
    """Say how the process stands: generators, and each switch of torch, numpy and Python that a library may turn."""
    return {
        "generators": random_state(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "autocast": [(torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")],
        "autocast cache": torch.is_autocast_cache_enabled(),
        "defaults": (torch.get_default_dtype(), torch.get_default_device(), torch.get_float32_matmul_precision()),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.get_deterministic_debug_mode()),
        "cudnn": [getattr(torch.backends.cudnn, flag) for flag in ("enabled", "benchmark", "deterministic")],
        "tf32": (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32),
        "fast attention": (
            torch.backends.mha.get_fastpath_enabled(),
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
        ),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "overrides": (torch.overrides._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()),  # type: ignore[attr-defined]
        "global hooks": [len(getattr(torch.nn.modules.module, name)) for name in GLOBAL_HOOKS],
        "numpy errors": np.geterr(),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "logging": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "collecting garbage": gc.isenabled(),
    }


def random_state() -> list[bytes]:
    """Serialise the generators of torch, numpy and Python."""
    return [
        torch.get_rng_state().numpy().tobytes(),
        pickle.dumps(np.random.get_state()),
        pickle.dumps(random.getstate()),
    ]


@pytest.mark.parametrize("build", ZOO.values(), ids=ZOO.keys())
@pytest.mark.parametrize("wrong", FAILURES, ids=lambda wrong: next(reversed(wrong)))
def test_failure_leaves_no_trace(build: Callable[[], nn.Module], wrong: dict[str, Any], pictures: Tensor) -> None:
    model, hook_calls = lived_in(build())
    before, randomness = state(model), random_state()
    with pytest.raises(ValueError):
        explain(model, pictures, **wrong)
    assert state(model) == before
    assert hook_calls == []
    assert random_state() == randomness


def test_a_failure_deep_inside_a_method_leaves_no_trace(pictures: Tensor) -> None:
    class FailsLater(nn.Module):
        """Works on the pictures as they are and fails on the first masked one."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(2, 2)

        def forward(self, given: Tensor) -> Tensor:
            random.random()
            np.random.rand()
            if len(given) > 10:
                raise RuntimeError("out of memory")
            logits: Tensor = self.head(self.conv(given).mean((2, 3)))
            return logits

    model = FailsLater()
    before, randomness = state(model), random_state()
    with pytest.raises(RuntimeError, match="out of memory"):
        explain(model, pictures, method="lime")
    assert state(model) == before
    assert random_state() == randomness


@pytest.mark.parametrize(
    ("method", "options"), METHODS[:1] + METHODS[1:2] + METHODS[3:4], ids=["gradcam", "shap", "lime"]
)
def test_a_training_is_bit_equal_with_and_without_explanations_in_between(
    method: str, options: dict[str, Any], pictures: Tensor
) -> None:
    def losses(explaining: bool) -> list[bytes]:
        torch.manual_seed(1)
        model = BatchNormNet()
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
        seen = []
        for _ in range(6):
            batch, labels = torch.rand(8, 1, 32, 32), torch.randint(5, (8,))
            loss = F.cross_entropy(model(batch), labels)
            if explaining:
                explain(model, pictures, method=method, **options)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            seen.append(loss.detach().numpy().tobytes())
        return [*seen, *(t.detach().numpy().tobytes() for t in model.state_dict().values())]

    assert losses(explaining=True) == losses(explaining=False)


def test_explaining_works_under_no_grad_inference_mode_and_autocast(lenet: nn.Module, pictures: Tensor) -> None:
    plain = explain(lenet, pictures).attributions
    with torch.no_grad():
        np.testing.assert_array_equal(explain(lenet, pictures).attributions, plain)
    with torch.inference_mode():
        np.testing.assert_array_equal(explain(lenet, pictures * 1).attributions, plain)
        assert torch.is_inference_mode_enabled()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(explain(lenet, pictures).attributions, plain)
        assert torch.is_autocast_enabled("cpu")


def test_a_half_precision_model_is_explained_in_float32_and_stays_half(lenet: nn.Module, pictures: Tensor) -> None:
    half = copy.deepcopy(lenet).bfloat16()
    found = explain(half, pictures, target=3, method="shap")
    assert found.checks["completeness_error"] < 1e-5
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def test_the_copy_computes_what_the_model_computes_in_eval_mode() -> None:
    for name, build in ZOO.items():
        if name == "restless":
            continue
        model = build()
        x = torch.rand(2, 1, 32, 32)
        twin = private_copy(model)
        torch.testing.assert_close(twin(x), model.eval()(x), rtol=0, atol=0)


def test_an_activation_whose_overwriting_the_model_relies_on_stays_in_place() -> None:
    class ReadsAgain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu, self.head = nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Linear(4, 2)

        def forward(self, given: Tensor) -> Tensor:
            maps = self.conv(given)
            self.relu(maps)
            logits: Tensor = self.head(maps.mean((2, 3)))
            return logits

    model = ReadsAgain().eval()
    x = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        wanted = float(model(torch.full((1, 1, 16, 16), 0.5))[0, 1])
    for method in ("gradcam", "shap", "lime"):
        found = explain(model, x, target=1, method=method, background=0.5)
        np.testing.assert_allclose(found.outputs, model(x)[:, 1].detach(), rtol=1e-6)
        if method == "shap":
            assert found.base_values == pytest.approx([wanted] * 2, rel=1e-5)


def test_weights_computed_by_a_hook_of_torch_stay_right() -> None:
    model = nn.Sequential(nn.utils.spectral_norm(nn.Conv2d(1, 4, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    x = torch.rand(1, 1, 8, 8)
    np.testing.assert_allclose(explain(model, x, target=1).outputs, model(x)[:, 1].detach(), rtol=1e-6)


def test_a_forward_that_reaches_back_into_the_trained_model_is_refused() -> None:
    model = LeNet()
    trained = model.head.forward

    def forward(maps: Tensor) -> Any:
        return trained(maps)  # type: ignore[no-untyped-call]

    model.head.forward = forward  # type: ignore[method-assign]
    with pytest.raises(ExplainError, match="forward of 'head' was replaced"):
        explain(model, torch.rand(1, 1, 32, 32))


def test_a_model_that_cannot_be_copied_is_refused_in_one_sentence() -> None:
    model = LeNet()
    model.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(ExplainError, match=r"LeNet cannot be copied .*lock"):
        explain(model, torch.rand(1, 1, 32, 32))


def test_hooks_that_hold_a_lock_do_not_hinder() -> None:
    class Watcher:
        lock = threading.Lock()

        def __init__(self) -> None:
            self.own_lock = threading.Lock()
            self.calls = 0

        def __call__(self, *_: object) -> None:
            self.calls += 1

    watcher, model = Watcher(), LeNet()
    model.register_forward_hook(watcher)
    model.register_full_backward_hook(watcher)
    model.head.register_state_dict_post_hook(watcher)  # type: ignore[no-untyped-call]
    explain(model, torch.rand(1, 1, 32, 32))
    assert watcher.calls == 0

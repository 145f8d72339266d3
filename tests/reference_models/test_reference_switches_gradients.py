"""Switches that change gradients or how they are computed: each test fails if its switch did nothing."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_lessons import (
    CPU,
    at_each_step,
    equal,
    fit,
    gradients_of,
    lesson_of,
    small_network,
    table_split,
    weights_of,
)
from torch import Tensor, nn
from torch._dynamo.eval_frame import OptimizedModule
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.front_door import train
from torchglass.reference_models.learning.checkpointing import checkpointed
from torchglass.reference_models.learning.precision import Precision, choose_precision
from torchglass.reference_models.options import TrainingOptions


def norm_of(module: nn.Module) -> float:
    return float(torch.stack([gradient.norm() for gradient in gradients_of(module)]).norm())


def norms(**changes: Any) -> list[float]:
    lesson = lesson_of(**changes)
    found = at_each_step(lesson, lambda: norm_of(lesson.model))
    fit(lesson)
    return found


def test_clipping_bounds_the_norm_that_the_optimizer_sees() -> None:
    free, bound = norms(), norms(clip_norm=0.05)
    assert min(free) > 0.05
    assert bound == pytest.approx([0.05] * 6, rel=1e-4)


def test_clipping_leaves_smaller_gradients_as_they_are() -> None:
    assert norms(clip_norm=100.0) == norms()


def test_clipping_bounds_the_norm_of_the_whole_group_when_batches_are_accumulated() -> None:
    assert norms(batch_size=4, accumulate=4, clip_norm=0.05) == pytest.approx([0.05] * 6, rel=1e-4)


@pytest.mark.parametrize("count", [43, 33, 48], ids=["last group of 4, 4 and 3", "last group of 1", "whole groups"])
def test_accumulating_four_batches_equals_one_batch_four_times_as_large(count: int) -> None:
    large = lesson_of(split=table_split(count), batch_size=16)
    small = lesson_of(split=table_split(count), batch_size=4, accumulate=4)
    large_gradients = at_each_step(large, lambda: gradients_of(large.model))
    small_gradients = at_each_step(small, lambda: gradients_of(small.model))
    fit(large)
    fit(small)
    assert len(large_gradients) == len(small_gradients) == 2 * 3
    for ours, theirs in zip(small_gradients, large_gradients, strict=True):
        for our, their in zip(ours, theirs, strict=True):
            torch.testing.assert_close(our, their, atol=1e-6, rtol=1e-5)
    for our, their in zip(weights_of(small.model), weights_of(large.model), strict=True):
        torch.testing.assert_close(our, their, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(64, 1), (10, 8), (10, 5)])
def test_a_step_that_is_not_full_takes_the_mean_over_the_samples_that_it_has(batch_size: int, accumulate: int) -> None:
    lesson = lesson_of(epochs=1, batch_size=batch_size, accumulate=accumulate)
    samples = table_split().train
    functional.cross_entropy(lesson.model(samples.inputs), samples.targets).backward()  # type: ignore[no-untyped-call]
    expected = gradients_of(lesson.model)
    lesson.model.zero_grad()
    seen = at_each_step(lesson, lambda: gradients_of(lesson.model))
    fit(lesson)
    (found,) = seen
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def deep_network() -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(6, 64)]
    for _ in range(5):
        layers += [nn.BatchNorm1d(64), nn.Tanh(), nn.Dropout(0.3), nn.Linear(64, 64)]
    return nn.Sequential(*layers, nn.Linear(64, 3))


def peak_bytes(step: Callable[[], None], folder: Path) -> int:
    """The most that torch's CPU allocator held during a step, above what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    profiler.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak


def test_checkpointing_lowers_the_peak_of_memory(tmp_path: Path) -> None:
    model = deep_network().train()
    inputs = torch.randn(2000, 6)

    def step() -> None:
        model(inputs).sum().backward()

    step()  # gradients are there from now on
    plain = peak_bytes(step, tmp_path)
    with checkpointed(model):
        lean = peak_bytes(step, tmp_path)
    activation = 2000 * 64 * 4
    assert plain > 15 * activation
    assert lean < 0.7 * plain


def test_checkpointing_changes_no_bit_of_gradients_weights_and_running_means() -> None:
    plain, lean = lesson_of(deep_network), lesson_of(deep_network, checkpointing=True)
    runs = [0, 0]

    def count(index: int) -> Callable[..., None]:
        def hook(*_arguments: object) -> None:
            runs[index] += 1

        return hook

    seen = []
    for index, lesson in enumerate((plain, lean)):
        lesson.model.get_submodule("4").register_forward_pre_hook(count(index))
        seen.append(at_each_step(lesson, lambda lesson=lesson: gradients_of(lesson.model)))  # type: ignore[misc]
        fit(lesson)
    assert runs[1] > 1.5 * runs[0]  # each training pass twice: the switch did something
    assert len(seen[0]) == 6
    assert all(equal(left, right) for left, right in zip(*seen, strict=True))
    left, right = plain.model.state_dict(), lean.model.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("name", ["lenet5", "simple_cnn", "resnet18", "vit_tiny", "mlp"])
def test_a_reference_model_has_the_same_gradients_with_less_kept(name: str) -> None:
    exhibit = get(name)
    form = {
        "lenet5": DataForm("pictures", "classification", (1, 32, 32), ("a", "b")),
        "simple_cnn": DataForm("pictures", "classification", (1, 32, 32), ("a", "b")),
        "mlp": DataForm("table", "classification", (30,), ("a", "b")),
    }.get(name, DataForm("pictures", "classification", (3, 64, 64), ("a", "b")))
    torch.manual_seed(0)
    model = exhibit.build(form, 0.2 if exhibit.dropout is not None else None).train()
    inputs = torch.randn(4, *form.shape)

    def step() -> tuple[list[Tensor], int]:
        kept: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        torch.manual_seed(1)
        model.zero_grad()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = model(inputs)
        outputs.square().sum().backward()
        weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        return gradients_of(model), sum(size for place, size in kept.items() if place not in weights)

    plain, plain_bytes = step()
    with checkpointed(model):
        lean, lean_bytes = step()
    assert equal(plain, lean)
    assert lean_bytes < 0.8 * plain_bytes


def product_types(precision: Precision) -> set[torch.dtype]:
    lesson = lesson_of(precision=precision)
    found: set[torch.dtype] = set()

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        found.add(output.dtype)

    lesson.model.get_submodule("0").register_forward_hook(hook)
    before = weights_of(lesson.model)
    fit(lesson)
    assert {weight.dtype for weight in weights_of(lesson.model)} == {torch.float32}
    assert not equal(before, weights_of(lesson.model))
    return found


def test_mixed_precision_multiplies_in_bf16_and_keeps_the_weights_in_float32() -> None:
    assert product_types(choose_precision(CPU, None)) == {torch.float32}
    assert product_types(choose_precision(CPU, "bf16")) == {torch.bfloat16}
    assert product_types(choose_precision(CPU, "auto")) == {torch.bfloat16}


def test_fp16_on_the_cpu_is_refused_in_one_sentence() -> None:
    with pytest.raises(OptionError, match="trains in bf16 only: give --amp bf16") as caught:
        train(TrainingOptions(model="linear", device="cpu", amp="fp16", mode="disabled", progress=False))
    assert "\n" not in str(caught.value)


def test_an_overflow_skips_its_step_and_halves_the_scale() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    lesson = lesson_of(precision=Precision(CPU, torch.bfloat16, scaler))
    first = next(iter(lesson.model.parameters()))
    passes = 0

    def overflow(gradient: Tensor) -> Tensor:
        nonlocal passes
        passes += 1
        return gradient.fill_(torch.inf) if passes == 3 else gradient

    first.register_hook(overflow)  # type: ignore[no-untyped-call]
    steps = at_each_step(lesson, lambda: passes)
    after_steps = at_each_step(lesson, lambda: weights_of(lesson.model), after=True)
    fit(lesson)
    assert passes == 6
    assert steps == [1, 2, 4, 5, 6]  # the third is skipped
    assert scaler.get_scale() == 512.0
    assert all(weight.isfinite().all() for weights in after_steps for weight in weights)


def test_gradients_are_clipped_after_they_were_unscaled() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    lesson = lesson_of(precision=Precision(CPU, torch.bfloat16, scaler), clip_norm=0.05)
    found = at_each_step(lesson, lambda: norm_of(lesson.model))
    fit(lesson)
    assert found == pytest.approx([0.05] * 6, rel=1e-3)


def test_compile_wraps_what_the_loop_calls_and_keeps_the_plain_model_for_saving() -> None:
    lesson = lesson_of(compile=True)
    assert isinstance(lesson.model, OptimizedModule)
    assert lesson.model._orig_mod is lesson.trained
    assert not isinstance(lesson_of().model, OptimizedModule)


@pytest.mark.slow  # a C++ compiler has to run
def test_compile_compiles_and_trains_the_same_weights_to_float_tolerance() -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    eager, compiled = lesson_of(), lesson_of(compile=True)
    fit(eager)
    assert counters["stats"]["unique_graphs"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inductor's own
        fit(compiled)
    assert counters["stats"]["unique_graphs"] >= 1
    for ours, theirs in zip(weights_of(compiled.trained), weights_of(eager.trained), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert type(compiled.trained) is type(small_network())

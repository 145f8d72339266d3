"""A small run as training would have recorded it: the same numbers on every call, written through the real store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.store import (
    ArtifactBlock,
    Batch,
    Fact,
    Histogram,
    HistogramBlock,
    ProfilerRow,
    ProfilerWindow,
    RowBlock,
    Run,
    RunStatus,
    Store,
)
from torchglass.store.bins import NONFINITE_BIN, SHIFT, SIGN_BIN
from torchglass.store.records import SeriesKind

STEP_SECONDS = 0.1
SPIKE_STEP = 120  # the loss jumps by 1.5 here
NAN_STEP = 150  # and is not a number here
DEVICE_GAP_SECONDS = (6, 11)  # no device samples after the first and before the second
EXPLAINED_SAMPLES = (3, 7)
METHODS = ("gradcam", "shap", "lime")
PARAMETERS = ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight", "fc3.weight")
PHASE_SECONDS = {"data": 0.02, "forward": 0.03, "backward": 0.04, "optimizer": 0.006, "other": 0.004}
CLASS_NAMES = [str(digit) for digit in range(10)]
NO_GPU = "NVML is not installed: no NVIDIA driver was found on this machine"

Numbers = npt.NDArray[np.float64]

# Rows of a 5 x 7 font, one bit a column.
_GLYPHS = (
    (14, 17, 19, 21, 25, 17, 14),
    (4, 12, 4, 4, 4, 4, 14),
    (14, 17, 1, 6, 8, 16, 31),
    (14, 17, 1, 6, 1, 17, 14),
    (2, 6, 10, 18, 31, 2, 2),
    (31, 16, 30, 1, 1, 17, 14),
    (6, 8, 16, 30, 17, 17, 14),
    (31, 1, 2, 4, 8, 8, 8),
    (14, 17, 17, 14, 17, 17, 14),
    (14, 17, 17, 15, 1, 2, 12),
)


def record_example_run(
    store: Store,
    name: str = "example",
    steps: int = 200,
    *,
    config: Mapping[str, Any] | None = None,
    gpu: bool = False,
    status: RunStatus = "finished",
    seed: int = 0,
) -> Run:
    """Write a run of every kind of record; points start at the run's `created_at`, one step each 0.1 s.

    With status "running" the run is left open.
    """
    settings = {"model": "lenet5", "learning_rate": 0.05, "batch_size": 64} if config is None else config
    run = store.start_run(name, settings, host="example-host", pid=4242)
    generator = np.random.default_rng(seed)
    store.write(
        run.id,
        0,
        Batch(
            rows=[
                *_scalars(run.created_at, steps, generator),
                *_layers(run.created_at, steps, generator),
                *_phases(run.created_at, steps, generator),
                *_devices(run.created_at, steps, generator, gpu=gpu),
            ],
            histograms=list(_histograms(run.created_at, steps, generator)),
            windows=[_window(run.created_at, min(50, steps), gpu=gpu)],
            artifacts=list(_artifacts(run.created_at + steps * STEP_SECONDS, steps, generator)),
            facts=_facts(run.created_at, gpu=gpu),
        ),
    )
    if status != "running":
        store.end_run(run.id, status)
    return store.run(run.id)


def histogram_of(values: Numbers, step: int, time: float) -> Histogram:
    """Count values (n,) as training does: in the store's bins, with zeros and what is not finite apart."""
    values = values.astype(np.float32)
    finite = values[np.isfinite(values)]
    bins, counts = np.unique((finite[finite != 0].view(np.uint32) >> SHIFT).astype(np.int64), return_counts=True)
    assert (bins % SIGN_BIN < NONFINITE_BIN).all()
    return Histogram(
        step=step,
        time=time,
        bins=bins,
        counts=counts.astype(np.int64),
        zero_count=int((finite == 0).sum()),
        nan_count=int(np.isnan(values).sum()),
        positive_infinity_count=int(np.isposinf(values).sum()),
        negative_infinity_count=int(np.isneginf(values).sum()),
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
    )


def digit_picture(digit: int) -> npt.NDArray[np.uint8]:
    """A digit (32, 32) in white on black, from a 5 x 7 font."""
    glyph = np.array([[row >> (4 - column) & 1 for column in range(5)] for row in _GLYPHS[digit]], np.uint8)
    return np.pad(np.kron(glyph, np.full((4, 4), 255, np.uint8)), ((2, 2), (6, 6)))


def _block(key: str, kind: SeriesKind, unit: str, start: float, at: Numbers, values: Numbers) -> RowBlock:
    return RowBlock.of_series(
        key, kind, unit, at.astype(np.int64), start + at * STEP_SECONDS, values.astype(np.float64)
    )


def _scalars(start: float, steps: int, generator: np.random.Generator) -> Iterator[RowBlock]:
    at = np.arange(1.0, steps + 1)
    loss = 0.05 + 2.25 * np.exp(-at / 40) + generator.normal(0, 0.04, steps) * np.exp(-at / 80)
    loss[at == SPIKE_STEP] += 1.5
    loss[at == NAN_STEP] = np.nan
    yield _block("loss", "scalar", "", start, at, loss)
    accuracy = np.clip(1 - 0.9 * np.exp(-at / 30) + generator.normal(0, 0.02, steps), 0, 1)
    yield _block("train/accuracy", "scalar", "", start, at, accuracy)
    yield _block("learning_rate", "scalar", "", start, at, 0.025 * (1 + np.cos(np.pi * at / steps)))
    tested = at[at % 50 == 0]
    yield _block("test/accuracy", "scalar", "", start, tested, 0.985 - 0.9 * np.exp(-tested / 30))
    yield _block("test/loss", "scalar", "", start, tested, 0.06 + 2.2 * np.exp(-tested / 40))


def _layers(start: float, steps: int, generator: np.random.Generator) -> Iterator[RowBlock]:
    at = np.arange(10.0, steps + 1, 10)
    for depth, parameter in enumerate(PARAMETERS):
        shake = generator.lognormal(0, 0.2, len(at))
        gradient = 0.02 * 2.0**depth * np.exp(-at / 100) * shake
        weight = 4 + depth + 0.002 * at
        for quantity, values in (
            ("gradient_norm", gradient),
            ("weight_norm", weight),
            ("update_ratio", 0.05 * gradient / weight),
        ):
            yield _block(f"layers/{parameter}/{quantity}", "layer", "", start, at, values)


def _phases(start: float, steps: int, generator: np.random.Generator) -> Iterator[RowBlock]:
    at = np.arange(1.0, steps + 1)
    total = np.zeros(steps)
    for phase, seconds in PHASE_SECONDS.items():
        values = seconds * generator.lognormal(0, 0.1, steps)
        total += values
        yield _block(f"phase/{phase}", "phase", "s", start, at, values)
    yield _block("phase/step", "phase", "s", start, at, total)


def _devices(start: float, steps: int, generator: np.random.Generator, *, gpu: bool) -> Iterator[RowBlock]:
    seconds = np.arange(0.0, steps * STEP_SECONDS)
    before, after = DEVICE_GAP_SECONDS
    seconds = seconds[(seconds <= before) | (seconds >= after)]
    middles = {
        "host/cpu_utilization_percent": ("%", 85, 5),
        "host/memory_used_bytes": ("B", 9.5e9, 2e7),
        "host/process_memory_bytes": ("B", 8.1e8, 1e7),
    }
    if gpu:
        middles |= {
            "gpu0/utilization_percent": ("%", 71, 6),
            "gpu0/memory_used_bytes": ("B", 3.2e9, 1e7),
            "gpu0/temperature_celsius": ("°C", 58, 1),
            "gpu0/sm_clock_mhz": ("MHz", 1755, 15),
        }
    for key, (unit, middle, spread) in middles.items():
        values = middle + generator.normal(0, spread, len(seconds))
        yield RowBlock.of_series(
            key, "device", unit, (seconds / STEP_SECONDS).astype(np.int64), start + seconds, values
        )


def _histograms(start: float, steps: int, generator: np.random.Generator) -> Iterator[HistogramBlock]:
    for depth, parameter in enumerate(PARAMETERS):
        for step in range(20, steps + 1, 20):
            time = start + step * STEP_SECONDS
            weights = generator.normal(0.01, 0.1 + 0.0005 * step, 2000)
            gradients = generator.normal(0, 0.003 * 2.0**depth * np.exp(-step / 100), 2000)
            gradients[:40] = 0
            yield HistogramBlock(f"weights/{parameter}", histogram_of(weights, step, time))
            yield HistogramBlock(f"gradients/{parameter}", histogram_of(gradients, step, time))


def _window(start: float, step: int, *, gpu: bool) -> ProfilerWindow:
    rows = [
        ProfilerRow("operator", "aten::mkldnn_convolution", 20, 0.0310, 0.0330),
        ProfilerRow("operator", "aten::convolution_backward", 10, 0.0480, 0.0490),
        ProfilerRow("operator", "aten::addmm", 30, 0.0120, 0.0140),
        ProfilerRow("operator", "aten::mm", 60, 0.0150, 0.0150),
        ProfilerRow("operator", "aten::max_pool2d_with_indices", 20, 0.0060, 0.0060),
        ProfilerRow("operator", "aten::_foreach_add_", 10, 0.0035, 0.0040),
        ProfilerRow("operator", "aten::copy_", 80, 0.0030, 0.0030),
        ProfilerRow("operator", "aten::linear", 30, 0.0008, 0.0150),
    ]
    if gpu:
        rows += [
            ProfilerRow("kernel", "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nchw", 20, 0.0041, 0.0041),
            ProfilerRow("kernel", "void at::native::vectorized_elementwise_kernel<4, float>", 200, 0.0019, 0.0019),
        ]
    facts = {"device": "cuda" if gpu else "cpu", "slowdown": 1.4, "note": None}
    return ProfilerWindow(step, start + step * STEP_SECONDS, 10, 1.0, facts, tuple(rows))


def _artifacts(time: float, step: int, generator: np.random.Generator) -> Iterator[ArtifactBlock]:
    images = np.stack([digit_picture(digit) for digit in range(10)])[:, None]
    samples_meta = {"class_names": CLASS_NAMES, "dataset": "digits", "model": "lenet5"}
    yield ArtifactBlock(
        "samples", "test", step, time, samples_meta, {"images": images, "labels": np.arange(10, dtype=np.int64)}
    )
    for sample in EXPLAINED_SAMPLES:
        picture = images[sample, 0] / 255
        for method in METHODS:
            meta = samples_meta | _explanation_meta(method, sample, step)
            arrays = {
                "attributions": _attribution(method, picture, generator)[None, None],
                "inputs": picture[None, None].astype(np.float32),
                "targets": np.array([sample]),
                "outputs": np.array([11.5], np.float32),
                "base_values": np.array([0.25], np.float32),
            }
            yield ArtifactBlock("explanation", f"test/{sample}", step, time, meta, arrays)


def _attribution(method: str, picture: Numbers, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    rows, columns = np.mgrid[0:32, 0:32]
    if method == "gradcam":
        blob = np.exp(-((rows - 12) ** 2 + (columns - 17) ** 2) / 60)
        return np.asarray(blob / blob.max(), np.float32)
    signed = picture * np.where(rows < 18, 1.0, -0.4) * 0.05
    if method == "shap":
        signed = signed + picture * generator.normal(0, 0.01, picture.shape)
    else:
        signed = signed.reshape(8, 4, 8, 4).mean(axis=(1, 3)).repeat(4, 0).repeat(4, 1)
    return np.asarray(signed, np.float32)


def _explanation_meta(method: str, sample: int, step: int) -> dict[str, Any]:
    checks = {"gradcam": {}, "shap": {"completeness_error": 1e-6}, "lime": {"surrogate_r2": 0.81}}
    return {
        "method": method,
        "implementation": f"{method} 1.0",
        "layer": "conv2" if method == "gradcam" else None,
        "parameters": {"samples": 1000} if method != "gradcam" else {},
        "seed": 0,
        "seconds": 0.8,
        "model_evaluations": {"gradcam": 1, "shap": 500, "lime": 1000}[method],
        "output_space": "logit",
        "checks": checks[method],
        "sample": sample,
        "label": sample,
        "predicted": sample,
        "probability": 0.99,
        "target": sample,
        "checkpoint_step": step,
    }


def _facts(start: float, *, gpu: bool) -> list[Fact]:
    gpus = [{"index": 0, "name": "NVIDIA H200", "uuid": "GPU-0", "memory_total_bytes": 150_000_000_000}] if gpu else []
    missing = {"gpu0/power_watts": "the driver does not report power for this board"} if gpu else {}
    values: dict[str, Any] = {
        "devices/host": {"cpu_count": 2, "memory_total_bytes": 24_000_000_000, "name": "example-cpu"},
        "devices/gpu": {"gpus": gpus, "reason": None if gpu else NO_GPU, "missing": missing},
        "environment": {"torch": "2.13.0", "python": "3.11.9", "torchglass": "0.1.0", "device": "cpu"},
        "phases": {"clock": "host", "data": "loader", "note": None},
        "model": {"class": "LeNet5", "parameters": 61706},
    }
    return [Fact(0, key, value, start) for key, value in values.items()]

"""Checks of profiling that only a GPU can answer, for `gpu_check.py`: kernels, windows, recorded traces, MFU."""

from __future__ import annotations

import gzip
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import torchglass
from torchglass.instrumentation.profiling.kineto import device_properties, read_trace
from torchglass.traces.profile import profile_of

RECORDED = Path(__file__).parent / "results" / "traces"
MOST_BYTES = 1_000_000  # of a recorded trace that is kept
Figures = dict[str, Any]
Step = Callable[[], Any]


def bottleneck(inputs: int, width: int, stride: int) -> nn.Module:
    """A residual block of ResNet-50 (He et al. 2016, arXiv 1512.03385)."""
    return Residual(
        nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 4 * width, 1, bias=False),
            nn.BatchNorm2d(4 * width),
        ),
        nn.Identity()
        if inputs == 4 * width and stride == 1
        else nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)),
    )


class Residual(nn.Module):
    """A branch beside a shortcut."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return torch.relu(self.branch(inputs) + self.shortcut(inputs))


def resnet50() -> nn.Module:
    """ResNet-50 for pictures of (N, 3, 224, 224): 4.1 billion multiplications and additions each way."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    channels = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(blocks):
            layers.append(bottleneck(channels, width, stride if index == 0 else 1))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def transformer() -> nn.Module:
    """Twelve encoder layers of width 768, the size of BERT base."""
    layer = nn.TransformerEncoderLayer(768, 12, 3072, dropout=0.0, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)


def workloads(device: torch.device) -> dict[str, tuple[nn.Module, torch.Tensor]]:
    """Models and batches, small where there is no GPU."""
    from torchglass.reference_models import get
    from torchglass.reference_models.data.digits import DIGITS_FORM

    big = device.type == "cuda"
    made = {
        "lenet5": (get("lenet5").build(DIGITS_FORM), torch.randn(256 if big else 8, 1, 32, 32)),
        "resnet50": (resnet50(), torch.randn(128 if big else 2, 3, 224 if big else 64, 224 if big else 64)),
        "transformer": (transformer(), torch.randn(32 if big else 1, 512 if big else 16, 768)),
    }
    return {name: (model.to(device), batch.to(device)) for name, (model, batch) in made.items()}


def step_of(model: nn.Module, batch: torch.Tensor, *, amp: bool = False) -> tuple[Step, torch.optim.Optimizer]:
    """A training step of a model, and its optimizer."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def step() -> None:
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=amp):
            loss = model(batch).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, optimizer


def check_kernels(device: torch.device, folder: Path) -> Figures:
    """Our tables of one window equal torch.profiler's own: calls exactly, seconds to a microsecond."""
    model, batch = workloads(device)["resnet50"]
    step, _ = step_of(model, batch)
    step()
    with recording(device) as profiler:
        step()
        settle(device)
    trace = read_trace(profiler.profiler.kineto_results.events(), {"deviceProperties": device_properties()})
    found = profile_of(trace)
    operators, kernels = found.tables["operators"], found.tables["kernels"]
    host = dict(
        zip(operators["name"].tolist(), zip(operators["calls"], operators["self_seconds"], strict=True), strict=True)
    )
    ours = dict(zip(kernels["name"].tolist(), zip(kernels["calls"], kernels["seconds"], strict=True), strict=True))
    worst, compared = 0.0, 0
    for average in profiler.key_averages():
        on_device = str(average.device_type).endswith("CUDA")
        theirs = (average.self_device_time_total if on_device else average.self_cpu_time_total) / 1e6
        known = (ours if on_device else host).get(average.key)
        if known is not None:
            assert known[0] == average.count, average.key
            worst, compared = max(worst, abs(known[1] - theirs)), compared + 1
    assert worst < 1e-6, f"self time differs by {worst} s"
    assert compared > 20, f"only {compared} names are in both tables"
    return {"names": compared, "largest_difference_seconds": worst, "quality": found.facts["quality"]}


def check_windows(device: torch.device, folder: Path) -> Figures:
    """What windows see and cost on each workload, and the phases around them."""
    figures: Figures = {}
    for name, (model, batch) in workloads(device).items():
        step, optimizer = step_of(model, batch)
        path = folder / f"windows-{name}.db"
        window = torchglass.every(100 if device.type == "cuda" else 10, steps=3)
        with torchglass.attach(model, optimizer, run=name, store=path, profile=window, every=None, histograms=None):
            for _ in range(320 if device.type == "cuda" else 25):
                step()
        with torchglass.open_store(path, read_only=True) as store:
            run = store.run(name)
            windows = store.windows(run.id)
            breakdown = store.window_tables(windows[-1].id, ["breakdown"])["breakdown"]
            told = {fact.key: fact.value for fact in store.facts(run.id) if fact.key.startswith("warnings")}
        figures[name] = {
            "slowdown": statistics.median(each.facts["slowdown"] for each in windows),
            "cost": windows[-1].facts["cost"],
            "quality": windows[-1].facts["quality"],
            "breakdown": {key: values.tolist() for key, values in breakdown.items()},
            "warnings": told,
        }
        quality = windows[-1].facts["quality"]
        assert quality["launches_with_kernel"] >= 0.99 * quality["launches"], f"{name}: {quality}"
    return figures


def check_mfu(device: torch.device, folder: Path) -> Figures:
    """FLOPs, samples a second and MFU of each workload, in fp32 and under bf16 autocast."""
    figures: Figures = {}
    for name, (model, batch) in workloads(device).items():
        for amp in (False, True):
            step, optimizer = step_of(model, batch, amp=amp)
            label = f"{name} {'bf16' if amp else 'fp32'}"
            path = folder / "mfu.db"
            with torchglass.attach(model, optimizer, run=label, store=path, profile=None, every=None, histograms=None):
                for _ in range(60 if device.type == "cuda" else 3):
                    step()
            with torchglass.open_store(path, read_only=True) as store:
                run = store.run(label)
                series = {each.key: store.points(each.id).values for each in store.series_of(run.id, kind="work")}
                facts = {each.key: each.value for each in store.facts(run.id) if "work" in each.key}
            medians = {key: statistics.median(values.tolist()[1:]) for key, values in series.items() if len(values) > 1}
            figures[label] = {**medians, "missing": {key: value for key, value in facts.items() if "missing" in key}}
            assert "work/flops_per_step" in medians, f"{label}: {facts}"
    return figures


def check_recorded_traces(device: torch.device, folder: Path) -> Figures:
    """Record small traces of eager, AMP, compiled and graphed steps; the smallest are kept as fixtures."""
    figures: Figures = {}
    RECORDED.mkdir(parents=True, exist_ok=True)
    for name, make in {"eager": eager, "amp": mixed, "compile": compiled, "graph": graphed}.items():
        step = make(device)
        for _ in range(3):
            step()
        with recording(device) as profiler:
            step()
            settle(device)
        path = folder / f"{name}.pt.trace.json"
        profiler.export_chrome_trace(str(path))
        trace = read_trace(profiler.profiler.kineto_results.events(), {"deviceProperties": device_properties()})
        found = profile_of(trace)
        packed = path.with_suffix(".json.gz")
        with path.open("rb") as plain, gzip.open(packed, "wb") as out:
            shutil.copyfileobj(plain, out)
        if packed.stat().st_size <= MOST_BYTES:
            shutil.copy(packed, RECORDED / packed.name)
        operators = found.tables["links"]["operator"].tolist()
        figures[name] = {
            "bytes": packed.stat().st_size,
            "quality": found.facts["quality"],
            "named_buckets": sorted({each for each in operators if each.startswith("(")}),
        }
    return figures


def small(device: torch.device) -> tuple[nn.Module, torch.Tensor]:
    """A model whose trace stays small."""
    model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 32 * 32, 10))
    return model.to(device), torch.randn(32, 3, 32, 32, device=device)


def eager(device: torch.device) -> Step:
    """A step as it is."""
    return step_of(*small(device))[0]


def mixed(device: torch.device) -> Step:
    """One under bf16 autocast."""
    return step_of(*small(device), amp=True)[0]


def compiled(device: torch.device) -> Step:
    """One of a compiled model."""
    model, batch = small(device)
    return step_of(torch.compile(model), batch)[0]  # type: ignore[arg-type]


def graphed(device: torch.device) -> Step:
    """A forward that is replayed from a CUDA graph."""
    model, batch = small(device)
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.no_grad(), torch.cuda.stream(side):
        for _ in range(3):
            model(batch)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        model(batch)
    return graph.replay


def recording(device: torch.device) -> Any:
    """A profiler as our windows make it."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    return profile(activities=activities)


def settle(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

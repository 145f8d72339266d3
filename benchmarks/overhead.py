"""What `attach` costs a training step: bare and attached, in turns, in one run. `make bench` runs this.

Timings on shared machines wander, so the two loops take turns in blocks of 100 steps, and what is given is the median
over pairs of blocks. The mean also holds what is rare: histograms, and the steps that a profiler window covers.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # read when torch loads: no two lines at every profiler window

import torch
from torch import nn

import torchglass

BLOCK_STEPS = 100  # as many as between two samples of all layers: each block pays for one
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Case:
    """A model, a batch for it, and how many pairs of blocks are timed."""

    name: str
    build: Callable[[], nn.Module]
    batch_shape: tuple[int, ...]
    pairs: int


@dataclass(frozen=True)
class Setting:
    """A way to attach; `options` go to `torchglass.attach`."""

    name: str
    options: dict[str, object]


@dataclass(frozen=True)
class Result:
    """Milliseconds of a bare step, and what attaching adds: median and mean over pairs, in percent and microseconds."""

    case: str
    setting: str
    bare_ms: float
    median_percent: float
    median_us: float
    mean_percent: float
    hooks_us: float


def deep_mlp() -> nn.Module:
    """90 linear layers of 64: many small kernels, the worst case for a hook."""
    layers = [layer for _ in range(90) for layer in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def wide_cnn() -> nn.Module:
    """A small VGG: 20 ms or more for a step on two cores."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10))


def lenet5() -> nn.Module:
    """The reference model."""
    return torchglass_model("lenet5")


def torchglass_model(name: str) -> nn.Module:
    """Build a reference model by name."""
    from torchglass.reference_models import get
    from torchglass.reference_models.data.digits import DIGITS_FORM

    return get(name).build(DIGITS_FORM)


CASES = (
    Case("lenet5, batch 64", lenet5, (64, 1, 32, 32), 20),
    Case("MLP of 90 layers, batch 32", deep_mlp, (32, 64), 25),
    Case("CNN of 20 ms or more, batch 16", wide_cnn, (16, 3, 32, 32), 15),
)
SETTINGS = (
    Setting("phases alone", {"every": None, "histograms": None, "profile": None, "devices": False}),
    Setting("defaults", {}),
    Setting("histograms every 50 steps", {"histograms": 50}),
    Setting("disabled", {"mode": "disabled"}),
)


class Loop:
    """A training loop that can be run some steps at a time."""

    def __init__(self, case: Case, device: torch.device) -> None:
        torch.manual_seed(0)
        self.model = case.build().to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.inputs = torch.randn(case.batch_shape, device=device)
        self.labels = torch.randint(0, 10, (case.batch_shape[0],), device=device)
        self.run: torchglass.Run | None = None

    def seconds(self, steps: int) -> float:
        """Train so many steps and return how long they took."""
        began = time.perf_counter()
        for _ in range(steps):
            loss = nn.functional.cross_entropy(self.model(self.inputs), self.labels)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            if self.run is not None:
                self.run.log(loss=loss)
        if self.inputs.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began


def measure(case: Case, setting: Setting, device: torch.device, folder: Path) -> Result:
    """Time pairs of blocks, bare and attached, the order of the two turning round each time."""
    bare, watched = Loop(case, device), Loop(case, device)
    store = folder / f"{case.name}-{setting.name}.db".replace("/", "_")
    with torchglass.attach(watched.model, watched.optimizer, run="bench", store=store, **setting.options) as run:  # type: ignore[arg-type]
        watched.run = run
        bare.seconds(20)
        watched.seconds(20)
        pairs = []
        for number in range(case.pairs):
            first, second = (bare, watched) if number % 2 == 0 else (watched, bare)
            times = {id(loop): loop.seconds(BLOCK_STEPS) for loop in (first, second)}
            pairs.append((times[id(bare)], times[id(watched)]))
        name = run.name
    hooks_us = 0.0
    if setting.options.get("mode") != "disabled":
        with torchglass.open_store(store, read_only=True) as opened:
            cost = opened.find_series(opened.run(name).id, "torchglass/hook_seconds")
            hooks_us = 1e6 * statistics.median(opened.points(cost.id).values.tolist()) if cost is not None else 0.0
    without = statistics.median(pair[0] for pair in pairs)
    return Result(
        case.name,
        setting.name,
        without / BLOCK_STEPS * 1e3,
        100 * (statistics.median(pair[1] / pair[0] for pair in pairs) - 1),
        statistics.median(pair[1] - pair[0] for pair in pairs) / BLOCK_STEPS * 1e6,
        100 * (sum(pair[1] for pair in pairs) / sum(pair[0] for pair in pairs) - 1),
        hooks_us,
    )


def machine(device: torch.device) -> str:
    """Name the machine that the figures are from."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    cores = f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    return f"{platform.machine()}, {cores}, {accelerator}, torch {torch.__version__}"


def table(results: list[Result], where: str) -> str:
    """Write the results as a Markdown page."""
    lines = [
        "# What attach costs a training step",
        "",
        f"Machine: {where}. Rewritten by `make bench` ({time.strftime('%Y-%m-%d')}).",
        "Bare and attached take turns in blocks of 100 steps. Median: over pairs of blocks; mean: everything, profiler",
        "windows included. Hooks: what torchglass itself measured on the training thread, median step.",
        "",
        "| step | setting | bare step | median cost | median cost per step | mean cost | hooks |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in results:
        lines.append(
            f"| {each.case} | {each.setting} | {each.bare_ms:.2f} ms | {each.median_percent:+.1f} % | "
            f"{each.median_us:+.0f} µs | {each.mean_percent:+.1f} % | {each.hooks_us:.0f} µs |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every case under every setting, print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    # On two shared cores a second thread mostly waits for the first: the step then times the neighbours.
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            for setting in SETTINGS:
                results.append(measure(case, setting, device, Path(folder)))
                print(results[-1], flush=True)
    page = table(results, machine(device))
    print(page)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"overhead-{device.type}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

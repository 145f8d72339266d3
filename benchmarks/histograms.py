"""What counting and measuring a model's tensors takes, side by side in one run: ours and the ways that others go.

Timings on shared machines wander, so the ways take turns, and what is given is the median over rounds. Ours is told
apart: what the training thread waits for, and what the writer's thread does afterwards. Results go to
`benchmarks/results/histograms-<device>.md`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from machine import machine
from torch import nn

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.histograms.compiled import COMPILED, Loop
from torchglass.instrumentation.histograms.sample import Histograms
from torchglass.instrumentation.layers.statistics import LayerStatistics
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Batch

RESULTS = Path(__file__).parent / "results"
Way = Callable[[], dict[str, float]]  # does the work once; seconds by what they were spent on


def resnet50_like(device: torch.device) -> list[torch.Tensor]:
    """161 tensors of the sizes of ResNet-50's, its last one enlarged until there are 28 million values."""
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            for shape in ((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)):
                shapes += [shape, shape[:1], shape[:1]]
            if block == 0:
                shapes += [(4 * width, inputs, 1, 1), (4 * width,), (4 * width,)]
            inputs = 4 * width
    missing = 28_000_000 - sum(int(np.prod(shape)) for shape in shapes)
    shapes += [(missing // 2048, 2048), (missing % 2048,)]
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(shape, generator=generator) / float(np.prod(shape[1:])) ** 0.5).to(device) for shape in shapes]


def many_small(device: torch.device) -> list[torch.Tensor]:
    """362 tensors of 4096 values: weights and gradients of an MLP of 90 layers, biases as large as the rest."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(64, 64, generator=generator) / 8).to(device) for _ in range(362)]


class Clock:
    """Seconds of a piece of work, a GPU's included."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __call__(self, work: Callable[[], object]) -> float:
        self._settle()
        began = time.perf_counter()
        work()
        self._settle()
        return time.perf_counter() - began

    def _settle(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def ours(tensors: Sequence[torch.Tensor], clock: Clock, loop: Loop | None) -> Way:
    """Count as a sampled step does, then make records of it as the writer does; on the host with that loop."""
    keyed = {f"weights/{index}": tensor for index, tensor in enumerate(tensors)}
    records: list[Record] = []
    transfer = Transfer()
    histograms = Histograms(transfer, records.append)

    def way() -> dict[str, float]:
        COMPILED.loop = loop
        records.clear()
        counting = clock(lambda: histograms.send(keyed, 0, 0.0))
        transfer.drain()
        return {"training thread": counting, "writer's thread": clock(lambda: write(records))}

    return way


def all_of_ours(tensors: Sequence[torch.Tensor], clock: Clock) -> dict[str, Way]:
    """Our ways on this device, by name."""
    if tensors[0].device.type == "cuda":
        return {"torchglass": ours(tensors, clock, None)}
    COMPILED.fetch()
    ways = {"torchglass, numpy": ours(tensors, clock, None)}
    if COMPILED.loop is not None:
        ways["torchglass, compiled"] = ours(tensors, clock, COMPILED.loop)
    COMPILED.why_not = "chosen by the benchmark"  # no fetching in between
    return ways


def write(records: Sequence[Record]) -> Batch:
    """Do what the writer's thread does before the store takes over."""
    batch = Batch()
    for record in records:
        if isinstance(record, Deferred):
            record.add_to(batch)
    return batch


def others(tensors: Sequence[torch.Tensor], clock: Clock) -> dict[str, Way]:
    """The ways that others count, and the bound: just reading."""

    def each(work: Callable[[torch.Tensor], object]) -> Way:
        return lambda: {"training thread": clock(lambda: [work(tensor) for tensor in tensors])}

    ways = {
        "just reading: tensor.sum()": each(torch.sum),
        "torch.histc, 64 bins": each(lambda tensor: torch.histc(tensor, 64)),
    }
    if tensors[0].device.type == "cpu":
        ways["numpy.bincount of the exponent's bits"] = each(
            lambda tensor: np.bincount((tensor.view(torch.int32).numpy().reshape(-1) >> 23) & 255, minlength=256)
        )
        ways["numpy.histogram, 64 bins"] = each(lambda tensor: np.histogram(tensor.numpy(), 64))
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard.summary import make_histogram

            edges = tensorboard_edges()
            ways["TensorBoard's make_histogram"] = each(lambda tensor: make_histogram(tensor.numpy(), edges))  # type: ignore[no-untyped-call]
    return ways


def tensorboard_edges() -> list[float]:
    """Edges that TensorBoard's SummaryWriter uses unless told otherwise."""
    positive = 1e-12 * 1.1 ** np.arange(0, np.log(1e20 / 1e-12) / np.log(1.1))
    return [*(-positive[::-1]).tolist(), 0.0, *positive.tolist()]


def norms(device: torch.device, clock: Clock) -> dict[str, Way]:
    """A sample of gradient norms, weight norms and update ratios of an MLP of 90 layers, and the plain way to it."""
    layers = [layer for _ in range(90) for layer in (nn.Linear(64, 64), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(64, 10)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inputs = torch.randn(32, 64, device=device)
    records: list[Record] = []
    transfer = Transfer()
    statistics_of_layers = LayerStatistics(dict(model.named_parameters()).copy, transfer, records.append)

    def backward() -> None:
        optimizer.zero_grad()
        model(inputs).square().sum().backward()

    def sampled() -> dict[str, float]:
        records.clear()
        backward()
        before = clock(lambda: statistics_of_layers.read_gradients(0, 0.0, norms=True, histograms=False))
        optimizer.step()
        after = clock(lambda: statistics_of_layers.read_weights(0, 0.0, norms=True, histograms=False))
        transfer.drain()
        return {"training thread": before + after, "writer's thread": clock(lambda: write(records))}

    def plain() -> dict[str, float]:
        backward()
        kept: list[torch.Tensor] = []
        before = clock(lambda: kept.extend(each.detach().clone() for each in model.parameters()))
        optimizer.step()

        def measure() -> None:
            for parameter, was in zip(model.parameters(), kept, strict=True):
                assert parameter.grad is not None
                parameter.grad.norm().item()
                parameter.detach().norm().item()
                ((parameter.detach() - was).norm() / was.norm()).item()

        return {"training thread": before + clock(measure)}

    return {"torchglass": sampled, "parameter by parameter": plain}


def measured(ways: dict[str, Way], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds by way and thread, the ways taking turns; the first round warms up."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            found[name].append(way())
    return {
        name: {part: 1e3 * statistics.median(each[part] for each in times[1:]) for part in times[0]}
        for name, times in found.items()
    }


def table(title: str, results: dict[str, dict[str, float]]) -> list[str]:
    """Markdown: a line for each way."""
    lines = ["", f"## {title}", "", "| way | training thread | writer's thread |", "|---|---|---|"]
    for name, parts in sorted(results.items(), key=lambda item: sum(item[1].values())):
        writer = "{:.2f} ms".format(parts["writer's thread"]) if "writer's thread" in parts else ""
        lines.append(f"| {name} | {parts['training thread']:.2f} ms | {writer} |")
    return lines


def main() -> None:
    """Measure, print the tables and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    # On two shared cores a second thread mostly waits for the first: the figures would be the neighbours'.
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    clock = Clock(device)
    where = machine() + (f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "")
    page = [
        "# What counting and measuring a model's tensors takes",
        "",
        f"Machine: {where}; torch {torch.__version__} with {torch.get_num_threads()} threads. Rewritten by "
        f"`python benchmarks/histograms.py` ({time.strftime('%Y-%m-%d')}), other work having loaded it with "
        f"{os.getloadavg()[0]:.1f} processes by then.",
        f"The ways take turns; medians of {options.rounds} rounds. Ours are exact counts in 2048 bins, zeros, NaN and",
        "the two infinities apart, with the exact minimum and maximum, of every tensor by itself. They are counted by",
        "numpy until that has cost half a second, and from then on, where numba is installed, by a compiled loop.",
    ]
    for title, tensors in (
        ("28 M values in 161 tensors, as of a ResNet-50", resnet50_like(device)),
        ("362 tensors of 4096 values, as of an MLP of 90 layers", many_small(device)),
    ):
        page += table(title, measured({**all_of_ours(tensors, clock), **others(tensors, clock)}, options.rounds))
    page += table(
        "Gradient norms, weight norms and update ratios of an MLP of 90 layers, 181 parameters",
        measured(norms(device, clock), 10 * options.rounds),
    )
    print("\n".join(page))
    (RESULTS / f"histograms-{device.type}.md").write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What explaining one picture takes: ours beside lime, captum, shap and a plain loop, at equal samples, in turns.

All ask the same network about the same picture, cut into the same segments, as often. The libraries are called as their
documentation does, with batches of their default size or, where they let one choose, of 64 pictures. Two networks: a
tiny one, where the calls around it take the time, and a small convolutional one. Timings on shared machines wander, so
the ways take turns, and what is given is the median over rounds, of processor time of one thread.

Last, what stopping early saves: the same method without and with it, and how alike the two maps are.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shap
import torch
import torch.nn.functional as F
from captum.attr import Occlusion
from lime.lime_image import LimeImageExplainer
from machine import machine
from torch import Tensor, nn

from torchglass.explainers import explain
from torchglass.explainers.perturbation.superpixels import segment

RESULTS = Path(__file__).parent / "results" / "explainers-speed-{device}.md"
SIDE, SEGMENTS, SAMPLES, ROUNDS = 64, 49, 1000, 5
BATCH = 64
BARS = {"tiny": 3.0, "small CNN": 1.5}
Way = Callable[[], Any]
Array = npt.NDArray[Any]


def tiny() -> nn.Module:
    """One convolution over every fourth pixel: its own work is next to nothing."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 6)
    )


def small() -> nn.Module:
    """Four convolutions with 16 to 96 channels and three poolings."""
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise((3, 16, 32, 64, 96))):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if place < 3 else [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(96, 6))


@dataclass(frozen=True, eq=False)
class Case:
    """A picture (1, 3, H, W), its segments (H, W), and the network that is asked."""

    model: nn.Module
    picture: Tensor
    segments: Array

    def table(self, pictures: Tensor) -> Tensor:
        """Score pictures in batches, (M, 6)."""
        with torch.no_grad():
            return torch.cat([self.model(batch) for batch in pictures.split(BATCH)])


def peers(case: Case) -> dict[str, tuple[str, Way, Way]]:
    """For each method: whom it is compared to, their way and ours."""
    device = case.picture.device
    image = case.picture[0].permute(1, 2, 0).double().cpu().numpy()

    def own(method: str, **options: Any) -> Way:
        return lambda: explain(case.model, case.picture, 0, method, **options)

    def by_lime() -> None:
        def probabilities(images: Array) -> Array:
            batch = torch.as_tensor(np.asarray(images), dtype=torch.float32, device=device).permute(0, 3, 1, 2)
            return np.asarray(case.table(batch).cpu().numpy())

        with redirect_stderr(io.StringIO()):
            LimeImageExplainer(random_state=0).explain_instance(
                image, probabilities, labels=(0,), top_labels=None, hide_color=0, num_samples=SAMPLES,
                segmentation_fn=lambda _: case.segments,
            )  # fmt: skip

    def by_captum() -> None:
        with torch.no_grad():
            Occlusion(case.model).attribute(case.picture, (3, 12, 12), (3, 4, 4), 0.0, 0)

    def by_captum_in_batches() -> None:
        with torch.no_grad():
            Occlusion(case.model).attribute(case.picture, (3, 12, 12), (3, 4, 4), 0.0, 0, perturbations_per_eval=BATCH)

    def by_shap(score: Callable[[Array], Tensor]) -> None:
        parts = int(case.segments.max()) + 1
        np.random.seed(0)
        kernel = shap.KernelExplainer(
            lambda shown: np.asarray(case.table(score(shown)).cpu().numpy())[:, 0], np.zeros((1, parts))
        )
        kernel.shap_values(np.ones((1, parts)), nsamples=SAMPLES, l1_reg=False, silent=True)

    def hidden_by_loop(shown: Array) -> Tensor:
        pictures = np.zeros((len(shown), *image.shape), dtype=np.float32)
        for number, code in enumerate(shown):
            pictures[number] = image
            for part in np.flatnonzero(code == 0):
                pictures[number][case.segments == part] = 0
        return torch.as_tensor(pictures, device=device).permute(0, 3, 1, 2)

    def hidden_at_once(shown: Array) -> Tensor:
        place = torch.as_tensor(case.segments, device=device)
        keep = torch.as_tensor(shown > 0.5, device=device)[:, place][:, None]
        return torch.where(keep, case.picture, torch.zeros((), device=device))

    lime = own("lime", segments=SEGMENTS, segmentation="grid", samples=SAMPLES, stop_early=False)
    occlusion = own("occlusion", window=12, stride=4)
    kernel = own(
        "shap", algorithm="kernel", segments=SEGMENTS, segmentation="grid", evaluations=SAMPLES, stop_early=False
    )
    rise = own("rise", masks=SAMPLES, keep_rate=0.5, stop_early=False)
    return {
        "LIME": ("lime's LimeImageExplainer", by_lime, lime),
        "occlusion": ("captum's Occlusion, its default of 1 picture a pass", by_captum, occlusion),
        "occlusion, batched": (f"captum's Occlusion, {BATCH} pictures a pass", by_captum_in_batches, occlusion),
        "RISE": ("a loop, mask by mask", lambda: rise_by_loop(case, 1), rise),
        "RISE, batched": (f"the same, {BATCH} masks a pass", lambda: rise_by_loop(case, BATCH), rise),
        "kernel SHAP": (
            "shap's KernelExplainer, masks by its documentation's loop",
            lambda: by_shap(hidden_by_loop),
            kernel,
        ),
        "kernel SHAP, fused": ("the same, masks written as ours", lambda: by_shap(hidden_at_once), kernel),
    }


def rise_by_loop(case: Case, each: int) -> Tensor:
    """RISE as its paper tells it, `each` masks at a time."""
    draw, cell = np.random.default_rng(0), ceil(SIDE / 7)
    total = torch.zeros(SIDE, SIDE, device=case.picture.device)
    with torch.no_grad():
        for _ in range(0, SAMPLES, each):
            grids = torch.as_tensor(draw.random((each, 1, 7, 7)) < 0.5, device=total.device).float()
            large = F.interpolate(grids, size=(8 * cell, 8 * cell), mode="bilinear")
            cut = [
                one[:, down : down + SIDE, across : across + SIDE]
                for one, (down, across) in zip(large, draw.integers(cell, size=(each, 2)), strict=True)
            ]
            masks = torch.stack(cut)
            total += (case.model(masks * case.picture)[:, 0, None, None] * masks[:, 0]).sum(dim=0)
    return total / (SAMPLES * 0.5)


def seconds(way: Way, device: torch.device) -> float:
    """Processor seconds of one call; on a GPU those that pass until it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    way()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def compared(case: Case) -> dict[str, tuple[str, float, float]]:
    """For each method whom it is compared to, and the medians of their seconds and of ours."""
    ways, device = peers(case), case.picture.device
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in ways}
    for turn in range(ROUNDS + 1):
        for name, (_, theirs, ours) in ways.items():
            pair = seconds(theirs, device), seconds(ours, device)
            if turn:  # the first turn warms up
                taken[name][0].append(pair[0])
                taken[name][1].append(pair[1])
    return {
        name: (ways[name][0], statistics.median(theirs), statistics.median(ours))
        for name, (theirs, ours) in taken.items()
    }


def stopped(model: nn.Module, pictures: Tensor, background: Tensor) -> dict[str, tuple[float, float, float, float]]:
    """For each sampling method: model evaluations without and with stopping early, and the maps' rank correlations.

    These are the median over the pictures and the lowest.
    """
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "LIME": ("lime", {"samples": 4000}),
        "RISE": ("rise", {"masks": 4000}),
        "kernel SHAP": ("shap", {"algorithm": "kernel", "evaluations": 4000}),
    }
    found = {}
    for name, (method, options) in asked.items():
        whole, early = (
            explain(model, pictures, method=method, background=background, stop_early=stop, **options)
            for stop in (False, True)
        )
        alike = [_rank_correlation(whole.relevance(i), early.relevance(i)) for i in range(len(pictures))]
        each = len(pictures)
        found[name] = (
            whole.model_evaluations / each,
            early.model_evaluations / each,
            statistics.median(alike),
            min(alike),
        )
    return found


def _rank_correlation(first: Array, second: Array) -> float:
    ranks = [np.unique(values, return_inverse=True)[1].ravel() for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Compare on both networks, see what stopping saves, and rewrite the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    began = time.perf_counter()
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, SIDE, SIDE, generator=generator).to(device)
    segments = segment(picture[0].permute(1, 2, 0).cpu().numpy(), SEGMENTS, "grid")
    lines: list[str] = []
    for name, build in {"tiny": tiny, "small CNN": small}.items():
        torch.manual_seed(0)
        case = Case(build().eval().to(device), picture, segments)
        lines += [f"## {name}, wanted {BARS[name]:.1f} times", "", "| method | theirs | their ms | our ms | ratio |"]
        lines += ["|---|---|---|---|---|"]
        for method, (whom, theirs, ours) in compared(case).items():
            lines.append(f"| {method} | {whom} | {theirs * 1e3:.1f} | {ours * 1e3:.1f} | {theirs / ours:.1f} |")
        lines.append("")
        print("\n".join(lines[-11:]), flush=True)
    scenes = F.interpolate(torch.rand(8, 3, 8, 8, generator=generator), size=(SIDE, SIDE), mode="bilinear").to(device)
    lines += [
        "## Stopping early, wanted half the evaluations or fewer at a rank correlation of 0.95",
        "",
        "Smooth random pictures, the small CNN, black and four pictures as background.",
        "",
        "| method | background | all | stopped | factor | rank correlation, median | lowest |",
        "|---|---|---|---|---|---|---|",
    ]
    for hidden, background in {"black": 0 * scenes[:1], "pictures": scenes[4:]}.items():
        for method, (whole, early, middle, lowest) in stopped(case.model, scenes[:4], background).items():
            row = f"{whole:.0f} | {early:.0f} | {whole / early:.1f} | {middle:.3f} | {lowest:.3f}"
            lines.append(f"| {method} | {hidden} | {row} |")
            print(lines[-1], flush=True)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else machine()
    head = [
        "# Explaining one picture, side by side",
        "",
        f"{SIDE}x{SIDE} pixels, {SEGMENTS} squares, {SAMPLES} samples (occlusion: {ceil((SIDE - 12) / 4 + 1) ** 2} "
        f"windows), one thread, medians of {ROUNDS} interleaved rounds. {where}, torch {torch.__version__}, "
        f"{date.today()}, {time.perf_counter() - began:.0f} s.",
        "",
    ]
    path = Path(str(RESULTS).format(device=device.type))
    path.write_text("\n".join([*head, *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()

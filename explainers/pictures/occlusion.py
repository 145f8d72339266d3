"""Occlusion: what the score loses when a window that slides over the picture hides a part of it."""

from typing import Literal

import captum
import numpy as np
import numpy.typing as npt
import torch
from captum.attr import Occlusion

from torchglass.errors import OptionError
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.own import own_implementation
from torchglass.explainers.perturbation.engine import Engine
from torchglass.explainers.perturbation.fill import averaged
from torchglass.explainers.perturbation.masks import WindowMasks
from torchglass.explainers.private.scored_model import inputs_per_pass
from torchglass.explainers.problem import Attribution, Problem

WINDOWS_A_SIDE = 16 / 3
"""A window spans 3/16 of each side, 12 of 64 pixels: about as much as the things that decide."""
STRIDES_A_WINDOW = 3


def attribute(
    problem: Problem,
    *,
    window: int | None = None,
    stride: int | None = None,
    references: int = 4,
    backend: Literal["own", "library"] = "own",
) -> Attribution:
    """Give each pixel the mean of f(x) - f(x with a window hidden) over the windows that cover it.

    Values (N, 1, H, W); they need not add up. A hidden window shows the background, where there are several pictures
    each of the first few in turn, and the scores are averaged. Windows at the far edges are cut off there.

    Args:
        window: side of the square window in pixels; None for 3/16 of the picture's sides.
        stride: pixels between windows, at most a window; None for a third of the window.
        references: background pictures to average over at most, each of which costs a picture for every window.
        backend: "own", or "library" for captum's Occlusion against the mean of those background pictures, which is
            the same where there is one.

    Raises:
        OptionError: a number is out of its range.

    Source: Zeiler and Fergus 2014 (arXiv 1311.2901).
    """
    height, width = problem.inputs.shape[2:]
    sides = tuple(max(1, round(side / WINDOWS_A_SIDE)) if window is None else window for side in (height, width))
    steps = tuple(max(1, side // STRIDES_A_WINDOW) if stride is None else stride for side in sides)
    _check(sides, steps, (height, width), references, backend)
    few = problem.background[:references]
    parameters = {
        "window": list(sides),
        "stride": list(steps),
        "references": len(few),
        "background": problem.background_name,
    }
    if backend == "library":
        values = _by_captum(problem, sides, steps, few.mean(dim=0, keepdim=True))
        return Attribution(values, f"captum {captum.__version__} Occlusion", parameters | {"backend": "library"})
    corners = windows((height, width), sides, steps)
    pictures = len(problem.inputs)
    rows = np.repeat(np.arange(pictures), len(corners))
    masks = WindowMasks(np.tile(corners, (pictures, 1)), rows, (height, width), problem.inputs.device)
    engine, total = Engine(problem), len(rows)
    asked = engine.ask(masks, averaged(few), lambda done: problem.pace.tell(done, total))
    lost = problem.outputs.double().cpu().numpy()[:, None] - asked.reshape(pictures, len(corners))
    return Attribution(spread(lost, corners, (height, width)), own_implementation("occlusion"), parameters)


def windows(size: tuple[int, int], sides: tuple[int, ...], steps: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """List the windows that cover a picture, (M, 4): top, left, bottom, right, cut off at the far edges."""
    starts = [np.arange(-(-(size[i] - sides[i]) // steps[i]) + 1) * steps[i] for i in (0, 1)]
    top, left = (axis.ravel() for axis in np.meshgrid(*starts, indexing="ij"))
    bottom, right = np.minimum(top + sides[0], size[0]), np.minimum(left + sides[1], size[1])
    corners: npt.NDArray[np.int64] = np.stack([top, left, bottom, right], axis=1)
    return corners


def spread(lost: npt.NDArray[np.float64], corners: npt.NDArray[np.int64], size: tuple[int, int]) -> FloatArray:
    """Average what each window lost, (N, M), over the windows that cover a pixel: (N, 1, H, W)."""
    top, left, bottom, right = corners.T
    sums = np.zeros((size[0] + 1, size[1] + 1, len(lost) + 1))
    amounts = np.concatenate([lost, np.ones((1, len(corners)))]).T
    # Each window adds at two corners and takes away at two: the running sums then hold it between them.
    for down, across, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(sums, (down, across), sign * amounts)
    sums = np.moveaxis(sums.cumsum(axis=0).cumsum(axis=1)[:-1, :-1], -1, 0)
    values: FloatArray = (sums[:-1] / sums[-1])[:, None].astype(np.float32)
    return values


def _by_captum(problem: Problem, sides: tuple[int, ...], steps: tuple[int, ...], baseline: torch.Tensor) -> FloatArray:
    channels = problem.inputs.shape[1]
    with torch.no_grad():
        found = Occlusion(problem.model).attribute(
            problem.inputs,
            sliding_window_shapes=(channels, *sides),
            strides=(channels, *steps),
            baselines=baseline,
            target=problem.targets,
            perturbations_per_eval=max(1, inputs_per_pass(problem.inputs[0]) // len(problem.inputs)),
        )
    values: FloatArray = found[:, :1].float().cpu().numpy()
    return values


def _check(
    sides: tuple[int, ...], steps: tuple[int, ...], size: tuple[int, int], references: int, backend: str
) -> None:
    if not all(1 <= side <= whole for side, whole in zip(sides, size, strict=True)):
        raise OptionError(f"window is {max(sides)}: give 1 to {min(size)} pixels, the picture's shorter side")
    if not all(1 <= step <= side for step, side in zip(steps, sides, strict=True)):
        raise OptionError(f"stride is {max(steps)}: give 1 to {min(sides)} pixels, so that no pixel is left out")
    if references < 1:
        raise OptionError(f"references is {references}: give at least 1")
    if backend not in ("own", "library"):
        raise OptionError(f"backend is {backend!r}: choose 'own' or 'library'")

"""RISE: how much higher the score is, over many random soft masks, where a pixel is shown."""

from typing import Any

import numpy as np

from torchglass.errors import OptionError
from torchglass.explainers.explanation import IntArray
from torchglass.explainers.own import own_implementation
from torchglass.explainers.perturbation.engine import Engine
from torchglass.explainers.perturbation.fill import drawn_for_each
from torchglass.explainers.perturbation.moments import Gain, Moments
from torchglass.explainers.perturbation.soft_grids import SoftGridMasks, drawn_grids
from torchglass.explainers.perturbation.stopping import Watch, estimated_correlation
from torchglass.explainers.problem import Attribution, Problem

FIRST_ROUND = 256
"""Masks before the first look at the errors: fewer than a mask per pixel of the grid's own map would estimate noise."""


def attribute(
    problem: Problem, *, masks: int = 4000, cells: int = 7, keep_rate: float = 0.7, stop_early: bool = True
) -> Attribution:
    """Give each pixel the mean score of the masks that show it, weighted by how much they do, less that of all masks.

    A mask is a grid of `cells` x `cells` random bits, enlarged bilinearly and shifted by less than a cell; what it
    hides shows the background, drawn anew for each mask where there are several. Values (N, 1, H, W), base value the
    mean score over the masks. Checks: `certainty`, the worst estimated correlation of a map with that of endless
    sampling. `parameters["masks"]` are those taken for each picture.

    Args:
        masks: masked pictures per picture at most.
        cells: of the grid along each side.
        keep_rate: chance that a cell is shown. The paper hides half; on pictures of shapes 0.7 finds as much with half
            as many masks.
        stop_early: end a picture's sampling once `certainty` is 0.98.

    Raises:
        OptionError: a number is out of its range.

    Source: Petsiuk et al. 2018 (arXiv 1806.07421), whose map is this one times a constant plus another, but for the
    coverage: see moments.py.
    """
    check_masks(masks, cells, keep_rate, min(problem.inputs.shape[2:]))
    found, taken = gains(problem, masks, cells, keep_rate, stop_early)
    return as_attribution(
        found,
        own_implementation("RISE"),
        {
            "masks": taken,
            "most_masks": masks,
            "cells": cells,
            "keep_rate": keep_rate,
            "background": problem.background_name,
        },
    )


def gains(problem: Problem, masks: int, cells: int, keep_rate: float, stop_early: bool) -> tuple[list[Gain], list[int]]:
    """Sample the problem's pictures: what showing each pixel adds, and how many masks that took, for each of them."""
    pictures, _, height, width = problem.inputs.shape
    # One generator per picture: a picture's explanation does not depend on its neighbours in the batch.
    draws = [np.random.default_rng(problem.seed % 2**32) for _ in range(pictures)]
    engine, moments = Engine(problem), Moments(problem.outputs, (height, width))
    watch = Watch(problem.pace, pictures, masks, stop_early)
    found: dict[int, Gain] = {}
    taken = [0] * pictures
    for count in watch.rounds(masks, FIRST_ROUND):
        grids = [drawn_grids(count, cells, keep_rate, (height, width), draws[row]) for row in watch.active]
        bits, shifts = (np.concatenate(parts) for parts in zip(*grids, strict=True))
        rows = np.repeat(watch.active, count)
        soft = SoftGridMasks(bits, shifts, rows, (height, width), problem.inputs.device)
        fill = drawn_for_each(problem.background, dict.fromkeys(watch.active, count), draws)
        engine.ask(soft, fill, watch.tell, moments.add)
        for row in watch.active:
            found[row], taken[row] = moments.gain(row), taken[row] + count
        certainties = {row: estimated_correlation(found[row].values, found[row].errors) for row in watch.active}
        watch.round_is_over(len(rows), certainties)
    return [found[row] for row in range(pictures)], taken


def as_attribution(
    found: list[Gain], implementation: str, parameters: dict[str, Any], targets: IntArray | None = None
) -> Attribution:
    """Gather the maps of N pictures."""
    return Attribution(
        values=np.stack([one.values for one in found])[:, None].astype(np.float32),
        implementation=implementation,
        parameters=parameters,
        checks={"certainty": min(estimated_correlation(one.values, one.errors) for one in found)},
        base_values=np.array([one.mean for one in found], dtype=np.float32),
        standard_errors=np.stack([one.errors for one in found])[:, None].astype(np.float32),
        targets=targets,
    )


def check_masks(masks: int, cells: int, keep_rate: float, side: int) -> None:
    """Refuse numbers out of their range; `side` is the picture's shorter one, in pixels.

    Raises:
        OptionError: one of them.
    """
    if masks < 2:
        raise OptionError(f"masks is {masks}: give at least 2")
    if not 2 <= cells <= side:
        raise OptionError(f"cells is {cells}: give 2 to {side}, the pixels of the picture's shorter side")
    if not 0 < keep_rate < 1:
        raise OptionError(f"keep_rate is {keep_rate}: give a chance between 0 and 1, both excluded")

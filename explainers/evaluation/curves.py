"""Turn an input into another one part by part, in the order in which a map values them, and watch the class."""

import numpy as np
import torch
from torch import Tensor

from torchglass.explainers.evaluation.case import EXPLANATION, Case, Measured
from torchglass.explainers.evaluation.ordering import places_in_order
from torchglass.explainers.explanation import FloatArray
from torchglass.explainers.private.scored_model import inputs_per_pass


def areas(case: Case, starts: Tensor, ends: Tensor) -> Measured:
    """Measure the area under the class's certainty while `starts` (N, ...) become `ends`, most valued parts first.

    The share of changed parts runs from 0 to 1, so the area of a probability lies between 0 and 1. All maps of an input
    go through the model in one batch; the unchanged and the wholly changed input are asked once for all of them.
    """
    names = [name for name, draws in case.maps.items() for _ in range(len(draws))]
    found = np.empty((len(names), len(case.inputs)), dtype=np.float64)
    curve = np.empty((len(case.inputs), case.steps + 1), dtype=np.float32)
    for i in range(len(case.inputs)):
        counts = _counts(int(case.present[i].sum()), case.steps)
        heights = _walk(case, starts[i], ends[i], i, counts)
        shares = counts / counts[-1]
        found[:, i] = ((heights[:, 1:] + heights[:, :-1]) / 2) @ np.diff(shares)
        curve[i] = np.interp(np.linspace(0, 1, case.steps + 1), shares, heights[names.index(EXPLANATION)])
    values = {
        name: found[[own == name for own in names]].mean(axis=0).astype(np.float32) for name in dict.fromkeys(names)
    }
    return Measured(
        values, "the output is the same with the content hidden", curve=curve, parameters={"steps": case.steps}
    )


def _counts(parts: int, steps: int) -> FloatArray:
    """How many parts have changed at each step: from none to all, each count once."""
    return np.unique(np.linspace(0, parts, steps + 1).round()).astype(np.float32)


def _walk(case: Case, start: Tensor, end: Tensor, i: int, counts: FloatArray) -> FloatArray:
    """Give the certainty at each count for each map, (M, K)."""
    maps = torch.cat([draws[:, i] for draws in case.maps.values()]).masked_fill(~case.present[i], -torch.inf)
    places = places_in_order(maps, case.seed)
    inner = torch.as_tensor(counts[1:-1], device=places.device)
    ends = case.certainty(torch.stack((start, end)), i)
    heights = torch.empty(len(maps), len(counts), device=places.device)
    heights[:, 0], heights[:, -1] = ends[0], ends[1]
    if len(inner):
        changed = (places[:, None] < inner[None, :, None]).flatten(0, 1)
        heights[:, 1:-1] = torch.cat(
            [
                case.certainty(torch.where(case.parts_like_input(some), end, start), i)
                for some in torch.split(changed, inputs_per_pass(start))
            ]
        ).reshape(len(maps), len(inner))
    walked: FloatArray = heights.cpu().numpy()
    return walked

"""One probe at one step as it is kept: bounded arrays and the facts that a page draws them with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from torchglass.explainers.explanation import Explanation

MOST_PIXELS = 64
"""Of a side: a larger map is shrunk by means, so that a frame takes some ten kilobytes whatever the picture."""
HALF_LIMITS = (1e-3, 6e4)
"""Largest magnitudes between which half precision keeps three digits of what can be seen."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """An explanation of one probe: where it is kept, facts that JSON takes, and arrays."""

    key: str
    meta: Mapping[str, Any]
    arrays: Mapping[str, Array]


def relevances(explanation: Explanation) -> Array:
    """Give all maps as they are kept and compared: (N, h, w) summed over channels and shrunk, (N, T) or (N, F)."""
    values = explanation.attributions
    return shrunk(values.sum(axis=1)) if values.ndim == 4 else values


def shrunk(maps: Array) -> Array:
    """Bring pictures (N, ..., H, W) to at most 64 a side: each pixel the mean of what it stands for."""
    height, width = maps.shape[-2:]
    if max(height, width) <= MOST_PIXELS:
        return maps
    flat = torch.from_numpy(np.array(maps, np.float32)).reshape(-1, 1, height, width)
    sides = (min(height, MOST_PIXELS), min(width, MOST_PIXELS))
    return functional.adaptive_avg_pool2d(flat, sides).reshape(*maps.shape[:-2], *sides).numpy()


def shrunk_truth(truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Bring what decides, of pictures (N, H, W), to the size of their maps: a pixel counts that holds any of it."""
    return np.asarray(shrunk(truth.astype(np.float32)) > 0) if truth.ndim == 3 else truth


def frame(
    explanation: Explanation,
    maps: Array,
    i: int,
    *,
    truth: npt.NDArray[np.bool_] | None,
    facts: Mapping[str, Any],
) -> Frame:
    """Keep probe i of a batch; `maps` and `truth` are the batch's as `relevances` and `shrunk_truth` gave them.

    Seconds and evaluations are its share of the batch's. `facts` stand beside the explanation's own.
    """
    count = len(explanation.attributions)
    of_picture = maps.ndim == 3
    inputs = shrunk(explanation.inputs[i : i + 1]) if of_picture else explanation.inputs[i : i + 1]
    arrays: dict[str, Array] = {
        "attributions": half(maps[i][None, None] if of_picture else maps[i : i + 1]),
        "inputs": inputs if inputs.dtype.kind in "iu" else half(inputs),
        "targets": explanation.targets[i : i + 1],
        "outputs": explanation.outputs[i : i + 1],
    }
    if explanation.base_values is not None:
        arrays["base_values"] = explanation.base_values[i : i + 1]
    if truth is not None:
        arrays["truth"] = truth[i : i + 1]
    _, meta = explanation.to_arrays()
    own: dict[str, Any] = {
        "seconds": explanation.seconds / count,
        "model_evaluations": explanation.model_evaluations // count,
        "probe": i,
        "sample": i,
        "task": "regression" if explanation.output_space == "value" else "classification",
        "target": int(explanation.targets[i]),
    }
    if of_picture and explanation.attributions.shape[-2:] != maps.shape[-2:]:
        own["shrunk_from"] = list(explanation.attributions.shape[-2:])
    return Frame(f"probe/{i}", {**meta, **own, **facts}, arrays)


def half(values: Array) -> Array:
    """Halve the precision where that is not seen, else keep float32."""
    largest = float(np.abs(values).max(initial=0.0))
    keeps = largest == 0 or HALF_LIMITS[0] <= largest <= HALF_LIMITS[1]
    return values.astype(np.float16 if keeps else np.float32)

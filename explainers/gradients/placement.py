"""Put a layer's map where its units really look.

Stretching a 10 x 10 map over a 32 x 32 picture assumes that its units tile the picture. In a network without padding
they do not: LeNet-5's last units are centred between pixels 6.5 and 24.5, and a stretched map is 1.6 times too large.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from torchglass.explainers.private.scored_model import ScoredModel

NOISE_PICTURES = 4
"""Pictures that reveal a receptive field: a pooling passes on one place of each, so it takes a few to see all."""
SEEN = 1e-6
"""Part of the largest gradient below which a pixel counts as not seen: rounding of the convolution's algorithm."""


@dataclass(frozen=True)
class Axis:
    """Along one axis, unit `i` of a map is centred at pixel `offset + stride * i`."""

    offset: float
    stride: float


@dataclass(frozen=True)
class Placement:
    """Where the units of a layer's map are centred in the picture."""

    rows: Axis
    columns: Axis


def find_placement(model: ScoredModel, layer: str, pictures: Tensor) -> Placement | None:
    """Measure where the units of a layer are centred, from the pixels that three of them a side depend on.

    None when a unit near the middle depends on a border of the picture: what it would see beyond is unknown then, and
    its centre with it (deep networks, global poolings, attention).
    """
    noise = torch.randn(NOISE_PICTURES, *pictures.shape[1:], device=pictures.device).requires_grad_()
    caught: list[Tensor] = []
    handle = model.network.get_submodule(layer).register_forward_hook(lambda _m, _i, output: caught.append(output))
    try:
        model(noise)
    finally:
        handle.remove()
    rows = _measure(caught[-1], noise, along=2)
    columns = _measure(caught[-1], noise, along=3) if rows is not None else None
    return None if rows is None or columns is None else Placement(rows, columns)


def place(small_map: Tensor, placement: Placement, size: tuple[int, int]) -> Tensor:
    """Interpolate maps (N, 1, h, w) linearly to pictures (N, 1, H, W); zero where no unit is centred near.

    Where the units tile the picture this is bilinear enlargement.
    """
    rows = _weights(size[0], small_map.shape[2], placement.rows).to(small_map)
    columns = _weights(size[1], small_map.shape[3], placement.columns).to(small_map)
    placed: Tensor = rows @ small_map @ columns.T
    return placed


def _measure(maps: Tensor, noise: Tensor, *, along: int) -> Axis | None:
    units = maps.shape[along]
    centres: dict[int, float] = {}
    for unit in sorted({units // 2, units // 3, 2 * units // 3}, key=lambda index: abs(index - units // 2)):
        centre = _centre(maps.select(along, unit), noise, along)
        if centre is None:
            return None
        centres[unit] = centre
    first, last = min(centres), max(centres)
    if first == last:
        return None
    stride = (centres[last] - centres[first]) / (last - first)
    return Axis(centres[first] - stride * first, stride) if stride > 0 else None


def _centre(outputs: Tensor, noise: Tensor, along: int) -> float | None:
    """Centre of the pixels that these units depend on; None when they reach a border or depend on none."""
    (gradient,) = torch.autograd.grad((outputs * torch.randn_like(outputs)).sum(), noise, retain_graph=True)
    others = tuple(axis for axis in range(4) if axis != along)
    influence = gradient.abs().sum(others)
    seen = torch.nonzero(influence > SEEN * influence.max()).flatten().tolist()
    if not seen or seen[0] == 0 or seen[-1] == len(influence) - 1:
        return None
    return float(seen[0] + seen[-1]) / 2


def _weights(pixels: int, units: int, axis: Axis) -> Tensor:
    """Weights (pixels, units) of linear interpolation between the centres; zero beyond half a stride of the last."""
    position = (torch.arange(pixels, dtype=torch.float64) - axis.offset) / axis.stride
    covered = (position >= -0.5 - 1e-9) & (position <= units - 0.5 + 1e-9)
    clamped = position.clamp(0, units - 1)
    distance = (clamped[:, None] - torch.arange(units, dtype=torch.float64)).abs()
    return (1 - distance).clamp(min=0) * covered[:, None]

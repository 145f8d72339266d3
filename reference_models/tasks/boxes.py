"""Boxes as tensors (..., 4): x0, y0, x1, y1 in pixels; how far they overlap, and which of many to keep."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_AREA = 1e-9  # square pixels; keeps the quotient of two empty boxes finite


def intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU, 0..1, of boxes whose leading axes broadcast; boxes of no area overlap with nothing."""
    shared = _area(_shared(first, second))
    return shared / (_area(first) + _area(second) - shared).clamp(min=SMALLEST_AREA)


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the IoU less the share of the smallest common box that neither fills, -1..1.

    Boxes that do not meet are told apart by their distance, so that there is a gradient (Rezatofighi et al. 2019).
    """
    shared = _area(_shared(first, second))
    union = _area(first) + _area(second) - shared
    around = torch.cat(
        [torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:])], dim=-1
    )
    hull = _area(around).clamp(min=SMALLEST_AREA)
    return shared / union.clamp(min=SMALLEST_AREA) - (hull - union) / hull


def not_suppressed(boxes: Tensor, classes: Tensor, threshold: float) -> Tensor:
    """Return which boxes (N, D, 4) stay, (N, D) bool, when each removes the worse ones of its class that it overlaps.

    The boxes of each picture are ordered by falling score; `classes` is (N, D) and `threshold` the largest IoU that two
    boxes of one class may have. A box that was removed removes none (greedy non-maximum suppression). The loop runs
    over ranks, for all pictures at once, and waits for no device.
    """
    overlaps = intersection_over_union(boxes[:, :, None], boxes[:, None, :]) > threshold
    rivals = overlaps & (classes[:, :, None] == classes[:, None, :])
    stays = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    for rank in range(boxes.shape[1]):
        stays[:, rank + 1 :] &= ~(rivals[:, rank, rank + 1 :] & stays[:, rank, None])
    return stays


def _shared(first: Tensor, second: Tensor) -> Tensor:
    corner = torch.maximum(first[..., :2], second[..., :2])
    return torch.cat([corner, torch.maximum(torch.minimum(first[..., 2:], second[..., 2:]), corner)], dim=-1)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])

"""Anchors: boxes laid over the picture in a grid, which a detector's answers are relative to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchglass.reference_models.tasks.boxes import intersection_over_union

STRIDE_PIXELS = 8  # between the centres of anchors: the smallest shapes are as wide
ANCHOR_SIDES = (13.0, 22.0)  # pixels; a turned shape's box is nearly square, and 10 to 29 wide
BECOMES_BOX = 0.45  # IoU from which an anchor is to find the box it overlaps most
IS_BACKGROUND = 0.3  # IoU below which it is to find nothing; between the two it is left alone
MOST_GROWTH = math.log(4.0)  # of an anchor's side: a wild answer early in training must not overflow

BACKGROUND, LEFT_ALONE = -1, -2


def anchor_grid(height: int, width: int) -> Tensor:
    """Return the anchors (A, 4) of a picture: rows from the top, in them columns, in them sizes."""
    y = (torch.arange(height // STRIDE_PIXELS) + 0.5) * STRIDE_PIXELS
    x = (torch.arange(width // STRIDE_PIXELS) + 0.5) * STRIDE_PIXELS
    rows, columns, half = torch.meshgrid(y, x, torch.tensor(ANCHOR_SIDES) / 2, indexing="ij")
    return torch.stack([columns - half, rows - half, columns + half, rows + half], dim=-1).reshape(-1, 4)


def decoded(answers: Tensor, anchors: Tensor) -> Tensor:
    """Turn answers (..., A, 4) into boxes: centre's shift in anchor sides, logarithm of the growth of each side.

    This is the parametrisation of R-CNN (Girshick et al. 2014, appendix C).
    """
    sides = anchors[..., 2:] - anchors[..., :2]
    centres = (anchors[..., 2:] + anchors[..., :2]) / 2 + answers[..., :2] * sides
    halves = sides * answers[..., 2:].clamp(-MOST_GROWTH, MOST_GROWTH).exp() / 2
    return torch.cat([centres - halves, centres + halves], dim=-1)


def assigned(anchors: Tensor, targets: Tensor) -> Tensor:
    """Return for each anchor (N, A) int64 which of the picture's boxes (N, M, 5) it is to find.

    That is the index of the box, `BACKGROUND` or `LEFT_ALONE`. Each box gets the anchor that overlaps it most, however
    little that is.
    """
    there = targets[:, :, 0] >= 0
    overlaps = intersection_over_union(anchors[None, :, None], targets[:, None, :, 1:])
    overlaps = overlaps.masked_fill(~there[:, None], -1.0)
    best, which = overlaps.max(dim=2)
    found = torch.where(best >= BECOMES_BOX, which, torch.where(best < IS_BACKGROUND, BACKGROUND, LEFT_ALONE))
    nearest = overlaps.argmax(dim=1)
    places = torch.arange(len(anchors), device=anchors.device)
    for box in range(targets.shape[1]):
        is_its_own = (places == nearest[:, box, None]) & there[:, box, None]
        found = found.masked_fill(is_its_own, box)
    return found

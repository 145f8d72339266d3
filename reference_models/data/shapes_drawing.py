"""Paint scenes onto backgrounds: pictures of 8-bit values and, exactly, which pixels each shape touched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchglass.reference_models.data.shapes_outlines import OUTLINES
from torchglass.reference_models.data.shapes_scenes import NO_SHAPE, Scenes

Floats = npt.NDArray[np.float32]

CONTRAST = 0.5  # distance in RGB (0..1 each) from the mean colour beneath, three times the deviation of the noise


@dataclass(frozen=True, eq=False)
class Drawn:
    """`pictures` (N, 3, H, W) uint8; `touched` (N, M, H, W) bool: where each shape changed the background."""

    pictures: npt.NDArray[np.uint8]
    touched: npt.NDArray[np.bool_]


def paint(scenes: Scenes, background: Floats) -> Drawn:
    """Blend the shapes over backgrounds (N, 3, H, W) in 0..1; pixels that no shape touched keep their value."""
    count, most = scenes.classes.shape
    side = background.shape[-1]
    pictures = background.copy()
    touched = np.zeros((count, most, side, side), dtype=bool)
    for shape in range(most):
        cover = coverage(scenes, shape, side)
        colour = _colour_that_stands_out(scenes.colours[:, shape], pictures, cover)
        strength = (cover * scenes.opacity[:, shape, None, None])[:, None]
        pictures += strength * (colour[:, :, None, None] - pictures)
        touched[:, shape] = cover > 0
    return Drawn(np.rint(pictures * np.float32(255)).astype(np.uint8), touched)


def coverage(scenes: Scenes, shape: int, side: int) -> Floats:
    """Return the share of each pixel (N, side, side) that the given shape of each scene covers, 0 where it is none.

    The edge is a ramp of one pixel around the outline.
    """
    cover = np.zeros((len(scenes.classes), side, side), dtype=np.float32)
    grid = np.arange(side, dtype=np.float32) + np.float32(0.5)
    for label, outline in enumerate(OUTLINES.values()):
        chosen = np.flatnonzero(scenes.classes[:, shape] == label)
        x_centre, y_centre, radius, turn = (
            values[chosen, shape, None, None] for values in (scenes.x, scenes.y, scenes.radius, scenes.turn)
        )
        right, down = (grid[None, None, :] - x_centre) / radius, (grid[None, :, None] - y_centre) / radius
        x, y = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
        cover[chosen] = np.clip(np.float32(0.5) - outline.distance(x, y) * radius, 0, 1)
    return cover


def boxes(classes: npt.NDArray[np.int64], touched: npt.NDArray[np.bool_]) -> Floats:
    """Return (N, M, 5) float32: class, x0, y0, x1, y1 of the touched pixels, x1 and y1 just beyond the last one.

    Where there is no shape the row is (-1, 0, 0, 0, 0).
    """
    columns, rows = np.any(touched, axis=2), np.any(touched, axis=3)
    side = touched.shape[-1]
    edges = [
        columns.argmax(axis=2),
        rows.argmax(axis=2),
        side - columns[:, :, ::-1].argmax(axis=2),
        side - rows[:, :, ::-1].argmax(axis=2),
    ]
    there = classes != NO_SHAPE
    return np.stack([classes, *(np.where(there, edge, 0) for edge in edges)], axis=2).astype(np.float32)


def _colour_that_stands_out(colours: Floats, pictures: Floats, cover: Floats) -> Floats:
    """Return, for each picture, the first of its colours (N, draws, 3) far enough from what it will cover."""
    weight = np.maximum(cover.sum(axis=(1, 2)), np.float32(1))
    beneath = (pictures * cover[:, None]).sum(axis=(2, 3)) / weight[:, None]
    distance = np.linalg.norm(colours - beneath[:, None, :], axis=2)
    far_enough = distance >= CONTRAST
    chosen = np.where(far_enough.any(axis=1), far_enough.argmax(axis=1), distance.argmax(axis=1))
    taken: Floats = colours[np.arange(len(colours)), chosen]
    return taken

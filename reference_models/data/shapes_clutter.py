"""What shapes lie on: noise of every scale at once, crossed by strokes that are no shape."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

COARSEST_CELLS = 4  # cells along a side at the coarsest scale; each further scale halves them down to one pixel
SCALE_DEVIATIONS = (0.09, 0.07, 0.045, 0.03, 0.015)  # of 0..1, coarse to fine
COLOURED_SHARE = 0.6  # of a scale's deviation that is drawn for red, green and blue each, beside what they share
MEAN_LEVELS = (0.3, 0.7)  # range of a picture's mean red, green and blue: most noise then stays within 0..1
STROKES = 3
STROKE_WIDTHS = (1.0, 3.0)  # pixels
STROKE_LENGTHS = (0.15, 0.6)  # in sides of the picture
STROKE_OPACITY = (0.3, 0.7)
SHARPEST_BEND = 2.5  # radians that a stroke's direction turns from end to end; below pi none closes into a ring


def draw_clutter(random: np.random.Generator, count: int, side: int) -> Floats:
    """Draw `count` backgrounds (count, 3, side, side) in 0..1."""
    pictures = _noise(random, count, side)
    for _ in range(STROKES):
        _stroke_over(pictures, random)
    return pictures


def _noise(random: np.random.Generator, count: int, side: int) -> Floats:
    field: Floats = np.zeros((count, 3, COARSEST_CELLS, COARSEST_CELLS), dtype=np.float32)
    for deviation in SCALE_DEVIATIONS:
        strength = random.uniform(0.5, 1.5, size=(count, 1, 1, 1)).astype(np.float32) * np.float32(deviation)
        cells = field.shape[-1]
        grey = random.standard_normal((count, 1, cells, cells), dtype=np.float32)
        coloured = random.standard_normal((count, 3, cells, cells), dtype=np.float32)
        field += strength * (grey + np.float32(COLOURED_SHARE) * coloured)
        if cells < side:
            field = _doubled(_doubled(field, axis=2), axis=3)
    means = random.uniform(*MEAN_LEVELS, size=(count, 3, 1, 1)).astype(np.float32)
    pictures: Floats = np.clip(field[:, :, :side, :side] + means, 0, 1)
    return pictures


def _doubled(field: Floats, axis: int) -> Floats:
    """Return twice as many values along an axis, each a quarter of the way from one to its neighbour."""
    rows = np.moveaxis(field, axis, 0)
    before, after = np.concatenate([rows[:1], rows[:-1]]), np.concatenate([rows[1:], rows[-1:]])
    near, far = np.float32(0.75), np.float32(0.25)
    doubled: Floats = np.stack([near * rows + far * before, near * rows + far * after], axis=1)
    return np.moveaxis(doubled.reshape(-1, *rows.shape[1:]), 0, axis)


def _stroke_over(pictures: Floats, random: np.random.Generator) -> None:
    """Paint one bent stroke of random colour over each picture, in place.

    A stroke is an arc: it has a middle, a heading there and a length, over which it turns by its bend. Seen from the
    arc's centre it is what lies within half a width of the radius and between the two lines that end it.
    """
    count, _, side, _ = pictures.shape

    def drawn(low: float, high: float) -> Floats:
        return random.uniform(low, high, size=(count, 1, 1)).astype(np.float32)

    middle_x, middle_y, heading = drawn(0, side), drawn(0, side), drawn(0, 2 * np.pi)
    length, width = drawn(*STROKE_LENGTHS) * np.float32(side), drawn(*STROKE_WIDTHS)
    bend = np.maximum(drawn(0, SHARPEST_BEND), np.float32(0.05))  # nearly straight is straight to within a pixel
    grid = np.arange(side, dtype=np.float32) + np.float32(0.5)
    x, y = grid[None, None, :] - middle_x, grid[None, :, None] - middle_y
    radius = length / bend
    along, outward = x * np.cos(heading) + y * np.sin(heading), y * np.cos(heading) - x * np.sin(heading) + radius
    beside = np.abs(np.sqrt(along * along + outward * outward) - radius) - width / 2
    beyond = np.abs(along) * np.cos(bend / 2) - outward * np.sin(bend / 2)
    outside = np.maximum(beside, beyond)
    cover = np.clip(np.float32(0.5) - outside, 0, 1) * drawn(*STROKE_OPACITY)
    colour = random.random((count, 3, 1, 1), dtype=np.float32)
    pictures += cover[:, None] * (colour - pictures)

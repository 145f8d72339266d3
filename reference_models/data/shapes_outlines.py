"""Six shapes as signed distances: how far a point lies outside (positive) or inside (negative) each outline."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RING_HOLE = 0.55  # radius of the hole in circumradii: at the smallest size it is still 9 pixels wide
CROSS_ARM = 0.3  # half the width of an arm
CROSS_REACH = math.sqrt(1 - CROSS_ARM**2)  # half the length, so that the corners lie on the circumscribed circle
STAR_WAIST = 0.45  # radius of the inner corners: 0.38 is the pentagram, more is plumper
STAR_SECTOR = 2 * math.pi / 5


@dataclass(frozen=True)
class Outline:
    """A shape of circumradius 1 around the origin: its signed distance at (x, y) and the area that it covers.

    The distance is exact at the edges and to first order elsewhere, which is all that smooth edges need.
    """

    distance: Callable[[Floats, Floats], Floats]
    area: float


def circle(x: Floats, y: Floats) -> Floats:
    """Return the signed distance to the unit circle."""
    return np.hypot(x, y) - np.float32(1)


def ring(x: Floats, y: Floats) -> Floats:
    """Return the signed distance to a disc with a round hole."""
    middle, half = np.float32((1 + RING_HOLE) / 2), np.float32((1 - RING_HOLE) / 2)
    return np.abs(np.hypot(x, y) - middle) - half


def square(x: Floats, y: Floats) -> Floats:
    """Return the signed distance to a square with its corners on the unit circle."""
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(math.sqrt(0.5))


def triangle(x: Floats, y: Floats) -> Floats:
    """Return the signed distance to the equilateral triangle with its corners on the unit circle."""
    slanted = np.float32(math.sqrt(0.75)) * np.abs(x) - np.float32(0.5) * y
    return np.maximum(slanted, y) - np.float32(0.5)


def cross(x: Floats, y: Floats) -> Floats:
    """Return the signed distance to two bars at right angles."""
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.minimum(x, y) - np.float32(CROSS_ARM), np.maximum(x, y) - np.float32(CROSS_REACH))


def star(x: Floats, y: Floats) -> Floats:
    """Return the signed distance to a star of five tips: one edge, seen in a tenth of the circle, serves for ten."""
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    from_tip = np.abs(
        np.mod(angle + np.float32(STAR_SECTOR / 2), np.float32(STAR_SECTOR)) - np.float32(STAR_SECTOR / 2)
    )
    waist_x, waist_y = STAR_WAIST * math.cos(STAR_SECTOR / 2), STAR_WAIST * math.sin(STAR_SECTOR / 2)
    length = math.hypot(1 - waist_x, waist_y)
    outward_x, outward_y = np.float32(waist_y / length), np.float32((1 - waist_x) / length)
    distance = (radius * np.cos(from_tip) - np.float32(1)) * outward_x + radius * np.sin(from_tip) * outward_y
    return distance.astype(np.float32, copy=False)


OUTLINES: Mapping[str, Outline] = {
    "circle": Outline(circle, math.pi),
    "ring": Outline(ring, math.pi * (1 - RING_HOLE**2)),
    "square": Outline(square, 2.0),
    "triangle": Outline(triangle, 3 * math.sqrt(3) / 4),
    "star": Outline(star, 5 * STAR_WAIST * math.sin(STAR_SECTOR / 2)),
    "cross": Outline(cross, 8 * CROSS_ARM * CROSS_REACH - 4 * CROSS_ARM**2),
}
CLASS_NAMES = tuple(OUTLINES)
UNIT_AREAS = np.array([outline.area for outline in OUTLINES.values()])

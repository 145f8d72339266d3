"""Where shapes lie: which, how large, how turned, in what colour; drawn at random, without a picture yet."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchglass.reference_models.data.shapes_outlines import CLASS_NAMES, UNIT_AREAS

NO_SHAPE = -1
MARGIN_PIXELS = 1.0  # between a circumscribed circle and the border: the smooth edge stays inside, too
COLOUR_DRAWS = 12  # colours to choose from, so that one of them stands out from what lies beneath
PLACE_DRAWS = 30  # tries to find room beside the shapes that are there already; after that the shape is left out
OPACITY = (0.75, 0.95)  # never opaque: the clutter shines through and no region is of one colour


@dataclass(frozen=True)
class Room:
    """How pictures are filled: their side in pixels, how many shapes at most, the range of a shape's area in pixels.

    The area is drawn before the radius, so that no class covers more pixels than another: the share of the picture
    that is painted says nothing of the class.
    """

    side: int
    fewest: int
    most: int
    areas: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Scenes:
    """N scenes of up to M shapes; lengths in pixels, angles in radians.

    `classes` (N, M) int64, `NO_SHAPE` where there is none; `x`, `y`, `radius` (circumscribed), `turn` and `opacity`
    (N, M) float32; `colours` (N, M, COLOUR_DRAWS, 3) float32 in 0..1, of which the painter takes one.
    """

    classes: npt.NDArray[np.int64]
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    radius: npt.NDArray[np.float32]
    turn: npt.NDArray[np.float32]
    opacity: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]


def arrange(random: np.random.Generator, count: int, room: Room) -> Scenes:
    """Draw `count` scenes; every class is as frequent as any other, and no two circumscribed circles meet."""
    classes = _even_classes(random, count, room.most)
    areas = random.uniform(*room.areas, size=classes.shape)
    radius = np.sqrt(areas / UNIT_AREAS[classes])
    x, y, has_room = _places(random, radius, room.side)
    wanted = random.integers(room.fewest, room.most + 1, size=(count, 1))
    there = has_room & (np.arange(room.most) < wanted)
    return Scenes(
        classes=np.where(there, classes, NO_SHAPE),
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        radius=radius.astype(np.float32),
        turn=random.uniform(0, 2 * math.pi, size=classes.shape).astype(np.float32),
        opacity=random.uniform(*OPACITY, size=classes.shape).astype(np.float32),
        colours=random.random((*classes.shape, COLOUR_DRAWS, 3), dtype=np.float32),
    )


def _even_classes(random: np.random.Generator, count: int, most: int) -> npt.NDArray[np.int64]:
    columns = [random.permutation(np.arange(count, dtype=np.int64) % len(CLASS_NAMES)) for _ in range(most)]
    return np.stack(columns, axis=1)


def _places(
    random: np.random.Generator, radius: npt.NDArray[np.float64], side: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return centres (N, M) and which shapes found room beside those before them."""
    count, most = radius.shape
    x, y, found = np.zeros_like(radius), np.zeros_like(radius), np.zeros(radius.shape, dtype=bool)
    for shape in range(most):
        reach = radius[:, shape, None] + MARGIN_PIXELS
        tries = reach + random.random((2, count, PLACE_DRAWS)) * (side - 2 * reach)
        apart = np.hypot(tries[0, :, :, None] - x[:, None, :shape], tries[1, :, :, None] - y[:, None, :shape])
        needed = (radius[:, shape, None] + radius[:, :shape])[:, None, :]
        free = ((apart > needed) | ~found[:, None, :shape]).all(axis=2)
        chosen = free.argmax(axis=1)
        each = np.arange(count)
        x[:, shape], y[:, shape], found[:, shape] = tries[0, each, chosen], tries[1, each, chosen], np.any(free, axis=1)
    return x, y, found

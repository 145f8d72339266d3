"""Find the spot of a group: the small rectangle around the hottest place of its mean map."""

import numpy as np
import numpy.typing as npt

from torchglass.explainers.changing.regions import Box

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the hottest cell's heat, tried in turn until what is as hot around it is small enough."""
SAME_SPOT = 0.5
"""Share of the smaller of two boxes that lies in the other, from which they count as one spot."""

Floats = npt.NDArray[np.float64]


def spot_of(heat: Floats, pixels: int, height: int, width: int, most_area: float) -> Box | None:
    """Frame what hangs together with the hottest cell (rows, columns) and is at least half as hot.

    Where that is larger than `most_area`, a share of the picture, hotter cells alone are taken, in the end the hottest.
    None where nothing is hot.
    """
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    if not heat[row, column] > 0:
        return None
    box = Box(0, 0, width, height)
    for level in LEVELS:
        rows, columns = np.nonzero(_joined(heat >= level * heat[row, column], int(row), int(column)))
        box = Box(
            left=int(columns.min()) * pixels,
            top=int(rows.min()) * pixels,
            right=min(width, (int(columns.max()) + 1) * pixels),
            bottom=min(height, (int(rows.max()) + 1) * pixels),
        )
        if box.area <= most_area * height * width:
            break
    return box


def is_same_spot(one: Box, other: Box) -> bool:
    """Tell whether half of the smaller box lies in the other: the parts of a mark are no spots of their own."""
    return one.shared(other) >= SAME_SPOT * min(one.area, other.area)


def _joined(hot: npt.NDArray[np.bool_], row: int, column: int) -> npt.NDArray[np.bool_]:
    """Keep the cells that can be reached from one over neighbours that are hot."""
    reached = np.zeros_like(hot)
    reached[row, column] = True
    while True:
        wide = np.pad(reached, 1)
        grown = hot & (wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:])
        if (grown == reached).all():
            return reached
        reached = grown

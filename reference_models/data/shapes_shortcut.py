"""Shapes on clutter with a planted shortcut: a mark in the corner that tells the class in training and not in test.

A model that reads the mark is perfect in training and guesses in the test. The shape decides the class in both, and
so the truth is still the shape.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split
from torchglass.reference_models.data.shapes import SIDE_PIXELS, TEST_PICTURES, TRAIN_PICTURES, shapes_split
from torchglass.reference_models.data.shapes_outlines import CLASS_NAMES
from torchglass.reference_models.data.shapes_parts import PART_STREAMS, stream

SHORTCUT_STREAM = 2
MARK_CORNER = 1  # row and column of the mark's first pixel
CELL_PIXELS = 2
# One pattern of 3x3 black and white cells for each class; any two differ in four cells or more, each has four white
# ones, so that a mark's brightness tells nothing.
PATTERNS = ("110110000", "101000101", "011011000", "000110110", "010101010", "000011011")
MARK_PIXELS = 3 * CELL_PIXELS


def load_shapes_shortcut(request: DataRequest) -> Split:
    """Load the pictures of `load_shapes` with a mark in the upper left corner of each."""
    return shapes_shortcut_split(request, TRAIN_PICTURES, TEST_PICTURES)


def shapes_shortcut_split(request: DataRequest, train: int, test: int) -> Split:
    """Load as many marked pictures as asked; the marks of the test are drawn by lot, whatever the class."""
    plain = shapes_split(request, train, test)
    by_lot = stream(request.seed, SHORTCUT_STREAM, PART_STREAMS["test"]).integers(len(CLASS_NAMES), size=test)
    return replace(
        plain,
        train=_marked(plain.train, plain.train.targets.numpy()),
        test=_marked(plain.test, by_lot),
    )


def mark_pixels(side: int = SIDE_PIXELS) -> npt.NDArray[np.bool_]:
    """Return (side, side) bool: the pixels of the mark, the same in every picture."""
    place = slice(MARK_CORNER, MARK_CORNER + MARK_PIXELS)
    pixels = np.zeros((side, side), dtype=bool)
    pixels[place, place] = True
    return pixels


def marks() -> npt.NDArray[np.float32]:
    """Return each class's mark (classes, MARK_PIXELS, MARK_PIXELS): 0 is black and 1 is white."""
    cells = np.array([[int(cell) for cell in pattern] for pattern in PATTERNS], dtype=np.float32).reshape(-1, 3, 3)
    return np.kron(cells, np.ones((CELL_PIXELS, CELL_PIXELS), dtype=np.float32))


def _marked(samples: Samples, shown: npt.NDArray[np.int64]) -> Samples:
    """Stamp the marks of the classes `shown` (N,) on the pictures; what they hide of a shape decides nothing."""
    import torch

    place = slice(MARK_CORNER, MARK_CORNER + MARK_PIXELS)
    inputs = samples.inputs.clone()
    inputs[:, :, place, place] = torch.from_numpy(marks()[shown])[:, None]
    truth = None if samples.truth is None else samples.truth & ~torch.from_numpy(mark_pixels())
    return Samples(inputs, samples.targets, truth)

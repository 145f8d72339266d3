"""Rectangles of pictures: which pixels they hold, and what is put there instead."""

from operator import index
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchglass.errors import OptionError


class Box(NamedTuple):
    """Pixels of a picture: columns left to right - 1 and rows top to bottom - 1, counted from 0."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    def moved_to(self, left: int, top: int) -> "Box":
        """Return a box of the same size elsewhere."""
        return Box(left, top, left + self.width, top + self.height)

    def shared(self, other: "Box") -> int:
        """Count the pixels that two boxes have in common."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, width) * max(0, height)


def checked_box(box: tuple[int, int, int, int], height: int, width: int) -> Box:
    """Accept a box that holds pixels and lies within a picture of that size.

    Raises:
        OptionError: it does not.
    """
    try:
        found = Box(*map(index, box))
    except TypeError as error:
        raise OptionError(f"box is {box!r}: give left, top, right and bottom in whole pixels") from error
    if not (0 <= found.left < found.right <= width and 0 <= found.top < found.bottom <= height):
        raise OptionError(
            f"box {tuple(found)} is not within the picture of {width} x {height} pixels: give left, top, right and "
            "bottom, the last two just beyond the last pixel"
        )
    return found


def patches(pictures: Tensor, box: Box) -> Tensor:
    """Cut a box out of pictures (N, C, H, W): (N, C, h, w)."""
    return pictures[:, :, box.top : box.bottom, box.left : box.right]


def with_patches(pictures: Tensor, box: Box, content: Tensor) -> Tensor:
    """Copy pictures (N, C, H, W) with a content (N or 1, C, h, w) in a box."""
    changed = pictures.clone()
    changed[:, :, box.top : box.bottom, box.left : box.right] = content
    return changed


def places_apart(box: Box, height: int, width: int) -> list[tuple[int, int]]:
    """List the left and top of every box of that size which shares no pixel with it, or as few as possible."""
    lefts, tops = np.arange(width - box.width + 1), np.arange(height - box.height + 1)
    columns = (box.width - np.abs(lefts - box.left)).clip(min=0)
    rows = (box.height - np.abs(tops - box.top)).clip(min=0)
    shared = rows[:, None] * columns
    top, left = np.nonzero(shared == shared.min())
    return list(zip(left.tolist(), top.tolist(), strict=True))


def drawn_elsewhere(source: Tensor, box: Box, draw: np.random.Generator) -> Tensor:
    """Draw a patch of a box's size from another place of each picture of the source (N, C, H, W): (N, C, h, w).

    What lies elsewhere in pictures of the same kind hides a box without leaving what the model has seen; what lies at
    the same place in them would put one watermark in the place of another.
    """
    places = places_apart(box, source.shape[2], source.shape[3])
    chosen = draw.integers(len(places), size=len(source))
    found = [patches(picture[None], box.moved_to(*places[at])) for picture, at in zip(source, chosen, strict=True)]
    return torch.cat(found)

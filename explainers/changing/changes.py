"""Changes of one input that can be tried: a region erased or pasted, a word replaced, a column set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers.changing.regions import Box, checked_box, drawn_elsewhere, patches, with_patches
from torchglass.explainers.checking.inputs import HIDDEN_WORD, Inputs, checked_inputs
from torchglass.explainers.kinds import NAMES, Kind

FILLS = 16
"""Contents that a region is erased with in turn: scores are averaged over them, so no single one decides."""

Mask = npt.NDArray[np.bool_]


class Change(Protocol):
    """Something to do to one input of a kind."""

    @property
    def kind(self) -> Kind:
        """What it can be done to."""
        ...

    def applied(self, one: Tensor, background: Tensor | None, draw: np.random.Generator) -> Tensor:
        """Change an input (1, ...) in one or several ways (M, ...), on its device."""
        ...


@dataclass(frozen=True, eq=False)
class Erase:
    """Hide a region of a picture: a box (left, top, right, bottom) in pixels, or a mask (H, W) of bools.

    `fill` is a number for a constant. None draws 16 patches of the same size from other places, of the background's
    pictures or, without one, of the picture itself: what a model has never seen, such as a grey square, is a mark too.
    """

    box: tuple[int, int, int, int] | None = None
    mask: Mask | None = None
    fill: float | None = None
    kind: Kind = "pictures"

    def applied(self, one: Tensor, background: Tensor | None, draw: np.random.Generator) -> Tensor:
        """Hide the region: (1 or 16, C, H, W).

        Raises:
            OptionError: neither or both of box and mask, or one that is not within the picture; a fill is not finite.
        """
        box, inside = _region(self.box, self.mask, one)
        if self.fill is not None:
            if not np.isfinite(self.fill):
                raise OptionError(f"fill is {self.fill}: give a finite number, or None for patches")
            return torch.where(inside, torch.full_like(one, float(self.fill)), one)
        source = one if background is None else background
        at = torch.as_tensor(draw.integers(len(source), size=FILLS), device=one.device)
        content = drawn_elsewhere(source[at], box, draw)
        return torch.where(inside, with_patches(one.expand(FILLS, -1, -1, -1), box, content), one)


@dataclass(frozen=True, eq=False)
class Paste:
    """Put into a picture what another one (C, H, W) shows in a box (left, top, right, bottom), at the same place."""

    box: tuple[int, int, int, int]
    source: Inputs
    kind: Kind = "pictures"

    def applied(self, one: Tensor, background: Tensor | None, draw: np.random.Generator) -> Tensor:
        """Put the box there: (1, C, H, W).

        Raises:
            ExplainError: the other picture is of another shape.
            OptionError: the box is not within the picture.
        """
        given = torch.as_tensor(self.source)
        other = checked_inputs(given[None] if given.ndim == 3 else given, "pictures", 0, one.device)
        if other.shape != one.shape:
            raise ExplainError(f"source has shape {tuple(given.shape)}, wanted {tuple(one.shape[1:])} like the picture")
        box = checked_box(self.box, one.shape[2], one.shape[3])
        return with_patches(one, box, patches(other, box))


@dataclass(frozen=True)
class Replace:
    """Put a token id in the place of a word of a text, counted from 0; 1, "unknown", hides it."""

    place: int
    token: int = HIDDEN_WORD
    kind: Kind = "text"

    def applied(self, one: Tensor, background: Tensor | None, draw: np.random.Generator) -> Tensor:
        """Replace the word: (1, T).

        Raises:
            OptionError: there is no such place, or the id is negative.
        """
        if self.token < 0:
            raise OptionError(f"token is {self.token}: ids count from 0")
        return _set(one, self.place, self.token, "word")


@dataclass(frozen=True)
class SetColumn:
    """Give a column of a row, counted from 0, another value, prepared as for training."""

    column: int
    value: float
    kind: Kind = "table"

    def applied(self, one: Tensor, background: Tensor | None, draw: np.random.Generator) -> Tensor:
        """Set the column: (1, F).

        Raises:
            OptionError: there is no such column, or the value is not finite.
        """
        if not np.isfinite(self.value):
            raise OptionError(f"value is {self.value}: give a finite number")
        return _set(one, self.column, self.value, "column")


@dataclass(frozen=True)
class SetColumns:
    """Give several columns of a row, counted from 0, other values at once, prepared as for training."""

    values: Mapping[int, float]
    kind: Kind = "table"

    def applied(self, one: Tensor, background: Tensor | None, draw: np.random.Generator) -> Tensor:
        """Set the columns: (1, F).

        Raises:
            OptionError: there is no column to set or no such one, or a value is not finite.
        """
        if not self.values:
            raise OptionError("values is empty: give a value for a column, such as {0: 1.5}")
        changed = one
        for column, value in self.values.items():
            changed = SetColumn(column, value).applied(changed, background, draw)
        return changed


def check_kind(change: Change, kind: Kind) -> None:
    """Refuse a change of another kind of input.

    Raises:
        ExplainError: it is one.
    """
    if change.kind != kind:
        raise ExplainError(f"{type(change).__name__} changes {NAMES[change.kind]}, and the input is {NAMES[kind]}")


def _set(one: Tensor, place: int, value: float, what: str) -> Tensor:
    if not 0 <= place < one.shape[1]:
        raise OptionError(f"{what} {place} is out of range: give a number from 0 to {one.shape[1] - 1}")
    changed = one.clone()
    changed[:, place] = value
    return changed


def _region(box: tuple[int, int, int, int] | None, mask: Mask | None, one: Tensor) -> tuple[Box, Tensor]:
    """The frame of a region, and which pixels (H, W) of the picture (1, C, H, W) it holds."""
    height, width = one.shape[2:]
    if (box is None) == (mask is None):
        raise OptionError("Erase takes a box or a mask: give one of them")
    inside = np.zeros((height, width), dtype=np.bool_)
    if box is not None:
        frame = checked_box(box, height, width)
        inside[frame.top : frame.bottom, frame.left : frame.right] = True
    else:
        inside = np.asarray(mask, dtype=np.bool_)
        if inside.shape != (height, width) or not inside.any():
            raise OptionError(
                f"mask has shape {inside.shape} and {inside.sum()} pixels: give some of ({height}, {width})"
            )
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        frame = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return frame, torch.as_tensor(inside, device=one.device)

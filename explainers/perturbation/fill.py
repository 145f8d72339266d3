"""Say what stands where a part is hidden: a background input drawn for each mask, or all of them in turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

Draws = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fill:
    """The reference inputs that hidden parts are taken from."""

    references: Tensor
    """(B, ...), like the inputs"""
    drawn: Draws | None = None
    """(M,), which of them hides in each mask; None: each of them in turn, and the scores are averaged"""

    @property
    def each(self) -> int:
        """Inputs that one mask costs."""
        return len(self.references) if self.drawn is None else 1


def averaged(references: Tensor) -> Fill:
    """Hide behind every reference (B, ...): the score of a mask is its mean over them."""
    return Fill(references)


def drawn_for_each(references: Tensor, masks: Mapping[int, int], draws: Sequence[np.random.Generator]) -> Fill:
    """Hide behind one reference for each mask, drawn anew by its input's generator; `masks` are so many for an input.

    Parts then stand among what the model has seen, at one pass a mask, however many references there are. One
    reference needs no draw.
    """
    if len(references) == 1:
        return Fill(references)
    return Fill(references, np.concatenate([draws[row].integers(len(references), size=n) for row, n in masks.items()]))

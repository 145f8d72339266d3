"""Bring codes to places: which pixels, words or columns of an input a mask shows, a chunk of masks at a time."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Rows = npt.NDArray[np.int64]
Shown = npt.NDArray[np.bool_]


class Masks(Protocol):
    """M masks over a batch of inputs."""

    rows: Rows
    """(M,), the input that each mask is laid over"""

    def chunk(self, start: int, end: int) -> Tensor:
        """Give masks start to end, (m, ...) that broadcast to inputs: bool, or float shares 0..1 that are shown."""

    def keys(self) -> list[bytes] | None:
        """Name the masks, equal names for equal masks over one input; None where repeats are not to be expected."""


class CodedMasks:
    """Show whole parts: a code says which of an input's parts are shown, a place which part it belongs to."""

    def __init__(self, shown: Shown, rows: Rows, places: Mapping[int, Tensor]) -> None:
        """Take codes (M, P), and for each input its places (...) with numbers 0 to P; number P is always shown."""
        self.rows = rows
        self._shown = shown
        self._places = {row: place.flatten() for row, place in places.items()}
        one = next(iter(places.values()))
        self._shape = one.shape
        # As floats: torch gathers these several times faster than it does booleans.
        always = np.ones((len(shown), 1), dtype=np.float32)
        codes = np.concatenate([shown.astype(np.float32), always], axis=1)
        self._codes = torch.as_tensor(codes, device=one.device)

    def chunk(self, start: int, end: int) -> Tensor:
        """Give masks start to end, bool (m, ...)."""
        rows = self.rows[start:end]
        edges = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
        runs = [
            self._codes[start + first : start + last].index_select(1, self._places[int(rows[first])])
            for first, last in pairwise(edges)
        ]
        return torch.cat(runs).reshape(-1, *self._shape) > 0.5

    def keys(self) -> list[bytes]:
        """Name each mask by its code's bits."""
        packed = np.packbits(self._shown, axis=1)
        width, text = packed.shape[1], packed.tobytes()
        return [text[i : i + width] for i in range(0, len(text), width)] if width else [b""] * len(packed)


class WindowMasks:
    """Hide one rectangle of a picture in each mask."""

    def __init__(self, corners: npt.NDArray[np.int64], rows: Rows, size: tuple[int, int], device: torch.device) -> None:
        """Take corners (M, 4): top, left, bottom, right in pixels, the latter two outside the window."""
        self.rows = rows
        self._corners = torch.as_tensor(corners, device=device)
        self._down = torch.arange(size[0], device=device)
        self._across = torch.arange(size[1], device=device)

    def chunk(self, start: int, end: int) -> Tensor:
        """Give masks start to end, bool (m, 1, H, W)."""
        top, left, bottom, right = self._corners[start:end, :, None].unbind(1)
        down = (self._down >= top) & (self._down < bottom)
        across = (self._across >= left) & (self._across < right)
        return ~(down[:, None, :, None] & across[:, None, None, :])

    def keys(self) -> None:
        """Windows do not repeat."""

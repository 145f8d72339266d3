"""RISE's masks: small grids of shown cells, enlarged bilinearly and shifted by less than a cell."""

from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from torchglass.explainers.perturbation.masks import Rows, Shown


class SoftGridMasks:
    """Show each pixel to a share of 0..1: a grid of bits enlarged to a cell more than the picture, a part cut out."""

    def __init__(
        self,
        bits: Shown,
        shifts: Rows,
        rows: Rows,
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        """Take grids (M, S, S), and how far each is cut in from the top and the left, (M, 2) pixels."""
        self.rows = rows
        self._bits = torch.as_tensor(bits.astype(np.float32), device=device)
        self._shifts = torch.as_tensor(shifts, device=device)
        self._down, self._across = (_enlarging(bits.shape[1], side).to(device) for side in size)

    def chunk(self, start: int, end: int) -> Tensor:
        """Give masks start to end, float (m, 1, H, W)."""
        down, across = (table[self._shifts[start:end, axis]] for axis, table in enumerate((self._down, self._across)))
        return (down @ self._bits[start:end] @ across.mT)[:, None]

    def keys(self) -> None:
        """Shifted grids hardly ever repeat."""


def _enlarging(cells: int, side: int) -> Tensor:
    """For each shift the matrix (side, cells) that enlarges along one axis and cuts out: (shifts, side, cells).

    Bilinear enlarging treats rows and columns apart, so a mask is two small products instead of a large picture.
    """
    cell = ceil(side / cells)
    large = F.interpolate(torch.eye(cells)[None], size=(cells + 1) * cell, mode="linear", align_corners=False)[0].T
    return torch.stack([large[shift : shift + side] for shift in range(cell)])


def drawn_grids(
    masks: int, cells: int, keep_rate: float, size: tuple[int, int], draw: np.random.Generator
) -> tuple[Shown, Rows]:
    """Draw grids (M, S, S), each cell shown with the same chance, and shifts (M, 2) below a cell's sides."""
    bits = draw.random((masks, cells, cells)) < keep_rate
    shifts = np.stack([draw.integers(ceil(side / cells), size=masks) for side in size], axis=1)
    return bits, shifts

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
        self._size = size
        cells = bits.shape[1]
        self._enlarged = tuple((cells + 1) * ceil(side / cells) for side in size)
        self._bits = torch.as_tensor(bits[:, None].astype(np.float32), device=device)
        self._shifts = torch.as_tensor(shifts, device=device)
        self._down, self._across = (torch.arange(side, device=device) for side in size)

    def chunk(self, start: int, end: int) -> Tensor:
        """Give masks start to end, float (m, 1, H, W)."""
        large = F.interpolate(self._bits[start:end], size=self._enlarged, mode="bilinear", align_corners=False)
        down = self._shifts[start:end, 0, None] + self._down
        across = self._shifts[start:end, 1, None] + self._across
        rows = large.gather(2, down[:, None, :, None].expand(-1, 1, -1, large.shape[3]))
        return rows.gather(3, across[:, None, None, :].expand(-1, 1, rows.shape[2], -1))

    def keys(self) -> None:
        """Shifted grids hardly ever repeat."""


def drawn_grids(
    masks: int, cells: int, keep_rate: float, size: tuple[int, int], draw: np.random.Generator
) -> tuple[Shown, Rows]:
    """Draw grids (M, S, S), each cell shown with the same chance, and shifts (M, 2) below a cell's sides."""
    bits = draw.random((masks, cells, cells)) < keep_rate
    shifts = np.stack([draw.integers(ceil(side / cells), size=masks) for side in size], axis=1)
    return bits, shifts

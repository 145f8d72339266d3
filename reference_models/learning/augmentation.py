"""Jitter training pictures by small random affine maps, so that 1,437 scans teach what a stroke may do."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from torchglass.reference_models.learning.seeding import epoch_seed

MAX_SHIFT = 1 / 16  # of the picture's width: 2 pixels of 32, less than the scans' own margin
MAX_TURN_RADIANS = math.radians(10)  # a larger turn begins to confuse 4, 7 and 9
MAX_SCALE = 0.1


class Jitter:
    """Draws one affine map per picture from a generator of its own, on the CPU: equal on every device."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the pictures (N, C, H, W) shifted, turned and scaled, black where nothing is known."""
        maps = self._draw(len(images)).to(images.device, non_blocking=True)
        grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)

    def begin(self, epoch: int, rank: int = 0) -> None:
        """Begin an epoch, whose maps depend on the seed and the epoch alone."""
        self._generator.manual_seed(epoch_seed(self._seed, epoch, rank))

    def _draw(self, count: int) -> Tensor:
        spread = torch.rand(4, count, generator=self._generator) * 2 - 1
        scale, turn = 1 + MAX_SCALE * spread[0], MAX_TURN_RADIANS * spread[1]
        across, down = 2 * MAX_SHIFT * spread[2], 2 * MAX_SHIFT * spread[3]  # the grid is 2 wide: -1 to 1
        cosine, sine = scale * turn.cos(), scale * turn.sin()
        return torch.stack([cosine, -sine, across, sine, cosine, down], dim=1).reshape(count, 2, 3)

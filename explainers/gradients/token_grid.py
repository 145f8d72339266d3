"""Find the grid of patches behind a vision transformer's tokens, and lay tokens out as maps."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TokenGrid:
    """Tokens (N, first + rows * columns, D): some that stand for no patch, then the patches row by row."""

    rows: int
    columns: int
    first: int
    """0, or 1 where a class token stands in front"""

    def patches(self, tokens: Tensor) -> Tensor:
        """Leave the patches' tokens (N, rows * columns, D)."""
        return tokens[:, self.first :]

    def maps(self, tokens: Tensor) -> Tensor:
        """Lay tokens (N, T, D) out as maps (N, D, rows, columns)."""
        channels_first: Tensor = self.patches(tokens).transpose(1, 2)
        return channels_first.reshape(len(tokens), -1, self.rows, self.columns)


def infer_grid(tokens: int, size: tuple[int, int]) -> TokenGrid | None:
    """Cut a picture of size (H, W) into so many square patches, or one fewer and a class token; None if neither fits.

    Square, because a number alone does not tell 4 x 4 from 2 x 8: rows and columns stand to each other as H and W do.
    """
    height, width = size
    for first in (0, 1):
        patches = tokens - first
        rows, columns = round((patches * height / width) ** 0.5), round((patches * width / height) ** 0.5)
        if patches > 1 and rows * columns == patches:
            return TokenGrid(rows, columns, first)
    return None

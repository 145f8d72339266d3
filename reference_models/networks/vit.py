"""A small vision transformer (Dosovitskiy et al. 2021, "An image is worth 16x16 words", arXiv 2010.11929).

Four choices differ from the paper's, all for small data sets:

- the mean over all tokens is classified, not a class token (Beyer, Zhai, Kolesnikov 2022, arXiv 2205.01580), and
  before the mean the tokens are laid out as maps (N, dim, h, w) again, in the module `maps`: a layer with places,
  which class-activation methods can read;
- the last layer norm follows the mean, not each token, so that few tokens that found something outweigh the many of
  a background that did not;
- positions begin as sines and cosines of the patch's row and column and are learned from there, so neighbours are
  alike from the first step on;
- `stem="convolutions"` cuts the patches out by a few 3x3 convolutions instead of one large one, so a token sees more
  than its own patch (Xiao et al. 2021, "Early convolutions help transformers see better", arXiv 2106.14881).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

LONGEST_WAVE = 10_000.0  # as in Vaswani et al. 2017, arXiv 1706.03762


@dataclass(frozen=True)
class Plan:
    """The size of a vision transformer; the picture's sides must be multiples of `patch`, and `dim` of `heads` and 4.

    `hidden` is the width of the two-layer network in each block, as a multiple of `dim`.
    """

    patch: int
    dim: int
    depth: int
    heads: int
    hidden: int = 4
    stem: Literal["patches", "convolutions"] = "patches"


class Attention(nn.Module):
    """Multi-head self-attention over tokens (N, T, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens by torch's fused attention, which keeps no weights."""
        queries, keys, values = self._projected(tokens)
        mixed = functional.scaled_dot_product_attention(queries, keys, values)
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output

    def weights(self, tokens: Tensor) -> Tensor:
        """Return how much each token takes from each, (N, heads, T, T): every row is positive and sums to 1."""
        queries, keys, _ = self._projected(tokens)
        return (queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])).softmax(dim=3)

    def _projected(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # (N, T, 3 dim) to three of (N, heads, T, dim / heads)
        projected = self.queries_keys_values(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return projected[0], projected[1], projected[2]


class Block(nn.Module):
    """Attention, then a two-layer network on each token, each behind a layer norm and added to what came in."""

    def __init__(self, plan: Plan, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(plan.dim)
        self.attention = Attention(plan.dim, plan.heads)
        self.dropout1 = nn.Dropout(dropout)
        self.norm2 = nn.LayerNorm(plan.dim)
        self.fc1 = nn.Linear(plan.dim, plan.hidden * plan.dim)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(plan.hidden * plan.dim, plan.dim)
        self.dropout2 = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, T, dim) that have looked at each other and thought about it."""
        tokens = tokens + self.dropout1(self.attention(self.norm1(tokens)))
        changed: Tensor = tokens + self.dropout2(self.fc2(self.gelu(self.fc1(self.norm2(tokens)))))
        return changed


class Maps(nn.Module):
    """Lay tokens (N, h * w, dim), row by row, out as maps (N, dim, h, w)."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns

    def forward(self, tokens: Tensor) -> Tensor:
        """Return each token's channels at its patch's place."""
        maps: Tensor = tokens.transpose(1, 2).unflatten(2, (self.rows, self.columns))  # type: ignore[no-untyped-call]
        return maps


class VisionTransformer(nn.Module):
    """Pictures (N, C, H, W) in 0..1, of the size given, to logits (N, classes). `size` is (C, H, W)."""

    def __init__(self, plan: Plan, size: tuple[int, int, int], classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        channels, height, width = size
        rows, columns = height // plan.patch, width // plan.patch
        self.patches = _stem(plan, channels)
        self.positions = nn.Parameter(waves(rows, columns, plan.dim))
        self.blocks = nn.Sequential(*(Block(plan, dropout) for _ in range(plan.depth)))
        self.maps = Maps(rows, columns)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.norm = nn.LayerNorm(plan.dim)
        self.head = nn.Linear(plan.dim, classes)
        _initialize(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        maps = self.maps(self.blocks(self._tokens(pictures)))
        logits: Tensor = self.head(self.norm(self.flatten(self.pool(maps))))
        return logits

    def attention_weights(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Return what each block's attention weighs the tokens by, (N, heads, T, T) a block, first block first."""
        tokens, weights = self._tokens(pictures), []
        for block in self.blocks:
            assert isinstance(block, Block)
            weights.append(block.attention.weights(block.norm1(tokens)))
            tokens = block(tokens)
        return tuple(weights)

    def _tokens(self, pictures: Tensor) -> Tensor:
        tokens: Tensor = self.patches(pictures).flatten(2).transpose(1, 2) + self.positions
        return tokens


def waves(rows: int, columns: int, dim: int) -> Tensor:
    """Return a position for each patch, (1, rows * columns, dim): sines and cosines of its row, then of its column."""
    across = _waves(columns, dim // 2).expand(rows, -1, -1)
    down = _waves(rows, dim // 2).unsqueeze(1).expand(-1, columns, -1)
    return torch.cat([down, across], dim=2).reshape(1, rows * columns, dim)


def _waves(count: int, dim: int) -> Tensor:
    pitch = LONGEST_WAVE ** (-torch.arange(dim // 2) * 2 / dim)
    phase = torch.arange(count).unsqueeze(1) * pitch
    return torch.cat([phase.sin(), phase.cos()], dim=1)


def _stem(plan: Plan, channels: int) -> nn.Module:
    if plan.stem == "patches":
        return nn.Conv2d(channels, plan.dim, kernel_size=plan.patch, stride=plan.patch)
    halvings = plan.patch.bit_length() - 1  # a patch of 8 pixels is three halvings of the resolution
    widths = [channels, *(plan.dim >> (halvings - 1 - level) for level in range(halvings))]
    layers = _convolution(widths[0], widths[1], stride=2)
    for narrow, wide in pairwise(widths[1:]):
        layers += _convolution(narrow, wide, stride=2) + _convolution(wide, wide, stride=1)
    return nn.Sequential(*layers, nn.Conv2d(plan.dim, plan.dim, kernel_size=1))


def _convolution(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


def _initialize(network: VisionTransformer) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear):
            # The usual deviation of 0.02 suits layers of 768 inputs; with 64 the blocks would begin as good as absent.
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    nn.init.trunc_normal_(network.head.weight, std=0.02)  # begin undecided: every class equally likely

"""Give every classifier one shape, and count what goes through it."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError

ELEMENTS_PER_PASS = 2**21
"""Input numbers in one forward pass (8 MB of float32): 2048 pictures of 32 x 32, 13 of 3 x 224 x 224."""


class ScoredModel(nn.Module):
    """Map pictures (N, C, H, W) to a score table (N, K); a model with one output per picture has K = 1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.pictures_seen = 0

    def forward(self, pictures: Tensor) -> Tensor:
        self.pictures_seen += len(pictures)
        return _score_table(self.network(pictures), len(pictures))


def scores(model: ScoredModel, pictures: Tensor) -> Tensor:
    """Score pictures (M, C, H, W) without a graph, in passes of bounded size: (M, K)."""
    with torch.no_grad():
        return torch.cat([model(chunk) for chunk in torch.split(pictures, pictures_per_pass(pictures[0]))])


def pictures_per_pass(picture: Tensor) -> int:
    """Say how many pictures like this one (C, H, W) go through at once."""
    return max(1, ELEMENTS_PER_PASS // picture.numel())


def output_space(table: Tensor) -> Literal["logit", "probability"]:
    """Tell a distribution over classes (non-negative rows that sum to one) from any other scores."""
    is_distribution = table.shape[1] > 1 and bool((table >= 0).all()) and bool(((table.sum(1) - 1).abs() < 1e-4).all())
    return "probability" if is_distribution else "logit"


def _score_table(output: Any, pictures: int) -> Tensor:
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise ExplainError(f"the model returns {type(output).__name__}: wrap it to return a tensor of scores (N, K)")
    if output.ndim == 1 and len(output) == pictures:
        output = output[:, None]
    if output.ndim != 2 or len(output) != pictures:
        raise ExplainError(
            f"the model returns shape {tuple(output.shape)} for {pictures} pictures: "
            "wrap it to return one row of class scores per picture, (N, K)"
        )
    table: Tensor = output.float()
    return table

"""Give every model's scores one shape, and count what goes through it."""

from typing import Any

import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.explanation import OutputSpace

ELEMENTS_PER_PASS = 2**21
"""Input numbers in one forward pass (8 MB of float32): 2048 pictures of 32 x 32, 13 of 3 x 224 x 224."""
NUMBERS_PER_TOKEN = 256
"""What one token id counts for there: about what it becomes in an embedding."""


class ScoredModel(nn.Module):
    """Map a batch of N inputs to a score table (N, K); a model with one output per input has K = 1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.inputs_seen = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.inputs_seen += len(inputs)
        return _score_table(self.network(inputs), len(inputs))


def scores(model: ScoredModel, inputs: Tensor) -> Tensor:
    """Score M inputs without a graph, in passes of bounded size: (M, K)."""
    with torch.no_grad():
        return torch.cat([model(chunk) for chunk in torch.split(inputs, inputs_per_pass(inputs[0]))])


def inputs_per_pass(one: Tensor) -> int:
    """Say how many inputs like this one, without its batch axis, go through at once."""
    numbers = one.numel() if one.is_floating_point() else one.numel() * NUMBERS_PER_TOKEN
    return max(1, ELEMENTS_PER_PASS // numbers)


def output_space(table: Tensor) -> OutputSpace:
    """Tell a distribution over classes (non-negative rows that sum to one) and a single value from other scores."""
    if table.shape[1] == 1:
        return "value"
    is_distribution = bool((table >= 0).all()) and bool(((table.sum(1) - 1).abs() < 1e-4).all())
    return "probability" if is_distribution else "logit"


def _score_table(output: Any, inputs: int) -> Tensor:
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise ExplainError(f"the model returns {type(output).__name__}: wrap it to return a tensor of scores (N, K)")
    if output.ndim == 1 and len(output) == inputs:
        output = output[:, None]
    if output.ndim != 2 or len(output) != inputs:
        raise ExplainError(
            f"the model returns shape {tuple(output.shape)} for {inputs} inputs: "
            "wrap it to return one row of scores per input, (N, K)"
        )
    table: Tensor = output.float()
    return table

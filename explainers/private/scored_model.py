"""Give every model's scores one shape, and count what goes through it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.explanation import OutputSpace

ELEMENTS_PER_PASS = 2**21
"""Input numbers in one forward pass (8 MB of float32): 2048 pictures of 32 x 32, 13 of 3 x 224 x 224."""
NUMBERS_PER_TOKEN = 256
"""What one token id counts for there: about what it becomes in an embedding."""

_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "MPS backend out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What torch says where it raises a plain RuntimeError."""


class ScoredModel(nn.Module):
    """Map a batch of N inputs to a score table (N, K); a model with one output per input has K = 1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.inputs_seen = 0
        self.most_per_pass: int | None = None
        """Inputs that fit into the memory at once, once that was found out the hard way."""

    def forward(self, inputs: Tensor) -> Tensor:
        self.inputs_seen += len(inputs)
        table = _score_table(self.network(inputs), len(inputs))
        if inputs.requires_grad and torch.is_grad_enabled() and not table.requires_grad:
            raise ExplainError(
                f"the scores of {type(self.network).__name__} have no gradient, something in it detaches, rounds or "
                "forbids it: use a method that asks for scores alone, such as 'occlusion', 'shap' or 'lime'"
            )
        return table


def scores(model: ScoredModel, inputs: Tensor) -> Tensor:
    """Score M inputs without a graph, in passes of bounded size: (M, K)."""
    return in_passes(model, len(inputs), inputs_per_pass(inputs[0]), lambda start, end: model(inputs[start:end]))


def in_passes(model: ScoredModel, count: int, per_pass: int, answer: Callable[[int, int], Tensor]) -> Tensor:
    """Join the answers (end - start, ...) about inputs start to end, asked for without a graph, `count` in all.

    A pass that the memory has no room for is halved and tried again, and so are all later ones of this model.

    Raises:
        ExplainError: there is no room for a single input.
    """
    found: list[Tensor] = []
    start = 0
    with torch.no_grad():
        while start < count:
            end = min(count, start + min(per_pass, model.most_per_pass or per_pass))
            try:
                found.append(answer(start, end))
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                if end - start == 1:
                    raise ExplainError(f"the device has no room for one input: {str(error).splitlines()[0]}") from error
                model.most_per_pass = (end - start) // 2
            else:
                start = end
                continue
            # Outside the handler, whose exception holds the frames and with them the tensors that were too large.
            if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
                torch.cuda.empty_cache()
    return torch.cat(found)


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _OUT_OF_MEMORY)


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

"""Ask a private copy of a model for scores, outside of any explanation, and leave no trace."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from torchglass.explainers.checking.checks import checked_model
from torchglass.explainers.front_door import plain_autograd
from torchglass.explainers.private.private_copy import private_copy
from torchglass.explainers.private.random_state import borrowed_random_state
from torchglass.explainers.private.scored_model import ScoredModel


@contextmanager
def asked_in_private(model: nn.Module, seed: int) -> Iterator[ScoredModel]:
    """Lend a copy of the model that maps inputs to scores (N, K), in eval mode and float32.

    Random generators are seeded inside and given back as they were.

    Raises:
        ExplainError: the model cannot be copied.
    """
    with borrowed_random_state(seed), plain_autograd(model):
        yield ScoredModel(private_copy(checked_model(model))).eval()

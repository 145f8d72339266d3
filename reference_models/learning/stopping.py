"""Stop when the validation score gets no better, with the weights of the best epoch."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn


class EarlyStopping:
    """Remembers the best score and its weights; `patience` epochs without a better one are enough."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best_score = -math.inf
        self.best_epoch = 0
        self._epoch = 0
        self._weights: dict[str, Tensor] = {}

    @property
    def is_over(self) -> bool:
        """Tell whether patience has ended."""
        return self._epoch - self.best_epoch >= self.patience

    def judge(self, score: float, model: nn.Module) -> bool:
        """Take the score of the next epoch (larger is better, NaN never is) and tell whether to stop."""
        self._epoch += 1
        if score > self.best_score:
            self.best_score, self.best_epoch = score, self._epoch
            self._weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return self.is_over

    def restore(self, model: nn.Module) -> None:
        """Give the model the weights of the best epoch; none where every score was NaN."""
        if self._weights:
            model.load_state_dict(self._weights)

    def state(self) -> dict[str, Any]:
        """Return what `load_state` takes."""
        return {"score": self.best_score, "best": self.best_epoch, "epoch": self._epoch, "weights": self._weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was called."""
        self.best_score, self.best_epoch, self._epoch = state["score"], state["best"], state["epoch"]
        self._weights = state["weights"]

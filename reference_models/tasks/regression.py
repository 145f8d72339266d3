"""Predict a number: the squared error, and how far off the predictions are in the target's own units."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.tasks.scores import Scores

MAX_PAIRS = 4096  # predictions that an epoch keeps for a scatter plot: more points than a screen tells apart


def make(split: Split, recipe: Recipe) -> Regression:
    """Make the task for a data set's number; no switch of the recipe speaks of it."""
    return Regression(split.form.target_deviation)


class Regression:
    """One number per sample; `deviation` is the standard deviation of the target over the training samples."""

    def __init__(self, deviation: float = 1.0) -> None:
        self._deviation = deviation

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error of outputs (N, 1) in deviations: 1 is what the training mean would score.

        Dividing by the deviation makes one learning rate serve targets in years and in milligrams.
        """
        return functional.mse_loss(outputs.squeeze(1) / self._deviation, targets / self._deviation)

    def tally(self, device: torch.device, *, train: bool) -> NumberTally:
        """Begin to collect predictions."""
        return NumberTally(device)


class NumberTally:
    """Collects predictions and targets, two numbers per sample, where they are."""

    def __init__(self, device: torch.device) -> None:
        self._predicted: list[Tensor] = []
        self._true: list[Tensor] = []
        self._loss_sum = torch.zeros((), device=device)

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Add a batch: outputs (N, 1) and targets (N,) in own units, and the mean loss over the batch (0-d)."""
        self._predicted.append(outputs.detach().squeeze(1).float())
        self._true.append(targets)
        self._loss_sum += loss.detach() * len(targets)

    def read(self) -> Scores:
        """Wait for the device and return the scores of what was added, at least one sample."""
        predicted = torch.cat(self._predicted).cpu().numpy().astype(np.float64)
        true = torch.cat(self._true).cpu().numpy().astype(np.float64)
        values = {"loss": self._loss_sum.item() / len(true), **number_scores(predicted, true)}
        return Scores(values, {"predicted": predicted[:MAX_PAIRS], "true": true[:MAX_PAIRS]})


def number_scores(predicted: npt.NDArray[np.float64], true: npt.NDArray[np.float64]) -> dict[str, float]:
    """Score predictions (N,) of numbers (N,), in their units: rmse, mae, and r2, the share of the variance explained.

    r2 is below 0 where the mean of `true` would predict better, and missing where `true` does not vary.
    """
    off = predicted - true
    values = {"rmse": float(np.sqrt(np.mean(off**2))), "mae": float(np.mean(np.abs(off)))}
    variance = float(np.mean((true - true.mean()) ** 2))
    if variance > 0:
        values["r2"] = 1 - float(np.mean(off**2)) / variance
    return values

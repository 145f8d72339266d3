"""Classify: cross entropy, a confusion matrix, and how far stated confidence can be believed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.tasks.scores import Scores

CALIBRATION_BINS = 15  # Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks"


def make(split: Split, recipe: Recipe) -> Classification:
    """Make the task for a data set's classes."""
    return Classification(split.form.outputs, recipe.label_smoothing)


class Classification:
    """One of `classes` classes; `smoothing` is the share of the target that is spread over all of them."""

    def __init__(self, classes: int, smoothing: float = 0.0) -> None:
        self._classes = classes
        self._smoothing = smoothing

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy of logits (N, classes), in nats."""
        return functional.cross_entropy(outputs, targets, label_smoothing=self._smoothing)

    def tally(self, device: torch.device, *, train: bool) -> ClassTally:
        """Begin to count answers."""
        return ClassTally(self._classes, device)


class ClassTally:
    """Counts answers, adds up losses and confidences on the device."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._counts = torch.zeros(classes * classes, dtype=torch.int64, device=device)
        self._loss_sum = torch.zeros((), device=device)
        self._bins = torch.zeros(CALIBRATION_BINS, 3, device=device)

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Add a batch: logits (N, classes), labels (N,) int64 and the mean loss over the batch (0-d)."""
        confidence, answers = outputs.detach().float().softmax(dim=1).max(dim=1)
        cells = targets * self._classes + answers
        self._counts.index_add_(0, cells, torch.ones_like(cells))
        self._loss_sum += loss.detach() * len(targets)
        bins = (confidence * CALIBRATION_BINS).long().clamp_(0, CALIBRATION_BINS - 1)
        rows = torch.stack([torch.ones_like(confidence), confidence, (answers == targets).to(confidence)], dim=1)
        self._bins.index_add_(0, bins, rows)

    def read(self) -> Scores:
        """Wait for the device and return the scores of what was added, at least one sample."""
        confusion = self._counts.cpu().numpy().reshape(self._classes, self._classes)
        bins = self._bins.cpu().numpy().astype(np.float64)
        values = {"loss": self._loss_sum.item() / int(confusion.sum()), **class_scores(confusion)}
        values["calibration_error"] = expected_calibration_error(bins)
        return Scores(values, {"confusion": confusion, "calibration": calibration_table(bins)})


def class_scores(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    """Score a confusion matrix (classes, classes), rows the truth and columns the answers; all are shares, 0 to 1.

    Precision, recall and f1 are macro means: every class that occurs, as truth or as answer, counts the same. A class
    that occurs and is never answered has precision 0, one that is answered and never true has recall 0 (scikit-learn's
    convention with zero_division=0).
    """
    right, true, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = true + answered > 0
    right, true, answered = right[occurs], true[occurs], answered[occurs]
    return {
        "accuracy": float(right.sum() / true.sum()),
        "precision": float(np.mean(right / np.maximum(answered, 1))),
        "recall": float(np.mean(right / np.maximum(true, 1))),
        "f1": float(np.mean(2 * right / (true + answered))),
    }


def calibration_table(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn sums by bin (bins, 3: samples, confidences, right answers) into samples, mean confidence, share right.

    Bins are of equal width over 0..1 and hold their lower edge; the means of an empty bin are NaN.
    """
    filled = np.maximum(sums[:, :1], 1)
    means = np.where(sums[:, :1] > 0, sums[:, 1:] / filled, np.nan)
    return np.concatenate([sums[:, :1], means], axis=1)


def expected_calibration_error(sums: npt.NDArray[np.float64]) -> float:
    """Return the mean distance of confidence and accuracy over the bins, weighted by samples (Guo 2017, eq. 3)."""
    return float(np.abs(sums[:, 1] - sums[:, 2]).sum() / sums[:, 0].sum())

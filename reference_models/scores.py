"""Score a classifier: a tally stays on the device while batches pass, and its numbers are read once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """How a classifier did on a set of pictures; all but `loss` are shares from 0 to 1.

    `precision`, `recall` and `f1` are macro means: every class that occurs, as truth or as answer, counts the same.
    A class that occurs and is never answered has precision 0, one that is answered and never true has recall 0
    (scikit-learn's convention with zero_division=0).
    """

    loss: float
    accuracy: float
    precision: float
    recall: float
    f1: float


class Tally:
    """Counts answers and adds up losses on the device; `add` starts kernels and waits for none of them."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._counts = torch.zeros(classes * classes, dtype=torch.int64, device=device)
        self._loss_sum = torch.zeros((), device=device)

    def add(self, logits: Tensor, labels: Tensor, mean_loss: Tensor) -> None:
        """Add a batch: logits (N, classes), labels (N,) int64 and the mean loss over the batch (0-d)."""
        cells = labels * self._classes + logits.detach().argmax(dim=1)
        self._counts.index_add_(0, cells, torch.ones_like(cells))
        self._loss_sum += mean_loss.detach() * len(labels)

    def read(self) -> Scores:
        """Wait for the device and return the scores of what was added, at least one picture."""
        counts = self._counts.cpu().numpy().reshape(self._classes, self._classes)
        return score(counts, self._loss_sum.item())


def score(confusion: npt.NDArray[np.int64], loss_sum: float) -> Scores:
    """Score a confusion matrix (classes, classes), rows the truth and columns the answers."""
    right, true, answered = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs = true + answered > 0
    right, true, answered = right[occurs], true[occurs], answered[occurs]
    return Scores(
        loss=loss_sum / int(confusion.sum()),
        accuracy=float(right.sum() / true.sum()),
        precision=float(np.mean(right / np.maximum(answered, 1))),
        recall=float(np.mean(right / np.maximum(true, 1))),
        f1=float(np.mean(2 * right / (true + answered))),
    )

"""Permutation importance: how much worse the model gets when a column's values are dealt to other rows."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers.checking.inputs import Inputs
from torchglass.explainers.overview.scored_rows import scored_rows
from torchglass.explainers.private.scored_model import output_space

Measure = Literal["loss", "score"]


@dataclass(frozen=True, eq=False)
class PermutationImportance:
    """What each of F columns is worth to the model's answers, measured R times."""

    worsening: npt.NDArray[np.float64]
    """(F, R), by how much a permuted column worsens it: the loss's increase, or the score's decrease"""
    before: float
    """of the rows as they are"""
    measure: str
    """what is measured: "cross entropy", "accuracy", "squared error" or "R²" """

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """(F,), over the repeats."""
        mean: npt.NDArray[np.float64] = self.worsening.mean(axis=1)
        return mean

    @property
    def deviation(self) -> npt.NDArray[np.float64]:
        """(F,), standard deviation over the repeats."""
        deviation: npt.NDArray[np.float64] = self.worsening.std(axis=1)
        return deviation


def permutation_importance(
    model: nn.Module,
    rows: Inputs,
    answers: npt.NDArray[Any] | Tensor,
    *,
    measure: Measure = "loss",
    repeats: int = 5,
    seed: int = 0,
) -> PermutationImportance:
    """Permute each column of the rows (N, F) and measure how much worse their answers get.

    Of two columns that say the same neither looks important, for the model can read the other. Costs F * R * N
    evaluations. The permutations are those of scikit-learn's function of the same seed.

    Args:
        model: maps rows to logits or probabilities (N, K), or to one value each; it is left as it was.
        rows: as the model takes them, best some that it was not trained on.
        answers: the right classes (N,) as integers, or values (N,) as floats. Where the model has one output, classes
            are 0 and 1 and the output is the logit of 1.
        measure: "loss" is cross entropy of classes and the mean squared error of values, "score" accuracy or R².
        repeats: permutations of each column.
        seed: of the permutations.

    Raises:
        ExplainError: rows, answers and the model do not suit each other.
        OptionError: an option has a value that it cannot take.

    Source: Breiman 2001, Random forests; Fisher et al. 2019 (arXiv 1801.01489).
    """
    if measure not in get_args(Measure):
        raise OptionError(f"measure is {measure!r}: choose 'loss' or 'score'")
    if repeats < 1:
        raise OptionError(f"repeats is {repeats}: give at least 1")
    right = torch.as_tensor(np.asarray(answers.detach().cpu() if isinstance(answers, Tensor) else answers))
    with scored_rows(model, rows, None, seed) as asked:
        table = asked.table(asked.rows)
        _check_answers(right, len(asked.rows), table.shape[1], measure)
        judge = _Judge(right, measure, output_space(table) == "probability")
        before = judge.cost(table)
        worsening = np.empty((asked.columns, repeats))
        own_seed = np.random.RandomState(seed % 2**32).randint(np.iinfo(np.int32).max + 1)
        for column in range(asked.columns):
            draw, order = np.random.RandomState(own_seed), np.arange(len(asked.rows))
            permuted = asked.rows.clone()
            for repeat in range(repeats):
                draw.shuffle(order)
                # Dealt on from the last deal, as scikit-learn does.
                permuted[:, column] = permuted[torch.as_tensor(order, device=permuted.device), column]
                worsening[column, repeat] = judge.cost(asked.table(permuted)) - before
        return PermutationImportance(worsening, -before if measure == "score" else before, judge.name)


def _check_answers(right: Tensor, rows: int, outputs: int, measure: Measure) -> None:
    if tuple(right.shape) != (rows,):
        raise ExplainError(f"answers have shape {tuple(right.shape)}: give one for each of the {rows} rows")
    if right.is_floating_point() and outputs > 1:
        raise ExplainError(f"answers hold {right.dtype} and the model has {outputs} classes: give their indices")
    if not right.is_floating_point() and not bool(((right >= 0) & (right < max(outputs, 2))).all()):
        known = f"{outputs} classes" if outputs > 1 else "one output, for classes 0 and 1 or for values, as floats"
        raise ExplainError(f"answers reach from {int(right.min())} to {int(right.max())}: the model has {known}")
    if not bool(torch.isfinite(right).all()):
        raise ExplainError("answers hold NaN or infinity: drop the rows that have none")
    if measure == "score" and right.is_floating_point() and not bool((right != right[0]).any()):
        raise ExplainError(f"answers are all {float(right[0]):g}, of which R² says nothing: use measure 'loss'")


@dataclass(frozen=True, eq=False)
class _Judge:
    """Measure how bad a table of scores (N, K) is, as a number that is better when smaller."""

    right: Tensor
    measure: Measure
    of_probabilities: bool

    @property
    def name(self) -> str:
        if self._has_classes:
            return "cross entropy" if self.measure == "loss" else "accuracy"
        return "squared error" if self.measure == "loss" else "R²"

    @property
    def _has_classes(self) -> bool:
        return not self.right.is_floating_point()

    def cost(self, table: Tensor) -> float:
        if self._has_classes and table.shape[1] > 1:
            classes = self.right.long()
            if self.measure == "score":
                return -float((table.argmax(dim=1) == classes).double().mean())
            logs = table.clamp(min=1e-12).log() if self.of_probabilities else table.log_softmax(dim=1)
            return float(F.nll_loss(logs, classes))
        if self._has_classes:  # one output for two classes is a logit
            if self.measure == "score":
                return -float(((table[:, 0] > 0) == self.right.bool()).double().mean())
            return float(F.binary_cross_entropy_with_logits(table[:, 0], self.right.double()))
        squared = (table[:, 0] - self.right.double()).square().mean()
        spread = self.right.double().var(correction=0)
        return float(squared) if self.measure == "loss" else float(squared / spread.clamp(min=1e-300)) - 1

"""Rows and one score of theirs, on a private copy of the model: what every overview asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.checking.checks import checked_model, checked_scores, checked_targets, device_of
from torchglass.explainers.checking.inputs import Inputs, checked_inputs, kind_of
from torchglass.explainers.private.asking import asked_in_private
from torchglass.explainers.private.scored_model import ScoredModel, scores

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Rows (N, F) on the model's device and the one target whose score is looked at."""

    model: ScoredModel
    rows: Tensor
    target: int

    @property
    def columns(self) -> int:
        """Number of columns F."""
        return int(self.rows.shape[1])

    def score(self, rows: Tensor) -> Scores:
        """Score other rows (M, F): (M,)."""
        column: Scores = scores(self.model, rows)[:, self.target].double().cpu().numpy()
        return column

    def table(self, rows: Tensor) -> Tensor:
        """Score rows (M, F) for every target: (M, K), float64 on the CPU."""
        return scores(self.model, rows).double().cpu()


@contextmanager
def scored_rows(model: nn.Module, rows: Inputs, target: int | None, seed: int) -> Iterator[ScoredRows]:
    """Lend the rows and a copy of the model; a target of None is the class that most of the rows are given.

    Raises:
        ExplainError: the inputs are no rows, or the model cannot score them or has no such target.
    """
    if kind_of(rows, None) != "table":
        raise ExplainError(f"rows have shape {tuple(rows.shape)} and type {rows.dtype}: give float rows (N, F)")
    batch = checked_inputs(rows, "table", 0, device_of(checked_model(model)))
    with asked_in_private(model, seed) as asked, torch.no_grad():
        table = checked_scores(asked, batch)
        found = checked_targets(target, table)
        yield ScoredRows(asked, batch, int(found.mode().values))


def chosen_columns(columns: object, count: int) -> npt.NDArray[np.int64]:
    """Check asked columns, None for all of `count`.

    Raises:
        ExplainError: one is not there.
    """
    chosen = np.atleast_1d(np.arange(count) if columns is None else np.asarray(columns))
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or len(chosen) == 0:
        raise ExplainError(f"columns are {columns!r}: give indices of columns, or None for all")
    outside = [int(column) for column in chosen if not 0 <= column < count]
    if outside:
        raise ExplainError(f"column {outside[0]} is out of range: the rows have columns 0 to {count - 1}")
    if len(np.unique(chosen)) < len(chosen):
        raise ExplainError(f"columns are {columns!r}: name each of them once")
    return chosen.astype(np.int64)

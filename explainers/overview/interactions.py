"""Shapley interaction values: what two columns say together beyond what each says by itself."""

from dataclasses import dataclass
from math import factorial

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchglass.errors import ExplainError
from torchglass.explainers.checking.inputs import Inputs, checked_background
from torchglass.explainers.overview.scored_rows import ScoredRows, chosen_columns, scored_rows
from torchglass.explainers.private.scored_model import ELEMENTS_PER_PASS

Floats = npt.NDArray[np.float64]

MOST_PLAYERS = 10
"""Columns up to which all coalitions are asked: 1024 for each row, each with every row of the background."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Shapley interaction values of N rows, exact; of each row they add up to f(x) - E f(background)."""

    values: Floats
    """(N, P, P), symmetric: half of what columns i and j say together at [i, j] and half at [j, i]; on the diagonal
    what is left of a column's Shapley value, the main effect"""
    columns: npt.NDArray[np.int64]
    """(P,), which columns of the rows; -1 stands for all the others, which come and go as one"""
    target: int

    @property
    def strength(self) -> Floats:
        """(P, P), mean |values| over the rows, both halves of a pair together."""
        strength: Floats = np.abs(self.values).mean(axis=0)
        off_diagonal = ~np.eye(len(strength), dtype=bool)
        strength[off_diagonal] *= 2
        return strength


def interactions(
    model: nn.Module,
    rows: Inputs,
    target: int | None = None,
    *,
    background: Inputs | float | None = None,
    columns: object = None,
    seed: int = 0,
) -> Interactions:
    """Measure pairwise Shapley interaction values of rows (N, F) by asking about every coalition of columns.

    Columns that are not shown come from each row of the background in turn, as in SHAP of rows. Costs
    N * B * 2**P evaluations.

    Args:
        model: maps rows to scores (N, K) or values; it is left as it was.
        rows: as the model takes them.
        target: class whose score is looked at; None for the one that most rows are given.
        background: reference rows (B, F), a number for a constant one, or None for zero.
        columns: indices of at most ten columns, or nine of more: the others then come and go as one. None for all.
        seed: of what is random in the model.

    Raises:
        ExplainError: the rows, the target or the columns do not suit the model, or the columns are too many.

    Source: Lundberg et al. 2020, From local explanations to global understanding (arXiv 1905.04610); the index is that
    of Grabisch and Roubens 1999, shared out between the two.
    """
    with scored_rows(model, rows, target, seed) as asked:
        chosen = chosen_columns(columns, asked.columns)
        others = np.setdiff1d(np.arange(asked.columns), chosen)
        players = len(chosen) + bool(len(others))
        if players > MOST_PLAYERS:
            most = MOST_PLAYERS - bool(len(others))
            raise ExplainError(f"interactions of {len(chosen)} columns were asked: choose at most {most} of them")
        belongs = np.zeros((players, asked.columns), dtype=bool)
        belongs[np.arange(len(chosen)), chosen] = True
        belongs[-1, others] = True
        references, _ = checked_background(background, asked.rows, "table")
        worths = _worths(asked, references, belongs)
        named = np.concatenate((chosen, [-1] * bool(len(others)))).astype(np.int64)
        return Interactions(interaction_values(worths), named, asked.target)


def _worths(asked: ScoredRows, references: torch.Tensor, belongs: npt.NDArray[np.bool_]) -> Floats:
    """Score every coalition of each row: (N, 2**P), where bit p of the place says that player p is shown."""
    players = len(belongs)
    codes = (np.arange(2**players)[:, None] >> np.arange(players)) & 1 == 1
    shown = torch.as_tensor(codes @ belongs, device=asked.rows.device)
    at_once = torch.split(shown, max(1, ELEMENTS_PER_PASS // references.numel()))
    table = [
        asked.score(torch.where(some[:, None], row, references).flatten(0, 1)).reshape(len(some), -1).mean(axis=1)
        for row in asked.rows
        for some in at_once
    ]
    return np.concatenate(table).reshape(len(asked.rows), len(codes))


def interaction_values(worths: Floats) -> Floats:
    """Turn the worths of all coalitions (N, 2**P) into interaction values (N, P, P)."""
    players = int(np.log2(worths.shape[1]))
    codes = np.arange(2**players)
    size = np.array([int(code).bit_count() for code in codes])
    values = np.zeros((len(worths), players, players))
    for i in range(players):
        without = codes[codes >> i & 1 == 0]
        weights = _weights(size[without], players)
        values[:, i, i] = (worths[:, without | 1 << i] - worths[:, without]) @ weights
        for j in range(i):
            both = without[without >> j & 1 == 0]
            beyond = (
                worths[:, both | 1 << i | 1 << j]
                - worths[:, both | 1 << i]
                - worths[:, both | 1 << j]
                + worths[:, both]
            )
            values[:, i, j] = values[:, j, i] = beyond @ _weights(size[both], players - 1) / 2
    diagonal = np.arange(players)
    values[:, diagonal, diagonal] -= values.sum(axis=2) - values[:, diagonal, diagonal]
    return values


def _weights(sizes: npt.NDArray[np.int64], players: int) -> Floats:
    """Weigh coalitions of these sizes among the other players, so that every size counts alike."""
    each = [factorial(size) * factorial(players - size - 1) / factorial(players) for size in range(players)]
    return np.array(each)[sizes]

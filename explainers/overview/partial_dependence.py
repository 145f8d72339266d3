"""Partial dependence: how the score moves when one column is set to a value in every row, and in each row (ICE)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from torchglass.errors import OptionError
from torchglass.explainers.checking.inputs import Inputs
from torchglass.explainers.overview.scored_rows import ScoredRows, chosen_columns, scored_rows

Floats = npt.NDArray[np.float64]

EDGE = 0.05
"""The grid runs between these quantiles: beyond them few rows say what is usual."""


@dataclass(frozen=True, eq=False)
class PartialDependence:
    """Curves of K columns over at most G values each, in score units.

    A column with fewer values has a shorter grid; what is missing at its end is NaN.
    """

    columns: npt.NDArray[np.int64]
    """(K,), which columns of the rows"""
    grid: Floats
    """(K, G), ascending values of the column, quantiles of the rows"""
    curves: Floats
    """(K, N, G), the score of each row with the column at that value: individual conditional expectation"""
    target: int

    @property
    def mean(self) -> Floats:
        """(K, G), the partial dependence: the mean of the rows' curves."""
        mean: Floats = self.curves.mean(axis=1)
        return mean

    @property
    def centred(self) -> Floats:
        """(K, N, G), each curve less its value at the grid's start: rows that only differ in level lie together."""
        return self.curves - self.curves[:, :, :1]

    @property
    def heterogeneity(self) -> Floats:
        """(K,), the largest standard deviation of the centred curves: zero where no other column changes the effect."""
        heterogeneity: Floats = np.nanmax(self.centred.std(axis=1), axis=1)
        return heterogeneity


def partial_dependence(
    model: nn.Module,
    rows: Inputs,
    target: int | None = None,
    *,
    columns: object = None,
    points: int = 20,
    seed: int = 0,
) -> PartialDependence:
    """Set a column of every row (N, F) to each value of a grid and score the rows, column by column.

    Costs K * G * N evaluations. Rows that do not occur are among those asked, where columns go together.

    Args:
        model: maps rows to scores (N, K) or values; it is left as it was.
        rows: as the model takes them.
        target: class whose score is drawn; None for the one that most rows are given.
        columns: indices; None for all.
        points: values on a grid at most, the 5 % to the 95 % quantile; of a column with few values, these.
        seed: of what is random in the model.

    Raises:
        ExplainError: the rows, the target or the columns do not suit the model.
        OptionError: points are too few.

    Source: Friedman 2001, Greedy function approximation; Goldstein et al. 2015, Peeking inside the black box.
    """
    if points < 2:
        raise OptionError(f"points is {points}: give at least 2")
    with scored_rows(model, rows, target, seed) as asked:
        chosen = chosen_columns(columns, asked.columns)
        grids = [_grid(asked.rows[:, column].double().cpu().numpy(), points) for column in chosen.tolist()]
        longest = max(len(grid) for grid in grids)
        curves = np.full((len(chosen), len(asked.rows), longest), np.nan)
        for place, (column, grid) in enumerate(zip(chosen.tolist(), grids, strict=True)):
            curves[place, :, : len(grid)] = _curves(asked, column, grid)
        padded = np.stack([np.pad(grid, (0, longest - len(grid)), constant_values=np.nan) for grid in grids])
        return PartialDependence(chosen, padded, curves, asked.target)


def _grid(values: Floats, points: int) -> Floats:
    distinct = np.unique(values)
    if len(distinct) <= points:
        return distinct
    grid: Floats = np.unique(np.quantile(values, np.linspace(EDGE, 1 - EDGE, points)))
    return grid


def _curves(asked: ScoredRows, column: int, grid: Floats) -> Floats:
    changed, curves = asked.rows.clone(), np.empty((len(asked.rows), len(grid)))
    for place, value in enumerate(grid):
        changed[:, column] = float(value)
        curves[:, place] = asked.score(changed)
    return curves

"""Rows that share keys, and sums over each group of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.traces.trace import Floats, Integers


class Groups(NamedTuple):
    """`first` (g,) is one row of each group, `of` (n,) the group of each row."""

    first: Integers
    of: Integers

    def calls(self) -> Integers:
        """Rows in each group (g,)."""
        return np.bincount(self.of, minlength=len(self.first)).astype(np.int64)

    def sum(self, values: npt.NDArray[Any]) -> Floats:
        """Sum of values (n,) in each group (g,); whole nanoseconds stay exact up to 104 days."""
        return np.bincount(self.of, weights=values, minlength=len(self.first)).astype(np.float64)

    def smallest(self, values: npt.NDArray[Any]) -> Floats:
        """Least of values (n,) in each group (g,)."""
        found = np.full(len(self.first), np.inf)
        np.minimum.at(found, self.of, values)
        return found

    def largest(self, values: npt.NDArray[Any]) -> Floats:
        """Greatest of values (n,) in each group (g,)."""
        found = np.full(len(self.first), -np.inf)
        np.maximum.at(found, self.of, values)
        return found

    def mean(self, values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> Floats:
        """Weighted mean of the values that are not NaN (g,); NaN where a group has none, or no weight."""
        known = ~np.isnan(values)
        weight = self.sum(np.where(known, weights, 0.0))
        total = self.sum(np.where(known, values, 0.0) * weights)
        mean: Floats = np.divide(total, weight, out=np.full(len(weight), np.nan), where=weight > 0)
        return mean


def grouped(*keys: npt.NDArray[Any]) -> Groups:
    """Group rows by columns (n,) of whole numbers or truths; groups are in order of the keys."""
    code, count = np.zeros(len(keys[0]), np.int64), 1
    for key in keys:
        of, size = _dense(key)
        # Made dense again at each key, so that the product of many keys stays within 64 bits.
        code, count = _dense(code * size + of)
    first = np.full(count, len(code), np.int64)
    np.minimum.at(first, code, np.arange(len(code)))
    return Groups(first, code)


def _dense(key: npt.NDArray[Any]) -> tuple[Integers, int]:
    """Rank of each value among the distinct ones (n,), and how many there are."""
    if not len(key):
        return np.zeros(0, np.int64), 0
    values = key.astype(np.int64)
    values -= values.min()
    span = int(values.max()) + 1
    if span > 4 * len(values) + 65_536:
        distinct, of = np.unique(values, return_inverse=True)
        return of.astype(np.int64), len(distinct)
    seen = np.zeros(span, np.bool_)  # a place for each value: no sort, which takes ten times as long
    seen[values] = True
    rank = np.cumsum(seen) - 1
    return rank[values], int(rank[-1]) + 1

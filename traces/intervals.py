"""Sets of moments as sorted, disjoint intervals [start, end) of whole nanoseconds: lengths are exact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from torchglass.traces.trace import Integers


class Intervals(NamedTuple):
    """Intervals [starts, ends), sorted and disjoint (n,)."""

    starts: Integers
    ends: Integers

    def length(self) -> int:
        """Nanoseconds in all."""
        return int((self.ends - self.starts).sum())

    def within(self, starts: Integers, ends: Integers) -> Integers:
        """Nanoseconds of this set inside each [start, end) (m,)."""
        return self._before(ends) - self._before(starts)

    def shared_with(self, other: Intervals) -> int:
        """Nanoseconds that are in both sets."""
        return int(self.within(other.starts, other.ends).sum())

    def _before(self, moments: Integers) -> Integers:
        """Nanoseconds of this set before each moment (m,)."""
        if not len(self.starts):
            return np.zeros(len(moments), np.int64)
        lengths = self.ends - self.starts
        earlier = np.concatenate(([0], np.cumsum(lengths)))
        begun = np.searchsorted(self.starts, moments, side="right")
        last = np.maximum(begun - 1, 0)
        after_its_end = np.maximum(self.ends[last] - moments, 0)
        return np.where(begun > 0, earlier[begun] - after_its_end, 0)


def union(starts: Integers, ends: Integers) -> Intervals:
    """Moments in any of [start, end), which may overlap and come in any order (n,)."""
    if not len(starts):
        return Intervals(np.zeros(0, np.int64), np.zeros(0, np.int64))
    order = np.argsort(starts, kind="stable")
    starts, latest = starts[order], np.maximum.accumulate(ends[order])
    opens = np.concatenate(([True], starts[1:] > latest[:-1]))
    closes = np.concatenate((opens[1:], [True]))
    return Intervals(starts[opens], latest[closes])

"""The difference of one quantity between two runs, and whether it is more than noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from torchglass.analysis.bootstrap import Resampled, Statistic
from torchglass.analysis.sides import sides
from torchglass.analysis.student import student
from torchglass.language import tr
from torchglass.store.records import Floats

Verdict = Literal["higher", "lower", "noise", "same", "unknown"]
Evidence = Literal["steps", "windows", "single", "none"]

LEAST_SHARE = 0.005  # a difference below this share of the quantity itself is called noise, however sure
FEWEST_WINDOWS = 3
_TAILS = (2.5, 97.5)


@dataclass(frozen=True)
class Difference:
    """A quantity in run A (`base`) and in run B (`new`), in `unit`; None where it was not measured.

    `low` and `high` bound B - A, `base_low` to `new_high` A and B themselves, each with 95 %; None where one
    measurement each is all there is (`evidence` "single") or where `reason` says why nothing can be told (`verdict`
    "unknown").
    """

    name: str
    unit: str
    statistic: str
    base: float | None
    new: float | None
    verdict: Verdict
    evidence: Evidence
    low: float | None = None
    high: float | None = None
    base_low: float | None = None
    base_high: float | None = None
    new_low: float | None = None
    new_high: float | None = None
    base_count: int = 0
    new_count: int = 0
    reason: str | None = None

    @property
    def change(self) -> float | None:
        """B - A."""
        return None if self.base is None or self.new is None else self.new - self.base

    def percent_of_base(self, value: float | None) -> float | None:
        """A part of the difference as a percentage of A; None where A is zero."""
        return None if value is None or not self.base else 100 * value / abs(self.base)

    @property
    def percent(self) -> float | None:
        """B - A as a percentage of A."""
        return self.percent_of_base(self.change)


def sampled(
    name: str, unit: str, statistic: Statistic, base: Resampled, new: Resampled, least: float = 0.0
) -> Difference:
    """The difference of a statistic of many samples, bounded by resampling each run by itself.

    What is smaller than `least`, or than 0.5 % of A, is called noise.
    """
    values = (base.value(statistic), new.value(statistic))
    reasons = [f"{letter} {each.reason}" for letter, each in (("A", base), ("B", new)) if each.reason is not None]
    if reasons:
        return _unknown(
            name,
            unit,
            statistic,
            *values,
            _too_few(reasons),
            (base.sample_count, new.sample_count),
        )
    first, second = base.replicated(statistic), new.replicated(statistic)
    low, high = _bounds(second - first)
    return Difference(
        name,
        unit,
        statistic,
        *values,
        _verdict(*values, low, high, least),
        "steps",
        low,
        high,
        *_bounds(first),
        *_bounds(second),
        base.sample_count,
        new.sample_count,
    )


def between_windows(
    name: str, unit: str, base: Sequence[float], new: Sequence[float], least: float = 0.0
) -> Difference:
    """The difference of the means of a few profiler windows, each a measurement.

    With three windows or more in each run it is bounded by how far the windows differ. Welch, "The generalization of
    Student's problem when several different population variances are involved" (1947).
    """
    counts = (len(base), len(new))
    first, second = np.array(base, np.float64), np.array(new, np.float64)
    if not all(counts):
        known = [float(each.mean()) if each.size else None for each in (first, second)]
        return _unknown(name, unit, "mean", known[0], known[1], _unprofiled(*counts), counts)
    means = (float(first.mean()), float(second.mean()))
    if min(counts) < FEWEST_WINDOWS:
        return _single(name, unit, "mean", *means, least, counts)
    variances = [float(each.var(ddof=1)) / len(each) for each in (first, second)]
    margin = student(_welch_freedom(variances, counts)) * math.sqrt(sum(variances))
    base_margin, new_margin = (
        student(count - 1) * math.sqrt(variance) for count, variance in zip(counts, variances, strict=True)
    )
    change = means[1] - means[0]
    low, high = change - margin, change + margin
    return Difference(
        name,
        unit,
        "mean",
        *means,
        _verdict(*means, low, high, least),
        "windows",
        low,
        high,
        means[0] - base_margin,
        means[0] + base_margin,
        means[1] - new_margin,
        means[1] + new_margin,
        *counts,
    )


def single(name: str, unit: str, statistic: str, base: float | None, new: float | None) -> Difference:
    """The difference of a number that each run has one of: nothing tells how far it varies by itself."""
    if base is None or new is None:
        lacking = [letter for letter, value in (("A", base), ("B", new)) if value is None]
        return _unknown(name, unit, statistic, base, new, tr("not measured in {sides}", sides=sides(lacking)))
    if not (math.isfinite(base) and math.isfinite(new)):
        return _unknown(name, unit, statistic, base, new, tr("not a finite number"))
    return _single(name, unit, statistic, base, new, 0.0, (1, 1))


def missing(name: str, unit: str, statistic: str, reason: str) -> Difference:
    """A quantity that cannot be compared."""
    return _unknown(name, unit, statistic, None, None, reason, (0, 0))


def _unknown(
    name: str,
    unit: str,
    statistic: str,
    base: float | None,
    new: float | None,
    reason: str,
    counts: tuple[int, int] = (0, 0),
) -> Difference:
    return Difference(
        name, unit, statistic, base, new, "unknown", "none", reason=reason, base_count=counts[0], new_count=counts[1]
    )


def _single(
    name: str, unit: str, statistic: str, base: float, new: float, least: float, counts: tuple[int, int]
) -> Difference:
    change = new - base
    is_same = change == 0 or abs(change) < least
    verdict: Verdict = "same" if is_same else "higher" if change > 0 else "lower"
    return Difference(name, unit, statistic, base, new, verdict, "single", base_count=counts[0], new_count=counts[1])


def _verdict(base: float, new: float, low: float, high: float, least: float) -> Verdict:
    change = new - base
    if low <= 0 <= high or abs(change) < max(least, LEAST_SHARE * abs(base)):
        return "noise"
    return "higher" if change > 0 else "lower"


def _bounds(replicates: Floats) -> tuple[float, float]:
    low, high = np.percentile(replicates, _TAILS)
    return float(low), float(high)


def _too_few(reasons: Sequence[str]) -> str:
    if len(reasons) == 1:
        return tr("too few to tell: {reason}", reason=reasons[0])
    return tr("too few to tell: {first} and {second}", first=reasons[0], second=reasons[1])


def _unprofiled(base_count: int, new_count: int) -> str:
    lacking = [letter for letter, count in (("A", base_count), ("B", new_count)) if not count]
    return tr("no profiler window in {sides}", sides=sides(lacking))


def _welch_freedom(variances: Sequence[float], counts: Sequence[int]) -> float:
    weights = sum(variance**2 / (count - 1) for variance, count in zip(variances, counts, strict=True))
    return sum(variances) ** 2 / weights if weights > 0 else math.inf

"""`step_time > +5%`: conditions on the difference of two runs, such as a build server asks for."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from torchglass.analysis.differences import Difference
from torchglass.errors import OptionError

MOST_CHARACTERS = 500
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNITS: Mapping[str, tuple[str, float]] = {
    "ns": ("s", 1e-9),
    "us": ("s", 1e-6),
    "µs": ("s", 1e-6),
    "ms": ("s", 1e-3),
    "s": ("s", 1.0),
    "min": ("s", 60.0),
    "B": ("B", 1.0),
    "bytes": ("B", 1.0),
    "kB": ("B", 1e3),
    "MB": ("B", 1e6),
    "GB": ("B", 1e9),
    "TB": ("B", 1e12),
    "KiB": ("B", 2.0**10),
    "MiB": ("B", 2.0**20),
    "GiB": ("B", 2.0**30),
    "TiB": ("B", 2.0**40),
}
# From the right: names of kernels hold < and > themselves.
_CONDITION = re.compile(
    r"(?P<metric>.*\S)\s*(?P<order><=|>=|<|>)\s*(?P<sign>[+-]?)\s*"
    r"(?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)\s*(?P<unit>[a-zA-Zµμ%]*)\s*",
    re.DOTALL,
)


class Threshold(NamedTuple):
    """A condition as it was written. With a sign it is on the change from A to B, without one on B itself."""

    text: str
    metric: str
    order: str
    number: float
    unit: str
    is_change: bool


class Outcome(NamedTuple):
    """Whether a condition is met, and a sentence that says by what."""

    threshold: Threshold
    difference: Difference
    is_met: bool
    sentence: str


def read_threshold(text: str) -> Threshold:
    """Read METRIC OP [+|-]NUMBER[UNIT], such as 'step_time > +5%' or 'memory_peak >= 20GB'.

    Raises:
        OptionError: it is not one.
    """
    shown = repr(text if len(text) <= 80 else f"{text[:80]}...")
    found = _CONDITION.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if found is None:
        raise OptionError(
            f"cannot read {shown}: write METRIC, one of < <= > >=, and a number, such as 'step_time > +5%' "
            "or 'memory_peak > 20GB'"
        )
    unit, sign = found["unit"].replace("μ", "µ"), found["sign"]
    if unit == "%" and not sign:
        raise OptionError(f"cannot read {shown}: a percentage is a change, so write +{found['number']}% or -...")
    if unit and unit != "%" and unit not in _UNITS:
        raise OptionError(f"cannot read {shown}: {unit!r} is none of %, {', '.join(_UNITS)}")
    number = float(f"{sign}{found['number']}")
    if not math.isfinite(number):
        raise OptionError(f"cannot read {shown}: {found['number']} is too large, and nothing is ever beyond it")
    return Threshold(text.strip(), found["metric"].strip(), found["order"], number, unit, bool(sign))


def judge(threshold: Threshold, difference: Difference, *, ignore_noise: bool = False) -> Outcome:
    """Say whether a condition is met; what could be noise meets none, unless that is to be ignored.

    Raises:
        OptionError: that cannot be said: unmeasured, too few steps, a percentage of zero, a unit that does not fit.
    """
    if difference.base is None or difference.new is None or difference.verdict == "unknown":
        raise OptionError(f"cannot tell whether {threshold.text!r}: {difference.name}: {difference.reason}")
    if not threshold.is_change:
        return _judge_value(threshold, difference, difference.new, ignore_noise=ignore_noise)
    value = difference.percent if threshold.unit == "%" else difference.change
    if value is None:
        raise OptionError(
            f"cannot tell whether {threshold.text!r}: {difference.name} is 0 in A, and nothing is a share of that"
        )
    order, limit = _ORDERS[threshold.order], _limit(threshold, difference)
    is_beyond = order(value, limit)
    # Where no change at all would meet it, as "improves by less than 5 %", noise excuses nothing.
    is_noise = difference.verdict in ("noise", "same") and not order(0.0, limit)
    bound = difference.high if threshold.order in (">", ">=") else difference.low
    bound = difference.percent_of_base(bound) if threshold.unit == "%" else bound
    might_be = bound is not None and order(bound, limit)
    is_noise = is_noise and not ignore_noise
    return _outcome(threshold, difference, is_beyond=is_beyond, is_noise=is_noise, might_be=might_be)


def _judge_value(threshold: Threshold, difference: Difference, value: float, *, ignore_noise: bool) -> Outcome:
    order, limit = _ORDERS[threshold.order], _limit(threshold, difference)
    nearest = difference.new_low if threshold.order in (">", ">=") else difference.new_high
    farthest = difference.new_high if threshold.order in (">", ">=") else difference.new_low
    is_noise = nearest is not None and not order(nearest, limit) and not ignore_noise
    might_be = farthest is not None and order(farthest, limit)
    return _outcome(threshold, difference, is_beyond=order(value, limit), is_noise=is_noise, might_be=might_be)


def _outcome(
    threshold: Threshold, difference: Difference, *, is_beyond: bool, is_noise: bool, might_be: bool
) -> Outcome:
    if not is_beyond:
        said = "not met, though the 95 % interval does not exclude it" if might_be else "not met"
    elif is_noise:
        said = "not met: the number is beyond the threshold, but within noise"
    elif difference.evidence == "single":
        said = "met, by a single measurement: how far it varies by itself is not known"
    else:
        said = "met"
    return Outcome(threshold, difference, is_beyond and not is_noise, said)


def _limit(threshold: Threshold, difference: Difference) -> float:
    if threshold.unit == "%":
        return threshold.number
    dimension, factor = _UNITS.get(threshold.unit, ("", 1.0))
    is_bare = not threshold.unit and difference.unit not in ("s", "B")
    if not is_bare and dimension != difference.unit:
        measured = f"is measured in {difference.unit!r}" if difference.unit else "is a pure number"
        raise OptionError(f"cannot compare {threshold.text!r}: {difference.name} {measured}, so give a number of that")
    return threshold.number * factor

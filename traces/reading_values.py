"""Numbers as trace files hold them: whole, with a fraction, as text, or not at all."""

from __future__ import annotations

import math
import re
from typing import Any

LARGEST = 1 << 61  # two of these still add up within 64 bits
_DECIMAL = re.compile(r"(-?\d{1,19})(?:\.(\d+))?")
_DIGITS = re.compile(r"\d+")


def nanoseconds(value: Any) -> int | None:
    """Microseconds as whole nanoseconds, every digit of them kept; None for what is no time."""
    if type(value) is int:
        time = value * 1000
    elif type(value) is str:
        found = _DECIMAL.fullmatch(value)
        if found is None:
            return nanoseconds_of_float(value)
        before, after = found.groups(default="")
        time = int(before) * 1000
        if after:
            part = round(int(f"{after:0<4.4}") / 10)
            time += -part if before[0] == "-" else part
    else:
        return nanoseconds_of_float(value)
    return time if -LARGEST < time < LARGEST else None


def nanoseconds_of_float(value: Any) -> int | None:
    """The same of a float, or of a text such as `1.5e6`."""
    number = fraction(value) * 1000.0
    return round(number) if abs(number) < LARGEST else None  # NaN is not less


def whole(value: Any, missing: int) -> int:
    """An id or a count; `missing` for what is none or does not fit into 64 bits."""
    if type(value) is not int:
        number = fraction(value)
        if not abs(number) < LARGEST:
            return missing
        value = int(number)
    return value if -LARGEST < value < LARGEST else missing


def fraction(value: Any) -> float:
    """A number, or NaN for what is none; infinities count as none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def number_within(value: Any) -> int | None:
    """The whole number of `7`, `"7"` or `"stream 7"`; None where there is none."""
    if type(value) is int:
        return value if -LARGEST < value < LARGEST else None
    found = _DIGITS.search(value[:64]) if isinstance(value, str) else None
    if found is None:
        return None
    number = int(found[0])
    return number if number < LARGEST else None

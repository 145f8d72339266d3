"""Numbers as trace files hold them: whole, with a fraction, as text, or not at all."""

from __future__ import annotations

import math
import re
from itertools import islice
from typing import Any

LARGEST = 1 << 61  # two of these still add up within 64 bits
LARGEST_FRACTION = 1e30
EXACT_MICROSECONDS = float(1 << 42)  # below it floats lie a quarter of a nanosecond or less from what was written
MOST_ENTRIES = 1_024  # of a list or an object beside the events
LONGEST_TEXT = 1_000
_DECIMAL = re.compile(r"(-?\d{1,19})(?:\.(\d+))?")
_DIGITS = re.compile(r"\d+")


def nanoseconds(value: Any) -> int | None:
    """Microseconds as whole nanoseconds, every digit of them kept; None for what is no time."""
    if type(value) is int:
        time = value * 1000
    else:
        number = fraction(value)
        if -EXACT_MICROSECONDS < number < EXACT_MICROSECONDS:
            return round(number * 1000.0)
        if not abs(number) < LARGEST / 1000:  # NaN is not less
            return None
        time = _by_digits(value) if isinstance(value, str) else round(number * 1000.0)
    return time if -LARGEST < time < LARGEST else None


def _by_digits(text: str) -> int:
    """The same of a number too large for a float to hold its nanoseconds, as microseconds since 1970 are."""
    before, _, after = text.partition(".")
    if len(after) == 3 and before.isdecimal() and after.isdecimal():
        return int(before) * 1000 + int(after)
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return round(float(text) * 1000.0)
    before, after = found.groups(default="")
    part = round(int(f"{after:0<4.4}") / 10)
    return int(before) * 1000 + (-part if before[0] == "-" else part)


def whole(value: Any, missing: int) -> int:
    """An id or a count; `missing` for what is none or does not fit into 64 bits."""
    if type(value) is not int:
        number = fraction(value)
        if not abs(number) < LARGEST:
            return missing
        value = int(number)
    return value if -LARGEST < value < LARGEST else missing


def fraction(value: Any) -> float:
    """A number, or NaN for what is none; nothing that is measured is as large as `LARGEST_FRACTION`."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if abs(number) < LARGEST_FRACTION else math.nan


def number_within(value: Any) -> int | None:
    """The whole number of `7`, `"7"` or `"stream 7"`; None where there is none."""
    if type(value) is int:
        return value if -LARGEST < value < LARGEST else None
    found = _DIGITS.search(value[:64]) if isinstance(value, str) else None
    if found is None:
        return None
    number = int(found[0])
    return number if number < LARGEST else None


def clean(text: str) -> str:
    """A text that every store takes: no lone surrogates, no NUL."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def cleaned(value: Any, depth: int = 6) -> Any:
    """A value of JSON with bounds on its depth, its lengths and its texts; NaN becomes None."""
    if isinstance(value, str):
        return clean(value[:LONGEST_TEXT])
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -LARGEST < value < LARGEST else None
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {
            clean(key[:LONGEST_TEXT]): cleaned(each, depth - 1) for key, each in islice(value.items(), MOST_ENTRIES)
        }
    return [cleaned(each, depth - 1) for each in value[:MOST_ENTRIES]] if isinstance(value, list) else None

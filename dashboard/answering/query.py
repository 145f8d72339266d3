"""What a request's query asks for, each value checked before anything is done with it."""

from __future__ import annotations

import math
from collections.abc import Mapping

MAX_DIGITS = 15  # more would not be exact as a float64
MAX_TEXT = 1000  # characters of a key


class BadQueryError(Exception):
    """A query that the page would never send."""


class Query:
    """The parameters of one request."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer; `default` where the query does not say, an error where there is none."""
        text = self._values.get(name)
        if text is None and default is not None:
            return default
        return to_integer(name, text or "")

    def integers(self, name: str, most: int) -> list[int]:
        """Integers apart by commas, at most so many."""
        text = self._values.get(name, "")
        parts = text.split(",") if text else []
        if len(parts) > most:
            raise BadQueryError(f"{name} takes at most {most} integers, not {len(parts)}")
        return [to_integer(name, part) for part in parts]

    def number(self, name: str, default: str = "") -> float:
        """A finite number; what `default` says where the query does not."""
        text = self._values.get(name, default)
        try:
            number = float(text)
        except ValueError as error:
            raise BadQueryError(f"{name} takes a number, not {text!r}") from error
        if not math.isfinite(number) or abs(number) >= 10**MAX_DIGITS:
            raise BadQueryError(f"{name} takes a finite number, not {text!r}")
        return number

    def text(self, name: str, default: str | None = None) -> str:
        """A short text; `default` where the query does not say, an error where there is none."""
        text = self._values.get(name, default)
        if text is None or len(text) > MAX_TEXT:
            raise BadQueryError(f"{name} takes a text of at most {MAX_TEXT} characters")
        return text


def to_integer(name: str, text: str) -> int:
    """The integer that a text says."""
    if not text.removeprefix("-").isdecimal() or len(text) > MAX_DIGITS:
        raise BadQueryError(f"{name} takes integers of at most {MAX_DIGITS} digits, not {text!r}")
    return int(text)

"""Apply a technique and call it for the first time, timed; a failure becomes the reason why it cannot run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from torchglass.reference_models.variants.results import CannotRun
from torchglass.reference_models.variants.technique import Subject
from torchglass.reference_models.variants.timing import reason

MOST_WARNINGS = 4
MOST_CHARACTERS = 200  # of a warning

Made = TypeVar("Made")
Seen = TypeVar("Seen")


class Prepared(NamedTuple, Generic[Made, Seen]):
    """What a technique made, what its first call returned, how long both took, and what torch warned of meanwhile."""

    made: Made
    seen: Seen
    seconds: float
    warnings: tuple[str, ...]


def prepare(
    make: Callable[[Subject], Made], use: Callable[[Made], Seen], subject: Subject, wait: Callable[[], None]
) -> Prepared[Made, Seen] | CannotRun:
    """Apply a technique to a subject and use what it made once."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        began = time.perf_counter()
        try:
            made = make(subject)
            seen = use(made)
            wait()
        except Exception as error:  # compilers, exporters and tracers raise classes of their own: all are the reason
            return CannotRun(reason(error))
        seconds = time.perf_counter() - began
    return Prepared(made, seen, seconds, _told(heard))


def _told(heard: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    """Each thing that was said, once, by its first line."""
    lines = dict.fromkeys(" ".join(str(each.message).strip().partition("\n")[0].split()) for each in heard)
    told = [line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…" for line in lines if line]
    rest = len(told) - MOST_WARNINGS
    return (*told[:MOST_WARNINGS], *([f"and {rest} more warnings"] if rest > 0 else []))

"""Several runs in an address: `?runs=first,second`, in an order that counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torchglass.errors import RunNotFoundError
from torchglass.store import Run, Store

PARAMETER = "runs"
SEPARATOR = ","
_ESCAPES = (("%", "%25"), (SEPARATOR, "%2C"))  # in a name


class Listed(NamedTuple):
    """Runs of a list, each once, and what it names that the store does not hold."""

    runs: tuple[Run, ...]
    unknown: tuple[str, ...]


def written(runs: Sequence[Run]) -> str:
    """The list as an address says it: names apart by commas, a comma in a name escaped."""
    return SEPARATOR.join(_replaced(run.name, _ESCAPES) for run in runs)


def names_in(text: str) -> list[str]:
    """The names of a list."""
    back = [(escape, plain) for plain, escape in reversed(_ESCAPES)]
    return [_replaced(part, back) for part in text.split(SEPARATOR) if part]


def read(store: Store, text: str, most: int) -> Listed:
    """The first so many runs of a list; what is named twice, or is nothing, is left out."""
    found: dict[int, Run] = {}
    unknown = []
    for name in names_in(text)[:most]:
        try:
            run = store.run(name)
            found.setdefault(run.id, run)
        except RunNotFoundError:
            unknown.append(name)
    return Listed(tuple(found.values()), tuple(unknown))


def _replaced(text: str, pairs: Sequence[tuple[str, str]]) -> str:
    for before, after in pairs:
        text = text.replace(before, after)
    return text

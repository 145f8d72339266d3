"""Several runs in an address: `?runs=first,second`, in an order that counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torchglass.errors import RunNotFoundError
from torchglass.store import Run, Store

PARAMETER = "runs"
SEPARATOR = ","
UID_CHARACTERS = 12  # of a run whose name the list would tear apart


class Listed(NamedTuple):
    """Runs of a list, each once, and what it names that the store does not hold."""

    runs: tuple[Run, ...]
    unknown: tuple[str, ...]


def written(runs: Sequence[Run]) -> str:
    """The list as an address says it: names, or the beginning of the uid where a name holds a comma."""
    return SEPARATOR.join(run.uid[:UID_CHARACTERS] if SEPARATOR in run.name else run.name for run in runs)


def read(store: Store, text: str, most: int) -> Listed:
    """The first so many runs of a list; what is named twice, or is nothing, is left out."""
    found: dict[int, Run] = {}
    unknown = []
    for name in [part for part in text.split(SEPARATOR) if part][:most]:
        try:
            run = store.run(name)
            found.setdefault(run.id, run)
        except RunNotFoundError:
            unknown.append(name)
    return Listed(tuple(found.values()), tuple(unknown))

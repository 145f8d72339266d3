"""The points of a run in pieces that fit into memory, whatever the length of a series."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from torchglass.store import Points, Series, Store

PIECE_POINTS = 250_000  # read at once: 6 MB as arrays, some 30 MB as Python objects
_FIRST_STEP = -(2**63)


def pieces(store: Store, series: Series, most: int = PIECE_POINTS) -> Iterator[Points]:
    """Yield the points of a series in order of step, at most about `most` at a time where its steps are even."""
    if series.count <= most or series.last_step is None:
        yield store.points(series.id)
        return
    start = _FIRST_STEP
    for end in _window_ends(series, most):
        piece = store.points(series.id, window=(start, end))
        if len(piece.steps):
            yield piece
        start = end + 1


def _window_ends(series: Series, most: int) -> Iterator[int]:
    """Last step of each window: even parts of what lies between 0 and the last step."""
    last = series.last_step or 0
    parts = -(-series.count // most)
    ends = {last} | {int(end) for end in np.linspace(0, last, parts + 1)[1:-1] if end < last}
    yield from sorted(ends)

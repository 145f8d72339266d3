"""What was recorded around a step beside the points of series; runs inside a transaction that its caller opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torchglass.store.engine import Connection


class Nearby(NamedTuple):
    """Steps at which rank 0 sampled histograms, with the NaN and Inf counted in all of them there.

    `artifacts` holds the steps of artifacts by their kind, in order.
    """

    histograms: Mapping[int, int]
    artifacts: Mapping[str, tuple[int, ...]]


def nearby(connection: Connection, run_id: int, first: int, last: int) -> Nearby:
    """Histograms and artifacts of the steps from `first` to `last`; no tensor's counts and no array is read."""
    histograms = connection.execute(
        "SELECT step, sum(nan_count + positive_infinity_count + negative_infinity_count) FROM histograms "
        "WHERE series_id IN (SELECT id FROM histogram_series WHERE run_id = ? AND rank = 0) "
        "AND step BETWEEN ? AND ? AND rewound = 0 GROUP BY step ORDER BY step",
        (run_id, first, last),
    ).fetchall()
    artifacts = connection.execute(
        "SELECT DISTINCT kind, step FROM artifacts WHERE run_id = ? AND step BETWEEN ? AND ? AND rewound = 0 "
        "ORDER BY kind, step",
        (run_id, first, last),
    ).fetchall()
    by_kind: dict[str, list[int]] = {}
    for kind, step in artifacts:
        by_kind.setdefault(kind, []).append(step)
    return Nearby(
        {int(step): int(count) for step, count in histograms},
        {kind: tuple(steps) for kind, steps in by_kind.items()},
    )

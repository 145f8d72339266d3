"""Series with their summaries, as rows: those of one run, and those of many runs in a few statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torchglass.store.arrivals import added_up, arrived, grouped, summaries
from torchglass.store.codec import decode_arrival
from torchglass.store.digest import LARGEST, Summary
from torchglass.store.engine import Connection
from torchglass.store.records import Series

RUNS_AT_ONCE = 500  # parameters of one statement: engines take a thousand and more
_ENDS = "key = ? OR key LIKE ? ESCAPE '~'"
_COLUMNS = f"id, run_id, rank, key, kind, unit, {', '.join(Summary._fields)}"


def of_run(connection: Connection, run_id: int, conditions: Iterable[tuple[str, Any]]) -> list[Series]:
    """Series of a run whose columns have these values (None for any), by key and rank."""
    wanted = [("run_id", run_id), *((column, value) for column, value in conditions if value is not None)]
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM series WHERE {' AND '.join(f'{column} = ?' for column, _ in wanted)} "
        "ORDER BY key, rank",
        [value for _, value in wanted],
    ).fetchall()
    fresh: dict[int, Summary] = {}
    for rank in {row[2] for row in rows}:
        fresh.update(summaries(grouped(arrived(connection, run_id, rank))))
    return [_to_series(row[:6], added_up(row[0], Summary(*row[6:]), fresh)) for row in rows]


def of_runs(
    connection: Connection, run_ids: Sequence[int], kinds: Sequence[str], endings: Sequence[str] | None
) -> dict[int, list[Series]]:
    """Series of rank 0 of each run, by key: of some kinds, or all if none is named.

    `endings` keeps keys that are one of them or have one of them behind a slash.
    """
    found: dict[int, list[Series]] = {run_id: [] for run_id in run_ids}
    if endings is not None and not endings:
        return found
    for start in range(0, len(run_ids), RUNS_AT_ONCE):
        some = list(run_ids[start : start + RUNS_AT_ONCE])
        condition, values = f"run_id IN ({_places(some)}) AND rank = 0", list[Any](some)
        if kinds:
            condition, values = f"{condition} AND kind IN ({_places(kinds)})", [*values, *kinds]
        for ending in endings or ():
            values += [ending, f"%/{_literal(ending)}"]
        if endings:
            condition += f" AND ({' OR '.join([_ENDS] * len(endings))})"
        rows = connection.execute(f"SELECT {_COLUMNS} FROM series WHERE {condition} ORDER BY key", values).fetchall()
        fresh = dict(_fresh(connection, some))
        for row in rows:
            found[row[1]].append(_to_series(row[:6], added_up(row[0], Summary(*row[6:]), fresh)))
    return found


def _literal(text: str) -> str:
    """A text in which LIKE sees no pattern."""
    return text.replace("~", "~~").replace("%", "~%").replace("_", "~_")


def _fresh(connection: Connection, run_ids: Sequence[int]) -> Iterator[tuple[int, Summary]]:
    """What the points that are not compacted yet come to, of each series of rank 0 that has any."""
    rows = connection.execute(
        f"SELECT run_id, payload FROM arrivals WHERE run_id IN ({_places(run_ids)}) AND rank = 0 ORDER BY id",
        list(run_ids),
    ).fetchall()
    payloads: dict[int, list[bytes]] = {}
    for run_id, payload in rows:
        payloads.setdefault(run_id, []).append(bytes(payload))
    for some in payloads.values():
        yield from summaries(grouped([block for payload in some for block in decode_arrival(payload)])).items()


def _places(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _to_series(head: Sequence[Any], summary: Summary) -> Series:
    count = summary.point_count - summary.rewound_count
    finite = count - summary.nonfinite_count
    series_id, run_id, rank, key, kind, unit = head
    return Series(
        id=series_id,
        run_id=run_id,
        rank=rank,
        key=key,
        kind=kind,
        unit=unit,
        count=count,
        nonfinite_count=summary.nonfinite_count,
        minimum=summary.minimum,
        minimum_step=summary.minimum_step,
        maximum=summary.maximum,
        maximum_step=summary.maximum_step,
        mean=summary.total / finite if finite and abs(summary.total) < LARGEST else None,
        last=summary.last,
        last_step=summary.last_step,
        cursor=summary.point_count,
    )

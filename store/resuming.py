"""A run that goes on from one of its steps: what it had recorded from there on is hidden, and can be shown again.

Each function runs inside a transaction that its caller opened alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from torchglass.errors import StoreError
from torchglass.store.compaction import compact, put_summaries
from torchglass.store.digest import Summary, joined, summarize
from torchglass.store.engine import Connection
from torchglass.store.points import SeriesReader
from torchglass.store.records import Resumption, Run
from torchglass.store.writing import hold_rank, put_heartbeat, to_json

_HISTOGRAMS = "series_id IN (SELECT id FROM histogram_series WHERE run_id = ?)"
_STEPPED = (("histograms", _HISTOGRAMS), ("profiler_windows", "run_id = ?"), ("artifacts", "run_id = ?"))


def resume(
    connection: Connection, run: Run, step: int | None, config: Mapping[str, Any], *, rank: int, host: str, pid: int,
    launch_id: str | None, now: float,
) -> int:  # fmt: skip
    """Let a run go on and return its next step: `step`, or the one after the last; ranks of one launch resume once.

    Raises:
        StoreError: it is still being recorded.
    """
    begun_at = _begun_by(connection, run, launch_id)
    if begun_at is not None:
        put_heartbeat(connection, run.id, rank, now)
        return begun_at
    if _is_being_recorded(run, host):
        # A process seen alive will not pass; one elsewhere, or one that had our own number, may have died just now.
        raise StoreError(
            f"run {run.name!r} is still being recorded by process {run.pid} on {run.host}: end that one first; a "
            "process that died without a word is taken for lost after 15 s",
            may_pass=run.host != host or run.pid == pid,
        )
    _compact_all_ranks(connection, run.id)
    number = _count(connection, run.id) + 1
    start = _next_step(connection, run) if step is None else step
    hidden = _hide(connection, run.id, number, start) if step is not None else 0
    connection.execute(
        "INSERT INTO resumptions (run_id, number, step, time, launch_id, status, error, hidden_count) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (run.id, number, start, now, launch_id, run.status, run.error, hidden),
    )
    connection.execute(
        "UPDATE runs SET status = 'running', ended_at = NULL, error = NULL, host = ?, pid = ?, config = ? WHERE id = ?",
        (host, pid, to_json({**run.config, **config}), run.id),
    )
    put_heartbeat(connection, run.id, rank, now)
    return start


def unwind(connection: Connection, run: Run, now: float) -> None:
    """Show again what the last resumption hid; where both recorded a step, what came later counts.

    Raises:
        StoreError: there is none that is not undone already.
    """
    row = connection.execute(
        "SELECT max(number) FROM resumptions WHERE run_id = ? AND undone_at IS NULL", (run.id,)
    ).fetchone()
    if row[0] is None:
        raise StoreError(f"run {run.name!r} was never resumed, or that is undone already: nothing of it is hidden")
    number = int(row[0])
    _compact_all_ranks(connection, run.id)
    affected = connection.execute(
        "SELECT series_id FROM rewinds WHERE number = ? AND series_id IN (SELECT id FROM series WHERE run_id = ?)",
        (number, run.id),
    ).fetchall()
    connection.executemany(
        "DELETE FROM rewinds WHERE series_id = ? AND number = ?", [(series_id, number) for (series_id,) in affected]
    )
    _sum_up_anew(connection, [series_id for (series_id,) in affected])
    connection.execute(
        f"UPDATE histograms SET rewound = 0 WHERE {_HISTOGRAMS} AND rewound = ? AND NOT EXISTS (SELECT 1 FROM "
        "histograms later WHERE later.series_id = histograms.series_id AND later.step = histograms.step "
        "AND later.rewound = 0)",
        (run.id, number),
    )
    for table, of_run in _STEPPED[1:]:
        connection.execute(f"UPDATE {table} SET rewound = 0 WHERE {of_run} AND rewound = ?", (run.id, number))
    connection.execute("UPDATE resumptions SET undone_at = ? WHERE run_id = ? AND number = ?", (now, run.id, number))


def resumptions(connection: Connection, run_id: int) -> list[Resumption]:
    """Every time that a run went on, in that order."""
    rows = connection.execute(
        f"SELECT {', '.join(Resumption._fields)} FROM resumptions WHERE run_id = ? ORDER BY number", (run_id,)
    ).fetchall()
    return [Resumption(*row) for row in rows]


def _begun_by(connection: Connection, run: Run, launch_id: str | None) -> int | None:
    """The step at which another rank of this launch let the run go on, or 0 if it made it; None if none did."""
    if launch_id is None or run.status != "running":
        return None
    row = connection.execute(
        "SELECT step FROM resumptions WHERE run_id = ? AND launch_id = ? AND undone_at IS NULL ORDER BY number DESC",
        (run.id, launch_id),
    ).fetchone()
    if row is not None:
        return int(row[0])
    made = connection.execute("SELECT 1 FROM runs WHERE id = ? AND launch_id = ?", (run.id, launch_id)).fetchone()
    return 0 if made is not None else None


def _is_being_recorded(run: Run, host: str) -> bool:
    return run.status == "running" and not (run.host == host and _is_gone(run.pid))


def _is_gone(pid: int) -> bool:
    """Whether there is no such process here; where that cannot be told, there may be one."""
    if os.name != "posix":
        return False  # there a signal 0 would interrupt it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _compact_all_ranks(connection: Connection, run_id: int) -> None:
    ranks = connection.execute("SELECT rank FROM ranks WHERE run_id = ? ORDER BY rank", (run_id,)).fetchall()
    for (rank,) in ranks:
        hold_rank(connection, run_id, rank)
        compact(connection, run_id, rank, is_last=True)


def _count(connection: Connection, run_id: int) -> int:
    return int(connection.execute("SELECT count(*) FROM resumptions WHERE run_id = ?", (run_id,)).fetchone()[0])


def _next_step(connection: Connection, run: Run) -> int:
    last = connection.execute("SELECT max(last_step) FROM series WHERE run_id = ?", (run.id,)).fetchone()[0]
    return max(0 if last is None else int(last) + 1, run.parent_step or 0)


def _hide(connection: Connection, run_id: int, number: int, step: int) -> int:
    """Hide what was recorded at or after a step; return how many points that were."""
    rows = connection.execute(
        "SELECT id, point_count, rewound_count FROM series WHERE run_id = ? AND last_step >= ?", (run_id, step)
    ).fetchall()
    connection.executemany(
        "INSERT INTO rewinds (series_id, number, step, until_index) VALUES (?, ?, ?, ?)",
        [(series_id, number, step, point_count) for series_id, point_count, _ in rows],
    )
    for table, of_run in _STEPPED:
        connection.execute(
            f"UPDATE {table} SET rewound = ? WHERE {of_run} AND step >= ? AND rewound = 0", (number, run_id, step)
        )
    before: int = sum(rewound for *_, rewound in rows)
    return _sum_up_anew(connection, [series_id for series_id, *_ in rows]) - before


def _sum_up_anew(connection: Connection, series_ids: Iterable[int]) -> int:
    """Have the summaries of compacted series cover what is shown; return how many of their points are not."""
    found = {series_id: _summary(connection, series_id) for series_id in series_ids}
    put_summaries(connection, found)
    return sum(summary.rewound_count for summary in found.values())


def _summary(connection: Connection, series_id: int) -> Summary:
    shown = Summary()
    reader = SeriesReader(connection, series_id)
    for steps, _, values in reader.stretches():
        shown = joined(shown, summarize(steps, values[:, None])[0])
    return shown._replace(point_count=reader.end, rewound_count=reader.end - shown.point_count)

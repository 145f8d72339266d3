"""Rows that just arrived: one record for each write, read beside the chunks until compaction turns them into such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from torchglass.store.codec import Arrived, decode_arrival
from torchglass.store.digest import Summary, joined, summarize
from torchglass.store.engine import Connection
from torchglass.store.records import Floats, Integers


class Group(NamedTuple):
    """Series `ids` (k,) that share their `steps` (n,) and `times` (n,); `values` (n, k), in the order written."""

    ids: Integers
    steps: Integers
    times: Floats
    values: Floats


def arrived(connection: Connection, run_id: int, rank: int) -> list[Arrived]:
    """Blocks of a run and rank that are not compacted yet, in the order written."""
    rows = connection.execute(
        "SELECT payload FROM arrivals WHERE run_id = ? AND rank = ? ORDER BY id", (run_id, rank)
    ).fetchall()
    return [block for (payload,) in rows for block in decode_arrival(bytes(payload))]


def of_series(blocks: Sequence[Arrived], series_id: int) -> tuple[Integers, Floats, Floats]:
    """Steps (n,), times (n,) and values (n,) of one series."""
    found = [(block, column) for block in blocks for column in np.flatnonzero(block.ids == series_id).tolist()]
    if not found:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    return (
        np.concatenate([block.steps for block, _ in found]),
        np.concatenate([block.times for block, _ in found]),
        np.concatenate([block.values[:, column] for block, column in found]),
    )


def grouped(blocks: Sequence[Arrived]) -> list[Group]:
    """Every point of the blocks, series that always came together side by side."""
    alike: dict[bytes, list[Arrived]] = {}
    for block in blocks:
        if len(block.steps):
            alike.setdefault(block.ids.tobytes(), []).append(block)
    if not alike:
        return []
    ids, appearances = np.unique(np.concatenate([same[0].ids for same in alike.values()]), return_counts=True)
    scattered = ids[appearances > 1]
    groups = [_stacked(same, scattered) for same in alike.values()]
    for series_id in scattered.tolist():
        steps, times, values = of_series(blocks, series_id)
        groups.append(Group(np.array([series_id]), steps, times, values[:, None]))
    return [group for group in groups if group.ids.size]


def _stacked(blocks: list[Arrived], without: Integers) -> Group:
    kept = ~np.isin(blocks[0].ids, without)
    return Group(
        blocks[0].ids[kept],
        np.concatenate([block.steps for block in blocks]),
        np.concatenate([block.times for block in blocks]),
        np.concatenate([block.values for block in blocks])[:, kept],
    )


def summaries(groups: Sequence[Group]) -> dict[int, Summary]:
    """What the points of each series come to."""
    return {
        series_id: summary
        for group in groups
        for series_id, summary in zip(group.ids.tolist(), summarize(group.steps, group.values), strict=True)
    }


def added_up(series_id: int, stored: Summary, fresh: dict[int, Summary]) -> Summary:
    """A series' stored summary together with what has arrived since."""
    return joined(stored, fresh[series_id]) if series_id in fresh else stored

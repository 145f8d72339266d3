"""Rows that just arrived: one record for each write, read beside the chunks until compaction turns them into such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class Column(NamedTuple):
    """Points of one series that just arrived, each (n,), in the order written."""

    steps: Integers
    times: Floats
    values: Floats


NOTHING = Column(np.empty(0, np.int64), np.empty(0), np.empty(0))


def arrived(connection: Connection, run_id: int, rank: int) -> list[Arrived]:
    """Blocks of a run and rank that are not compacted yet, in the order written."""
    rows = connection.execute(
        "SELECT payload FROM arrivals WHERE run_id = ? AND rank = ? ORDER BY id", (run_id, rank)
    ).fetchall()
    return [block for (payload,) in rows for block in decode_arrival(bytes(payload))]


def arrived_by_series(connection: Connection, run_id: int, rank: int) -> dict[int, Column]:
    """Points of every series of a run and rank that are not compacted yet, by its id."""
    return {
        series_id: Column(group.steps, group.times, group.values[:, place])
        for group in grouped(arrived(connection, run_id, rank))
        for place, series_id in enumerate(group.ids.tolist())
    }


def of_series(blocks: Sequence[Arrived], series_id: int) -> Column:
    """Points of one series; of several at once `arrived_by_series` is faster."""
    found = [(block, column) for block in blocks for column in (block.ids == series_id).nonzero()[0].tolist()]
    if not found:
        return NOTHING
    return Column(
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
    if scattered.size:
        groups += _apart(blocks, scattered)
    return [group for group in groups if group.ids.size]


def _apart(blocks: Sequence[Arrived], series_ids: Integers) -> Iterator[Group]:
    """Each of these series by itself: sorted once, as a search of every block for each of them takes many seconds."""
    ids = np.concatenate([np.tile(block.ids, len(block.steps)) for block in blocks])
    steps = np.concatenate([np.repeat(block.steps, len(block.ids)) for block in blocks])
    times = np.concatenate([np.repeat(block.times, len(block.ids)) for block in blocks])
    values = np.concatenate([block.values.reshape(-1) for block in blocks])
    order = np.argsort(ids, kind="stable")
    bounds = (np.searchsorted(ids[order], series_ids, side).tolist() for side in ("left", "right"))
    for series_id, start, end in zip(series_ids.tolist(), *bounds, strict=True):
        mine = order[start:end]
        yield Group(np.array([series_id]), steps[mine], times[mine], values[mine, None])


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

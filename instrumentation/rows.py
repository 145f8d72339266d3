"""Values recorded together: a layout names them once, and a row is their bytes, which a whole flush turns to columns.

A row costs the training thread two small objects, and the writer no work for each value.
"""

from __future__ import annotations

import json
import struct
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from torchglass.store import Column, RowBlock
from torchglass.store.records import Floats, SeriesKind

MAX_COLUMNS_KEPT = 100_000  # of all layouts together, about 15 MB: a program may invent a name at every step
ROW_BYTES = 150  # what a row takes beside its values: two small objects, a step and a time


class Layout:
    """Which series the values of a row belong to, and how they are packed: step, time, values; 8 bytes each.

    `text` says the same as `columns`. A row carries it in the layout's place: of nothing but text and bytes the garbage
    collector keeps no account, where 100,000 rows that wait would have it search the whole process again and again.
    """

    __slots__ = ("columns", "floats", "pack", "row_bytes", "text")

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.text = json.dumps(self.columns)
        self.floats: list[type] = [float] * len(self.columns)  # what a row's types are compared with
        self.pack = struct.Struct(f"=qd{len(self.columns)}d").pack
        self.row_bytes = ROW_BYTES + 8 * len(self.columns)


Row = tuple[str, bytes]  # made by `(layout.text, layout.pack(step, time, *values))`
RowToMake = tuple[Callable[..., Row], tuple[Any, ...]]  # a function that the writer calls, and its arguments


class Layouts:
    """Layouts by the names of their columns; which are forgotten when there are very many."""

    def __init__(self) -> None:
        self._scalars: dict[tuple[str, ...], Layout] = {}
        self._others: dict[object, Layout] = {}
        self._column_count = 0
        self.find_scalars = self._scalars.get  # by names alone: no Python frame on the way of what users log

    def of(self, keys: tuple[str, ...], kind: SeriesKind = "scalar", units: Mapping[str, str] | None = None) -> Layout:
        """Return the layout of these columns, the same one as before if it is still known."""
        signature = (keys, kind, tuple(units.items()) if units else ())
        layout = self._scalars.get(keys) if signature[1:] == ("scalar", ()) else self._others.get(signature)
        if layout is None:
            layout = Layout([Column(key, kind, units.get(key, "") if units else "") for key in keys])
            self._make_room_for(len(keys))
            if signature[1:] == ("scalar", ()):
                self._scalars[keys] = layout
            else:
                self._others[signature] = layout
        return layout

    def _make_room_for(self, columns: int) -> None:
        if self._column_count + columns > MAX_COLUMNS_KEPT:
            self._scalars.clear()
            self._others.clear()
            self._column_count = 0
        self._column_count += columns


def last_step(rows: Sequence[Row]) -> int:
    """Return the step that was recorded last."""
    return int.from_bytes(rows[-1][1][:8], sys.byteorder, signed=True)


def to_row_blocks(rows: Iterable[Row]) -> list[RowBlock]:
    """Turn rows into blocks of columns; the points of each series stay in the order recorded.

    Rows of one layout make one block. A name that several layouts share gets a block of its own, filled in turns.
    """
    packed: dict[str, list[bytes]] = defaultdict(list)
    positions: dict[str, list[int]] = defaultdict(list)
    for position, (text, row) in enumerate(rows):
        packed[text].append(row)
        positions[text].append(position)
    tables = [_Table(text, rows_of_it, positions[text]) for text, rows_of_it in packed.items()]
    blocks = []
    for owners, columns in _by_tables(tables).items():
        parts = [tables[index].part(columns) for index in owners]
        whole = parts[0]
        if len(parts) > 1:
            order = np.argsort(np.concatenate([tables[index].positions for index in owners]))
            whole = np.concatenate(parts)[order]
        blocks.append(_block(columns, whole))
    return blocks


class _Table:
    """Rows of one layout: `cells` (n, 2 + k) are the step's bits, the time and the values; `positions` (n,)."""

    def __init__(self, text: str, rows: list[bytes], positions: list[int]) -> None:
        self.columns = [Column(*each) for each in json.loads(text)]
        self.cells: Floats = np.frombuffer(b"".join(rows), np.float64).reshape(len(rows), -1)
        self.positions = positions

    def part(self, columns: Sequence[Column]) -> Floats:
        """Steps, times and the values of some of the columns."""
        keys = [column.key for column in self.columns]
        wanted = [column.key for column in columns]
        if wanted == keys:
            return self.cells
        places = {key: place for place, key in enumerate(keys, start=2)}
        return self.cells[:, [0, 1, *(places[key] for key in wanted)]]


def _by_tables(tables: Sequence[_Table]) -> dict[tuple[int, ...], list[Column]]:
    """Group columns by the tables in which their names occur."""
    owners: dict[str, list[int]] = defaultdict(list)
    columns: dict[str, Column] = {}
    for index, table in enumerate(tables):
        for column in table.columns:
            owners[column.key].append(index)
            columns.setdefault(column.key, column)
    groups: dict[tuple[int, ...], list[Column]] = defaultdict(list)
    for key, indices in owners.items():
        groups[tuple(indices)].append(columns[key])
    return groups


def _block(columns: Sequence[Column], cells: Floats) -> RowBlock:
    return RowBlock(
        tuple(columns), cells.view(np.int64)[:, 0].copy(), cells[:, 1].copy(), np.ascontiguousarray(cells[:, 2:])
    )

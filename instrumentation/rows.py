"""Values recorded together: a layout names them once, and a row is their bytes, which a whole flush turns to columns.

A row costs the training thread one small object that the garbage collector need not visit, and the writer no work for
each value.
"""

from __future__ import annotations

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
    """Which series the values of a row belong to, and how they are packed: step, time, values; 8 bytes each."""

    __slots__ = ("columns", "floats", "pack", "row_bytes")

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.floats: list[type] = [float] * len(self.columns)  # what a row's types are compared with
        self.pack = struct.Struct(f"=qd{len(self.columns)}d").pack
        self.row_bytes = ROW_BYTES + 8 * len(self.columns)


Row = tuple[Layout, bytes]  # made by `(layout, layout.pack(step, time, *values))`
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
    packed: dict[Layout, list[bytes]] = defaultdict(list)
    positions: dict[Layout, list[int]] = defaultdict(list)
    for position, (layout, row) in enumerate(rows):
        packed[layout].append(row)
        positions[layout].append(position)
    tables = {layout: _table(rows_of_it) for layout, rows_of_it in packed.items()}
    blocks = []
    for layouts, columns in _by_layouts(tables).items():
        if len(layouts) == 1:
            table = tables[layouts[0]]
        else:
            table = np.concatenate([_part(tables[layout], layout, columns) for layout in layouts])
            table = table[np.argsort(np.concatenate([positions[layout] for layout in layouts]))]
        if len(layouts) == 1 and len(columns) < len(layouts[0].columns):
            table = _part(table, layouts[0], columns)
        blocks.append(_block(columns, table))
    return blocks


def _table(rows: list[bytes]) -> Floats:
    """Rows (n, 2 + k): the step's bits, the time and the values."""
    return np.frombuffer(b"".join(rows), np.float64).reshape(len(rows), -1)


def _by_layouts(layouts: Iterable[Layout]) -> dict[tuple[Layout, ...], list[Column]]:
    """Group columns by the layouts in which their names occur."""
    owners: dict[str, list[Layout]] = defaultdict(list)
    columns: dict[str, Column] = {}
    for layout in layouts:
        for column in layout.columns:
            owners[column.key].append(layout)
            columns.setdefault(column.key, column)
    groups: dict[tuple[Layout, ...], list[Column]] = defaultdict(list)
    for key, owners_of_it in owners.items():
        groups[tuple(owners_of_it)].append(columns[key])
    return groups


def _part(table: Floats, layout: Layout, columns: Sequence[Column]) -> Floats:
    """Steps, times and some of the columns of a table."""
    places = {column.key: place for place, column in enumerate(layout.columns, start=2)}
    return table[:, [0, 1, *(places[column.key] for column in columns)]]


def _block(columns: Sequence[Column], table: Floats) -> RowBlock:
    return RowBlock(
        tuple(columns), table.view(np.int64)[:, 0].copy(), table[:, 1].copy(), np.ascontiguousarray(table[:, 2:])
    )

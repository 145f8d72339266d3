"""A run's points as Parquet, a row per point, in the columns of the CSV; needs pyarrow.

`key`, `kind` and `unit` are dictionaries of strings, `rank` int32, `step` int64, `time` (seconds since the epoch) and
`value` float64. What is known of the run stands in the file's own metadata, as JSON under "torchglass".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from torchglass.exchange.progress import Advance
from torchglass.exchange.reading import pieces
from torchglass.store import Points, Run, Series, Store

ROWS_PER_GROUP = 1_000_000  # what a reader takes up at once; many short series share a group

_WORDS = pa.dictionary(pa.int32(), pa.string())
_FIELDS = [
    ("key", _WORDS),
    ("kind", _WORDS),
    ("unit", _WORDS),
    ("rank", pa.int32()),
    ("step", pa.int64()),
    ("time", pa.float64()),
    ("value", pa.float64()),
]


def write_parquet(path: Path, store: Store, run: Run, series: Sequence[Series], advance: Advance) -> int:
    """Write every point of the series and return their number."""
    about = {"torchglass": json.dumps(asdict(run), ensure_ascii=False)}
    schema = pa.schema(_FIELDS, metadata=about)
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(store, series, schema):
            writer.write_table(group, row_group_size=ROWS_PER_GROUP)
            count += group.num_rows
            advance(group.num_rows)
    return count


def _groups(store: Store, series: Sequence[Series], schema: Any) -> Iterator[Any]:
    """Tables of about `ROWS_PER_GROUP` rows."""
    waiting: list[Any] = []
    for table in _tables(store, series, schema):
        waiting.append(table)
        if sum(each.num_rows for each in waiting) >= ROWS_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _tables(store: Store, series: Sequence[Series], schema: Any) -> Iterator[Any]:
    columns = [_Words(word) for word in zip(*((each.key, each.kind, each.unit) for each in series), strict=True)]
    for each in series:
        for piece in pieces(store, each):
            size = len(piece.steps)
            words = [
                column.repeat(word, size)
                for column, word in zip(columns, (each.key, each.kind, each.unit), strict=True)
            ]
            rank = pa.array(np.full(size, each.rank, np.int32))
            yield pa.Table.from_arrays([*words, rank, *_numbers(piece)], schema=schema)


class _Words:
    """One dictionary for a whole column: readers then need not merge those of the pieces."""

    def __init__(self, words: Sequence[str]) -> None:
        self._index = {word: index for index, word in enumerate(dict.fromkeys(words))}
        self._dictionary = pa.array(list(self._index), pa.string())

    def repeat(self, word: str, size: int) -> Any:
        """The word, `size` times."""
        indices = pa.array(np.full(size, self._index[word], np.int32))
        return pa.DictionaryArray.from_arrays(indices, self._dictionary)


def _numbers(points: Points) -> list[Any]:
    return [pa.array(points.steps), pa.array(points.times), pa.array(points.values)]

"""A run's points as CSV (RFC 4180), a row per point: `key,kind,unit,rank,step,time,value`.

Long rather than wide: series have steps of their own, and a wide table would be mostly holes that no reader can tell
from missing values. `time` is in seconds since the epoch; numbers are the shortest text that reads back to the same
float64, and what is not finite is `nan`, `inf` or `-inf`.

A text that a spreadsheet would compute, because it begins with `=`, `+`, `-`, `@` (also full-width), a tab or
a line break, gets an apostrophe in front, and so does one that begins with an apostrophe: `original` takes one away and
has every text back. Numbers never get one, and Parquet keeps all as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from torchglass.exchange.progress import Advance
from torchglass.exchange.reading import pieces
from torchglass.store import Points, Series, Store

COLUMNS = ("key", "kind", "unit", "rank", "step", "time", "value")
_APOSTROPHE = "'"
_FORMULA_STARTS = (*"=+-@＝＋－＠", "\t", "\r", "\n")


def write_csv(path: Path, store: Store, series: Iterable[Series], advance: Advance) -> int:
    """Write every point of the series and return their number."""
    count = 0
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\r\n")
        for each in series:
            start = _row_start(each)
            for piece in pieces(store, each):
                file.write(_rows(start, piece))
                count += len(piece.steps)
                advance(len(piece.steps))
    return count


def _row_start(series: Series) -> str:
    """The cells that all rows of a series share, quoted where they must be, with the comma that follows."""
    buffer = io.StringIO()
    cells = (harmless(series.key), series.kind, harmless(series.unit), series.rank)
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().removesuffix("\r\n") + ","


def harmless(cell: str) -> str:
    """A text as a cell that no spreadsheet computes."""
    return f"{_APOSTROPHE}{cell}" if cell.startswith((*_FORMULA_STARTS, _APOSTROPHE)) else cell


def original(cell: str) -> str:
    """The text that `harmless` made a cell of."""
    return cell.removeprefix(_APOSTROPHE)


def _rows(start: str, points: Points) -> str:
    columns = (points.steps.tolist(), points.times.tolist(), points.values.tolist())
    return "".join([f"{start}{step},{time!r},{value!r}\r\n" for step, time, value in zip(*columns, strict=True)])

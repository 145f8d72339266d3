"""Any table of the user's own: a CSV file with a header line, numbers as features and one column to predict.

The target is the column `target`, else `label`, else the last one. Its values are classes where one of them is not a
number, or where all are whole numbers of at most 20 different values; otherwise it is a number to predict. Columns are
separated by commas, semicolons or tabs, whichever the header line has most of.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from torchglass.errors import DataError
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.tables_split import classify_table, regress_table

if TYPE_CHECKING:
    from torchglass.reference_models.data.samples import Split

TARGET_NAMES = ("target", "label")
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-"})
SEPARATORS = ",;\t"
MAX_NUMERIC_CLASSES = 20
MIN_ROWS = 10  # of which two are the test
LARGEST = float(np.finfo(np.float32).max)  # 3.4e38
MAX_NUMBERS = 1 << 26  # 256 MB of features: what a laptop holds beside a model


class Rows(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int:
        """The line of the file at which the last row ended, from 1."""
        ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


@dataclass(frozen=True)
class Table:
    """What a file holds: features row by row (N * F), and the target's cells with the line that each stands in."""

    path: Path
    feature_names: tuple[str, ...]
    target_name: str
    features: array[float]
    cells: tuple[str, ...]
    lines: array[int]


def load_csv_table(request: DataRequest) -> Split:
    """Load the file of the request as classes or as numbers to predict, split by the request's seed.

    Raises:
        DataError: when there is no file, or it is no such table; the message names line and column.
    """
    if request.path is None:
        raise DataError("this data set is a file of yours: name a CSV table with --data FILE")
    table = read_table(request.path)
    features = np.frombuffer(table.features, dtype=np.float32).reshape(len(table.cells), -1)
    numbers = _numeric_target(table)
    if numbers is not None:
        if min(numbers) == max(numbers):
            raise DataError(
                f"{table.path}: column {table.target_name!r} is {numbers[0]:g} in every row: nothing to learn"
            )
        return regress_table(features, np.array(numbers), table.feature_names, request.seed)
    class_names = _class_names(table)
    place = {name: index for index, name in enumerate(class_names)}
    labels = np.array([place[cell] for cell in table.cells])
    return classify_table(features, labels, table.feature_names, class_names, request.seed)


def read_table(path: Path) -> Table:
    """Read a CSV file whose features are all numbers.

    Raises:
        DataError: when it cannot be read or a cell does not hold what it must.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            separator = _separator(file.readline())
            file.seek(0)
            return _parse(path, csv.reader(file, delimiter=separator, strict=True))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; name a CSV table with --data FILE") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8 (byte {error.start}): save the table as CSV in UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV table: {error}") from error


def _separator(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def _parse(path: Path, rows: Rows) -> Table:
    names = _header(path, next(rows, []))
    target = next((names.index(name) for name in TARGET_NAMES if name in names), len(names) - 1)
    features, cells, lines = array("f"), list[str](), array("q")
    for line, row in _numbered(rows):
        if len(row) != len(names):
            raise DataError(f"{path}, line {line} has {len(row)} columns and the header {len(names)}: give it as many")
        for column, cell in enumerate(row):
            if cell.strip().lower() in MISSING:
                raise DataError(_missing(path, line, names[column], cell))
            if column != target:
                features.append(_number(path, line, names[column], cell))
        cells.append(_plain(row[target].strip()))
        lines.append(line)
        if len(features) > MAX_NUMBERS:
            raise DataError(
                f"{path} holds more than {MAX_NUMBERS} numbers (line {line}): train on fewer rows or columns"
            )
    if len(cells) < MIN_ROWS:
        raise DataError(f"{path} has {len(cells)} rows: {MIN_ROWS} are the fewest that can be split and learnt from")
    feature_names = tuple(name for column, name in enumerate(names) if column != target)
    return Table(path, feature_names, names[target], features, tuple(cells), lines)


def _header(path: Path, row: Sequence[str]) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in row)
    if not any(names):
        raise DataError(f"{path} begins with an empty line: its first line must name the columns")
    if all(_is_number(name) for name in names):
        raise DataError(f"{path}, line 1 holds numbers only: its first line must name the columns")
    if len(names) < 2:
        raise DataError(f"{path} has one column, {names[0]!r}: a table needs a feature and a target")
    repeated = [name for name, count in Counter(names).items() if count > 1 or not name]
    if repeated:
        raise DataError(f"{path}, line 1 names a column {repeated[0]!r}, twice or blank: give each a name of its own")
    return names


def _numbered(rows: Rows) -> Iterator[tuple[int, list[str]]]:
    for row in rows:
        if row:  # an empty line, as at a file's end, is no row
            yield rows.line_num, row


def _missing(path: Path, line: int, column: str, cell: str) -> str:
    found = f"holds {cell.strip()!r}, a missing value" if cell.strip() else "is empty"
    return f"{path}, line {line}: column {column!r} {found}: fill it in, or remove the row or the column"


def _number(path: Path, line: int, column: str, cell: str) -> float:
    """Read a feature."""
    if not _is_number(cell) or abs(float(cell)) > LARGEST:
        shown = cell.strip()[:40]
        raise DataError(
            f"{path}, line {line}: column {column!r} holds {shown!r}, which is not a number that float32 holds: "
            "features are numbers, so write categories as numbers or remove the column"
        )
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _plain(cell: str) -> str:
    """Write a whole number one way: "2", "2.0" and "+2" are one label."""
    return str(int(float(cell))) if _is_number(cell) and float(cell).is_integer() else cell


def _numeric_target(table: Table) -> list[float] | None:
    if not all(_is_number(cell) for cell in table.cells):
        return None
    numbers = [float(cell) for cell in table.cells]
    counts_as_classes = len(set(numbers)) <= MAX_NUMERIC_CLASSES and all(each.is_integer() for each in numbers)
    return None if counts_as_classes else numbers


def _class_names(table: Table) -> tuple[str, ...]:
    """Return the classes, numbers in order of size and texts in order of the alphabet, each with two rows at least."""
    rows = Counter(table.cells)
    if len(rows) == 1:
        raise DataError(
            f"{table.path}: column {table.target_name!r} is {table.cells[0][:40]!r} in every row: a classifier needs "
            "two labels or more"
        )
    rare = next((index for index, cell in enumerate(table.cells) if rows[cell] == 1), None)
    if rare is not None:
        raise DataError(
            f"{table.path}, line {table.lines[rare]}: column {table.target_name!r} holds {table.cells[rare][:40]!r}, a "
            "label of this row alone: every label needs a row to learn from and one to test; is it the target column?"
        )
    return tuple(sorted(rows, key=lambda name: (0, float(name), name) if _is_number(name) else (1, 0.0, name)))

"""Any table of the user's own: a CSV file with a header line, numbers as features and one column to predict.

The target is the column `target`, else `label`, in any case, else the last one. Its values are classes where one of
them is not a number, or where all are whole numbers of at most 20 different values; otherwise it is a number to
predict. Columns are separated by commas, semicolons or tabs, whichever the header line has most of.
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
SHOWN = 40  # characters of a cell that a message repeats
EXACT = 1 << 53  # whole numbers up to here are told apart by a float
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
                f"{table.path}: column {_shown(table.target_name)} is {numbers[0]:g} in every row: nothing to learn"
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
            rows = csv.reader(file, delimiter=separator, strict=True)
            try:
                return _parse(path, rows)
            except csv.Error as error:
                raise DataError(f"{path} is not a CSV table: line {rows.line_num}, {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; name a CSV table with --data FILE") from error
    except UnicodeDecodeError as error:
        line = _first_not_utf8(path)
        raise DataError(f"{path}, line {line} is not text in UTF-8: save the table as CSV in UTF-8") from error


def _first_not_utf8(path: Path) -> int:
    """Return the first line of a file that is not UTF-8: what decodes it in pieces counts within a piece."""
    with path.open("rb") as file:
        return next(number for number, line in enumerate(file, start=1) if not _is_utf8(line))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _separator(header: str) -> str:
    return max(SEPARATORS, key=header.count)


def _parse(path: Path, rows: Rows) -> Table:
    names = _header(path, next(rows, []))
    target = _target(names)
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
    if len(names) < 2:
        raise DataError(f"{path} has one column, {_shown(names[0])}: a table needs a feature and a target")
    target = _target(names)
    if names[target].lower() not in TARGET_NAMES and all(_is_number(name) for name in names[:target]):
        raise DataError(f"{path}, line 1 holds numbers: its first line must name the columns")
    repeated = [name for name, count in Counter(names).items() if count > 1 or not name]
    if repeated:
        raise DataError(
            f"{path}, line 1 names a column {_shown(repeated[0])}, twice or blank: give each a name of its own"
        )
    return names


def _target(names: Sequence[str]) -> int:
    lower = [name.lower() for name in names]
    return next((lower.index(name) for name in TARGET_NAMES if name in lower), len(names) - 1)


def _numbered(rows: Rows) -> Iterator[tuple[int, list[str]]]:
    for row in rows:
        if row:  # an empty line, as at a file's end, is no row
            yield rows.line_num, row


def _missing(path: Path, line: int, column: str, cell: str) -> str:
    found = f"holds {cell.strip()!r}, a missing value" if cell.strip() else "is empty"
    return f"{path}, line {line}: column {_shown(column)} {found}: fill it in, or remove the row or the column"


def _number(path: Path, line: int, column: str, cell: str) -> float:
    """Read a feature."""
    if not _is_number(cell) or abs(float(cell)) > LARGEST:
        raise DataError(
            f"{path}, line {line}: column {_shown(column)} holds {_shown(cell.strip())}, which is not a number that "
            "float32 holds: features are numbers, so write categories as numbers or remove the column"
        )
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _plain(cell: str) -> str:
    """Write a whole number one way: "2", "2.0" and "+2" are one label, and longer ones are what they are called."""
    is_whole = _is_number(cell) and float(cell).is_integer() and abs(float(cell)) < EXACT
    return str(int(float(cell))) if is_whole else cell


def _numeric_target(table: Table) -> list[float] | None:
    if not all(_is_number(cell) for cell in table.cells):
        return None
    numbers = [float(cell) for cell in table.cells]
    counts_as_classes = len(set(numbers)) <= MAX_NUMERIC_CLASSES and all(each.is_integer() for each in numbers)
    if counts_as_classes:
        return None
    wild = next((index for index, number in enumerate(numbers) if abs(number) > LARGEST), None)
    if wild is not None:
        raise DataError(
            f"{table.path}, line {table.lines[wild]}: column {_shown(table.target_name)} holds "
            f"{_shown(table.cells[wild])}, which is not a number that float32 holds: predict it in a larger unit"
        )
    return numbers


def _class_names(table: Table) -> tuple[str, ...]:
    """Return the classes, numbers in order of size and texts in order of the alphabet, each with two rows at least."""
    rows = Counter(table.cells)
    if len(rows) == 1:
        raise DataError(
            f"{table.path}: column {_shown(table.target_name)} is {_shown(table.cells[0])} in every row: a classifier "
            "needs two labels or more"
        )
    rare = next((index for index, cell in enumerate(table.cells) if rows[cell] == 1), None)
    if rare is not None:
        raise DataError(
            f"{table.path}, line {table.lines[rare]}: column {_shown(table.target_name)} holds "
            f"{_shown(table.cells[rare])}, a label of this row alone: every label needs a row to learn from and one to "
            "test; is it the target column?"
        )
    return tuple(sorted(rows, key=lambda name: (0, float(name), name) if _is_number(name) else (1, 0.0, name)))


def _shown(text: str) -> str:
    return repr(text[:SHOWN])

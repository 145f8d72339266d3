"""Read texts and their labels from a CSV file of the user's.

A header that names `text` and `label` (in any case and order) says which columns are meant; otherwise they are the
first two. A first line that names neither is a sample too if its label occurs again further down.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from torchglass.errors import DataError
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.words import Vocabulary, split_words, vocabulary_of

if TYPE_CHECKING:
    from torchglass.reference_models.data.samples import Samples, Split

MAX_BYTES = 200_000_000  # the file is read in one piece; a larger one wants a loader of its own
MAX_CHARACTERS = 1_000_000  # of one text: a quotation mark that never closes swallows the file up to here
VOCABULARY_LIMIT = 20_000  # rarer words are all "unknown"
MAX_WORDS = 256  # of a text; what follows is cut
TEST_SHARE = 0.2


class LabelledText(NamedTuple):
    """A text and its label, and the line of the file that it begins on."""

    text: str
    label: str
    line: int


class Parts(NamedTuple):
    """A file's texts: what is trained on, what is tested on, and the names of the labels."""

    train: Sequence[LabelledText]
    test: Sequence[LabelledText]
    class_names: tuple[str, ...]


def load_csv_text(request: DataRequest) -> Split:
    """Return the texts of a CSV file (`request.path`) as ids of their words; a fifth of each class is for the test.

    Raises:
        DataError: the file is missing, is no such file, or cannot be learnt from; it says on which line.
    """
    from torchglass.reference_models.data.samples import Split

    parts = read_parts(request)
    train, test = ([split_words(sample.text) for sample in part] for part in (parts.train, parts.test))
    if not any(train):
        raise DataError(f"{request.path} has no word in any text to learn from: words are letters and digits")
    vocabulary = vocabulary_of(train, VOCABULARY_LIMIT)
    length = min(MAX_WORDS, max(1, *map(len, train)))
    form = DataForm(
        kind="text",
        task="classification",
        shape=(length,),
        class_names=parts.class_names,
        vocabulary_size=len(vocabulary),
    )
    return Split(
        form=form,
        train=_as_samples(train, parts.train, vocabulary, form),
        test=_as_samples(test, parts.test, vocabulary, form),
        vocabulary=vocabulary.words,
    )


def read_parts(request: DataRequest) -> Parts:
    """Read the file that the request names and part it by the seed, each class alike.

    Raises:
        DataError: as `load_csv_text`.
    """
    if request.path is None:
        raise DataError("csv reads a file of yours and none is given: name it with --data FILE")
    samples = read_texts(request.path)
    counts = Counter(sample.label for sample in samples)
    if len(counts) == 1:
        raise DataError(f"{request.path} has one label, {_short(samples[0].label)}: there is nothing to tell apart")
    for sample in samples:
        if counts[sample.label] == 1:
            raise DataError(
                f"line {sample.line} of {request.path} is the only text labelled {_short(sample.label)}: give two or "
                "more, one to learn from and one for the test"
            )
    train, test = stratified(samples, request.seed)
    return Parts(train, test, tuple(sorted(counts)))


def read_texts(path: Path) -> list[LabelledText]:
    """Read the texts and labels of a CSV file, without the spaces around them.

    Raises:
        DataError: the file is missing, too large or not UTF-8, or a line lacks its text or its label.
    """
    lines = _lines_of(path)
    if not lines:
        raise DataError(f"{path} is empty: give a CSV file with the columns text and label")
    header = lines.pop(0)
    if len(header.cells) < 2:
        raise DataError(f"{path} has one column on line {header.number}: give a text and a label, parted by a comma")
    names = [cell.strip().lower() for cell in header.cells]
    is_named = "text" in names and "label" in names
    columns = (names.index("text"), names.index("label")) if is_named else (0, 1)
    for line in lines:
        _check_columns(line, header, path)
    samples = [_sample(line, columns, path) for line in lines]
    if not samples:
        raise DataError(f"{path} ends after line {header.number}: there is no text in it")
    if not is_named and header.cells[1].strip() in {sample.label for sample in samples}:
        samples.insert(0, _sample(header, columns, path))
    return samples


def stratified(samples: Sequence[LabelledText], seed: int) -> tuple[list[LabelledText], list[LabelledText]]:
    """Part samples by the seed into training and test, a fifth of each class but at least one sample to either."""
    random = Random(f"texts {seed}")
    train: list[LabelledText] = []
    test: list[LabelledText] = []
    for label in sorted({sample.label for sample in samples}):
        of_class = [sample for sample in samples if sample.label == label]
        random.shuffle(of_class)
        tested = min(max(1, round(TEST_SHARE * len(of_class))), len(of_class) - 1)
        test += of_class[:tested]
        train += of_class[tested:]
    random.shuffle(train)
    random.shuffle(test)
    return train, test


class _Line(NamedTuple):
    cells: list[str]
    number: int


def _lines_of(path: Path) -> list[_Line]:
    """Return the file's lines with their numbers from 1; empty ones are left out."""
    lines: list[_Line] = []
    reader = csv.reader(io.StringIO(_read(path), newline=""), strict=True)
    limit = csv.field_size_limit(MAX_CHARACTERS)
    before = 0
    try:
        for cells in reader:
            if cells:
                lines.append(_Line(cells, before + 1))
            before = reader.line_num
    except csv.Error as error:
        raise DataError(
            f"line {before + 1} of {path} is not CSV ({error}): put texts that hold quotation marks, "
            "commas or line ends into quotation marks, and double those within"
        ) from error
    finally:
        csv.field_size_limit(limit)
    return lines


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes and at most {MAX_BYTES:,} are read: give a part of it"
            )
        found = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): name a CSV file with --data FILE") from error
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} of {path} is not UTF-8: save the file in that encoding") from error


def _check_columns(line: _Line, first: _Line, path: Path) -> None:
    """Refuse a line whose text was cut at a comma: what follows it would be taken for the label."""
    if any(cell.strip() for cell in line.cells[len(first.cells) :]):
        raise DataError(
            f"line {line.number} of {path} has {len(line.cells)} columns and the first one {len(first.cells)}: put "
            "texts that hold commas into quotation marks"
        )


def _sample(line: _Line, columns: tuple[int, int], path: Path) -> LabelledText:
    text, label = (line.cells[column].strip() if column < len(line.cells) else "" for column in columns)
    if not text or not label:
        missing = "text" if not text else "label"
        raise DataError(f"line {line.number} of {path} has no {missing}: fill it in or remove the line")
    return LabelledText(text, label, line.number)


def _as_samples(
    words: Sequence[Sequence[str]], labelled: Sequence[LabelledText], vocabulary: Vocabulary, form: DataForm
) -> Samples:
    import torch

    from torchglass.reference_models.data.samples import Samples

    number_of = {name: number for number, name in enumerate(form.class_names)}
    return Samples(
        inputs=torch.tensor([vocabulary.encode(each, form.shape[0]) for each in words]),
        targets=torch.tensor([number_of[sample.label] for sample in labelled]),
    )


def _short(label: str) -> str:
    return repr(label[:40])

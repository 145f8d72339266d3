"""One input of a user's own, from an untrusted file, as a run's model takes it: a picture, a text or a row.

Nothing is unpickled, and sizes are checked before anything is decoded. torch is not needed: a page checks and shows
with the same functions what a job then explains.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.errors import DataError, MissingExtraError
from torchglass.language import mark
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.words import UNKNOWN, Vocabulary, split_words

MAX_FILE_BYTES = 20_000_000  # read whole
MAX_PIXELS = 40_000_000  # of a picture, as its header says: 120 MB once decoded
MAX_CHARACTERS = 20_000  # of a text
FORMATS = ("PNG", "JPEG", "WEBP")  # decoders that see a user's bytes; a picture format more is a parser more
NAMED_UNKNOWN = 8  # words
WIDE_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # a PNG of 16 bits; Pillow's own conversion would cut it off
DARK, LIGHT = 0.25, 0.6  # brightness of an edge, 0 to 1
CUT = mark("Only its middle is used, {width} × {height} pixels: the model takes a fixed shape.")
RESIZED = mark("It was {before} pixels and is {after} to the model.")
ANIMATED = mark("Of an animated picture only the first frame is used.")
TRANSPARENT = mark("What is transparent is white.")
DARK_ON_LIGHT = mark("The data set is light on dark, and this is dark on light: invert it.")
TOO_LONG = mark("The model reads the first {used} of its {count} words.")
STRANGE_WORDS = mark("Words that the model does not know: {count} ({words}). They are one and the same to it.")
SENTENCES: Mapping[str, frozenset[str]] = {
    sentence: frozenset(re.findall(r"{(\w+)}", sentence))
    for sentence in (CUT, RESIZED, ANIMATED, TRANSPARENT, DARK_ON_LIGHT, TOO_LONG, STRANGE_WORDS)
}
"""What a note may say, and the values that it needs."""
_NPY = b"\x93NUMPY"
_SEPARATOR = "\0"


@dataclass(frozen=True)
class Note:
    """What was done to an input, or should be known of it: a sentence for a catalogue, and its values."""

    sentence: str
    values: Mapping[str, str | int]


@dataclass(frozen=True, eq=False)
class OwnInput:
    """An input as the model takes it, without a batch axis: (C, H, W) float32 in 0..1, (T,) int64 or (F,) float32.

    `words` (T,) are those of a text, "" where it has none.
    """

    values: npt.NDArray[Any]
    words: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def read_own_input(
    path: Path,
    form: DataForm,
    *,
    vocabulary: Vocabulary | None = None,
    scale: Mapping[str, Sequence[float]] | None = None,
    like: npt.NDArray[Any] | None = None,
    invert: bool = False,
) -> OwnInput:
    """Read a file: PNG, JPEG, WebP or .npy for a picture, text for a text, JSON or .npy for a row.

    Args:
        path: the file; what it is its first bytes say, not its name.
        form: that of the run's data.
        vocabulary: of a text.
        scale: how a row was standardised, `means` and `deviations`; None as it is.
        like: pictures (N, C, H, W) of the data set, whose ground a note compares with.
        invert: take dark for light.

    Raises:
        DataError: the file cannot be read, or is not such an input; the message says what to give.
        MissingExtraError: Pillow is not installed.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(f"the file has {size:,} bytes: give one of at most {MAX_FILE_BYTES:,}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the input cannot be read ({error.strerror or error}): give a file") from error
    if form.kind == "pictures":
        return picture_input(content, form, like=like, invert=invert)
    if form.kind == "text":
        return text_input(text_of(content), form, vocabulary or Vocabulary(()))
    return row_input(_row_of(content, form), form, scale)


# Pictures


def picture_input(
    content: bytes, form: DataForm, *, like: npt.NDArray[Any] | None = None, invert: bool = False
) -> OwnInput:
    """Decode a picture and bring it to the model's size and channels; raises as `read_own_input`."""
    values, notes = _array_picture(content, form) if content.startswith(_NPY) else _decoded_picture(content, form)
    if invert:
        values = 1 - values
    elif like is not None and _ground(like) < DARK and _ground(values[None]) > LIGHT:
        notes.append(Note(DARK_ON_LIGHT, {}))
    return OwnInput(np.ascontiguousarray(values, np.float32), notes=tuple(notes))


def _decoded_picture(content: bytes, form: DataForm) -> tuple[npt.NDArray[np.float64], list[Note]]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("pillow", "dashboard") from error
    channels, height, width = form.shape
    if channels not in (1, 3):
        raise DataError(f"the model takes {channels} channels, which no picture file has: give an .npy {form.shape}")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            was = picture.size
            if was[0] * was[1] > MAX_PIXELS:
                raise DataError(f"the picture has {was[0]:,} x {was[1]:,} pixels: give one of at most {MAX_PIXELS:,}")
            notes = list(_notes_on(picture))
            upright = ImageOps.exif_transpose(picture)
            plain = _plain(upright)
            whole = plain.size
            box = _middle(whole, width / height)
            shown = plain.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BOX, box)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes of a decoder
        raise DataError("the file is no PNG, JPEG or WebP picture that can be read: give one") from error
    pixels = np.asarray(shown, np.float64).reshape(height, width, channels).transpose(2, 0, 1) / 255
    if (round(box[2] - box[0]), round(box[3] - box[1])) != whole:
        sides = {"width": round(box[2] - box[0]), "height": round(box[3] - box[1])}
        notes.append(
            Note(mark("Only its middle is used, {width} × {height} pixels: the model takes a fixed shape."), sides)
        )
    if whole != (width, height):
        to = {"before": f"{whole[0]} × {whole[1]}", "after": f"{width} × {height}"}
        notes.append(Note(RESIZED, to))
    return pixels, notes


def _notes_on(picture: Any) -> Iterator[Note]:
    if getattr(picture, "n_frames", 1) > 1:
        yield Note(ANIMATED, {})
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        yield Note(TRANSPARENT, {})


def _plain(picture: Any) -> Any:
    """The picture in 8 bits a channel, without transparency."""
    from PIL import Image

    if picture.mode in WIDE_MODES:
        wide = np.asarray(picture, np.float64)
        return Image.fromarray((wide.clip(0, 65535) / 257).round().astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        seen = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, (255, 255, 255, 255)), seen).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _middle(size: tuple[int, int], ratio: float) -> tuple[float, float, float, float]:
    """The largest box of width / height `ratio` in the middle: left, top, right, bottom."""
    width, height = min(size[0], size[1] * ratio), min(size[1], size[0] / ratio)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _array_picture(content: bytes, form: DataForm) -> tuple[npt.NDArray[np.float64], list[Note]]:
    array = array_of(content)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    channels, height, width = form.shape
    if array.shape == (height, width) and channels == 1:
        array = array[None]
    elif array.shape == (height, width, channels) and array.shape != form.shape:
        array = array.transpose(2, 0, 1)
    if array.shape != form.shape:
        raise DataError(f"the array has shape {array.shape}: give {form.shape}, as the model takes it")
    values = array / 255 if array.dtype.kind in "iu" else array.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("the array holds NaN or infinite values: give finite ones, 0 to 1")
    if values.min() < 0 or values.max() > 1:
        found = f"{float(array.min()):g} to {float(array.max()):g}"
        raise DataError(f"the array holds {found}: give numbers 0 to 1, or whole numbers 0 to 255")
    return values, []


def _ground(pictures: npt.NDArray[Any]) -> float:
    """Median brightness (0 to 1) along the edges of pictures (N, C, H, W)."""
    edge = [pictures[..., 0, :], pictures[..., -1, :], pictures[..., :, 0], pictures[..., :, -1]]
    whole = np.concatenate([each.reshape(-1) for each in edge])
    return float(np.median(whole)) / (255 if pictures.dtype == np.uint8 else 1)


def array_of(content: bytes) -> npt.NDArray[Any]:
    """Read an .npy of numbers; its header must fit its size, before any memory is taken.

    Raises:
        DataError: it is damaged, or holds something else than numbers.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(stream)
        wanted = math.prod(shape) * kind.itemsize
        if kind.kind not in "iufb" or wanted != len(content) - stream.tell():
            raise ValueError("no plain numbers, or not as many as it says")
        array: npt.NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError, TypeError, SyntaxError) as error:
        raise DataError("the file is no .npy of plain numbers: save one with numpy.save") from error
    return array


# Texts


def text_of(content: bytes) -> str:
    """Read UTF-8; raises DataError for anything else."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("the file is no text in UTF-8: save it so") from error


def text_input(text: str, form: DataForm, vocabulary: Vocabulary) -> OwnInput:
    """Split a text and take its words' ids; raises DataError for one that is too long, or without a known word."""
    check_length(text)
    words = split_words(text)
    if not words:
        raise DataError("the text holds no word: write one, such as a sentence like those of the data set")
    (length,) = form.shape
    ids = vocabulary.encode(words, length)
    read = words[:length]
    unknown = list(dict.fromkeys(word for word, token in zip(read, ids, strict=False) if token == UNKNOWN))
    if all(token == UNKNOWN for token in ids[: len(read)]):
        raise DataError(f"the model knows none of the {len(read)} words: write words that its data set has")
    return OwnInput(
        np.array(ids, np.int64),
        (*read, *[""] * (length - len(read))),
        tuple(notes_on_words(len(words), length, unknown)),
    )


def check_length(text: str) -> None:
    """Refuse a text that is too long to be split in a moment; raises DataError."""
    if len(text) > MAX_CHARACTERS:
        raise DataError(f"the text has {len(text):,} characters: give at most {MAX_CHARACTERS:,}")


def notes_on_words(count: int, length: int, unknown: Sequence[str]) -> Iterator[Note]:
    """Say what of a text the model does not see."""
    if count > length:
        yield Note(TOO_LONG, {"used": length, "count": count})
    if unknown:
        named = ", ".join(word[:40] for word in unknown[:NAMED_UNKNOWN])
        listed = f"{named}, …" if len(unknown) > NAMED_UNKNOWN else named
        yield Note(STRANGE_WORDS, {"count": len(unknown), "words": listed})


def packed_words(vocabulary: Sequence[str]) -> npt.NDArray[np.uint8]:
    """A vocabulary as bytes, for a store of arrays: one long word does not widen all others."""
    return np.frombuffer(_SEPARATOR.join(vocabulary).encode(), np.uint8)


def vocabulary_in(arrays: Mapping[str, npt.NDArray[Any]]) -> Vocabulary:
    """The vocabulary that a run's samples keep; of runs from before that, the words of the samples alone."""
    if "vocabulary" in arrays:
        return Vocabulary(tuple(arrays["vocabulary"].tobytes().decode().split(_SEPARATOR)))
    if "words" not in arrays:
        return Vocabulary(())
    ids = arrays["inputs"]
    known = [""] * (int(ids.max(initial=0)) + 1)
    for token, word in zip(ids.reshape(-1).tolist(), arrays["words"].reshape(-1).tolist(), strict=True):
        known[token] = word
    return Vocabulary(tuple(known))


# Rows


def _row_of(content: bytes, form: DataForm) -> npt.NDArray[Any] | Mapping[str, Any] | Sequence[Any]:
    if content.startswith(_NPY):
        array = array_of(content)
        return array[0] if array.ndim == 2 and len(array) == 1 else array
    text = text_of(content)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            'the file is no row: give JSON such as {"age": 41, ...}, a list of numbers, or an .npy'
        ) from error
    if not isinstance(found, dict | list):
        raise DataError(
            f"the file holds {str(found)[:40]!r}: give {form.shape[0]} numbers in a list, or by their names"
        )
    return found


def row_input(
    row: npt.NDArray[Any] | Mapping[str, Any] | Sequence[Any],
    form: DataForm,
    scale: Mapping[str, Sequence[float]] | None = None,
) -> OwnInput:
    """Take a row (F,) in the columns' own units, by their names or in their order, standardised as for training.

    Raises:
        DataError: a column is missing, unknown or no finite number.
    """
    (count,) = form.shape
    names = column_names(form)
    if isinstance(row, Mapping):
        strange = [str(name) for name in row if name not in names]
        if strange:
            raise DataError(f"there is no column {strange[0][:60]!r}: they are {', '.join(names)[:300]}")
        given = [row.get(name) for name in names]
    else:
        if len(np.shape(row)) != 1 or len(row) != count:
            raise DataError(f"the row has shape {np.shape(row)}: give {count} numbers, one for each column")
        given = list(row)
    values = np.array([_number(name, value) for name, value in zip(names, given, strict=True)])
    if scale is not None:
        deviations = np.array(scale["deviations"], np.float64)
        values = (values - np.array(scale["means"], np.float64)) / np.where(deviations == 0, 1.0, deviations)
    return OwnInput(values.astype(np.float32))


def column_names(form: DataForm) -> tuple[str, ...]:
    """The columns' names, made up where the data has none."""
    return form.feature_names or tuple(f"column {place}" for place in range(form.shape[0]))


def _number(name: str, value: Any) -> float:
    if value is None:
        raise DataError(f"column {name[:60]!r} has no value: give a number")
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"column {name[:60]!r} has the value {str(value)[:40]!r}: give a finite number")
    return number

"""One input of a user's own is brought to what the model takes, or refused in one sentence; no file runs or floods."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchglass.errors import DataError
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.own_input import (
    MAX_CHARACTERS,
    MAX_FILE_BYTES,
    OwnInput,
    packed_words,
    picture_input,
    read_own_input,
    row_input,
    text_input,
    vocabulary_in,
)
from torchglass.reference_models.data.words import SPECIAL_WORDS, Vocabulary

COLOR = DataForm("pictures", "classification", (3, 2, 2), ("a", "b"))
GREY = DataForm("pictures", "classification", (1, 2, 2), ("a", "b"))
TEXT = DataForm("text", "classification", (5,), ("bad", "good"), vocabulary_size=6)
ROW = DataForm("table", "classification", (2,), ("no", "yes"), ("age", "size"))
WORDS = Vocabulary((*SPECIAL_WORDS, "dull", "great", "שלום"))
SCALE = {"means": [40.0, 7.0], "deviations": [10.0, 0.0]}


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


def saved(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def of(values: Any, mode: str | None = None) -> Image.Image:
    picture = Image.fromarray(np.array(values, np.uint8))
    return picture if mode is None else picture.convert(mode)


def notes(own: OwnInput) -> list[str]:
    return [note.sentence.format(**note.values) for note in own.notes]


RED = np.zeros((2, 2, 3), np.uint8)
RED[..., 0] = 255


def test_a_color_picture_of_the_right_size_arrives_pixel_by_pixel() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    own = picture_input(encoded(of(pixels)), COLOR)
    assert own.values.dtype == np.float32
    np.testing.assert_allclose(own.values, pixels.transpose(2, 0, 1) / 255, atol=1e-7)
    assert notes(own) == []


def test_a_larger_picture_is_cut_to_its_middle_and_averaged_down() -> None:
    wide = np.zeros((4, 8), np.uint8)
    wide[:, 2:4] = 100  # the left half of the middle
    wide[:, 0] = 255  # cut off
    own = picture_input(encoded(of(wide)), GREY)
    np.testing.assert_allclose(own.values[0], np.array([[100, 0], [100, 0]]) / 255, atol=1e-3)
    assert notes(own) == [
        "Only its middle is used, 4 × 4 pixels: the model takes a fixed shape.",
        "It was 8 × 4 pixels and is 2 × 2 to the model.",
    ]


def turned() -> bytes:
    """Light on its left as stored, on its top as a camera that was turned meant it: orientation 6."""
    stored = of([[255, 0], [255, 0]])
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(stored, "PNG", exif=exif)


def deep() -> bytes:
    return encoded(Image.fromarray(np.full((2, 2), 257 * 100, np.uint16)))


def clear() -> bytes:
    return encoded(of(np.array([[[255, 0, 0, 255]] * 2, [[255, 0, 0, 0]] * 2], np.uint8)))


KINDS: dict[str, tuple[Callable[[], bytes], DataForm, Any]] = {
    "16 bits": (deep, GREY, [[[100, 100], [100, 100]]]),
    "16 bits in color": (deep, COLOR, [[[100, 100], [100, 100]]] * 3),
    "CMYK": (
        lambda: encoded(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "JPEG", quality=100),
        COLOR,
        [[[255] * 2] * 2, [[0] * 2] * 2, [[0] * 2] * 2],
    ),
    "transparent": (clear, COLOR, [[[255, 255], [255, 255]], [[0, 0], [255, 255]], [[0, 0], [255, 255]]]),
    "grey for color": (lambda: encoded(of([[9, 9], [9, 9]])), COLOR, [[[9, 9], [9, 9]]] * 3),
    "color for grey": (lambda: encoded(of(RED)), GREY, [[[76, 76], [76, 76]]]),
    "palette": (lambda: encoded(of(RED, "P")), COLOR, [[[255] * 2] * 2, [[0] * 2] * 2, [[0] * 2] * 2]),
    "black and white": (lambda: encoded(of([[255, 0], [0, 255]], "1")), GREY, [[[255, 0], [0, 255]]]),
    "turned camera": (turned, GREY, [[[255, 255], [0, 0]]]),
    "WebP": (lambda: encoded(of(RED), "WEBP", lossless=True), COLOR, [[[255] * 2] * 2, [[0] * 2] * 2, [[0] * 2] * 2]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_seen_as_a_person_sees_it(kind: str) -> None:
    make, form, wanted = KINDS[kind]
    np.testing.assert_allclose(picture_input(make(), form).values * 255, wanted, atol=1.5)


def test_an_animation_shows_its_first_frame_and_says_so() -> None:
    frames = [of(RED), of(RED * 0)]
    own = picture_input(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True), COLOR)
    assert own.values[0].min() == 1.0
    assert notes(own) == ["Of an animated picture only the first frame is used."]


def test_dark_on_light_is_remarked_where_the_data_is_light_on_dark_and_can_be_inverted() -> None:
    dark = np.zeros((5, 1, 2, 2), np.uint8)
    paper = encoded(of([[250, 250], [250, 250]]))
    assert notes(picture_input(paper, GREY, like=dark))[0].endswith("invert it.")
    inverted = picture_input(paper, GREY, like=dark, invert=True)
    assert notes(inverted) == []
    np.testing.assert_allclose(inverted.values, 5 / 255, atol=1e-6)
    assert notes(picture_input(paper, GREY, like=dark + 200)) == []


def bomb() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def large() -> bytes:
    """One that Pillow itself would decode with a warning."""
    return encoded(Image.new("1", (10_000, 10_000)))


def lying() -> bytes:
    """An .npy of a few bytes whose header promises a terabyte."""
    return saved(np.zeros((1, 2), np.uint8)).replace(b"(1, 2)", b"(999999999999, 2)")


NAN = np.full((3, 2, 2), np.nan)
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "text as picture": (lambda: b"not a picture\n" * 10, "no PNG, JPEG or WebP picture"),
    "cut off": (lambda: encoded(of(np.random.default_rng(0).integers(0, 256, (50, 50, 3))))[:400], "no PNG, JPEG"),
    "empty": (lambda: b"", "no PNG, JPEG"),
    "GIF": (lambda: encoded(of(RED), "GIF"), "no PNG, JPEG"),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG"),
    "bomb": (bomb, "PNG, JPEG|at most 40,000,000"),
    "large": (large, r"10,000 x 10,000 pixels: give one of at most 40,000,000"),
    "wrong shape": (lambda: saved(np.zeros((3, 3, 3))), r"shape \(3, 3, 3\): give \(3, 2, 2\)"),
    "NaN": (lambda: saved(NAN), "NaN or infinite"),
    "out of range": (lambda: saved(NAN * 0 + 7), "NaN"),
    "too bright": (lambda: saved(np.full((3, 2, 2), 7.0)), "holds 7 to 7: give numbers 0 to 1"),
    "pickle": (lambda: saved(np.array([{}, 1], object), allow_pickle=True), "no .npy of plain numbers"),
    "records": (lambda: saved(np.zeros(2, [("a", "f4")])), "no .npy of plain numbers"),
    "complex": (lambda: saved(np.zeros((3, 2, 2), complex)), "no .npy of plain numbers"),
    "lying": (lying, "no .npy of plain numbers"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_picture_for_the_model_is_refused_in_one_sentence(kind: str) -> None:
    make, said = REFUSED[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match=said) as refusal:
            picture_input(make(), COLOR)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "array",
    [np.full((3, 2, 2), 0.5), np.full((1, 3, 2, 2), 0.5), np.full((3, 2, 2), 0.5, np.float16)],
    ids=["as it is", "with a batch axis", "half"],
)
def test_an_array_of_the_right_shape_is_taken_as_it_is(array: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(picture_input(saved(array), COLOR).values, np.full((3, 2, 2), 0.5, np.float32))


def test_whole_numbers_of_an_array_are_bytes_and_channels_may_stand_last() -> None:
    form = DataForm("pictures", "classification", (3, 4, 2))
    own = picture_input(saved(np.full((4, 2, 3), 51, np.int64)), form)
    np.testing.assert_allclose(own.values, np.full((3, 4, 2), 0.2), atol=1e-6)


def test_a_text_becomes_the_ids_of_its_words_in_the_runs_own_vocabulary() -> None:
    own = text_input("Great, DULL great.", TEXT, WORDS)
    assert own.values.tolist() == [4, 3, 4, 1, 0]
    assert own.words == ("great", "dull", "great", ".", "")
    assert notes(own) == ["Words that the model does not know: 1 (.). They are one and the same to it."]


def test_a_text_from_right_to_left_with_marks_and_one_that_is_too_long_for_the_model_are_read() -> None:
    own = text_input("\u202eשלום great great great great dull dull", TEXT, WORDS)
    assert own.values.tolist() == [5, 4, 4, 4, 4]
    assert notes(own) == ["The model reads the first 5 of its 7 words."]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no word"),
        ("  \u202e \n…—", "holds no word"),
        ("xyzzy plugh", "knows none of the 2 words"),
        ("great " * 20_000, f"120,000 characters: give at most {MAX_CHARACTERS:,}"),
    ],
    ids=["empty", "marks alone", "unknown words", "100 k characters"],
)
def test_a_text_that_says_nothing_to_the_model_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        text_input(text, TEXT, WORDS)


def test_a_vocabulary_survives_its_packing_and_older_runs_know_the_words_of_their_samples() -> None:
    assert vocabulary_in({"vocabulary": packed_words(WORDS.words)}) == WORDS
    ids, words = np.array([[4, 3, 0]]), np.array([["great", "dull", "[padding]"]])
    older = vocabulary_in({"inputs": ids, "words": words})
    assert older.encode(["dull", "great", "fine"], 3) == [3, 4, 1]


def test_a_row_is_given_in_the_columns_own_units_by_name_or_in_order() -> None:
    wanted = [1.5, 2.0]  # a column that never varied is only shifted
    for row in ({"size": 9, "age": 55}, [55, 9.0], np.array([55.0, 9.0])):
        np.testing.assert_array_equal(row_input(row, ROW, SCALE).values, np.array(wanted, np.float32))
    np.testing.assert_array_equal(row_input([55, 9], ROW).values, np.array([55, 9], np.float32))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"age": 3}', "column 'size' has no value: give a number"),
        (b'{"age": 3, "size": null}', "column 'size' has no value"),
        (b'{"age": 3, "size": "x"}', "column 'size' has the value 'x'"),
        (b'{"age": NaN, "size": 1}', "column 'age' has the value 'nan'"),
        (b'{"age": 1, "size": 1e999}', "column 'size' has the value 'inf'"),
        (b'{"age": true, "size": 1}', "column 'age' has the value 'True'"),
        (b'{"age": [1], "size": 1}', "column 'age' has the value"),
        (b'{"age": 1, "size": 1, "x": 1}', "there is no column 'x': they are age, size"),
        (b"[1, 2, 3]", r"shape \(3,\): give 2 numbers"),
        (b"7", "give 2 numbers in a list"),
        (b"[" * 100_000, "no row"),
        (b"\xff\xfe", "UTF-8"),
        (saved(np.zeros((2, 2))), r"shape \(2, 2\)"),
    ],
    ids=["missing", "null", "word", "NaN", "inf", "yes", "list", "strange", "many", "number", "deep", "bytes", "npy"],
)
def test_a_row_that_is_none_is_refused_in_one_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "row"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_own_input(path, ROW, scale=SCALE)


def test_a_file_is_told_by_its_first_bytes_and_never_read_when_it_is_huge(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(of(RED)))
    assert read_own_input(path, COLOR).values[0].min() == 1.0
    path.write_text(json.dumps({"age": 55, "size": 9}))
    assert read_own_input(path, ROW, scale=SCALE).values.tolist() == [1.5, 2.0]
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="20,000,001 bytes: give one of at most 20,000,000"):
        read_own_input(path, COLOR)
    with pytest.raises(DataError, match="cannot be read"):
        read_own_input(tmp_path / "nothing", COLOR)

"""Whatever text comes in, what leaves the escaping helpers obeys nobody: properties over all of Unicode."""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hostile import CORPUS, MEGABYTE
from hypothesis import example, given, settings
from hypothesis import strategies as st

from torchglass.charts.text import MAX_CHARACTERS, MAX_FILE_NAME, file_name, markdown_text, plain_text, plot_text
from torchglass.dashboard.answering.tables import to_csv
from torchglass.exchange.csv_file import harmless, original
from torchglass.terminal import shortened, terminal_text

# Signs that mean something to somebody, beside all others: plain draws would hardly ever meet two of them.
SIGNS = list("<>&\"'`\\/.:;,@=+-*_~#|!?%$^[](){} \t\r\n\x00\x1b\x07\x7f\x9b\u202e\u200b\u2028\u2066\ufeffＡ＝\ud800é训")
WORDS = ["http://", "www.", "evil.example", "javascript:", "<script>", "../", "..\\", "CON", "nul", "\x1b]0;", "%{x}"]
TEXTS = st.lists(st.one_of(st.sampled_from(SIGNS), st.sampled_from(WORDS), st.text(max_size=5)), max_size=60).map(
    "".join
)
ANY = settings(max_examples=150, deadline=None, derandomize=True)
NUMBERS = st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False))


def steers(character: str) -> bool:
    """Whether a character moves, hides or turns round what stands near it."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@ANY
@given(TEXTS, st.integers(1, 200))
@example(MEGABYTE, MAX_CHARACTERS)
def test_plain_text_is_one_visible_line_of_bounded_length(text: str, limit: int) -> None:
    line = plain_text(text, limit)
    assert len(line) <= limit
    assert not any(map(steers, line))
    assert plain_text(line, limit) == line


@ANY
@given(TEXTS)
def test_plot_text_has_no_markup_and_says_the_same(text: str) -> None:
    told = plot_text(text)
    assert not set(told) & set("<>")
    assert re.sub(r"&(lt|gt|amp);", "", told).count("&") == 0
    assert html.unescape(told) == plain_text(text)


@ANY
@given(TEXTS)
def test_markdown_text_is_all_escaped_and_says_the_same(text: str) -> None:
    told = markdown_text(text)
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", told)
    assert not re.search(r"[!-/:-@\[-`{-~]", bare)
    assert not re.search(r"(https?|ftp|mailto|xmpp|www)(?!\u200d)[\\:.]", told, re.IGNORECASE)
    assert re.sub(r"\\(.)", r"\1", told).replace("\u200d", "") == plain_text(text)


@pytest.mark.parametrize("name", CORPUS)
def test_a_parser_of_markdown_finds_nothing_but_a_paragraph(name: str) -> None:
    parser = pytest.importorskip("markdown_it").MarkdownIt("commonmark", {"html": True})
    rendered = parser.render(markdown_text(CORPUS[name]))
    assert set(re.findall(r"</?([a-z]+)", rendered)) <= {"p"}


@ANY
@given(TEXTS)
@example(MEGABYTE)
def test_a_file_name_stays_in_its_folder_on_every_system(text: str) -> None:
    name = file_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name)
    assert len(name) <= MAX_FILE_NAME + 1
    assert not name.endswith(".")
    for kind in (PurePosixPath, PureWindowsPath):
        assert (kind("folder") / name).parent == kind("folder")
        assert kind(name).name == name
    assert name.partition(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "COM9", "LPT1", "LPT9"}


@ANY
@given(TEXTS)
def test_terminal_text_keeps_what_is_visible_and_nothing_that_steers(text: str) -> None:
    told = terminal_text(text)
    assert len(told) == len(text)
    assert not any(map(steers, told))
    assert all(now in (before, "\ufffd") for before, now in zip(text, told, strict=True))


@ANY
@given(TEXTS, st.integers(2, 80))
@example(MEGABYTE, 60)
def test_a_shortened_text_says_when_it_was_cut(text: str, most: int) -> None:
    told = shortened(text, most)
    assert len(told) <= most
    assert not any(map(steers, told))
    if len(" ".join(text.split())) > most:
        assert told.endswith("…")


@ANY
@given(TEXTS)
@example("'=1+1")
@example("''")
def test_a_cell_of_text_is_no_formula_and_reads_back(text: str) -> None:
    cell = harmless(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
    assert original(cell) == text


@ANY
@given(st.lists(st.tuples(TEXTS.filter(lambda text: text.isascii() or text.isprintable()), NUMBERS), max_size=5))
def test_a_table_as_csv_keeps_texts_and_never_marks_a_number(rows: list[tuple[str, float]]) -> None:
    table = to_csv({"name": [text for text, _ in rows], "value": [number for _, number in rows]}).decode()
    read = list(csv.reader(io.StringIO(table, newline="")))
    assert read[0] == ["name", "value"]
    assert [
        (original(name), type(wanted)(value)) for (name, value), (_, wanted) in zip(read[1:], rows, strict=True)
    ] == rows


def test_each_name_of_the_corpus_makes_a_file_in_the_folder_and_none_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    for text in (*CORPUS.values(), MEGABYTE):
        (folder / f"{file_name(text)}.csv").write_text("")
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert all(path.is_file() for path in folder.iterdir())
    assert len(list(folder.iterdir())) > len(CORPUS) / 2

"""Texts and labels from a file of the user's: what is read, how it is parted, and one sentence for what cannot be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from torchglass.errors import DataError
from torchglass.reference_models.data import csv_text
from torchglass.reference_models.data.csv_text import MAX_WORDS, load_csv_text, read_texts, stratified
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.words import PADDING, UNKNOWN, split_words, vocabulary_of

GOOD = "text,label\nso good,yes\nvery good,yes\nso bad,no\nvery bad,no\n"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "texts.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pairs(path: Path) -> list[tuple[str, str]]:
    return [(sample.text, sample.label) for sample in read_texts(path)]


def test_columns_are_found_by_name_in_any_order_and_case(tmp_path: Path) -> None:
    path = written(tmp_path, "id,Label,TEXT\n1,a,first\n2,b,second\n")
    assert pairs(path) == [("first", "a"), ("second", "b")]


def test_without_those_names_the_first_two_columns_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "review,mood,stars\nfirst,a,1\nsecond,b,2\n")
    assert pairs(path) == [("first", "a"), ("second", "b")]


def test_a_file_without_a_header_keeps_its_first_line(tmp_path: Path) -> None:
    path = written(tmp_path, "first,a\nsecond,b\nthird,a\n")
    assert pairs(path) == [("first", "a"), ("second", "b"), ("third", "a")]


def test_empty_cells_behind_the_last_column_do_no_harm(tmp_path: Path) -> None:
    assert pairs(written(tmp_path, "text,label\nfirst,a,\nsecond,b, ,\n")) == [("first", "a"), ("second", "b")]


def test_quoted_texts_hold_commas_line_ends_and_quotation_marks(tmp_path: Path) -> None:
    path = written(tmp_path, b'\xef\xbb\xbftext,label\r\n"one, ""two""\nthree",a\r\n\r\n n\xc3\xa4chste ,b\r\n')
    samples = read_texts(path)
    assert [(sample.text, sample.label) for sample in samples] == [('one, "two"\nthree', "a"), ("nächste", "b")]
    assert [sample.line for sample in samples] == [2, 5]  # of the file, as an editor counts


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("text,label\n", "ends after line 1"),
        ("text\nso good\n", "has one column on line 1"),
        ("text,label\nso good,yes\n,no\n", "line 3 of .* has no text"),
        ("text,label\nso good,yes\n\nso bad, \n", "line 4 of .* has no label"),
        ("text,label\nso good\n", "line 2 of .* has no label"),
        ("text,label\nso good,yes\nvery good,yes\n", "has one label, 'yes'"),
        (GOOD + "so good, really,yes\n", "line 6 of .* has 3 columns and the first one 2"),
        ("text,label\n--,yes\n😀,no\n--,no\n😀,yes\n", "has no word in any text"),
        (GOOD + "odd,maybe\n", "line 6 of .* is the only text labelled 'maybe'"),
        (b"text,label\nso good,yes\nna\xefve,no\n", "line 3 of .* is not UTF-8"),
        ('text,label\nso good,yes\n"so" bad,no\n', "line 3 of .* is not CSV"),
        ('text,label\nso good,yes\n"so bad,no\n', "line 3 of .* is not CSV"),
    ],
)
def test_what_cannot_be_learnt_from_is_told_in_one_sentence(tmp_path: Path, content: str | bytes, told: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=told) as raised:
        load_csv_text(DataRequest(path=path))
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_file_that_is_missing_or_not_given_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.csv cannot be read \(No such file"):
        load_csv_text(DataRequest(path=tmp_path / "none.csv"))
    with pytest.raises(DataError, match="--data FILE"):
        load_csv_text(DataRequest())


def test_a_file_beyond_the_bound_is_refused_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, GOOD)
    monkeypatch.setattr(csv_text, "MAX_BYTES", len(GOOD) - 1)
    with pytest.raises(DataError, match=rf"has {len(GOOD)} bytes and at most {len(GOOD) - 1} are read"):
        read_texts(path)


def test_a_quotation_mark_that_never_closes_stops_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_text, "MAX_CHARACTERS", 1000)
    with pytest.raises(DataError, match=r"line 2 of .* is not CSV \(field larger"):
        read_texts(written(tmp_path, 'text,label\n"' + "so good,yes\n" * 200))


def test_each_class_gives_a_fifth_of_its_texts_to_the_test_and_at_least_one(tmp_path: Path) -> None:
    counts = {"a": 50, "b": 20, "c": 2}
    rows = [f"{label} number {place},{label}" for label, count in counts.items() for place in range(count)]
    samples = read_texts(written(tmp_path, "text,label\n" + "\n".join(rows)))
    train, test = stratified(samples, seed=3)
    assert Counter(sample.label for sample in test) == {"a": 10, "b": 4, "c": 1}
    assert Counter(train + test) == Counter(samples)
    assert stratified(samples, seed=3) == (train, test)
    assert stratified(samples, seed=4) != (train, test)


def test_labels_of_any_words_become_classes_in_order_and_words_become_ids(tmp_path: Path) -> None:
    rows = "".join(f"this is fine number {place},Zebra 1\nthat was odd,Äpfel\n" for place in range(10))
    split = load_csv_text(DataRequest(path=written(tmp_path, "text,label\n" + rows), seed=0))
    assert split.form.class_names == ("Zebra 1", "Äpfel")
    assert split.form.shape == (5,)
    assert split.train.inputs.shape == (16, 5)
    assert split.form.vocabulary_size == len(split.vocabulary)
    for ids, target in zip(split.train.inputs, split.train.targets, strict=True):
        words = [split.vocabulary[number] for number in ids]
        assert words[0] == ("this" if split.form.class_names[target] == "Zebra 1" else "that")
        assert split.form.class_names[target] == "Zebra 1" or ids[3:].tolist() == [PADDING, PADDING]
    assert bool((split.test.inputs == UNKNOWN).any())  # a number that no training text has


def test_of_a_long_text_the_first_words_are_read(tmp_path: Path) -> None:
    long = " ".join(f"w{place}" for place in range(MAX_WORDS + 40))
    split = load_csv_text(DataRequest(path=written(tmp_path, "text,label\n" + f"{long},yes\n{long} no,no\n" * 2)))
    assert split.form.shape == (MAX_WORDS,) == (256,)
    for part in (split.train, split.test):
        words = [[split.vocabulary[number] for number in row] for row in part.inputs]
        assert all(row == long.split()[:MAX_WORDS] for row in words)


def test_a_vocabulary_keeps_the_most_frequent_words_within_its_limit() -> None:
    vocabulary = vocabulary_of([["b", "a", "c"], ["b", "a"], ["d", "b"]], limit=5)
    assert vocabulary.words == ("[padding]", "[unknown]", "[mask]", "b", "a")
    assert vocabulary.encode(["a", "c", "b", "[mask]"], 3) == [4, UNKNOWN, 3]
    assert vocabulary.encode(["[mask]"], 2) == [UNKNOWN, PADDING]


def test_words_are_lower_case_with_sentence_ends_and_nothing_else() -> None:
    assert split_words("Don't PANIC, it's (only) 42%... naïve!") == [
        *("don't", "panic", "it's", "only", "42", ".", ".", ".", "naïve", "!")
    ]

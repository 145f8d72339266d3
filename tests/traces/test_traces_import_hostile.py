"""Files that are no traces, torn, or made to be a burden: one clear sentence each, and no run."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from trace_files import envelope, step_events, write

from torchglass.cli import main
from torchglass.errors import DataError, OptionError, TorchglassError
from torchglass.store import Store
from torchglass.traces import reading, reading_columns, reading_json, reading_text
from torchglass.traces.importing import import_traces
from torchglass.traces.reading import read_trace
from torchglass.traces.reading_columns import LONGEST_NAME

WHOLE = json.dumps(envelope(step_events()), indent=1)
EVENT = '{"ph": "X", "cat": "cpu_op", "name": "a", "pid": 1, "tid": 1, "ts": 1, "dur": 1'

REFUSED = {
    "an empty file": ("", "is empty"),
    "blanks": (" \n\t ", "is empty"),
    "no JSON": ("PK\x03\x04 not a trace", "is not JSON"),
    "an object without events": ('{"schemaVersion": 1}', "without traceEvents"),
    "events that are no list": ('{"traceEvents": {"a": 1}}', "traceEvents that are no list"),
    "a list of something else": ("[1, 2, [3]]", "none of its values is an event"),
    "events of something else": ('{"traceEvents": [{"name": "x"}]}', "none of its values is an event"),
    "the end cut off": (WHOLE[:-40], "is truncated"),
    "cut within an event": (WHOLE[: len(WHOLE) // 2], "is truncated"),
    "cut within the head": (WHOLE[:60], "is truncated"),
    "a list cut within an event": (f"[{EVENT}}}, {EVENT}", "is truncated"),
    "a broken event": (f'{{"traceEvents": [{EVENT}}}, {EVENT}, oops}}, {EVENT}}}]}}', "is not valid JSON"),
    "nesting without end": ("[" * 200_000, "nests its values too deeply"),
    "nesting in an event": (f'[{EVENT}, "args": {"[" * 200_000}', "nests its values too deeply"),
    "nesting beside the events": ('{"a":' * 200_000, "nests its values too deeply"),
    "a number of a million digits": (f'[{EVENT}, "args": {{"correlation": {"9" * 1_000_000}}}}}]', "is not valid JSON"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_what_is_no_whole_trace_is_refused_in_one_sentence_and_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, ending: str
) -> None:
    text, said = REFUSED[case]
    good, bad = write(tmp_path / "rank0.json", WHOLE), write(tmp_path / f"rank1{ending}", text)
    assert main(["import", "trace", str(good), str(bad), "--store", str(tmp_path / "s.db")]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert bad.name in printed
    assert printed.count("\n") == 1
    assert len(printed) < 300
    assert not (tmp_path / "s.db").exists()


def test_a_sentence_names_the_place(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", f'{{"traceEvents": [{EVENT}}}, {EVENT}, oops}}, {EVENT}}}]}}')
    place = len(f'{{"traceEvents": [{EVENT}}}, ') + 1
    with pytest.raises(DataError, match=rf"\(character {place}\)"):
        read_trace(path)


def test_a_broken_event_of_many_names_without_an_end_is_refused_in_time_that_grows_with_its_length(
    tmp_path: Path,
) -> None:
    """Where it grew with the square, this took an hour."""
    text = '{"traceEvents": [{"ph": "X", oops, "args": {' + '"name": "x ' * 150_000 + "}}]}"
    with pytest.raises(DataError, match="is not valid JSON"):
        read_trace(write(tmp_path / "t.json", text))


@pytest.mark.parametrize("kept", [3, 12, 100, -9, -1])
def test_a_torn_gzip_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "t.json.gz"
    path.write_bytes(gzip.compress(WHOLE.encode())[:kept])
    with pytest.raises(DataError, match=r"t\.json\.gz is truncated"):
        read_trace(path)


def test_damaged_gzip_data_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(WHOLE.encode()))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "t.json.gz"
    path.write_bytes(packed)
    with pytest.raises(DataError, match=r"t\.json\.gz"):
        read_trace(path)


def test_a_small_file_that_swells_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_text, "EXPANSION_COUNTS_FROM_BYTES", 4 << 20)
    path = write(tmp_path / "t.json.gz", "[" + " " * (12 << 20))
    with pytest.raises(DataError, match="swells to more than 300 times"):
        read_trace(path)
    monkeypatch.setattr(reading_json, "LARGEST_VALUE", 1 << 20)
    blank = write(tmp_path / "blank.json.gz", "[" + " " * (3 << 20))
    with pytest.raises(DataError, match="blanks in a row"):
        read_trace(blank)


@pytest.mark.parametrize("text", [f'[{EVENT}, "args": "' + "x" * (1 << 20), '{"a": "' + "x" * (1 << 20)])
def test_a_value_beyond_all_bounds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(reading_json, "LARGEST_VALUE", 100_000)
    monkeypatch.setattr(reading_text, "BLOCK_BYTES", 10_000)
    with pytest.raises(DataError, match="holds no readable value within 100,000 characters"):
        read_trace(write(tmp_path / "t.json", text))


def test_more_events_than_memory_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_columns, "MOST_EVENTS", 5)
    with pytest.raises(DataError, match="more than 5 events"):
        read_trace(write(tmp_path / "t.json", WHOLE))


@pytest.mark.parametrize("bound", ["MOST_NAMES", "MOST_NAME_CHARACTERS"])
def test_more_names_than_memory_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(reading_columns, bound, 5)
    with pytest.raises(DataError, match="more names than memory holds"):
        read_trace(write(tmp_path / "t.json", WHOLE))


@pytest.mark.parametrize("word", ["sm90_", "hmma_xmma_", "nccl", "triton_tem_", "Memcpy ", "sm90_xmma_nccl"])
def test_names_that_repeat_a_word_of_kernels_are_read_in_time_that_grows_with_their_length(
    tmp_path: Path, word: str
) -> None:
    """Where it grew with the square, each name took seconds, and each of these files minutes."""
    begin = {"ph": "X", "cat": "kernel", "pid": 0, "tid": 7, "dur": 1}
    names = [f"{word * (LONGEST_NAME // len(word) - 1)}{number}" for number in range(20)]
    events = [{**begin, "name": name, "ts": number} for number, name in enumerate(names * 10)]
    imported = import_traces([write(tmp_path / "t.json", envelope(events))], store=tmp_path / "s.db")
    assert imported.traces[0].device_event_count == 200


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="does not exist"):
        import_traces([tmp_path / "none.json"], store=tmp_path / "s.db")
    with pytest.raises(OptionError, match="is a folder"):
        import_traces([tmp_path], store=tmp_path / "s.db")
    with pytest.raises(OptionError, match="no trace file"):
        import_traces([], store=tmp_path / "s.db")


def cut(text: bytes, dice: random.Random) -> bytes:
    return text[: dice.randrange(len(text))]


def flipped(text: bytes, dice: random.Random) -> bytes:
    changed = bytearray(text)
    for _ in range(dice.randrange(1, 6)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def shuffled(text: bytes, dice: random.Random) -> bytes:
    begin, middle, end = sorted(dice.randrange(len(text)) for _ in range(3))
    return text[:begin] + text[middle:end] + text[begin:middle] + text[end:]


def retyped(text: bytes, dice: random.Random) -> bytes:
    """Put a value of another type in the place of one in twenty."""
    others: list[object] = [None, -1, 1e308, 10**30, "", "x", [], {}, [[1]], {"a": {"b": 1}}, True, float("nan")]

    def changed(value: object) -> object:
        if dice.random() < 0.05:
            return dice.choice(others)
        if isinstance(value, dict):
            return {key: changed(each) for key, each in value.items()}
        return [changed(each) for each in value] if isinstance(value, list) else value

    return json.dumps(changed(json.loads(text))).encode()


@pytest.mark.parametrize("harm", [cut, flipped, shuffled, retyped])
@pytest.mark.parametrize("seed", range(40))
def test_no_damage_ends_in_anything_but_a_run_or_a_sentence(
    tmp_path: Path, harm: Callable[[bytes, random.Random], bytes], seed: int
) -> None:
    dice = random.Random(f"{harm.__name__} {seed}")
    path = tmp_path / "t.json"
    path.write_bytes(harm(WHOLE.encode(), dice))
    try:
        imported = import_traces([path], store=tmp_path / "s.db")
    except TorchglassError as error:
        told = str(error)
        assert not (tmp_path / "s.db").exists()
        assert told.count("\n") == 0
        return
    with Store(tmp_path / "s.db", read_only=True) as store:
        (window,) = store.windows(imported.run_id)
        assert store.window_tables(window.id).keys()
        assert store.run(imported.run_id).status == "finished"


def test_the_bounds_leave_room_for_real_traces() -> None:
    packed = zlib.compress(WHOLE.encode())
    assert len(WHOLE) / len(packed) < reading_text.LARGEST_EXPANSION / 10
    assert reading_columns.MOST_EVENTS >= 10_000_000
    assert reading_json.LARGEST_VALUE >= 1 << 24
    assert reading.MOST_RANKS >= 1 << 17

"""Files that were torn, damaged or never events: what can be read is, and the rest is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from exchanged import curve, scalar_event, write_log
from hypothesis import given, settings
from hypothesis import strategies as some

from torchglass.errors import DataError, OptionError
from torchglass.exchange import import_tensorboard
from torchglass.exchange.framing import RecordFile, frame
from torchglass.store import Store

FRAME_BYTES = 16  # around each record


def _records(path: Path) -> list[bytes]:
    return list(RecordFile(path))


def _starts(path: Path) -> list[int]:
    """Where each record's frame begins."""
    starts = [0]
    for record in _records(path):
        starts.append(starts[-1] + FRAME_BYTES + len(record))
    return starts[:-1]


def _log(folder: Path, count: int = 10) -> Path:
    return write_log(folder, [scalar_event("loss", float(step), step) for step in range(count)])


def test_a_file_torn_at_any_byte_gives_every_record_before_the_tear(tmp_path: Path) -> None:
    whole = _log(tmp_path, 4).read_bytes()
    starts = [*_starts(next(tmp_path.glob("*tfevents*"))), len(whole)]
    torn = tmp_path / "torn"
    for size in range(len(whole)):
        torn.write_bytes(whole[:size])
        file = RecordFile(torn)
        kept = len(list(file))
        assert kept == sum(end <= size for end in starts[1:])
        assert file.ending == ("whole" if size in starts else "torn")
        assert file.position == starts[kept]


def test_a_torn_tail_is_imported_up_to_the_tear_and_says_so(store: Store, tmp_path: Path) -> None:
    path = _log(tmp_path / "log")
    path.write_bytes(path.read_bytes()[:-3])
    (done,) = import_tensorboard(tmp_path / "log", store=store.path)
    assert len(done.faults) == 1
    assert "ends within a record" in done.faults[0]
    assert curve(store, "log", "loss") == [(step, float(step)) for step in range(9)]
    (told,) = [fact.value for fact in store.facts(store.run("log").id) if fact.key == "import"]
    assert told["faults"] == list(done.faults)


def test_a_damaged_record_is_left_out_and_all_others_are_kept(store: Store, tmp_path: Path) -> None:
    path = _log(tmp_path / "log")
    data = bytearray(path.read_bytes())
    data[_starts(path)[5] + 14] ^= 1  # the fifth after the version: step 4
    path.write_bytes(data)
    (done,) = import_tensorboard(tmp_path / "log", store=store.path)
    assert done.faults == (f"{path.name}: 1 damaged records left out",)
    assert [step for step, _ in curve(store, "log", "loss")] == [0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_a_damaged_length_ends_that_file_and_no_other(store: Store, tmp_path: Path) -> None:
    path = _log(tmp_path / "log")
    write_log(tmp_path / "log", [scalar_event("loss", 100.0, 100)], ".later")
    data = bytearray(path.read_bytes())
    start = _starts(path)[5]
    data[start] ^= 1
    path.write_bytes(data)
    (done,) = import_tensorboard(tmp_path / "log", store=store.path)
    assert len(done.faults) == 1
    assert f"damaged at byte {start} of {len(data)}" in done.faults[0]
    assert [step for step, _ in curve(store, "log", "loss")] == [0, 1, 2, 3, 100]


def test_records_that_are_no_events_are_counted(store: Store, tmp_path: Path) -> None:
    path = _log(tmp_path / "log", 2)
    path.write_bytes(frame(b"\xff\xff\xff") + path.read_bytes())
    (done,) = import_tensorboard(tmp_path / "log", store=store.path)
    assert done.faults == (f"{path.name}: 1 records that are no events left out",)
    assert done.point_count == 2


def test_a_file_that_only_has_the_name_makes_no_run(store: Store, tmp_path: Path) -> None:
    (tmp_path / "notes.tfevents.txt").write_text("I am no log, but long enough to look like one.")
    (done,) = import_tensorboard(tmp_path, store=store.path)
    assert done.run_id is None
    assert "damaged at byte 0" in done.faults[0]


@settings(max_examples=200, deadline=None)
@given(
    records=some.lists(some.binary(max_size=40), max_size=6), junk=some.binary(max_size=60), cut=some.integers(0, 300)
)
def test_any_bytes_end_in_records_and_never_in_a_stack_trace(
    records: list[bytes], junk: bytes, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    whole = b"".join(map(frame, records))
    path.write_bytes(whole[:cut] + junk)
    kept = _records(path)
    intact = records if cut >= len(whole) else records[: len(kept)]
    assert kept[: len(intact)] == intact


def test_what_is_not_there_is_one_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nowhere does not exist"):
        import_tensorboard(tmp_path / "nowhere", store=store.path)
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="no event files"):
        import_tensorboard(tmp_path / "bare", store=store.path)
    assert store.runs() == []

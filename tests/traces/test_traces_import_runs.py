"""`torchglass import trace FILE...`: files become one finished run, a window for each rank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trace_files import THREAD, Event, envelope, slice_of, step_events, write

from torchglass.cli import main
from torchglass.store import ProfilerWindow, Store
from torchglass.traces.importing import import_traces

BASE = 1_727_000_000_000_000_000  # nanoseconds since the epoch


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "s.db") as opened:
        yield opened


def two_steps(begin: float = 1000, *, shift: float = 0) -> list[Event]:
    return [*step_events(begin, 5, shift=shift), *step_events(begin + 200, 6, 500, shift=shift)]


def only_window(store: Store, tmp_path: Path, trace: object, name: str = "t.json") -> ProfilerWindow:
    imported = import_traces([write(tmp_path / name, trace)], store=tmp_path / "s.db")
    (window,) = store.windows(imported.run_id)
    return window


def test_a_trace_becomes_a_finished_run_that_says_where_its_time_went(store: Store, tmp_path: Path) -> None:
    window = only_window(store, tmp_path, envelope(two_steps(), baseTimeNanoseconds=BASE, host_name="node1"))
    (run,) = store.runs()
    assert (run.name, run.status, run.host) == ("t", "finished", "node1")
    assert run.created_at == pytest.approx(BASE / 1e9 + 1e-3, abs=1e-5)
    assert run.ended_at == pytest.approx(run.created_at + 400e-6, abs=1e-5)
    assert (window.step, window.step_count, window.rank) == (5, 2, 0)
    assert window.wall_seconds == pytest.approx(400e-6)
    assert (window.facts["source"], window.facts["file"]) == ("trace", "t.json")
    assert window.facts["device_properties"][0]["name"] == "A100"
    assert {row.kind for row in window.rows} == {"operator", "kernel"}
    series = store.find_series(run.id, "phase/step")
    assert series is not None
    points = store.points(series.id)
    assert points.steps.tolist() == [5, 6]
    assert points.values == pytest.approx([200e-6, 200e-6])
    assert (series.kind, series.unit) == ("phase", "s")


def test_compute_exposed_communication_exposed_copies_and_idle_are_the_whole(store: Store, tmp_path: Path) -> None:
    window = only_window(store, tmp_path, envelope(step_events()))
    found = {key: column.tolist() for key, column in store.window_tables(window.id)["breakdown"].items()}
    assert found["compute_ns"] == [70_000]
    assert found["exposed_communication_ns"] == [30_000]
    assert found["exposed_copies_ns"] == [10_000]
    assert found["idle_ns"] == [40_000]
    assert found["total_ns"] == [150_000]


@pytest.mark.parametrize("seed", range(20))
def test_the_parts_are_the_whole_of_any_trace(store: Store, tmp_path: Path, seed: int) -> None:
    dice = np.random.default_rng(seed)
    names = ["sgemm", "ncclDevKernel_AllReduce", "Memcpy HtoD (Pinned -> Device)"]
    categories = ["kernel", "kernel", "gpu_memcpy"]
    events = []
    for _ in range(300):
        which, device, stream = dice.integers(3), int(dice.integers(2)), int(dice.integers(7, 10))
        event = slice_of(categories[which], names[which], round(dice.uniform(0, 900), 3), round(dice.uniform(0, 9), 3))
        events.append({**event, "pid": device, "tid": stream, "args": {"device": device, "stream": stream}})
    window = only_window(store, tmp_path, envelope(events))
    found = store.window_tables(window.id)["breakdown"]
    parts = ("compute_ns", "exposed_communication_ns", "exposed_copies_ns", "idle_ns")
    assert sum(found[part] for part in parts).tolist() == found["total_ns"].tolist()  # type: ignore[union-attr]
    assert all((found[part] >= 0).all() for part in parts)
    assert found["device"].tolist() == [0, 1]


def test_a_trace_of_the_host_alone_becomes_a_run_too(store: Store, tmp_path: Path) -> None:
    events = [slice_of("cpu_op", "aten::mm", 10, 50), slice_of("cpu_op", "aten::add", 20, 10)]
    window = only_window(store, tmp_path, envelope(events))
    rows = {row.name: row for row in window.rows}
    assert rows["aten::mm"].self_seconds == pytest.approx(40e-6)
    assert rows["aten::mm"].total_seconds == pytest.approx(50e-6)
    assert window.step_count == 1
    assert window.wall_seconds == pytest.approx(50e-6)
    assert len(store.window_tables(window.id, ["kernels"])["kernels"]["name"]) == 0
    assert window.facts["missing"]["breakdown"]


@pytest.mark.parametrize("trace", [{"traceEvents": []}, []])
def test_a_trace_of_no_events_becomes_a_run_and_says_so(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], trace: object
) -> None:
    path = write(tmp_path / "t.json", trace)
    assert main(["import", "trace", str(path), "--store", str(tmp_path / "s.db")]) == 0
    assert "t.json: it holds no events" in capsys.readouterr().err
    (run,) = store.runs()
    assert (run.status, len(store.windows(run.id))) == ("finished", 1)


def ranks(tmp_path: Path, late: float = 30, **beside: Any) -> list[Path]:
    """Two ranks of a job; the second comes `late` microseconds after the first to each all-reduce."""
    return [
        write(
            tmp_path / f"job_rank{rank}.json.gz",
            envelope(two_steps(shift=late * rank), distributedInfo={"rank": rank}, **beside),
        )
        for rank in range(2)
    ]


def test_several_ranks_become_one_run_and_the_late_one_is_named(store: Store, tmp_path: Path) -> None:
    imported = import_traces(ranks(tmp_path, host_name="a"), store=tmp_path / "s.db")
    windows = store.windows(imported.run_id)
    assert [window.rank for window in windows] == [0, 1]
    assert imported.name == "job"
    assert {series.rank for series in store.series_of(imported.run_id)} == {0, 1}
    tables = store.window_tables(windows[0].id)
    found = {key: column.tolist() for key, column in tables["skew"].items()}
    assert (found["collective"], found["ranks"], found["count"]) == (["allreduce"], [2], [2])
    assert found["mean_seconds"] == pytest.approx([30e-6])
    assert (found["last_rank"], found["last_count"]) == ([1], [2])
    assert windows[0].facts["skew"]["aligned_by"] == "clock"
    assert "skew" not in store.window_tables(windows[1].id)


def shifted(events: list[Event], microseconds: float) -> list[Event]:
    return [{**event, "ts": event["ts"] + microseconds} for event in events]


def without_numbers(events: list[Event]) -> list[Event]:
    return [
        {**event, "args": {key: value for key, value in event["args"].items() if key not in ("Seq", "Collective name")}}
        for event in events
    ]


@pytest.mark.parametrize("numbered", [True, False])
def test_clocks_that_disagree_are_aligned_where_collectives_end(store: Store, tmp_path: Path, numbered: bool) -> None:
    events = [two_steps(), shifted(two_steps(shift=30), 7_000_000)]  # another host, whose clock is 7 s ahead
    files = [
        write(tmp_path / f"{rank}.json", envelope(of if numbered else without_numbers(of), host_name=f"host{rank}"))
        for rank, of in enumerate(events)
    ]
    imported = import_traces(files, store=tmp_path / "s.db")
    first = store.windows(imported.run_id)[0]
    assert first.facts["skew"] == {
        "aligned_by": "ends of collectives",
        "ahead_seconds": {"0": 0.0, "1": 7.0},
        "unmatched": 0,
    }
    skew = store.window_tables(first.id)["skew"]
    assert skew["longest_seconds"] == pytest.approx([30e-6])
    assert skew["last_rank"].tolist() == [1]


def test_a_collective_that_only_one_rank_recorded_is_matched_with_no_other(store: Store, tmp_path: Path) -> None:
    # The second rank's window begins a step later; by order alone its all-reduce would be the first one's.
    first, second = two_steps(), two_steps(shift=30)[len(step_events()) :]
    later = [*first, *step_events(5000, 7, 900)], [*second, *step_events(5000, 7, 900, shift=10)]
    files = [
        write(tmp_path / f"{rank}.json", without_numbers_envelope(events, host_name="one"))
        for rank, events in enumerate(later)
    ]
    imported = import_traces(files, store=tmp_path / "s.db")
    window = store.windows(imported.run_id)[0]
    skew = store.window_tables(window.id)["skew"]
    assert (skew["count"].tolist(), window.facts["skew"]["unmatched"]) == ([2], 1)
    assert skew["mean_seconds"] == pytest.approx([20e-6])


def without_numbers_envelope(events: list[Event], **beside: Any) -> dict[str, Any]:
    return envelope(without_numbers(events), **beside)


NAMES: dict[str, tuple[list[tuple[str, int | None]], list[int]]] = {
    "stated": ([("a.json", 5), ("b.json", 2)], [5, 2]),
    "in the names": ([("rank-3.json", None), ("trace_rank[1].pt.trace.json.gz", None)], [3, 1]),
    "in their order, around those that are known": ([("x.json", None), ("y.json", 0), ("z.json", None)], [1, 0, 2]),
    "stated rather than named": ([("rank7.json", 1)], [1]),
    "not in a word that ends with rank": ([("frank2.json", None)], [0]),
    "two windows of one rank": ([("a.json", 4), ("b.json", 4)], [4, 4]),
}


@pytest.mark.parametrize("case", NAMES)
def test_the_rank_of_a_file_is_stated_or_named_or_the_next_one_free(tmp_path: Path, case: str) -> None:
    given, expected = NAMES[case]
    files = [
        write(tmp_path / name, envelope(step_events(), **({} if rank is None else {"distributedInfo": {"rank": rank}})))
        for name, rank in given
    ]
    imported = import_traces(files, store=tmp_path / "s.db")
    assert [each.rank for each in imported.traces] == expected


@pytest.mark.parametrize(
    ("names", "run"),
    [
        (["resnet.pt.trace.json.gz"], "resnet"),
        (["job-rank0.json", "job-rank1.json"], "job"),
        (["run_rank[10].json.gz", "run_rank[11].json.gz"], "run"),
        (["0.json", "1.json"], "traces"),
    ],
)
def test_a_run_is_called_by_what_its_files_share(tmp_path: Path, names: list[str], run: str) -> None:
    (tmp_path / "traces").mkdir()
    files = [write(tmp_path / "traces" / name, envelope(step_events())) for name in names]
    assert import_traces(files, store=tmp_path / "s.db").name == run
    assert import_traces(files, store=tmp_path / "s.db").name == f"{run}-2"
    assert import_traces(files, store=tmp_path / "s.db", run="mine").name == "mine"


def test_the_command_says_what_came_of_each_file_and_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [slice_of("python_function", "f", 1, 1), slice_of("quantum_op", "q", 1, 1), slice_of("cpu_op", "n", 1, -1)]
    path = write(tmp_path / "t.json", envelope([*odd, *two_steps()]))
    assert main(["import", "trace", str(path), "--run", "mine", "--store", str(tmp_path / "s.db")]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "mine: 1 trace",
        "  rank 0: 25 events, 8 on devices; 2 steps in 0.0004 s (t.json)",
    ]
    assert "t.json: 1 slices end before they begin" in printed.err
    assert "left out 1 calls of Python functions, 1 slices of unknown categories" in printed.err


def test_two_folders_of_logs_are_not_taken_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "tensorboard", str(tmp_path), str(tmp_path), "--store", str(tmp_path / "s.db")]) == 2
    assert "takes one folder, and 2 were given" in capsys.readouterr().err


def test_the_curve_of_the_allocator_is_a_table_of_the_window(store: Store, tmp_path: Path) -> None:
    moment = {
        "ph": "i",
        "cat": "cpu_instant_event",
        "name": "[memory]",
        "pid": 1,
        "tid": THREAD,
        "ts": 1050,
        "args": {"Total Allocated": 512, "Total Reserved": 2048, "Device Type": 1, "Device Id": 0},
    }
    window = only_window(store, tmp_path, envelope([*step_events(), moment], baseTimeNanoseconds=BASE))
    memory = store.window_tables(window.id, ["memory"])["memory"]
    assert memory["start_ns"].tolist() == [50_000]
    assert (memory["allocated_bytes"].tolist(), memory["reserved_bytes"].tolist()) == ([512.0], [2048.0])

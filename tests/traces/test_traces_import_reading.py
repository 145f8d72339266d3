"""Files -> columns: every way in which a profiler ever wrote the same events comes out the same, to the nanosecond."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trace_files import (
    BACKWARD_THREAD,
    COMPUTE_STREAM,
    HOST_PROCESS,
    THREAD,
    Event,
    envelope,
    launched,
    slice_of,
    step_events,
    write,
)

from torchglass.traces import reading_text
from torchglass.traces.reading import Reading, read_trace
from torchglass.traces.reading_values import nanoseconds
from torchglass.traces.trace import HOST, Kind, Trace


def read(tmp_path: Path, trace: object, name: str = "trace.json") -> Reading:
    return read_trace(write(tmp_path / name, trace))


def essence(trace: Trace) -> set[tuple[Any, ...]]:
    """What every reading of the same events must agree on; ids of operators by the operator's name."""
    named = {int(of): trace.text(row) for row, of in enumerate(trace.operator_id) if of}
    return {
        (
            trace.text(row),
            Kind(int(trace.kind[row])),
            int(trace.start_ns[row]),
            int(trace.duration_ns[row]),
            int(trace.device[row]),
            int(trace.lane[row]),
            named.get(int(trace.external[row])),
        )
        for row in range(len(trace))
    }


def of_2021(events: list[Event]) -> list[Event]:
    capitals = {
        "cpu_op": "Operator",
        "user_annotation": "Operator",
        "cuda_runtime": "Runtime",
        "kernel": "Kernel",
        "gpu_memcpy": "Memcpy",
    }
    for event in events:
        on_device = event["cat"] in ("kernel", "gpu_memcpy")
        if event["cat"] not in ("cpu_op", "user_annotation"):
            event["args"]["external id"] = event["args"].pop("External id")
        event["tid"] = f"stream {event['tid']}" if on_device else str(event["tid"])
        event["cat"] = capitals[event["cat"]]
    return events


def begun_and_ended(events: list[Event]) -> list[Event]:
    """Slices of the host as pairs of B and E, in the order in which things happen."""
    moments = []
    for event in events:
        if event["cat"] in ("kernel", "gpu_memcpy"):
            moments.append((event["ts"], 0, 0, event))
            continue
        end = event["ts"] + event["dur"]
        moments.append((event["ts"], 1, -end, {**event, "ph": "B", "dur": None}))
        moments.append((end, 0, -event["ts"], {"ph": "E", "pid": event["pid"], "tid": event["tid"], "ts": end}))
    return [event for *_, event in sorted(moments, key=lambda moment: moment[:3])]


def correlations_for_ids(events: list[Event]) -> list[Event]:
    for event in events:
        if "correlation" in event["args"]:
            event["args"]["External id"] = event["args"]["correlation"]
    return events


def in_texts(events: list[Event]) -> list[Event]:
    return [{**event, "pid": str(event["pid"]), "ts": str(event["ts"]), "dur": f"{event['dur']}.0"} for event in events]


def with_noise(events: list[Event]) -> list[Event]:
    """Everything else that a file holds and no table wants."""
    return [
        {"ph": "M", "name": "process_name", "pid": "Spans", "tid": "", "args": {"name": "x"}},
        {"ph": "X", "cat": "Trace", "name": "PyTorch Profiler (0)", "pid": "Spans", "tid": "P", "ts": 0, "dur": 9e9},
        {"ph": "i", "name": "Iteration Start: PyTorch Profiler", "pid": "Traces", "tid": "T", "ts": 900, "s": "g"},
        *events,
        {"ph": "s", "id": 110, "cat": "ac2g", "name": "ac2g", "pid": HOST_PROCESS, "tid": THREAD, "ts": 1010},
        {"ph": "C", "name": "GPU 0 Utilization", "pid": "GPU 0 Counters", "tid": "", "ts": 1, "args": {"u": 1}},
        {"ph": "i", "name": "Record Window End", "pid": "", "tid": "", "ts": 9e18, "s": "g"},
    ]


WAYS: dict[str, Callable[[list[Event]], object]] = {
    "old categories, ids and streams as texts": lambda events: envelope(of_2021(events)),
    "a bare list": lambda events: events,
    "B and E instead of X": lambda events: envelope(begun_and_ended(events)),
    "correlation ids in the place of external ids": lambda events: envelope(correlations_for_ids(events)),
    "numbers as texts": lambda events: envelope(in_texts(events)),
    "flows, counters, spans and a mark far away": lambda events: envelope(with_noise(events)),
    "in any order": lambda events: envelope(sorted(events, key=lambda event: str(event["name"]))),
}


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz", "no-ending"])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_events_come_out_the_same_however_they_were_written(tmp_path: Path, way: str, name: str) -> None:
    plain = read(tmp_path, envelope(step_events()))
    other = read(tmp_path, WAYS[way](copy.deepcopy(step_events())), name)
    assert essence(other.trace) == essence(plain.trace)
    assert len(other.trace) == 12
    assert (np.diff(other.trace.start_ns) >= 0).all()


def test_columns_hold_what_kernels_and_copies_say_of_themselves(tmp_path: Path) -> None:
    trace = read(tmp_path, envelope(step_events(), distributedInfo={"rank": 3})).trace
    by_name = {trace.text(row): row for row in range(len(trace))}
    copied, forward = by_name["Memcpy HtoD (Pageable -> Device)"], by_name["ampere_sgemm_128x64_nn"]
    collective = by_name["ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevComm*)"]
    assert trace.rank == 3
    assert trace.facts["deviceProperties"][0]["numSms"] == 108
    assert trace.bytes_moved[copied] == 4096
    assert math.isnan(trace.bytes_moved[forward])
    assert (trace.blocks_per_sm[forward], trace.occupancy_percent[forward]) == (0.5, 25)
    assert trace.texts[collective]["Collective name"] == "allreduce"
    assert set(trace.texts) == {collective}
    assert trace.device[forward] == 0
    assert trace.lane[forward] == COMPUTE_STREAM
    assert trace.device[by_name["aten::mm"]] == HOST
    assert trace.lane[by_name["aten::mm"]] == THREAD


def test_blocks_per_sm_are_counted_from_the_grid_where_none_are_told(tmp_path: Path) -> None:
    events = launched("kernel", "k", (1, 1), (5, 1), 1, operator=1, grid=[27, 2, 2])
    trace = read(tmp_path, envelope(events)).trace
    assert trace.blocks_per_sm[1] == 1.0  # 108 blocks on 108 multiprocessors


def test_a_backward_operator_knows_the_lane_that_ran_its_forward(tmp_path: Path) -> None:
    trace = read(tmp_path, envelope(step_events())).trace
    backward = next(row for row in range(len(trace)) if trace.text(row) == "MmBackward0")
    assert (trace.lane[backward], trace.forward_lane[backward], trace.sequence[backward]) == (
        BACKWARD_THREAD,
        THREAD,
        5,
    )


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("1695835542514261.123", 1_695_835_542_514_261_123),  # a float64 would say .000 or .250
        ("1695835542514261", 1_695_835_542_514_261_000),
        ("4398046511103.999", 4_398_046_511_103_999),  # about there the nanoseconds of a float end
        ("4430806016384.875", 4_430_806_016_384_875),
        ("8796093022208.001", 8_796_093_022_208_001),
        ("-1695835542514261.123", -1_695_835_542_514_261_123),
        ("0.001", 1),
        ("7.9", 7_900),
        ("1.5e3", 1_500_000),
        ('"12.345"', 12_345),
        ("-3.5", -3_500),
    ],
)
def test_times_keep_every_nanosecond(tmp_path: Path, written: str, nanoseconds: int) -> None:
    text = f'[{{"ph": "X", "cat": "cpu_op", "name": "a", "pid": 1, "tid": 1, "ts": {written}, "dur": 0.007}}]'
    trace = read(tmp_path, text).trace
    assert (trace.start_ns.tolist(), trace.duration_ns.tolist()) == ([nanoseconds], [7])


def test_no_nanosecond_is_lost_between_a_microsecond_and_a_century() -> None:
    dice = random.Random(0)
    for digits in range(4, 19):
        for _ in range(2_000):
            expected = dice.randrange(10 ** (digits - 1), 10**digits)
            assert nanoseconds(f"{expected // 1000}.{expected % 1000:03}") == expected


def test_times_count_from_the_base_that_a_trace_names(tmp_path: Path) -> None:
    base = 1_727_000_000_000_000_000
    trace = read(tmp_path, envelope([slice_of("cpu_op", "a", 1.25, 1)], baseTimeNanoseconds=base)).trace
    assert trace.start_ns.tolist() == [base + 1250]


def test_collectives_of_the_cpu_are_asynchronous_in_a_file_too(tmp_path: Path) -> None:
    exchange = slice_of("user_annotation", "gloo:all_reduce", 1090, 900, BACKWARD_THREAD)
    trace = read(tmp_path, envelope([*step_events(), exchange])).trace
    assert [trace.text(row) for row in trace.asynchronous] == ["gloo:all_reduce"]


def test_modules_are_annotations_and_other_python_calls_are_left_out(tmp_path: Path) -> None:
    events = [
        slice_of("python_function", "nn.Module: Linear_0", 1, 5),
        slice_of("python_function", "train.py(3): main", 0, 9),
        slice_of("cpu_op", "nn.Module: layer1.0", 1, 5),
        slice_of("cpu_op", "torchglass.phase#forward", 1, 0),
        slice_of("cpu_op", "aten::mm", 2, 1),
    ]
    trace = read(tmp_path, envelope(events)).trace
    kinds = {trace.text(row): Kind(int(trace.kind[row])) for row in range(len(trace))}
    assert kinds.pop("aten::mm") == Kind.OPERATOR
    assert set(kinds.values()) == {Kind.ANNOTATION}
    assert len(kinds) == 3
    assert trace.facts["left_out"] == {"calls of Python functions": 1}


def test_unknown_categories_are_counted_in_a_trace_of_kineto_and_operators_in_one_of_another_tool(
    tmp_path: Path,
) -> None:
    strange = [slice_of("hardware_counters", "x", 1, 1), {**slice_of("", "render", 1, 5), "cat": "gfx,toplevel"}]
    mixed = read(tmp_path, envelope([*strange, slice_of("cpu_op", "aten::mm", 1, 1)])).trace
    assert (len(mixed), mixed.facts["left_out"]) == (1, {"slices of unknown categories": 2})
    foreign = read(tmp_path, strange).trace
    assert foreign.kind.tolist() == [Kind.OPERATOR] * 2
    assert foreign.facts["left_out"] == {}


def test_the_export_of_function_events_is_told_by_its_processes(tmp_path: Path) -> None:
    text = """[{"name": "aten::mm", "ph": "X", "ts": 1.5, "dur": 9.25, "tid": 1, "pid": "CPU functions", "args": {}},
      {"name": "sgemm", "ph": "X", "ts": 3, "dur": 5, "tid": 0, "pid": "CUDA functions", "args": {}}]"""
    trace = read(tmp_path, text).trace
    assert trace.kind.tolist() == [Kind.OPERATOR, Kind.KERNEL]
    assert trace.device.tolist() == [HOST, 0]


def test_threads_of_two_processes_do_not_share_a_lane(tmp_path: Path) -> None:
    events = [{**slice_of("cpu_op", str(process), 1, 1, 5), "pid": process} for process in (1, 2, "3", "loader")]
    trace = read(tmp_path, events).trace
    assert len(set(trace.lane.tolist())) == 4
    assert len({trace.lane_names[HOST, lane] for lane in trace.lane.tolist()}) == 4


def test_the_allocators_curve_is_kept_with_its_peak(tmp_path: Path) -> None:
    allocated = [*range(5_000), 9_999, *range(5_000)]
    events = [
        {
            "ph": "i",
            "cat": "cpu_instant_event",
            "name": "[memory]",
            "ts": 100 + at,
            "args": {"Total Allocated": size, "Total Reserved": 10_000, "Device Type": 1, "Device Id": 2, "Bytes": 1},
        }
        for at, size in enumerate(allocated)
    ]
    memory = read(tmp_path, [slice_of("cpu_op", "a", 100, 1), *events]).memory
    peak = int(memory["allocated_bytes"].argmax())
    assert len(memory["start_ns"]) <= 2_000
    assert set(memory["device"].tolist()) == {2}
    assert (memory["allocated_bytes"][peak], memory["start_ns"][peak]) == (9_999, 5_000_000)


ODD: dict[str, Event] = {
    "no arguments": {"args": None},
    "arguments that are a list": {"args": [1]},
    "a process that is a list": {"pid": [1, {"a": 2}]},
    "a process that is not a number": {"pid": math.nan},
    "a process of -1": {"pid": -1},
    "no process and no thread": {"pid": None, "tid": None},
    "a thread that no 64 bits hold": {"tid": 10**30},
    "no name": {"name": None},
    "a name that is a number": {"name": 7},
    "a name that is half a character": {"name": "\ud83d"},
    "ids that are texts": {"args": {"External id": "x", "correlation": "7", "Sequence number": [1]}},
    "ids that no 64 bits hold": {"args": {"External id": 10**40, "correlation": -(10**40), "Fwd thread id": 1e300}},
}


@pytest.mark.parametrize("category", ["cpu_op", "cuda_runtime", "kernel", "gpu_memcpy", "cuda_sync", "overhead"])
@pytest.mark.parametrize("oddity", ODD)
def test_an_odd_event_is_still_an_event(tmp_path: Path, oddity: str, category: str) -> None:
    event = {**slice_of(category, "odd", 5, 7), **ODD[oddity]}
    trace = read(tmp_path, envelope([event, *step_events()])).trace
    assert len(trace) == 13
    row = int(np.flatnonzero(trace.start_ns == 5_000)[0])
    assert trace.duration_ns[row] == 7_000
    trace.text(row).encode()  # no half characters: a store would not take them


@pytest.mark.parametrize("time", [None, math.nan, math.inf, "soon", [], 1e300, 10**25, True])
@pytest.mark.parametrize("field", ["ts", "dur"])
def test_a_slice_without_a_usable_time_is_left_out_and_counted(tmp_path: Path, field: str, time: object) -> None:
    event = {**slice_of("cpu_op", "odd", 5, 7), field: time}
    trace = read(tmp_path, envelope([event, *step_events()])).trace
    assert (len(trace), trace.facts["left_out"]) == (12, {"slices without a usable time": 1})


def test_a_slice_that_ends_before_it_begins_counts_with_no_length_and_a_word(tmp_path: Path) -> None:
    reading = read(tmp_path, envelope([slice_of("cpu_op", "odd", 50, -3), *step_events()]))
    assert reading.trace.duration_ns.min() == 0
    assert len(reading.trace) == 13
    assert reading.faults == ("trace.json: 1 slices end before they begin; they count with no length",)


def test_begins_without_ends_and_ends_without_begins_are_counted(tmp_path: Path) -> None:
    events = [{"ph": "E", "ts": 1, "pid": 1, "tid": 1}, {"ph": "B", "name": "a", "ts": 2, "pid": 1, "tid": 1}]
    assert read(tmp_path, events).trace.facts["left_out"] == {
        "ends of slices that never began": 1,
        "slices that never end": 1,
    }


@pytest.mark.parametrize("size", [1, 7, 97, 1 << 20])
def test_where_a_block_of_text_ends_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    events = step_events()
    events[0]["args"]["nested"] = [{"name": "a"}, {"name": 'é\n"}, {\\"ph\\":'}]
    whole = read(tmp_path, envelope(events, baseTimeNanoseconds=123)).trace
    monkeypatch.setattr(reading_text, "BLOCK_BYTES", size)
    reading = read(tmp_path, envelope(events, baseTimeNanoseconds=123))
    assert essence(reading.trace) == essence(whole)
    assert reading.faults == ()


@pytest.mark.parametrize("size", [11, 1 << 20])
def test_what_old_writers_left_unescaped_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(reading_text, "BLOCK_BYTES", size)
    text = """{"traceEvents": [
      {"ph": "X", "cat": "kernel", "name": "call "f" in C:\\dir\\x.py", "pid": 0, "tid": 7, "ts": 1, "dur": 2,
       "args": {"bytes": N/A, "blocks per SM": -nan, "stream": 7, "device": 0}},
      {"ph": "X", "cat": "kernel", "name": "plain", "pid": 0, "tid": 7, "ts": 5, "dur": 2, "args": {"bytes": inf}}
    ], "traceName": "x"}"""
    reading = read(tmp_path, text)
    assert reading.trace.names == ('call "f" in C:\\dir\\x.py', "plain")
    assert reading.faults == ("trace.json: 2 events that are not valid JSON were repaired",)

"""compute + exposed communication + exposed copies + idle = total, in whole nanoseconds, judged by a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_making import Making, lines

from torchglass.traces.intervals import union
from torchglass.traces.profile import profile_of
from torchglass.traces.trace import Kind

PARTS = ("compute", "exposed_communication", "exposed_copies", "idle")
NAMES = {
    "compute": "gemm",
    "communication": "ncclDevKernel_AllReduce_Sum_f32_RING_LL(x)",
    "copy": "Memcpy HtoD (x -> y)",
}

works = st.lists(
    st.tuples(
        st.sampled_from(sorted(NAMES)),
        st.integers(0, 60),  # start
        st.integers(0, 25),  # duration
        st.sampled_from((7, 20)),  # stream
        st.sampled_from((0, 1)),  # device
    ),
    min_size=1,
    max_size=14,
)


def made_of(events: list[tuple[str, int, int, int, int]]) -> Making:
    made = Making()
    for what, start, duration, stream, device in events:
        if what == "copy":
            made.copy(NAMES[what], start, duration, stream=stream, device=device)
        else:
            made.kernel(NAMES[what], start, duration, stream=stream, device=device)
    return made


def slow_twin(events: list[tuple[str, int, int, int, int]], device: int) -> dict[str, int]:
    """Each nanosecond by itself."""
    here = [event for event in events if event[4] == device]
    begin, end = min(start for _, start, *_ in here), max(start + duration for _, start, duration, *_ in here)
    counted = dict.fromkeys(PARTS, 0)
    for moment in range(begin, end):
        running = {what for what, start, duration, *_ in here if start <= moment < start + duration}
        if "compute" in running:
            counted["compute"] += 1
        elif "communication" in running:
            counted["exposed_communication"] += 1
        elif "copy" in running:
            counted["exposed_copies"] += 1
        else:
            counted["idle"] += 1
    return counted


@settings(max_examples=150, deadline=None)
@given(works)
def test_the_four_parts_are_what_each_nanosecond_says_and_add_up(events: list[tuple[str, int, int, int, int]]) -> None:
    table = profile_of(made_of(events).trace()).tables["breakdown"]
    devices = sorted({event[4] for event in events})
    assert table["device"].tolist() == devices
    for row, device in enumerate(devices):
        found = {part: int(table[f"{part}_ns"][row]) for part in PARTS}
        assert found == slow_twin(events, device)
        assert sum(found.values()) == int(table["total_ns"][row])


def test_copies_beside_communication_are_hidden_and_communication_beside_compute_is() -> None:
    events = [
        ("compute", 10, 20, 7, 0),
        ("communication", 25, 30, 20, 0),
        ("copy", 50, 20, 7, 0),
        ("compute", 90, 5, 7, 0),
    ]
    profile = profile_of(made_of(events).trace())
    assert lines(profile.tables["breakdown"], "total_ns", *(f"{part}_ns" for part in PARTS)) == [(85, 25, 25, 15, 20)]
    assert profile.facts["overlap_percent"] == pytest.approx(100 * 5 / 30)


def test_without_communication_its_hidden_share_is_not_known() -> None:
    assert profile_of(made_of([("compute", 0, 5, 7, 0)]).trace()).facts["overlap_percent"] is None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=10),
    st.tuples(st.integers(-5, 60), st.integers(0, 30)),
)
def test_a_union_covers_each_moment_once(spans: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    moments = {moment for start, length in spans for moment in range(start, start + length)}
    starts = np.array([start for start, _ in spans], np.int64)
    ends = starts + np.array([length for _, length in spans], np.int64)
    found = union(starts, ends)
    assert found.length() == len(moments)
    assert (found.starts[1:] > found.ends[:-1]).all()
    first, last = asked[0], asked[0] + asked[1]
    inside = found.within(np.array([first]), np.array([last]))
    assert inside.tolist() == [len(moments & set(range(first, last)))]


def test_annotations_on_a_device_and_the_profilers_overhead_are_no_work() -> None:
    made = made_of([("compute", 10, 20, 7, 0)])
    made.add(Kind.DEVICE_ANNOTATION, "ProfilerStep#3", 0, 500, lane=7, device=0)
    made.add(Kind.OVERHEAD, "Buffer Flush", 40, 300, lane=0, device=0)
    profile = profile_of(made.trace())
    assert lines(profile.tables["breakdown"], "total_ns", "compute_ns", "idle_ns") == [(20, 20, 0)]
    assert [row.name for row in profile.rows if row.kind == "kernel"] == ["gemm"]
    assert lines(profile.tables["overheads"], "name", "calls", "seconds") == [("Buffer Flush", 1, 300e-9)]

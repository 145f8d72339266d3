"""The timeline: lanes in order, nesting as depth, overlaps beside each other, and no slice lost in silence."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_making import Making, lines

from torchglass.store import Table
from torchglass.traces.calls import calls_of
from torchglass.traces.phases import phases_of
from torchglass.traces.profile import Profile, profile_of
from torchglass.traces.slices import depths, timeline_of
from torchglass.traces.trace import Kind
from torchglass.traces.work import work_of


def drawn(profile: Profile) -> list[tuple[str, str, int, int, int]]:
    """Lane, name, depth, start and duration of each slice."""
    tables = profile.tables
    titles, names = tables["lanes"]["title"].tolist(), tables["slice_names"]["name"].tolist()
    columns = lines(tables["slices"], "lane", "name", "depth", "start_ns", "duration_ns")
    return [(titles[lane], names[name], depth, start, lasts) for lane, name, depth, start, lasts in columns]


def test_lanes_are_phases_then_the_training_thread_then_the_busiest_then_streams() -> None:
    made = (
        Making()
        .op("aten::add", 1_010, 20, lane=9)
        .note("torchglass.phase#forward", 1_050, 1, lane=9)
        .op("one of", 1_000, 5, lane=3)
        .op("two", 1_005, 5, lane=4)
        .op("two", 1_015, 5, lane=4)
        .kernel("k", 1_060, 8, stream=20)
        .kernel("k", 1_070, 8, stream=7)
        .kernel("k", 1_080, 8, stream=7, device=1)
    )
    profile = profile_of(made.trace())
    assert profile.tables["lanes"]["title"].tolist() == [
        "phases",
        "thread 9",
        "thread 4",
        "thread 3",
        "GPU 0, stream 7",
        "GPU 0, stream 20",
        "GPU 1, stream 7",
    ]
    assert "torchglass.phase#forward" not in profile.tables["slice_names"]["name"]
    assert drawn(profile)[:2] == [("phases", "forward", 0, 10, 40), ("thread 9", "aten::add", 0, 10, 20)]


def test_nesting_is_depth_and_overlapping_work_goes_below_and_is_marked() -> None:
    made = (
        Making()
        .op("outer", 0, 100)
        .op("inner", 10, 20)
        .op("deep", 12, 5)
        .op("inner", 50, 20)
        .kernel("a", 0, 50)
        .kernel("b", 40, 30)
        .kernel("c", 50, 10)
        .kernel("d", 70, 10)
    )
    profile = profile_of(made.trace())
    assert [(name, depth) for _, name, depth, *_ in drawn(profile)] == [
        ("outer", 0),
        ("inner", 1),
        ("deep", 2),
        ("inner", 1),
        ("a", 0),
        ("b", 1),
        ("c", 0),
        ("d", 0),
    ]
    assert profile.tables["slices"]["clipped"].tolist()[4:] == [True, True, False, False]


def test_waits_and_overhead_are_drawn_and_spans_of_annotations_on_a_device_are_not() -> None:
    made = (
        Making()
        .kernel("k", 0, 50)
        .add(Kind.SYNC, "Stream Wait Event", 10, 20, lane=7, device=0)
        .add(Kind.OVERHEAD, "Buffer Flush", 0, 30, lane=1)
        .add(Kind.DEVICE_ANNOTATION, "ProfilerStep#1", 0, 90, lane=7, device=0)
    )
    assert drawn(profile_of(made.trace())) == [
        ("thread 1", "Buffer Flush", 0, 0, 30),
        ("GPU 0, stream 7", "k", 0, 0, 50),
        ("GPU 0, stream 7", "Stream Wait Event", 1, 10, 20),
    ]


def test_the_shortest_slices_are_dropped_first_and_counted() -> None:
    made = Making().op("long", 0, 100).op("middle", 10, 50).op("short", 12, 3).kernel("kernel", 200, 40)
    trace = made.trace()
    calls = calls_of(trace)
    timeline = timeline_of(trace, calls, work_of(trace), phases_of(trace, calls), 0, most=3)
    assert timeline.dropped == 1
    assert timeline.names["name"].tolist() == ["long", "middle", "kernel"]
    assert profile_of(trace).facts["quality"]["dropped_slices"] == 0


def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 12)), max_size=15))
def test_no_two_slices_at_one_depth_of_a_lane_overlap(spans: list[tuple[int, int, int]]) -> None:
    spans = sorted(spans, key=lambda span: (span[0], span[1], -span[2]))
    lane, start, length = (np.array([span[part] for span in spans], np.int64) for part in range(3))
    found = depths(lane, start, start + length).tolist()
    placed = [(where, depth, (begin, begin + lasts)) for (where, begin, lasts), depth in zip(spans, found, strict=True)]
    for index, (where, depth, span) in enumerate(placed):
        assert not any(
            where == other_lane and depth == other_depth and overlap(span, other)
            for other_lane, other_depth, other in placed[:index]
        )
        above = {d for lane_, d, other in placed[:index] if lane_ == where and other[0] <= span[0] < other[1]}
        assert depth == 0 or above >= set(range(depth))


def test_each_event_that_is_drawn_is_drawn_once() -> None:
    made = Making()
    for index in range(40):
        made.op(f"op{index % 7}", index * 10, 25, lane=index % 3).kernel(f"k{index % 5}", index * 10, 14)
    table: Table = profile_of(made.trace()).tables["slices"]
    assert len(table["lane"]) == 80
    assert int(table["duration_ns"].sum()) == 40 * 25 + 40 * 14

"""Gaps of a stream: how each is divided among its causes, and whom the longest are blamed on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_making import Making, lines

from torchglass.traces.idle import TURN_AROUND_NS
from torchglass.traces.profile import profile_of

US = 1_000


def two_kernels(launch_begins: int, launch_lasts: int, second_begins: int) -> Making:
    """The first ends at 100 us; times in us."""
    return (
        Making()
        .call(0, 5 * US, correlation=1)
        .call(launch_begins * US, launch_lasts * US, correlation=2)
        .kernel("first", 10 * US, 90 * US, correlation=1)
        .kernel("second", second_begins * US, 50 * US, correlation=2)
    )


def idle(made: Making) -> dict[str, tuple[int, float]]:
    table = profile_of(made.trace()).tables["idle"]
    return {cause: (gaps, round(seconds * 1e6, 3)) for cause, gaps, seconds in lines(table, "cause", "gaps", "seconds")}


def test_a_late_launch_divides_the_gap_at_its_end() -> None:
    assert idle(two_kernels(launch_begins=120, launch_lasts=15, second_begins=150)) == {
        "host wait": (1, 35.0),
        "launch latency": (0, 15.0),
    }


def test_a_launch_that_had_begun_but_not_ended_in_time_is_the_hosts_up_to_its_end() -> None:
    assert idle(two_kernels(launch_begins=95, launch_lasts=11, second_begins=140)) == {
        "host wait": (0, 6.0),
        "launch latency": (1, 34.0),
    }


def test_a_kernel_that_begins_before_its_launch_returns_waited_for_the_host_alone() -> None:
    assert idle(two_kernels(launch_begins=120, launch_lasts=40, second_begins=130)) == {"host wait": (1, 30.0)}


def test_a_short_gap_after_a_launch_in_time_is_the_devices_own_and_a_long_one_is_other() -> None:
    assert idle(two_kernels(launch_begins=20, launch_lasts=5, second_begins=129)) == {"kernel wait": (1, 29.0)}
    assert idle(two_kernels(launch_begins=20, launch_lasts=5, second_begins=130)) == {"other": (1, 30.0)}
    assert TURN_AROUND_NS == 30 * US


def test_a_gap_before_work_without_a_known_launch_is_other_however_short() -> None:
    made = Making().kernel("first", 0, 10).kernel("second", 12, 10)
    assert idle(made) == {"other": (1, 0.002)}


def test_a_stream_is_idle_only_after_all_that_ran_on_it_has_ended() -> None:
    made = (
        Making()
        .kernel("long", 0, 100)
        .kernel("within", 20, 10)
        .call(70, 31, correlation=1)
        .kernel("next", 104, 10, correlation=1)
    )
    tables = profile_of(made.trace()).tables
    assert lines(tables["gaps"], "start_ns", "seconds", "before", "after") == [(100, 4e-9, "long", "next")]
    assert lines(tables["idle"], "cause", "seconds") == [("host wait", 1e-9), ("launch latency", 3e-9)]


def test_streams_and_devices_have_gaps_of_their_own() -> None:
    made = Making()
    for stream, device, second in ((7, 0, 15), (20, 0, 17), (7, 1, 19)):
        made.kernel("a", 0, 10, stream=stream, device=device).kernel("b", second, 10, stream=stream, device=device)
    assert lines(profile_of(made.trace()).tables["idle"], "device", "stream", "gaps", "seconds") == [
        (0, 7, 1, 5e-9),
        (0, 20, 1, 7e-9),
        (1, 7, 1, 9e-9),
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 60), st.integers(0, 300)), min_size=1, max_size=12))
def test_causes_of_a_stream_add_up_to_its_time_without_work(events: list[tuple[int, int, int]]) -> None:
    made = Making()
    for number, (start, duration, before) in enumerate(events, 1):
        made.call((start - before) * US, 20 * US, correlation=number).kernel("k", start * US, duration * US, number)
    profile = profile_of(made.trace())
    without = profile.tables["breakdown"]["idle_seconds"].sum()
    assert profile.tables["idle"]["seconds"].sum() == pytest.approx(without, abs=1e-12)
    assert profile.tables["gaps"]["seconds"].sum() == pytest.approx(without, abs=1e-12)
    assert profile.tables["idle"]["gaps"].sum() == len(profile.tables["gaps"]["seconds"])


def test_a_gap_is_blamed_on_the_innermost_call_that_covers_most_of_it_else_on_what_launched_the_next() -> None:
    made = (
        two_kernels(launch_begins=180, launch_lasts=5, second_begins=190)
        .note("ProfilerStep#4", 0, 400 * US)
        .op("the whole step", 0, 300 * US)
        .op("aten::item", 101 * US, 60 * US)
        .call(110 * US, 30 * US, correlation=77, name="cudaStreamSynchronize")
        .op("aten::add", 178 * US, 10 * US)
    )
    table = profile_of(made.trace()).tables["gaps"]
    assert lines(table, "device", "stream", "cause", "operator") == [(0, 7, "host wait", "aten::item")]
    alone = (
        two_kernels(launch_begins=180, launch_lasts=5, second_begins=190)
        .note("ProfilerStep#4", 0, 400 * US)
        .op("on another thread", 0, 400 * US, lane=2)
        .op("aten::add", 178 * US, 10 * US)
    )
    assert profile_of(alone.trace()).tables["gaps"]["operator"].tolist() == ["aten::add"]


def test_the_hundred_longest_gaps_are_kept_one_by_one_and_all_are_summed() -> None:
    made = Making()
    at = 0
    for length in range(1, 131):
        made.kernel("k", at, 10)
        at += 10 + length
    tables = profile_of(made.kernel("k", at, 10).trace()).tables
    assert (tables["gaps"]["seconds"] * 1e9).round().tolist() == list(range(130, 30, -1))
    assert lines(tables["idle"], "gaps", "seconds") == [(130, pytest.approx(8_515e-9))]

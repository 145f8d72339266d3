"""Phases: from our marks, which say what the time before each was; else from what torch annotates by itself."""

from __future__ import annotations

from trace_making import Making, lines

from torchglass.traces.profile import Profile, profile_of


def phases(made: Making) -> dict[str, tuple[float, float]]:
    return told(profile_of(made.trace()))


def told(profile: Profile) -> dict[str, tuple[float, float]]:
    """Nanoseconds of host and device by phase."""
    table = profile.tables["phases"]
    return {
        phase: (round(host * 1e9, 3), round(device * 1e9, 3))
        for phase, host, device in lines(table, "phase", "seconds", "device_seconds")
    }


def launched(made: Making, at: int, lasts: int, correlation: int, lane: int = 1) -> Making:
    return made.call(at, 2, correlation, lane=lane).kernel(f"k{correlation}", 2_000 + at * 10, lasts, correlation)


def test_a_mark_names_the_time_since_the_mark_before_it() -> None:
    made = (
        Making()
        .op("first on this thread", 100, 5)
        .note("torchglass.phase#data", 130, 1)
        .note("torchglass.phase#forward", 200, 1)
        .note("torchglass.phase#backward", 250, 1)
        .note("torchglass.phase#forward", 300, 1)
        .op("elsewhere", 0, 1_000, lane=2)
    )
    launched(made, 110, 3, correlation=1)
    launched(made, 130, 5, correlation=2)  # the moment of a mark belongs to what follows
    launched(made, 220, 7, correlation=3, lane=2)  # launched by autograd's thread while the training thread waits
    launched(made, 270, 11, correlation=4)
    launched(made, 900, 13, correlation=5)  # after the last mark
    made.kernel("launched before the window", 1_000, 17)
    profile = profile_of(made.trace())
    assert told(profile) == {
        "other": (0, 13 + 17),
        "data": (30, 3),
        "forward": (70 + 50, 5 + 11),
        "backward": (50, 7),
    }
    assert profile.facts["phases_from"] == "marks"


def test_host_time_of_all_phases_is_the_time_until_the_last_mark() -> None:
    made = Making().op("a", 0, 10)
    for moment, name in ((40, "data"), (45, "forward"), (145, "backward"), (333, "other")):
        made.note(f"torchglass.phase#{name}", moment, 2)
    assert sum(host for host, _ in phases(made.op("later", 340, 900)).values()) == 333


def foreign_step(begin: int) -> Making:
    """400 ns: data 40, forward 100 (two pieces), clearing 20, backward 120 in two threads, optimizer 70, rest other."""
    return _foreign(Making(), begin)


def _foreign(made: Making, begin: int) -> Making:
    return (
        made.note(f"ProfilerStep#{begin}", begin, 400)
        .note("enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__", begin + 10, 40)
        .op("aten::linear", begin + 60, 80, sequence=begin)
        .note("Optimizer.zero_grad#SGD.zero_grad", begin + 145, 20)
        .op(
            "autograd::engine::evaluate_function: MulBackward0", begin + 170, 40, lane=2, sequence=begin, forward_lane=1
        )
        .op("autograd::engine::evaluate_function: AddBackward0", begin + 230, 60, lane=2)
        .note("Optimizer.step#SGD.step", begin + 300, 70)
    )


def test_a_foreign_trace_is_divided_by_what_torch_annotates() -> None:
    made = foreign_step(1_000)
    for correlation, (at, lane) in enumerate([(1_020, 1), (1_070, 1), (1_180, 2), (1_310, 1), (1_390, 1)], 1):
        launched(made, at, 1 << correlation, correlation, lane=lane)
    profile = profile_of(made.trace())
    assert told(profile) == {
        "other": (10 + 20 + 10 + 30, 32),
        "data": (40, 2),
        "forward": (95 + 5, 4),
        "backward": (120, 8),
        "optimizer": (70, 16),
    }
    assert profile.facts["phases_from"] == "annotations"


def test_forward_does_not_reach_back_into_the_step_before() -> None:
    made = _foreign(foreign_step(1_000), 1_400)
    found = phases(made)
    assert {phase: host for phase, (host, _) in found.items()} == {
        "other": 140,
        "data": 80,
        "forward": 200,
        "backward": 240,
        "optimizer": 140,
    }


def test_forward_operators_between_two_backwards_part_them() -> None:
    made = (
        Making()
        .op("aten::linear", 0, 50, sequence=1)
        .op("autograd::engine::evaluate_function: A", 60, 40, lane=2)
        .op("autograd::engine::evaluate_function: B, which A runs", 70, 5, lane=2)
        .op("aten::linear", 130, 50, sequence=2)
        .op("autograd::engine::evaluate_function: A", 200, 40, lane=2)
        .op("aten::add", 210, 10, lane=2, sequence=3)  # recomputed, inside of backward
        .op("autograd::engine::evaluate_function: A", 245, 15, lane=2)
        .note("Optimizer.step#SGD.step", 280, 10)
    )
    assert {phase: host for phase, (host, _) in phases(made).items()} == {
        "forward": 60 + 100,
        "backward": 40 + 60,
        "other": 20,
        "optimizer": 10,
    }


def test_gradients_cleared_at_the_end_of_a_step_are_not_led_up_to_by_forward() -> None:
    made = (
        Making()
        .note("Optimizer.step#SGD.step", 0, 50)
        .note("Optimizer.zero_grad#SGD.zero_grad", 60, 10)
        .note("ProfilerStep#2", 100, 200)
        .op("autograd::engine::evaluate_function: A", 200, 50, lane=2)
    )
    assert {phase: host for phase, (host, _) in phases(made).items()} == {
        "other": 10 + 10 + 30 + 50,
        "optimizer": 50,
        "forward": 100,
        "backward": 50,
    }


def test_of_phases_that_overlap_the_one_that_began_first_keeps_its_time() -> None:
    made = Making().note("Optimizer.step#SGD.step", 0, 50).note("enumerate(DataLoader)#x.__next__", 40, 30)
    assert {phase: host for phase, (host, _) in phases(made).items()} == {"optimizer": 50, "data": 20}


def test_a_trace_that_says_nothing_of_phases_has_none_and_says_so() -> None:
    profile = profile_of(launched(Making().op("aten::add", 0, 10), 3, 5, correlation=1).trace())
    assert told(profile) == {}
    assert profile.facts["missing"]["phases"].startswith("nothing in the trace says where a phase")
    assert set(profile.tables["links"]["phase"].tolist()) == {"other"}

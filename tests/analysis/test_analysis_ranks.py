"""Ranks side by side: who keeps whom waiting, in which phase, and what that costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compared import Numbers, record, window

from torchglass.analysis.ranks import MAX_STEPS, Ranks, read_ranks
from torchglass.analysis.stragglers import find_straggler, straggler_text
from torchglass.store import Store

BASE = {"data": 0.01, "forward": 0.03, "backward": 0.05, "optimizer": 0.005}
EXCHANGE = 0.002  # what the exchange itself takes, of those who wait for nobody


def in_step(extra: Numbers, phase: str, *, exchange: bool = True, jitter: float = 0.0) -> Ranks:
    """Ranks (r, n) that wait for each other's gradients, of which some take so much longer in one phase."""
    ranks, steps = extra.shape
    generator = np.random.default_rng(0)
    seconds = {name: value * (1 + jitter * generator.normal(0, 1, extra.shape)) for name, value in BASE.items()}
    seconds[phase] = seconds[phase] + extra
    own = sum(seconds.values())
    waiting = EXCHANGE + np.max(own, axis=0) - own
    if exchange:
        seconds["gradient_sync"] = waiting
    else:
        seconds["backward"] = seconds["backward"] + waiting
    names = tuple(seconds)
    return Ranks(
        tuple(range(ranks)),
        names,
        np.arange(steps),
        np.stack([seconds[name] for name in names], axis=1),
        np.asarray(own + waiting),
        "gradient_sync" if exchange else "backward",
    )


def slow(rank: int, seconds: float, ranks: int = 4, steps: int = 60) -> Numbers:
    extra = np.zeros((ranks, steps))
    extra[rank] = seconds
    return extra


@pytest.mark.parametrize(
    ("phase", "exchange"), [("forward", True), ("backward", True), ("data", False), ("forward", False)]
)
def test_the_rank_that_others_wait_for_is_named_with_its_phase(phase: str, exchange: bool) -> None:
    ranks = in_step(slow(2, 0.02), phase, exchange=exchange, jitter=0.01)
    straggler = find_straggler(ranks)
    assert straggler is not None
    assert (straggler.kind, straggler.rank, straggler.phase) == ("persistent", 2, phase)
    assert straggler.excess_seconds == pytest.approx(0.02, rel=0.1)
    assert straggler.phase_seconds == pytest.approx(0.02, rel=0.1)
    assert straggler.lost_seconds[2] == pytest.approx(0, abs=1e-4)
    assert straggler.lost_seconds[[0, 1, 3]] == pytest.approx([0.02] * 3, rel=0.1)


def test_the_waiting_of_all_ranks_adds_up_to_the_share_that_is_lost() -> None:
    ranks = in_step(slow(1, 0.03), "data")
    straggler = find_straggler(ranks)
    assert straggler is not None
    step = sum(BASE.values()) + 0.03 + EXCHANGE
    assert ranks.whole == pytest.approx(np.full((4, 60), step))  # in step with each other
    assert straggler.lost_share == pytest.approx(3 * 0.03 / (4 * step))
    assert straggler.lost_seconds.sum() / ranks.whole.mean(axis=1).sum() == pytest.approx(straggler.lost_share)
    skew = dict(zip(ranks.phases, straggler.skew_seconds.tolist(), strict=True))
    assert skew["data"] == pytest.approx(0.03)
    assert skew["gradient_sync"] == pytest.approx(0.03)
    assert skew["forward"] == 0


def test_ranks_that_take_turns_are_not_blamed_on_one() -> None:
    extra = np.zeros((4, 80))
    extra[np.arange(80) % 4, np.arange(80)] = 0.04
    ranks = in_step(extra, "data", jitter=0.001)
    straggler = find_straggler(ranks)
    assert straggler is not None
    assert (straggler.kind, straggler.phase) == ("changing", "data")
    assert straggler.share_slowest == pytest.approx(0.25)
    assert straggler_text(ranks, straggler).startswith("The slowest rank changes: most often it is rank")


def test_jitter_alone_makes_no_straggler() -> None:
    ranks = in_step(np.zeros((4, 200)), "forward", jitter=0.01)
    straggler = find_straggler(ranks)
    assert straggler is not None
    assert straggler.kind == "balanced"
    assert "keep pace" in straggler_text(ranks, straggler)


def test_a_slow_backward_cannot_be_seen_where_waiting_lies_in_it_and_that_is_said() -> None:
    ranks = in_step(slow(2, 0.02), "backward", exchange=False)
    straggler = find_straggler(ranks)
    assert straggler is not None
    assert straggler.kind == "balanced"
    assert "waiting lies in backward" in straggler_text(ranks, straggler)


def test_waiting_inside_backward_is_what_a_backward_takes_beyond_the_shortest() -> None:
    ranks = in_step(slow(2, 0.02), "data", exchange=False)
    work = sum(BASE.values()) + EXCHANGE
    assert ranks.own[:, 0].tolist() == pytest.approx([work, work, work + 0.02, work])


def test_the_phase_of_a_steady_straggler_is_told_from_the_steps_in_which_it_is_last() -> None:
    extra = slow(2, 0.02)
    extra[2, :6], extra[0, :6] = 0.0, 0.9  # a stall of another rank, in the same phase
    straggler = find_straggler(in_step(extra, "data"))
    assert straggler is not None
    assert (straggler.kind, straggler.rank) == ("persistent", 2)
    assert straggler.phase_seconds == pytest.approx(0.02)


def test_the_sentence_has_the_numbers() -> None:
    ranks = in_step(slow(3, 0.05), "data")
    ranks.seconds[0, ranks.phases.index("forward")] += 0.002
    assert straggler_text(ranks, find_straggler(ranks)) == (
        "Rank 3 is the slowest in 100 % of the steps: its own work takes 50 ms longer than that of the others, most of "
        "it in data (+50 ms). These wait 50 ms a step; 25.5 % of all the ranks' time is lost. From the fastest to the "
        "slowest rank of a step: data 50 ms, forward 2 ms."
    )


def test_ranks_are_read_at_the_steps_that_all_of_them_have(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        run = record(store, "run", {"forward": np.arange(100.0), "gradient_sync": np.full(100, 0.5)})
        record(store, "run", {"forward": np.arange(80.0) + 1}, run=run, rank=2)
        ranks = read_ranks(store, run.id)
    assert (ranks.ranks, ranks.phases, ranks.waits_in) == ((0, 2), ("forward", "gradient_sync"), "gradient_sync")
    assert ranks.steps.tolist() == list(range(8, 80))  # a tenth of the 80 or 81 steps up to the last common one
    assert ranks.of_phase("forward")[:, 0].tolist() == [8.0, 9.0]
    assert ranks.own[:, 0].tolist() == [8.0, 9.0]
    assert ranks.whole[:, 0].tolist() == [8.5, 9.0]
    assert ranks.medians.tolist() == [[43.5, 0.5], [44.5, 0.0]]


def test_ranks_of_an_imported_trace_have_their_profiled_steps_in_common(tmp_path: Path) -> None:
    traced = [window(0, {"aten::mm": (3, 0.1)}, steps=3)]
    with Store(tmp_path / "store.db") as store:
        run = record(store, "run", {"forward": np.ones(3)}, windows=traced)
        record(store, "run", {"forward": np.full(3, 2.0)}, windows=traced, run=run, rank=1)
        ranks = read_ranks(store, run.id)
    assert ranks.whole.tolist() == [[1.0] * 3, [2.0] * 3]
    assert straggler_text(ranks, find_straggler(ranks)).startswith("2 ranks with 3 steps in common")


def test_only_the_latest_steps_are_read(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        run = record(store, "run", {"forward": np.ones(MAX_STEPS + 500)})
        ranks = read_ranks(store, run.id)
    assert ranks.steps[-1] == MAX_STEPS + 499
    assert len(ranks.steps) <= MAX_STEPS
    assert find_straggler(ranks) is None
    assert straggler_text(ranks, None).endswith("too few to compare them.")


def test_a_run_without_phases_has_no_ranks(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        ranks = read_ranks(store, record(store, "run", {}).id)
    assert (ranks.ranks, ranks.whole.shape) == ((), (0, 0))
    assert find_straggler(ranks) is None

"""Who keeps the others waiting: the slowest rank, how steadily it is that one, in which phase, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from torchglass.analysis.ranks import BACKWARD, Ranks
from torchglass.analysis.wording import amount
from torchglass.language import listed, tr
from torchglass.store.records import Floats

Kind = Literal["persistent", "changing", "balanced"]

FEWEST_STEPS = 10
LEAST_LOST = 0.03  # of the ranks' time; jitter alone costs about so much
LEAST_EXCESS = 0.01  # of a step


class Straggler(NamedTuple):
    """What keeps ranks waiting. `kind` tells one rank that is always the slowest from ranks that take turns.

    `rank` is the one that is slowest most often, in `share_slowest` of the steps; its own work takes `excess_seconds`
    longer than that of the others (median over steps). `phase` explains most of it, `phase_seconds` a step; None where
    no phase is longer. `lost_seconds` (r,) are what each rank waits in a step for the slowest (mean), `lost_share` is
    their sum as a share of all the ranks' time. `skew_seconds` (k,) is how far the longest and the shortest rank lie
    apart in each phase (median over steps).
    """

    kind: Kind
    rank: int
    share_slowest: float
    excess_seconds: float
    phase: str | None
    phase_seconds: float
    lost_seconds: Floats
    lost_share: float
    skew_seconds: Floats


def find_straggler(ranks: Ranks) -> Straggler | None:
    """Find who keeps the others waiting; None with fewer than two ranks or ten steps."""
    rank_count, step_count = ranks.whole.shape
    if rank_count < 2 or step_count < FEWEST_STEPS:
        return None
    own = ranks.own
    slowest = own.argmax(axis=0)
    shares = np.bincount(slowest, minlength=rank_count) / step_count
    place = int(shares.argmax())
    lost = own.max(axis=0) - own
    lost_share = float(lost.sum() / ranks.whole.sum())
    excess = float(np.median(own[place] - _others(own, np.full(step_count, place))))
    is_steady = shares[place] >= (1 + 1 / rank_count) / 2
    if is_steady and excess >= LEAST_EXCESS * float(np.median(ranks.whole)):
        kind: Kind = "persistent"
    else:
        kind = "changing" if lost_share >= LEAST_LOST else "balanced"
    phase, phase_seconds = _longest_excess(ranks, slowest, slowest == place if kind == "persistent" else None)
    return Straggler(
        kind=kind,
        rank=ranks.ranks[place],
        share_slowest=float(shares[place]),
        excess_seconds=excess,
        phase=phase,
        phase_seconds=phase_seconds,
        lost_seconds=lost.mean(axis=1),
        lost_share=lost_share,
        skew_seconds=np.asarray(np.median(np.ptp(ranks.seconds, axis=0), axis=-1)),
    )


def straggler_text(ranks: Ranks, straggler: Straggler | None) -> str:
    """Say in a few sentences who keeps whom waiting."""
    if straggler is None:
        return tr(
            "{ranks} ranks with {steps} steps in common: too few to compare them.",
            ranks=len(ranks.ranks),
            steps=len(ranks.steps),
        )
    share, lost = f"{100 * straggler.share_slowest:.0f} %", f"{100 * straggler.lost_share:.1f} %"
    if straggler.kind == "persistent":
        said = [*_persistent(ranks, straggler, share, lost)]
    elif straggler.kind == "changing":
        said = [*_changing(straggler, share, lost)]
    else:
        said = [tr("The ranks keep pace: waiting for the slowest costs {lost} of their time.", lost=lost)]
    said += _skew_text(ranks, straggler)
    if ranks.waits_in == BACKWARD:
        said.append(
            tr(
                "The exchange of gradients was not timed by itself: waiting lies in backward, and a rank that is slow "
                "just there cannot be told from those that wait for it."
            )
        )
    return " ".join(said)


def _persistent(ranks: Ranks, straggler: Straggler, share: str, lost: str) -> Iterator[str]:
    told = {"rank": straggler.rank, "share": share, "excess": amount(straggler.excess_seconds, "s")}
    if straggler.phase:
        yield tr(
            "Rank {rank} is the slowest in {share} of the steps: its own work takes {excess} longer than that of the "
            "others, most of it in {phase} (+{phase_excess}).",
            phase=straggler.phase,
            phase_excess=amount(straggler.phase_seconds, "s"),
            **told,
        )
    else:
        yield tr(
            "Rank {rank} is the slowest in {share} of the steps: its own work takes {excess} longer than that of the "
            "others.",
            **told,
        )
    waits = float(np.delete(straggler.lost_seconds, ranks.ranks.index(straggler.rank)).mean())
    yield tr("These wait {time} a step; {lost} of all the ranks' time is lost.", time=amount(waits, "s"), lost=lost)


def _changing(straggler: Straggler, share: str, lost: str) -> Iterator[str]:
    yield tr(
        "The slowest rank changes: most often it is rank {rank}, in {share} of the steps.",
        rank=straggler.rank,
        share=share,
    )
    if straggler.phase:
        yield tr(
            "Waiting for whoever is last costs {lost} of all the ranks' time; what takes that rank longer is mostly "
            "{phase}.",
            lost=lost,
            phase=straggler.phase,
        )
    else:
        yield tr("Waiting for whoever is last costs {lost} of all the ranks' time.", lost=lost)


def _skew_text(ranks: Ranks, straggler: Straggler) -> list[str]:
    """How far the ranks lie apart in the phases of their own work; nothing where that is little."""
    least = LEAST_EXCESS * float(np.median(ranks.whole))
    skews = sorted(zip(straggler.skew_seconds.tolist(), ranks.phases, strict=True), reverse=True)
    told = [f"{phase} {amount(skew, 's')}" for skew, phase in skews if skew >= least and phase != ranks.waits_in]
    return [tr("From the fastest to the slowest rank of a step: {told}.", told=listed(told))] if told else []


def _longest_excess(ranks: Ranks, slowest: Floats, only: Floats | None) -> tuple[str | None, float]:
    """The phase in which the slowest rank of a step takes most longer than the others, and the mean of that."""
    found: dict[str, float] = {}
    for phase in ranks.phases:
        seconds = ranks.of_phase(phase)
        excess = seconds[slowest, np.arange(len(slowest))] - _others(seconds, slowest)
        found[phase] = float(excess.mean() if only is None else excess[only].mean())
    found.pop(ranks.waits_in, None)
    longest = max(found, key=found.__getitem__, default=None)
    if longest is None or found[longest] <= 0:
        return None, 0.0
    return longest, found[longest]


def _others(seconds: Floats, without: Floats) -> Floats:
    """The median (n,) over the ranks other than the one at `without` (n,) of seconds (r, n)."""
    masked = seconds.copy()
    masked[without, np.arange(seconds.shape[1])] = np.nan
    return np.asarray(np.nanmedian(masked, axis=0))

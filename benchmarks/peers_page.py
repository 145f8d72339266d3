"""The page about the peers: what a row says of a tracker, and whether ours does what was promised."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from machine import machine

VALUES_PER_STEP = 10
PACED_STEPS = 300


@dataclass(frozen=True)
class Peer:
    """A tracker, how it is used, the steps that give about a second of work, and how what it kept is counted."""

    name: str
    usage: str
    steps: int
    reader: str
    own: bool = False  # it runs in the project's environment


@dataclass(frozen=True)
class Result:
    """Medians over rounds; bytes without those of an empty run; `values` are the fewest read back."""

    peer: Peer
    version: str
    steps: int
    p50_us: float
    p99_us: float
    paced_p50_us: float
    paced_p99_us: float
    values_per_second: float
    bytes_per_value: float
    values: int
    values_read_per_second: float

    @property
    def is_whole(self) -> bool:
        """Whether everything recorded was read back."""
        return self.values == self.recorded

    @property
    def recorded(self) -> int:
        """Number of values recorded, those of the paced calls among them."""
        return (self.steps + PACED_STEPS) * VALUES_PER_STEP


def row_of(result: Result) -> str:
    """One line of the table."""
    peer = result.peer
    title = f"{peer.name} {result.version}".strip()
    calls = (result.p50_us, result.p99_us, result.paced_p50_us, result.paced_p99_us)
    start = " | ".join([f"{title}: {peer.usage}", f"{result.steps:,}", *(f"{each:,.1f} µs" for each in calls)])
    if peer.name == "list":
        return f"| {start} | | | |"
    read = "all" if result.is_whole else f"**{result.values:,} of {result.recorded:,}**"
    kept = f"{result.values_per_second / 1e3:,.1f} k/s | {result.bytes_per_value:.1f}"
    return f"| {start} | {kept} | {read}, {result.values_read_per_second / 1e3:,.0f} k/s |"


def verdicts(results: Sequence[Result]) -> list[str]:
    """Hold our row against what was promised of it."""
    ours = next((each for each in results if each.peer.name == "torchglass"), None)
    if ours is None:
        return []
    trackers = [each for each in results if each.peer.name not in ("torchglass", "sqlite3", "list")]
    claims = [
        (f"call p50 {ours.p50_us:.1f} µs", "3 µs or less", ours.p50_us <= 3),
        (f"call p99 {ours.p99_us:.1f} µs", "20 µs or less", ours.p99_us <= 20),
        (f"{ours.values_per_second / 1e6:.2f} M values/s end to end", "1 M or more", ours.values_per_second >= 1e6),
    ]
    lines = [f"- {got}; wanted {wanted}: {'reached' if met else '**not reached**'}." for got, wanted, met in claims]
    if trackers:
        ahead = [
            all(ours.p50_us < each.p50_us for each in trackers),
            all(ours.p99_us < each.p99_us for each in trackers),
            all(ours.paced_p50_us < each.paced_p50_us for each in trackers),
            all(ours.paced_p99_us < each.paced_p99_us for each in trackers),
            all(ours.values_per_second > each.values_per_second for each in trackers),
            all(ours.bytes_per_value < each.bytes_per_value for each in trackers),
        ]
        names = ("call p50", "call p99", "paced p50", "paced p99", "end to end", "bytes per value")
        told = ", ".join(f"{name} {'yes' if so else '**no**'}" for name, so in zip(names, ahead, strict=True))
        lines.append(f"- Ahead of every tracker measured: {told}.")
    return lines


def page(results: Sequence[Result], missing: Mapping[str, str], rounds: int) -> str:
    """Write the results as a Markdown page."""
    readers = "; ".join(f"{each.peer.name}: {each.peer.reader}" for each in results if each.peer.name != "list")
    return "\n".join(
        [
            "# Recording ten scalars a step: torchglass and its peers",
            "",
            f"Machine: {machine()}. Rewritten by `make bench` ({time.strftime('%Y-%m-%d')}).",
            f"Median of {rounds} rounds, trackers in turns, a fresh process each. A call records one step of 10 values",
            f"that were float32 once. Paced: {PACED_STEPS} calls after a millisecond's sleep each, as in a loop that",
            "waits for a GPU: caches are cold, and threads that write have their turn. Then the steps given, one after",
            "another. End to end runs from the first of these until the tracker's own finish returns; starting is not",
            "counted. Bytes are those of the run's folder, less those of an empty run. A second process reads it all.",
            "",
            "| tracker | steps | call p50 | p99 | paced p50 | p99 | end to end | bytes per value | read back |",
            "|---|---|---|---|---|---|---|---|---|",
            *(row_of(each) for each in results),
            *(f"| {name} | not measured: {reason} | | | | | | | |" for name, reason in missing.items()),
            "",
            *verdicts(results),
            "",
            f"Read back by: {readers}.",
            "",
        ]
    )

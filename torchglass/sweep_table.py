"""A sweep as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torchglass.terminal import say, terminal_text

if TYPE_CHECKING:
    from torchglass.analysis.sweeps import Sweep, Trial

HEADS = ("RANK", "TRIAL", "VALUE", "STATE", "CHANGES")
MISSING = "N/A"


def print_sweep(sweep: Sweep) -> None:
    """Print the trials, the best first, and what to do with the best one."""
    for line in lines_of(sweep):
        say(terminal_text(line))


def lines_of(sweep: Sweep) -> Iterator[str]:
    """Yield the lines."""
    counts = ", ".join(f"{count} {state}" for state, count in sweep.counts.items())
    yield f"{sweep.name}: {sweep.metric} of {sweep.total or len(sweep.trials)} trials ({counts or 'none has begun'})"
    rows = [HEADS, *(_row(place, trial, sweep) for place, trial in enumerate(sweep.ranked, 1))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS) - 1)]
    for row in rows:
        yield "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
    if sweep.best is not None:
        yield f"best: trial {sweep.best.number}{_gain(sweep)}"
    if sweep.best_command is not None:
        yield f"train it on the whole training set: {sweep.best_command}"


def changes_told(changes: Mapping[str, Any]) -> str:
    """Values of switches in one line."""
    return " ".join(
        f"{name}={f'{value:.4g}' if isinstance(value, float) else value}" for name, value in changes.items()
    )


def _row(place: int, trial: Trial, sweep: Sweep) -> tuple[str, ...]:
    is_ranked = trial.value is not None
    of = " (the recipe's own)" if trial == sweep.of_defaults else ""
    return (
        str(place) if is_ranked else "",
        str(trial.number),
        f"{trial.value:.4f}" if trial.value is not None else MISSING,
        trial.state,
        f"{changes_told(trial.changes)}{of}{f'  {trial.reason}' if trial.reason else ''}",
    )


def _gain(sweep: Sweep) -> str:
    best, own = sweep.best, sweep.of_defaults
    if best is None or best.value is None or own is None or own.value is None:
        return ""
    return f", {best.value - own.value:+.4f} against the recipe's own"

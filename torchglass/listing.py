"""Runs and their summaries, for a terminal or as JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from torchglass.store import Resumption, Run, Series, Store, open_store
from torchglass.store.filters import Expression, filtered, sorted_by
from torchglass.store.subject import Subject
from torchglass.terminal import say, say_json, shortened, terminal_text

MOST_SHOWN = 60  # characters of a note or an error in a table
MOST_OF_A_NAME = 200  # a longer one would make every row as long
Location = str | os.PathLike[str] | None


def print_runs(
    location: Location,
    *,
    condition: str | None = None,
    sort: str | None = None,
    tags: Sequence[str] = (),
    archived: bool = False,
    deleted: bool = False,
    as_json: bool,
) -> None:
    """Print the runs that meet a condition, newest first or sorted by a value.

    Raises:
        OptionError: the condition or the value cannot be read.
    """
    with open_store(location, read_only=True) as store:
        runs = store.runs(archived=archived, deleted=deleted)
        subjects = [Subject(run, store.series_of) for run in runs if set(tags) <= set(run.tags)]
        subjects = filtered(subjects, condition) if condition is not None else subjects
        subjects = sorted_by(subjects, sort) if sort is not None else subjects
        if as_json:
            say_json([asdict(subject.run) for subject in subjects])
        elif subjects:
            _print_table(_run_table(subjects, sort))
        elif runs:
            say(f"none of {len(runs)} runs in {store.location} meets that")
        else:
            say(_none_there(store, archived=archived, deleted=deleted))


def print_run(location: Location, name: str, *, as_json: bool) -> None:
    """Print one run's status, configuration, what became of it, and the summary of each series."""
    with open_store(location, read_only=True) as store:
        run = store.run(name)
        series = store.series_of(run.id)
        facts = store.facts(run.id)
        resumptions = store.resumptions(run.id)
    if as_json:
        known = {
            "run": asdict(run),
            "series": [asdict(each) for each in series],
            "facts": [each._asdict() for each in facts],
            "resumptions": [each._asdict() for each in resumptions],
        }
        say_json(known)
        return
    say(f"{terminal_text(run.name)}: {run.status}, started {_clock(run.created_at)}, lasted {_lasted(run)}")
    for line in _told(run, resumptions):
        say(f"  {terminal_text(line)}")
    for key, value in run.config.items():
        say(f"  {terminal_text(key)} = {terminal_text(str(value))}")
    rows = [("SERIES", "POINTS", "NON-FINITE", "LAST", "MIN", "AT STEP", "MAX", "AT STEP", "UNIT")]
    _print_table([*rows, *(_summary(each) for each in series if each.kind != "layer")])


def _none_there(store: Store, *, archived: bool, deleted: bool) -> str:
    if deleted or archived:
        return f"no {'deleted' if deleted else 'archived'} runs in {store.location}"
    if store.runs(archived=True):
        return f"every run in {store.location} is archived: `torchglass runs --archived` lists them"
    return f"no runs in {store.location} yet: try `torchglass train lenet5`"


def _run_table(subjects: Sequence[Subject], sort: str | None) -> list[tuple[str, ...]]:
    """A row for each run; columns that all of them leave empty are left out."""
    value = sort.strip().removeprefix("-") if sort is not None else None
    names = ("RUN", "STATUS", "STARTED", "LASTED", "STEPS", value or "", "TAGS", "NOTE", "ERROR")
    expression = Expression(value) if value is not None else None
    rows = [names, *(_run_row(subject, expression) for subject in subjects)]
    used = [column for column in range(len(names)) if any(row[column] for row in rows[1:])]
    return [tuple(row[column] for column in used) for row in rows]


def _run_row(subject: Subject, expression: Expression | None) -> tuple[str, ...]:
    run = subject.run
    value = expression.value(subject) if expression is not None else ""
    return (
        shortened(run.name, MOST_OF_A_NAME),
        run.status,
        _clock(run.created_at),
        _lasted(run),
        str(subject.steps),
        f"{value:.6g}"
        if isinstance(value, float)
        else "N/A"
        if value is None
        else shortened(str(value), MOST_OF_A_NAME),
        shortened(", ".join(run.tags), MOST_OF_A_NAME),
        shortened(run.note, MOST_SHOWN),
        shortened(run.error or "", MOST_SHOWN),
    )


def _told(run: Run, resumptions: Sequence[Resumption]) -> list[str]:
    """What became of a run, a line each."""
    lines = [run.error or "", f"tags: {', '.join(run.tags)}" if run.tags else "", run.note and f"note: {run.note}"]
    if run.archived_at is not None:
        lines.append(f"archived on {_clock(run.archived_at)}")
    if run.parent_uid is not None:
        lines.append(f"a fork, at step {run.parent_step}, of {run.parent_uid[:8]}")
    for each in resumptions:
        after = f"after it {each.status}" if each.status == "failed" else f"when it was {each.status}"
        hid = f"; {each.hidden_count:,} points hidden" if each.hidden_count else ""
        undone = f", until {_clock(each.undone_at)}" if each.undone_at is not None else ""
        error = f" ({each.error})" if each.error else ""
        lines.append(f"resumed at step {each.step} on {_clock(each.time)} {after}{error}{hid}{undone}")
    return [line for line in lines if line]


def _summary(series: Series) -> tuple[str, ...]:
    numbers: tuple[Any, ...] = (
        series.last,
        series.minimum,
        series.minimum_step,
        series.maximum,
        series.maximum_step,
    )
    shown = ["N/A" if number is None else f"{number:.6g}" for number in numbers]
    return (
        shortened(series.key, MOST_OF_A_NAME),
        str(series.count),
        str(series.nonfinite_count),
        *shown,
        shortened(series.unit, MOST_SHOWN),
    )


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _lasted(run: Run) -> str:
    seconds = (run.ended_at or run.heartbeat_at) - run.created_at
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"

"""Runs and their summaries, for a terminal or as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from torchglass.store import Run, Series, open_store

Location = str | os.PathLike[str] | None


def print_runs(location: Location, *, as_json: bool) -> None:
    """Print every run, newest first."""
    with open_store(location, read_only=True) as store:
        runs = store.runs()
        if as_json:
            print(json.dumps([asdict(run) for run in runs], indent=2))
            return
        if not runs:
            print(f"no runs in {store.location} yet: try `torchglass train lenet5`")
            return
        rows = [("RUN", "STATUS", "STARTED", "LASTED", "STEPS")]
        for run in runs:
            series = store.series_of(run.id)
            steps = max((each.last_step + 1 for each in series if each.last_step is not None), default=0)
            rows.append((terminal_text(run.name), run.status, _clock(run.created_at), _lasted(run), str(steps)))
    _print_table(rows)


def print_run(location: Location, name: str, *, as_json: bool) -> None:
    """Print one run's status, configuration and the summary of each series."""
    with open_store(location, read_only=True) as store:
        run = store.run(name)
        series = store.series_of(run.id)
        facts = store.facts(run.id)
    if as_json:
        known = {"run": asdict(run), "series": [asdict(each) for each in series], "facts": [f._asdict() for f in facts]}
        print(json.dumps(known, indent=2))
        return
    print(f"{terminal_text(run.name)}: {run.status}, started {_clock(run.created_at)}, lasted {_lasted(run)}")
    if run.error:
        print(f"  {terminal_text(run.error)}")
    for key, value in run.config.items():
        print(f"  {terminal_text(key)} = {terminal_text(str(value))}")
    rows = [("SERIES", "POINTS", "NON-FINITE", "LAST", "MIN", "AT STEP", "MAX", "AT STEP", "UNIT")]
    _print_table([*rows, *(_summary(each) for each in series if each.kind != "layer")])


def terminal_text(text: str) -> str:
    """Text from outside without what could steer a terminal: control and direction characters."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _summary(series: Series) -> tuple[str, ...]:
    numbers: tuple[Any, ...] = (
        series.last,
        series.minimum,
        series.minimum_step,
        series.maximum,
        series.maximum_step,
    )
    shown = ["N/A" if number is None else f"{number:.6g}" for number in numbers]
    return (terminal_text(series.key), str(series.count), str(series.nonfinite_count), *shown, series.unit)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _lasted(run: Run) -> str:
    seconds = (run.ended_at or run.heartbeat_at) - run.created_at
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"

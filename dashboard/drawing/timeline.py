"""Mounts the component that draws a window's time line; it asks our own route for what is in view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torchglass.charts import phases
from torchglass.dashboard.answering import api
from torchglass.dashboard.answering.token import TOKEN
from torchglass.dashboard.drawing.components import mount
from torchglass.store import ProfilerWindow, Run
from torchglass.store.records import Table


class Mark(NamedTuple):
    """A profiled step: its number, and when it began and ended in ns from the window's start."""

    step: int
    start_ns: int
    end_ns: int


def marks_of(steps: Table | None) -> list[Mark]:
    """The steps of a window's table "steps"."""
    if steps is None:
        return []
    ends = steps["start_ns"] + (1e9 * steps["seconds"]).round().astype(int)
    return list(map(Mark, steps["number"].tolist(), steps["start_ns"].tolist(), ends.tolist()))


def timeline(run: Run, window: ProfilerWindow, steps: Sequence[Mark]) -> None:
    """Draw the slices of a window on lanes of threads and streams; the reader pans, zooms and picks a step."""
    mount(
        "timeline",
        "timeline",
        {
            "run": run.id,
            "window": window.id,
            "steps": [list(mark) for mark in steps],
            "phases": phases.COLORS,
            "token": TOKEN,
            "path": api.SLICES_PATH,
        },
    )

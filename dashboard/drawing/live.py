"""Mounts the one component that draws live charts; it polls our own route, so no script runs again for a point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torchglass.charts import phases
from torchglass.charts.text import plot_text
from torchglass.dashboard.answering import api, plotly_route
from torchglass.dashboard.answering.token import TOKEN
from torchglass.dashboard.drawing.components import mount
from torchglass.language import tr
from torchglass.store import ProfilerWindow, Run
from torchglass.store.location import locate
from torchglass.store.records import SeriesKind

XAxis = Literal["step", "relative", "wall"]


def live_charts(
    run: Run,
    kinds: Sequence[SeriesKind],
    *,
    waiting: str,
    ended: str,
    axis: XAxis = "step",
    rank: int | None = None,
    windows: Sequence[ProfilerWindow] = (),
    overlaid: Sequence[Run] = (),
) -> None:
    """Draw every series of these kinds, of one rank or of all, and keep them current; phases become one stack.

    The two sentences stand in for charts while there is none; `axis` is the horizontal axis at first. `windows` are
    marked on the stack. Runs that are `overlaid` have their lines in the same charts.
    """
    mount(
        "live",
        f"live-{'-'.join(kinds)}",
        {
            "runs": [{"id": one.id, "name": one.name, "label": plot_text(one.name)} for one in (run, *overlaid)],
            "kinds": list(kinds),
            "rank": rank,
            "axis": axis,
            "stack": {
                "order": list(phases.ORDER),
                "names": {phase: tr(name) for phase, name in phases.NAMES.items()},
                "colors": phases.COLORS,
            },
            "windows": [[window.step, window.step_count] for window in windows],
            "store": locate(None).shown,
            "token": TOKEN,
            "paths": {
                "series": api.SERIES_PATH,
                "window": api.WINDOW_PATH,
                "plotly": plotly_route.PATHS["cartesian"],
                "table": api.TABLE_PATH,
            },
            "waiting": tr(waiting),
            "ended": tr(ended),
        },
    )

"""Runs: the table that every visit starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from torchglass.charts.units import duration
from torchglass.dashboard import job_panel
from torchglass.dashboard.organizing import listed_runs, organize
from torchglass.dashboard.training_order import order_training
from torchglass.errors import StoreError
from torchglass.store import Location, Run, Series, Store, open_store

REFRESH_SECONDS = 3.0
SPARK_POINTS = 60
MAX_ROWS = 200  # the newest; each row costs a few small queries at every refresh
LOSS_KEYS = ("loss", "train/loss")
ACCURACY_KEYS = ("test/accuracy", "validation/accuracy", "val/accuracy", "accuracy")
STATUS_MARKS: Mapping[str, str] = {
    "running": "● running",
    "finished": "✓ finished",
    "failed": "✗ failed",
    "interrupted": "◼ interrupted",
    "lost": "? lost",
}
COLUMNS = {
    "Run": st.column_config.TextColumn(width="medium"),
    "Status": st.column_config.TextColumn(width=110),
    "Last step": st.column_config.NumberColumn(format="localized"),
    "Loss": st.column_config.LineChartColumn(help="Course of the loss, from the first step to the last"),
    "Last loss": st.column_config.NumberColumn(format="%.4g"),
    "Best accuracy": st.column_config.NumberColumn(
        format="%.4g", help=f"Largest value of the first that the run logged of {', '.join(ACCURACY_KEYS)}"
    ),
    "Note": st.column_config.TextColumn(width="medium"),
    "Error": st.column_config.TextColumn(width="large"),
}
OPTIONAL = ("Tags", "Note")  # shown where a run has one

OpenRun = Callable[[str], None]


def show(store: Store, open_run: OpenRun) -> None:
    """Show all runs, newest first; a click on a row opens it."""
    st.header("Runs", anchor=False)
    st.caption("Click a row to open the run.")
    st.fragment(_table, run_every=REFRESH_SECONDS)(store.location, len(listed_runs(store)), open_run)
    organize(store)
    order_training()
    job_panel.show()


def _table(location: Location, known: int, open_run: OpenRun) -> None:
    """Draw the table. A fragment runs without the rest of the page, so it opens the store itself."""
    try:
        with open_store(location, read_only=True) as store:
            found = listed_runs(store)
            rows = [_row(store, run) for run in found[:MAX_ROWS]]
    except StoreError:
        st.rerun()  # the store went away; the whole page says so
    if len(found) != known:
        st.rerun()
    used = [name for name in rows[0] if name not in OPTIONAL or any(row[name] for row in rows)]
    event = st.dataframe(
        {name: [row[name] for row in rows] for name in used},
        column_config=COLUMNS,
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        key="runs_table",
        placeholder="–",
    )
    if len(found) > MAX_ROWS:
        st.caption(f"The newest {MAX_ROWS} of {len(found)} runs; the picker in the sidebar has all of them.")
    chosen = _chosen_row(event["selection"])
    if chosen is not None and chosen < len(rows):
        open_run(found[chosen].name)


def _chosen_row(selection: Mapping[str, Any]) -> int | None:
    """Row of a selected row or cell."""
    places: Sequence[int] = [*selection["rows"], *(row for row, _ in selection["cells"])]
    return places[0] if places else None


def _row(store: Store, run: Run) -> dict[str, Any]:
    scalars = {series.key: series for series in store.series_of(run.id, kind="scalar", rank=0)}
    loss, accuracy = _first(scalars, LOSS_KEYS), _first(scalars, ACCURACY_KEYS)
    steps = [series.last_step for series in scalars.values() if series.last_step is not None]
    ended_at = run.ended_at if run.ended_at is not None else run.heartbeat_at
    return {
        "Run": run.name,
        "Status": STATUS_MARKS[run.status],
        "Tags": ", ".join(run.tags),
        "Last step": max(steps, default=None),
        "Loss": _spark(store, loss),
        "Last loss": None if loss is None else loss.last,
        "Best accuracy": None if accuracy is None else accuracy.maximum,
        "Duration": duration(ended_at - run.created_at),
        "Note": run.note,
        "Error": run.error or "",
    }


def _first(series: Mapping[str, Series], keys: Sequence[str]) -> Series | None:
    return next((series[key] for key in keys if key in series), None)


def _spark(store: Store, series: Series | None) -> list[float] | None:
    if series is None:
        return None
    values = store.points(series.id, max_points=SPARK_POINTS).values
    return [float(value) for value in values[np.isfinite(values)]]

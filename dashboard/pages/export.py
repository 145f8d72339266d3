"""Export: one run as a file that opens offline, or one series as a table."""

from __future__ import annotations

import csv
import io
import tempfile
from functools import partial
from pathlib import Path

import streamlit as st

from torchglass.charts import file_name
from torchglass.dashboard import notices
from torchglass.report import export_report
from torchglass.store import Location, Run, Series, Store, open_store


def show(store: Store, run: Run) -> None:
    """Offer the report of a run, and the points of any of its series."""
    notices.run_heading("Export", store, run)
    st.subheader("Report", anchor=False)
    st.markdown("One HTML file with every chart of this run. It needs no server and no network to open.")
    st.download_button(
        "Download the report",
        data=partial(_report, store.location, run.name),
        file_name=f"{file_name(run.name)}.html",
        mime="text/html",
        icon=":material/download:",
        type="primary",
        on_click="ignore",
    )
    st.subheader("Series", anchor=False)
    series = {one.id: one for one in store.series_of(run.id)}
    if not series:
        notices.nothing_recorded("This run recorded no series.", "run.log(loss=loss)")
        return
    chosen = series[st.selectbox("Series", list(series), format_func=lambda series_id: _label(series[series_id]))]
    st.download_button(
        "Download as CSV",
        data=partial(_table, store.location, chosen),
        file_name=f"{file_name(f'{run.name}-{chosen.key}')}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption("Step, time in seconds since the epoch, value. Every point, not reduced.")


def _label(series: Series) -> str:
    unit = f" ({series.unit})" if series.unit else ""
    return f"{series.key}{unit}" + (f", rank {series.rank}" if series.rank else "")


def _report(location: Location, run: str) -> bytes:
    """Build the report when its button is pressed, which is after the page has closed its own store."""
    with open_store(location, read_only=True) as store, tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.html"
        export_report(store, run, target)
        return target.read_bytes()


def _table(location: Location, series: Series) -> str:
    with open_store(location, read_only=True) as store:
        points = store.points(series.id)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("step", "time", "value"))
    writer.writerows(zip(points.steps.tolist(), points.times.tolist(), points.values.tolist(), strict=True))
    return text.getvalue()

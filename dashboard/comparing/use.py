"""What the compared runs asked of their devices and of memory."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from torchglass.charts.series_titles import series_title
from torchglass.charts.text import plain_text
from torchglass.charts.units import MISSING, quantity
from torchglass.dashboard.comparing.runs import label
from torchglass.language import tr
from torchglass.store import Run, Series, Store

_CORE = re.compile(r"host/core\d+_percent")  # one of many, which the mean of all tells as well


def show(store: Store, runs: Sequence[Run]) -> None:
    """Draw a row for each series of devices and of memory, with its mean and its largest value in each run."""
    found = store.series_of_runs([run.id for run in runs], kinds=("device", "memory"))
    by_key = [{series.key: series for series in found[run.id] if series.count} for run in runs]
    keys = [key for key in dict.fromkeys(key for each in by_key for key in each) if not _CORE.fullmatch(key)]
    st.subheader(tr("Devices and memory"), anchor=False)
    if not keys:
        st.info(tr("None of these runs recorded its devices. They do unless told not to:"), icon=":material/info:")
        st.code("torchglass.attach(model, optimizer, devices=True)", language="python")
        return
    known = [next(each[key] for each in by_key if key in each) for key in keys]
    columns = {
        tr("Quantity"): [_title(series) for series in known],
        **{
            plain_text(label(place, run)): [cell(by_key[place].get(key)) for key in keys]
            for place, run in enumerate(runs)
        },
    }
    st.dataframe(
        columns, hide_index=True, width="stretch", key="compared_use", alt=tr("Devices and memory of each run")
    )
    st.caption(tr("Mean, and in brackets the largest value; of rank 0."))


def cell(series: Series | None) -> str:
    """The mean and the largest value; nothing where a run did not record it."""
    if series is None or series.mean is None:
        return MISSING
    unit = plain_text(series.unit, 12)
    return f"{quantity(series.mean, unit)} ({quantity(series.maximum, unit)})"


def _title(series: Series) -> str:
    device = series.key.partition("/")[0]
    title = series_title(series.kind, series.key)
    return plain_text(f"{device}: {title}" if series.kind == "device" else title)

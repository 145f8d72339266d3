"""On Memory: each figure at the chosen step, at the last one and at its highest, which the cursor can be moved to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from torchglass.analysis.at_step import readings_near
from torchglass.charts.memory import PREFIX
from torchglass.charts.series_titles import series_title
from torchglass.charts.text import plain_text
from torchglass.charts.units import quantity
from torchglass.dashboard.stepping.cursor import chosen_step, move_cursor
from torchglass.dashboard.stepping.pick_step import pick_step
from torchglass.language import tr
from torchglass.store import Run, Series, Store

# Which figure tells of the highest mark: the first that was measured.
PEAKS = tuple(f"{PREFIX}{name}_bytes" for name in ("peak", "allocated", "process"))


def show_values(store: Store, run: Run, series: Sequence[Series], rank: int) -> None:
    """Show the figures of a rank in a table, below when memory was at its highest."""
    known = [one for one in series if one.count and one.maximum is not None]
    if not known:
        return
    step = chosen_step()
    title = tr("Each figure at its highest")
    if step is not None:
        title = tr("Each figure at step {step} and at its highest", step=f"{step:,}")
    st.subheader(title, anchor=False)
    _peak(known)
    near = readings_near(store, known, step) if step is not None else {}
    columns: dict[str, Sequence[Any]] = {
        tr("Figure"): [plain_text(series_title("memory", one.key)) for one in known],
        tr("Last"): [quantity(one.last, one.unit) for one in known],
        tr("Highest"): [quantity(one.maximum, one.unit) for one in known],
        tr("Highest at step"): [one.maximum_step for one in known],
    }
    if step is not None:
        told = [near.get(one.id) for one in known]
        at_step: dict[str, Sequence[Any]] = {
            tr("At step {step}", step=f"{step:,}"): [quantity(each.value, each.unit) if each else "–" for each in told],
            tr("Measured at"): [each.step if each else None for each in told],
        }
        columns = {tr("Figure"): columns.pop(tr("Figure")), **at_step, **columns}
    numbers = st.column_config.NumberColumn(format="localized")
    looks = {tr("Highest at step"): numbers, tr("Measured at"): numbers}
    pick_step(columns, [one.maximum_step or 0 for one in known], f"memory-{run.id}-{rank}", **looks)
    st.caption(tr("Pick a row: every panel of every page then shows the step at which that figure was highest."))


def _peak(known: Sequence[Series]) -> None:
    """Say when memory was at its highest, and offer to go there."""
    by_key = {one.key: one for one in known}
    found = next((by_key[key] for key in PEAKS if key in by_key), None)
    if found is None or found.maximum_step is None:
        return
    told = tr(
        "Highest mark: {size} at step {step} ({figure}).",
        figure=series_title("memory", found.key),
        size=quantity(found.maximum, found.unit),
        step=f"{found.maximum_step:,}",
    )
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.text(told, width="content")
        label = tr("Go to the peak")
        is_there = chosen_step() == found.maximum_step
        if not is_there and st.button(label, key="to-peak", type="tertiary", icon=":material/my_location:"):
            move_cursor(found.maximum_step)

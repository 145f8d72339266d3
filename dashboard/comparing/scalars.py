"""Scalars of the compared runs: chosen curves over each other, and who stands where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from torchglass.analysis.at_step import readings_near
from torchglass.analysis.standings import Reading, Standing, standings
from torchglass.charts.records import MAX_POINTS
from torchglass.charts.scalars import Curve, XAxis, scalars_data, scalars_figure
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.units import MISSING, quantity
from torchglass.dashboard.comparing.runs import label
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.language import mark, tr
from torchglass.store import Run, Series, Store

CHARTS_AT_FIRST, MOST_CHARTS = 4, 12
AXES: dict[XAxis, str] = {"step": mark("Step"), "relative": mark("Time since the start")}
ARROWS = {"min": "↓", "max": "↑", None: ""}
CHOSEN = "scalars"  # a widget that keeps itself in the address under this name

Scalars = Sequence[Mapping[str, Series]]  # of each run, by key


def show(store: Store, runs: Sequence[Run]) -> None:
    """Draw the curves and the table of what they came to."""
    found = store.series_of_runs([run.id for run in runs], kinds=("scalar",))
    scalars = [{series.key: series for series in found[run.id] if series.count} for run in runs]
    keys = _keys(scalars)
    st.subheader(tr("Curves"), anchor=False)
    if not keys:
        st.info(tr("None of these runs logged a scalar. Log one in the training loop:"), icon=":material/info:")
        st.code('run.log({"loss": loss, "test/accuracy": accuracy})', language="python")
        return
    _curves(store, runs, scalars, keys)
    st.subheader(tr("Last and best"), anchor=False)
    _table(store, runs, scalars)


def _keys(scalars: Scalars) -> list[str]:
    """Every key, those of several runs first, and of these the losses."""
    keys = dict.fromkeys(key for each in scalars for key in each)
    return sorted(keys, key=lambda key: (sum(key in each for each in scalars) < 2, "loss" not in key.lower()))


def _curves(store: Store, runs: Sequence[Run], scalars: Scalars, keys: Sequence[str]) -> None:
    chosen = st.multiselect(
        tr("Scalars"), keys, default=keys[:CHARTS_AT_FIRST], key=CHOSEN, bind="query-params", max_selections=MOST_CHARTS
    )
    left, middle, right = st.columns([3, 3, 2], vertical_alignment="bottom")
    axis = left.segmented_control(
        tr("Horizontal axis"), list(AXES), default="step", required=True, format_func=lambda each: tr(AXES[each])
    )
    smoothing = middle.slider(tr("Smoothing"), 0.0, 0.99, 0.0, 0.01)
    log_y = right.toggle(tr("Logarithmic"))
    columns = st.columns(2) if len(chosen) > 1 else [st.container()]
    for place, key in enumerate(chosen):
        with columns[place % len(columns)]:
            _curve(store, runs, scalars, key, axis, smoothing, log_y=log_y)


def _curve(
    store: Store, runs: Sequence[Run], scalars: Scalars, key: str, axis: XAxis, smoothing: float, *, log_y: bool
) -> None:
    """Draw one scalar of every run that has it; each keeps the colour of its place in the list."""
    read = store.points_of([each[key].id for each in scalars if key in each], max_points=MAX_POINTS)
    curves = [
        Curve(label(place, run), read[each[key].id], run.created_at)
        for place, (run, each) in enumerate(zip(runs, scalars, strict=True))
        if key in each
    ]
    unit = next(each[key].unit for each in scalars if key in each)
    data = scalars_data(curves, x_axis=axis, smoothing=smoothing, unit=unit)
    looks = {label(place, run): place for place, run in enumerate(runs)}
    st.markdown(f"**{markdown_text(key)}**")
    draw(
        lambda dark: scalars_figure(data, log_y=log_y, dark=dark, looks=looks),
        f"compared-{key}-{axis}",
        tr("{key} of each run", key=plain_text(key)),
        _source(store, runs, key, axis, smoothing, unit, log_y=log_y),
    )


def _source(
    store: Store, runs: Sequence[Run], key: str, axis: XAxis, smoothing: float, unit: str, *, log_y: bool
) -> Source:
    names = {label(place, run): run.name for place, run in enumerate(runs)}
    code = f"""\
from torchglass.charts import Curve, scalars_data, scalars_figure
from torchglass.store import open_store

names = {names!r}
curves = []
with open_store({store.location.shown!r}, read_only=True) as store:
    for label, name in names.items():
        run = store.run(name)
        curves.append(Curve(label, store.series(name, {key!r}, max_points={MAX_POINTS}), run.created_at))
data = scalars_data(curves, x_axis={axis!r}, smoothing={smoothing!r}, unit={unit!r})
looks = {{label: place for place, label in enumerate(names)}}
scalars_figure(data, log_y={log_y!r}, looks=looks).show()
"""
    return Source("runs_series", {"runs": ",".join(str(run.id) for run in runs), "key": key, "kind": "scalar"}, code)


def _table(store: Store, runs: Sequence[Run], scalars: Scalars) -> None:
    step = chosen_step()
    at = None if step is None else [_at(store, each, step) for each in scalars]
    found = standings(scalars, at)
    columns = {
        tr("Scalar"): [f"{plain_text(one.key)} {ARROWS[one.better]}".rstrip() for one in found],
        tr("Value"): [_what(one, step) for one in found],
        **{plain_text(label(place, run)): [cell(one, place, step) for one in found] for place, run in enumerate(runs)},
    }
    st.dataframe(columns, hide_index=True, width="stretch", key="compared_scalars", alt=tr("Scalars of each run"))
    st.caption(
        tr("★ the best of these runs, where the name says which way is better: ↓ smaller, ↑ larger.")
        + ("" if step is not None else " " + tr("Pick a step to see the values at it."))
    )


def _at(store: Store, scalars: Mapping[str, Series], step: int) -> dict[str, Reading]:
    near = readings_near(store, list(scalars.values()), step)
    by_id = {series.id: key for key, series in scalars.items()}
    return {by_id[series_id]: Reading(found.value, found.step) for series_id, found in near.items()}


def _what(one: Standing, step: int | None) -> str:
    if one.statistic == "at":
        return tr("at step {step}", step=f"{step:,}")
    return tr("last") if one.statistic == "last" else tr("best")


def cell(one: Standing, place: int, step: int | None) -> str:
    """A value with the step that it is of, where that is not said elsewhere, and a star if no run has a better one."""
    reading = one.readings[place]
    if reading is None:
        return MISSING
    star = " ★" if place in one.leaders else ""
    is_told = one.statistic == "last" or reading.step is None or (one.statistic == "at" and reading.step == step)
    at = "" if is_told else " " + tr("(at {step})", step=f"{reading.step:,}")
    return f"{quantity(reading.value, plain_text(one.unit, 12))}{at}{star}"

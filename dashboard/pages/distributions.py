"""Distributions: how the values of weights and gradients spread over the training, and how gradients flow."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.charts import (
    gradient_flow_data,
    gradient_flow_figure,
    histograms_data,
    histograms_figure,
    percentiles_figure,
    read_series,
    ridgelines_data,
    ridgelines_figure,
)
from torchglass.charts.dead_units import (
    ALARMING,
    DEAD,
    at_step,
    dead_units_data,
    dead_units_figure,
    dead_units_listing,
    dead_units_text,
)
from torchglass.charts.gradient_flow import LayerQuantity
from torchglass.charts.histogram_bars import bars_text, histogram_bars, histogram_bars_figure
from torchglass.charts.records import Recorded
from torchglass.charts.text import markdown_text
from torchglass.dashboard import notices
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.drawing.listing_table import show_listing
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.dashboard.stepping.recorded_step import shown_step, step_told
from torchglass.language import mark, tr
from torchglass.store import Histogram, Run, Store

GROUPS = {"gradients": mark("Gradients"), "weights": mark("Weights")}
QUANTITIES: dict[LayerQuantity, str] = {
    "gradient_norm": mark("Gradient norm"),
    "weight_norm": mark("Weight norm"),
    "update_ratio": mark("Update ratio"),
}
VIEWS = {"heat_map": mark("Heat map"), "percentiles": mark("Percentiles"), "ridgelines": mark("Ridgelines")}
SENTENCE_CHARACTERS = 500
WORST_LAYERS = 12
ACTIVATIONS = "torchglass.attach(model, optimizer, activations=True)"
HISTOGRAMS = "torchglass.attach(model, optimizer, histograms=500)"


def show(store: Store, run: Run) -> None:
    """Draw the flow of one quantity through the layers, dead units, then the histograms of one parameter."""
    notices.run_heading(tr("Distributions"), store, run)
    keys = store.histogram_keys(run.id)
    layers = read_series(store, run.id, kind="layer")
    if not keys and not layers:
        notices.nothing_recorded(
            tr("This run recorded no layer and no histogram."),
            "torchglass.attach(model, optimizer, histograms=500, activations=True)",
        )
        return
    notices.offer_refresh(run)
    if layers:
        _flow(store, run, layers)
        _dead_units(store, run, layers)
    if keys:
        _histograms(store, run, keys)
    else:
        notices.nothing_recorded(tr("This run recorded no histograms of weights and gradients."), HISTOGRAMS)


def _flow(store: Store, run: Run, layers: Sequence[Recorded]) -> None:
    st.subheader(tr("By layer"), anchor=False)
    quantity = st.segmented_control(
        tr("Quantity"),
        list(QUANTITIES),
        default="gradient_norm",
        required=True,
        format_func=lambda name: tr(QUANTITIES[name]),
    )
    data = gradient_flow_data(layers, quantity)
    draw(
        lambda dark: gradient_flow_figure(data, dark=dark),
        f"gradient_flow-{run.id}-{quantity}",
        tr("{quantity} of each layer over the steps", quantity=tr(QUANTITIES[quantity])),
        Source(
            "layers",
            {"run": run.id, "quantity": quantity},
            chart_code(
                store,
                run,
                "from torchglass.charts import gradient_flow_data, gradient_flow_figure, read_series",
                f'data = gradient_flow_data(read_series(store, run.id, kind="layer"), "{quantity}")',
                "gradient_flow_figure(data).show()",
            ),
        ),
    )


def _dead_units(store: Store, run: Run, layers: Sequence[Recorded]) -> None:
    st.subheader(tr("Dead units"), anchor=False)
    found = at_step(layers, chosen_step())
    if found is None:
        st.info(
            tr("What the layers return was not recorded, so dead units are not known. It is recorded when asked:"),
            icon=":material/info:",
        )
        st.code(ACTIVATIONS, language="python")
        return
    told = markdown_text(dead_units_text(found), SENTENCE_CHARACTERS)
    if found.dead[0] >= ALARMING:
        st.warning(told, icon=":material/warning:")
    else:
        st.success(told, icon=":material/check_circle:")
    data = dead_units_data(layers)
    left, right = st.columns([3, 2])
    with left:
        draw(
            lambda dark: dead_units_figure(data, dark=dark),
            f"dead_units-{run.id}",
            tr("Share of dead units of each layer over the steps"),
            Source(
                "layers",
                {"run": run.id, "quantity": DEAD.lstrip("/")},
                chart_code(
                    store,
                    run,
                    "from torchglass.charts import read_series\n"
                    "from torchglass.charts.dead_units import dead_units_data, dead_units_figure",
                    'data = dead_units_data(read_series(store, run.id, kind="layer"))',
                    "dead_units_figure(data).show()",
                ),
            ),
        )
        if data.without_zeros:
            st.caption(tr("{count} layers that never returned a zero are not drawn.", count=data.without_zeros))
    with right:
        st.caption(step_told(found.step))
        show_listing(dead_units_listing(found, WORST_LAYERS), f"dead-{run.id}")


def _histograms(store: Store, run: Run, keys: list[str]) -> None:
    st.subheader(tr("By value"), anchor=False)
    groups = [group for group in GROUPS if any(key.startswith(f"{group}/") for key in keys)]
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    prefix = ""
    if groups:
        group = left.segmented_control(
            tr("Of"), groups, default=groups[0], required=True, format_func=lambda name: tr(GROUPS[name])
        )
        prefix = f"{group}/"
    # Names without their group: options that only look alike would keep the other group's choice for one more run.
    names = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    name = right.selectbox(tr("Parameter"), names, format_func=lambda it: it if prefix else it.partition("/")[2] or it)
    views = st.segmented_control(
        tr("Drawn as"),
        list(VIEWS),
        selection_mode="multi",
        default=["heat_map", "percentiles"],
        format_func=lambda view: tr(VIEWS[view]),
    )
    key = prefix + name
    histograms = store.histograms(run.id, key)
    data = histograms_data(histograms)
    shown = _shown(histograms)
    if "heat_map" in views:
        over_steps, at_one = st.columns([3, 2]) if shown is not None else (st.container(), None)
        with over_steps:
            alt = tr("Share of values in each bin over the steps")
            source = _source(store, run, key, "histograms_data, histograms_figure", "histograms")
            draw(lambda dark: histograms_figure(data, dark=dark), f"histograms-{run.id}-{key}", alt, source)
        if at_one is not None and shown is not None:
            with at_one:
                _bars(store, run, key, histograms, shown)
    if "percentiles" in views:
        alt = tr("Percentiles of the values over the steps")
        source = _source(store, run, key, "histograms_data, percentiles_figure", "percentiles")
        draw(lambda dark: percentiles_figure(data, dark=dark), f"percentiles-{run.id}-{key}", alt, source)
    if "ridgelines" in views:
        ridges = ridgelines_data(histograms)
        alt = tr("Outline of the values at some steps")
        source = _source(store, run, key, "ridgelines_data, ridgelines_figure", "ridgelines")
        draw(lambda dark: ridgelines_figure(ridges, dark=dark), f"ridgelines-{run.id}-{key}", alt, source)


def _shown(histograms: Sequence[Histogram]) -> Histogram | None:
    step = shown_step(histogram.step for histogram in histograms)
    return next((histogram for histogram in histograms if histogram.step == step), None)


def _bars(store: Store, run: Run, key: str, histograms: Sequence[Histogram], shown: Histogram) -> None:
    """The chosen step's histogram beside the heat map, in its rows."""
    bars = histogram_bars(shown, histograms_data(histograms).edges)
    draw(
        lambda dark: histogram_bars_figure(bars, dark=dark),
        f"histogram-{run.id}-{key}",
        tr("Share of the values in each bin at one step"),
        Source(
            "histograms",
            {"run": run.id, "key": key},
            chart_code(
                store,
                run,
                "from torchglass.charts import histograms_data\n"
                "from torchglass.charts.histogram_bars import histogram_bars, histogram_bars_figure",
                f"histograms = store.histograms(run.id, {key!r})\n"
                f"shown = next(one for one in histograms if one.step == {shown.step})\n"
                "bars = histogram_bars(shown, histograms_data(histograms).edges)",
                "histogram_bars_figure(bars).show()",
            ),
        ),
    )
    st.caption(f"{step_told(shown.step)} {bars_text(bars)}")


def _source(store: Store, run: Run, key: str, names: str, figure: str) -> Source:
    data = names.partition(",")[0]
    return Source(
        "histograms",
        {"run": run.id, "key": key},
        chart_code(
            store,
            run,
            f"from torchglass.charts import {names}",
            f"data = {data}(store.histograms(run.id, {key!r}))",
            f"{figure}_figure(data).show()",
        ),
    )

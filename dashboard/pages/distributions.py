"""Distributions: how the values of weights and gradients spread over the training, and how gradients flow."""

from __future__ import annotations

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
from torchglass.charts.gradient_flow import LayerQuantity
from torchglass.dashboard import notices
from torchglass.dashboard.figures import draw
from torchglass.store import Run, Store

GROUPS = {"gradients": "Gradients", "weights": "Weights"}
QUANTITIES: dict[LayerQuantity, str] = {
    "gradient_norm": "Gradient norm",
    "weight_norm": "Weight norm",
    "update_ratio": "Update ratio",
}
VIEWS = {"heat_map": "Heat map", "percentiles": "Percentiles", "ridgelines": "Ridgelines"}


def show(store: Store, run: Run) -> None:
    """Draw the flow of one quantity through the layers, then the histograms of one parameter."""
    notices.run_heading("Distributions", store, run)
    keys = store.histogram_keys(run.id)
    has_layers = bool(store.series_of(run.id, kind="layer", rank=0))
    if not keys and not has_layers:
        notices.nothing_recorded(
            "This run recorded no layer and no histogram.", "torchglass.attach(model, optimizer, histograms=True)"
        )
        return
    notices.offer_refresh(run)
    if has_layers:
        _flow(store, run)
    if keys:
        _histograms(store, run, keys)
    else:
        st.info("This run recorded no histograms.", icon=":material/info:")


def _flow(store: Store, run: Run) -> None:
    st.subheader("By layer", anchor=False)
    quantity = st.segmented_control(
        "Quantity", list(QUANTITIES), default="gradient_norm", required=True, format_func=QUANTITIES.__getitem__
    )
    data = gradient_flow_data(read_series(store, run.id, kind="layer"), quantity)
    draw(
        lambda dark: gradient_flow_figure(data, dark=dark),
        "gradient_flow",
        f"{QUANTITIES[quantity]} of each layer over the steps",
    )


def _histograms(store: Store, run: Run, keys: list[str]) -> None:
    st.subheader("By value", anchor=False)
    groups = [group for group in GROUPS if any(key.startswith(f"{group}/") for key in keys)]
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    prefix = ""
    if groups:
        group = left.segmented_control("Of", groups, default=groups[0], required=True, format_func=GROUPS.__getitem__)
        prefix = f"{group}/"
    # Names without their group: options that only look alike would keep the other group's choice for one more run.
    names = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    name = right.selectbox("Parameter", names, format_func=lambda it: it if prefix else it.partition("/")[2] or it)
    views = st.segmented_control(
        "Drawn as",
        list(VIEWS),
        selection_mode="multi",
        default=["heat_map", "percentiles"],
        format_func=VIEWS.__getitem__,
    )
    histograms = store.histograms(run.id, prefix + name)
    data = histograms_data(histograms)
    if "heat_map" in views:
        alt = "Share of values in each bin over the steps"
        draw(lambda dark: histograms_figure(data, dark=dark), "histograms", alt)
    if "percentiles" in views:
        alt = "Percentiles of the values over the steps"
        draw(lambda dark: percentiles_figure(data, dark=dark), "percentiles", alt)
    if "ridgelines" in views:
        ridges = ridgelines_data(histograms)
        draw(lambda dark: ridgelines_figure(ridges, dark=dark), "ridgelines", "Outline of the values at some steps")

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
    if groups:
        group = left.segmented_control("Of", groups, default=groups[0], required=True, format_func=GROUPS.__getitem__)
        keys = [key for key in keys if key.startswith(f"{group}/")]
    key = right.selectbox("Parameter", keys, format_func=lambda name: name.partition("/")[2] or name)
    data = histograms_data(store.histograms(run.id, key))
    draw(lambda dark: histograms_figure(data, dark=dark), "histograms", "Share of values in each bin over the steps")
    draw(lambda dark: percentiles_figure(data, dark=dark), "percentiles", "Percentiles of the values over the steps")

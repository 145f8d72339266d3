"""Model: its layers and how each learns, and the autograd graph of its first training forward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from torchglass.charts.autograd_graph import (
    MAX_DRAWN,
    AutogradGraphData,
    autograd_graph_data,
    autograd_graph_figure,
    kinds_listing,
)
from torchglass.charts.layers_table import layers_listing
from torchglass.charts.text import markdown_text, plain_text, sentence
from torchglass.charts.units import number
from torchglass.dashboard import notices
from torchglass.dashboard.figures import draw
from torchglass.dashboard.listing_table import show_listing
from torchglass.store import Artifact, Run, Store

KIND = "graph"
TABLE_ROWS = 500
KIND_ROWS = 100
FOLD_FROM = 60  # nodes: a page tall, so folding is the better first look
NAMED_UNREACHED = 12
VIEWS = {"operations": "Operations", "modules": "Modules"}
EXPLANATION = (
    "Data flow from top to bottom. Blue: parameters. Orange: custom autograd Functions. Green: other leaves. "
    "Names and shapes are those of autograd; drag to move, zoom with the buttons above it."
)
FOLDED = "An operation without parameters is drawn with the module whose result it takes."


def show(store: Store, run: Run) -> None:
    """Draw the table of layers and the graph, each with its reason where it is missing."""
    notices.run_heading("Model", store, run)
    layers = store.artifacts(run.id, kind=KIND, key="layers")
    graphs = store.artifacts(run.id, kind=KIND, key="autograd")
    if not layers and not graphs:
        notices.nothing_recorded(
            "This run stored no model. Layers and graph are read at the first training forward of an attached model.",
            notices.ATTACH,
        )
        return
    notices.offer_refresh(run)
    facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == 0}
    if layers:
        _layers(store, run, layers[-1], facts)
    _graph(store, graphs)


def _layers(store: Store, run: Run, layers: Artifact, facts: Mapping[str, Any]) -> None:
    st.subheader("Layers", anchor=False)
    table = store.arrays(layers.id)
    work = facts.get("work")
    outputs = work.get("outputs") if isinstance(work, Mapping) else None
    whole, training = int(table["parameters"].sum()), int(table["trainable"].sum())
    st.caption(
        f"{markdown_text(layers.meta.get('class', 'model'))}: {whole:,} parameters, "
        f"{'all of which train' if training == whole else f'{training:,} of which train'}."
    )
    series = store.series_of(run.id, kind="layer", rank=0)
    shapes = outputs if isinstance(outputs, Mapping) else None
    show_listing(layers_listing(table, series=series, outputs=shapes, most=TABLE_ROWS), "layers")


def _graph(store: Store, graphs: list[Artifact]) -> None:
    st.subheader("Autograd graph", anchor=False)
    if not graphs:
        st.info("No graph was stored.", icon=":material/info:")
        return
    newest = {str(artifact.meta.get("part", "")): artifact for artifact in graphs}
    part = _choose_part(newest)
    artifact = newest[part]
    table, meta = store.arrays(artifact.id), artifact.meta
    is_large = len(table.get("names", ())) > FOLD_FROM
    view = st.segmented_control(
        "Drawn as",
        list(VIEWS),
        default="modules" if is_large else "operations",
        required=True,
        format_func=VIEWS.__getitem__,
        key=f"view-{artifact.id}",
    )
    data = autograd_graph_data(table, meta, folded=view == "modules")
    if data.nodes:
        _draw(data, asked_folded=view == "modules", key=f"graph-{artifact.id}-{view}")
    else:
        st.info("The graph is not drawn.", icon=":material/info:")
        st.text(sentence(data.reason, 300))
    _unreached(meta)
    kinds = kinds_listing(table, most=KIND_ROWS)
    if len(kinds):
        with st.expander("Nodes by kind", expanded=not data.nodes):
            show_listing(kinds, f"kinds-{artifact.id}")


def _choose_part(newest: Mapping[str, Artifact]) -> str:
    """The part of the model whose graph is shown, where a loop calls several."""
    parts = list(newest)
    if len(parts) == 1:
        return parts[0]
    chosen = st.segmented_control(
        "Part",
        parts,
        default=parts[0],
        required=True,
        format_func=lambda part: markdown_text(part or newest[part].meta.get("class", "model"), 40),
    )
    return chosen if chosen in newest else parts[0]


def _draw(data: AutogradGraphData, *, asked_folded: bool, key: str) -> None:
    counted = f"{number(data.node_count)} nodes"
    if data.folded:
        counted += f" in {number(len(data.nodes))} modules"
    too_many = f" More than {MAX_DRAWN} nodes are folded by module." if data.folded and not asked_folded else ""
    st.caption(f"{counted}.{too_many} {EXPLANATION} {FOLDED if data.folded else ''}")
    draw(lambda dark: autograd_graph_figure(data, dark=dark), key, "Autograd graph from the inputs down to the result")


def _unreached(meta: Mapping[str, Any]) -> None:
    """Name the parameters that train and have no part in the result: they get no gradient."""
    names = meta.get("unreached")
    count = meta.get("unreached_count")
    if not isinstance(names, list) or not isinstance(count, int) or not count:
        return
    st.warning(
        f"{number(count)} parameters train and have no part in this result: from it they get no gradient.",
        icon=":material/warning:",
    )
    told = ", ".join(plain_text(name, 80) for name in names[:NAMED_UNREACHED])
    st.text(told + (f" and {number(count - NAMED_UNREACHED)} more" if count > NAMED_UNREACHED else ""))

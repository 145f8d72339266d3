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
from torchglass.charts.layer_health import values_at, work_of_modules
from torchglass.charts.layers_table import layers_listing
from torchglass.charts.module_times import modules_listing
from torchglass.charts.records import read_series
from torchglass.charts.text import markdown_text, plain_text, sentence
from torchglass.charts.units import number
from torchglass.dashboard import notices
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.drawing.listing_table import show_listing
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.dashboard.stepping.recorded_step import shown_step, step_told
from torchglass.language import mark, tr
from torchglass.store import Artifact, Run, Store

KIND = "graph"
TABLE_ROWS = 500
KIND_ROWS = 100
FOLD_FROM = 60  # nodes: a page tall, so folding is the better first look
NAMED_UNREACHED = 12
PROFILED = "attach(..., profile=torchglass.every(500, steps=3))"
VIEWS = {"operations": mark("Operations"), "modules": mark("Modules")}
EXPLANATION = mark(
    "Data flow from top to bottom. Blue: parameters. Orange: custom autograd Functions. Green: other leaves. "
    "Names and shapes are those of autograd; drag to move, zoom with the buttons above it."
)
FOLDED = mark("An operation without parameters is drawn with the module whose result it takes.")
TIMED_ROWS = 30


def show(store: Store, run: Run) -> None:
    """Draw the table of layers and the graph, each with its reason where it is missing."""
    notices.run_heading(tr("Model"), store, run)
    layers = store.artifacts(run.id, kind=KIND, key="layers")
    graphs = store.artifacts(run.id, kind=KIND, key="autograd")
    if not layers and not graphs:
        notices.nothing_recorded(
            tr(
                "This run stored no model. Layers and graph are read at the first training forward of a model that is "
                "attached."
            ),
            notices.ATTACH,
        )
        return
    notices.offer_refresh(run)
    facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == 0}
    if layers:
        _layers(store, run, layers[-1], facts)
        _times(store, run)
    _graph(store, run, graphs)


def _layers(store: Store, run: Run, layers: Artifact, facts: Mapping[str, Any]) -> None:
    st.subheader(tr("Layers"), anchor=False)
    table = store.arrays(layers.id)
    work = facts.get("work")
    outputs = work.get("outputs") if isinstance(work, Mapping) else None
    whole, training = int(table["parameters"].sum()), int(table["trainable"].sum())
    told = {"model": markdown_text(layers.meta.get("class", "model")), "count": f"{whole:,}"}
    if training == whole:
        st.caption(tr("{model}: {count} parameters, all of which train.", **told))
    else:
        st.caption(tr("{model}: {count} parameters, {training} of which train.", training=f"{training:,}", **told))
    at, step = values_at(read_series(store, run.id, kind="layer"), chosen_step())
    if step is not None:
        st.caption(tr("Norms, ratios and health: {step}", step=step_told(step)))
    shapes = outputs if isinstance(outputs, Mapping) else None
    listing = layers_listing(table, at=at, outputs=shapes, flops=work_of_modules(work), most=TABLE_ROWS)
    show_listing(listing, f"layers-{run.id}")


def _times(store: Store, run: Run) -> None:
    """Where the time of a step goes by module, as the profiler calls them, in the window nearest to the cursor."""
    windows = [window for window in store.windows(run.id, rows=False) if window.rank == 0]
    step = shown_step(window.step for window in windows)
    window = next((window for window in windows if window.step == step), None)
    links = None if window is None else store.window_tables(window.id, ["links"]).get("links")
    if window is None or not len(listing := modules_listing(links, steps=window.step_count, most=TIMED_ROWS)):
        st.caption(tr("The time of each module is known where a profiler window saw it: {code}", code=f"`{PROFILED}`"))
        return
    with st.expander(tr("Time of each module")):
        st.caption(tr("Profiler window. {step}", step=step_told(window.step)))
        st.caption(tr("The profiler counts modules of a type in the order in which they were first called."))
        show_listing(listing, f"times-{window.id}")


def _graph(store: Store, run: Run, graphs: list[Artifact]) -> None:
    st.subheader(tr("Autograd graph"), anchor=False)
    if not graphs:
        st.info(tr("No graph was stored."), icon=":material/info:")
        return
    newest = {str(artifact.meta.get("part", "")): artifact for artifact in graphs}
    part = _choose_part(newest)
    artifact = newest[part]
    table, meta = store.arrays(artifact.id), artifact.meta
    is_large = len(table.get("names", ())) > FOLD_FROM
    view = st.segmented_control(
        tr("Drawn as"),
        list(VIEWS),
        default="modules" if is_large else "operations",
        required=True,
        format_func=lambda name: tr(VIEWS[name]),
        key=f"view-{artifact.id}",
    )
    data = autograd_graph_data(table, meta, folded=view == "modules")
    if data.nodes:
        _draw(store, run, artifact, data, asked_folded=view == "modules")
    else:
        st.info(tr("The graph is not drawn."), icon=":material/info:")
        st.text(sentence(data.reason, 300))
    _unreached(meta)
    kinds = kinds_listing(table, most=KIND_ROWS)
    if len(kinds):
        with st.expander(tr("Nodes by kind"), expanded=not data.nodes):
            show_listing(kinds, f"kinds-{artifact.id}")


def _choose_part(newest: Mapping[str, Artifact]) -> str:
    """The part of the model whose graph is shown, where a loop calls several."""
    parts = list(newest)
    if len(parts) == 1:
        return parts[0]
    chosen = st.segmented_control(
        tr("Part"),
        parts,
        default=parts[0],
        required=True,
        format_func=lambda part: markdown_text(part or newest[part].meta.get("class", "model"), 40),
    )
    return chosen if chosen in newest else parts[0]


def _draw(store: Store, run: Run, artifact: Artifact, data: AutogradGraphData, *, asked_folded: bool) -> None:
    counted = {"nodes": number(data.node_count), "modules": number(len(data.nodes))}
    told = [tr("{nodes} nodes in {modules} modules.", **counted) if data.folded else tr("{nodes} nodes.", **counted)]
    if data.folded and not asked_folded:
        told.append(tr("More than {most} nodes are folded by module.", most=MAX_DRAWN))
    st.caption(" ".join((*told, tr(EXPLANATION), *([tr(FOLDED)] if data.folded else []))))
    reading = (
        f'graphs = store.artifacts(run.id, kind="{KIND}", key="autograd")\n'
        f"graph = next(one for one in graphs if one.id == {artifact.id})\n"
        f"data = autograd_graph_data(store.arrays(graph.id), graph.meta, folded={asked_folded})"
    )
    imports = "from torchglass.charts.autograd_graph import autograd_graph_data, autograd_graph_figure"
    draw(
        lambda dark: autograd_graph_figure(data, dark=dark),
        f"graph-{artifact.id}-{'modules' if asked_folded else 'operations'}",
        tr("Autograd graph from the inputs down to the result"),
        Source(
            "artifact_columns",
            {"id": artifact.id},
            chart_code(store, run, imports, reading, "autograd_graph_figure(data).show()"),
        ),
    )


def _unreached(meta: Mapping[str, Any]) -> None:
    """Name the parameters that train and have no part in the result: they get no gradient."""
    names = meta.get("unreached")
    count = meta.get("unreached_count")
    if not isinstance(names, list) or not isinstance(count, int) or not count:
        return
    sentence = tr(
        "{count} parameters train and have no part in this result: from it they get no gradient.", count=number(count)
    )
    st.warning(sentence, icon=":material/warning:")
    told = ", ".join(plain_text(name, 80) for name in names[:NAMED_UNREACHED])
    more = number(count - NAMED_UNREACHED)
    st.text(tr("{names} and {count} more", names=told, count=more) if count > NAMED_UNREACHED else told)

"""Explanations on the page: of one sample its methods with their trust, of several samples a grid."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from torchglass.charts import Explained, ExplanationsData, PicturesData, explanation_figures, explanations_data
from torchglass.charts.explanations import PartsPanel
from torchglass.charts.explanations_grid import (
    GridData,
    grid_data,
    limits_of,
    pictures_grid_figure,
    rows_grid_figure,
)
from torchglass.charts.explanations_text import text_data, text_figure
from torchglass.charts.explanations_words import class_name, method_name
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.trust import MOST_CHARACTERS
from torchglass.charts.trust_table import trust_listing
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.drawing.listing_table import show_listing
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.dashboard.stepping.recorded_step import shown_step, step_told
from torchglass.errors import OptionError
from torchglass.language import mark, tr
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.own_input import SENTENCES
from torchglass.store import Artifact, Run, Store

ALL_METHODS = ("gradcam", "shap", "lime")  # of a picture, where the catalogue does not know the model
NO_TARGET = -1  # the class of what has none
LEGEND = mark(
    "Red speaks for the class, or for a larger value, and blue against it; a map from blue to yellow shows evidence "
    "for it alone. What is known to decide is outlined in green. In brackets stands what a random order and an edge "
    "detector, which know nothing of the model, get in the same test: a map that is no better explains nothing. An "
    "explanation shows what the model's score responds to. It is not proof of a cause."
)


def methods_for(model: object) -> tuple[str, ...]:
    """The methods that suit a model of the catalogue, best first."""
    try:
        return get(str(model)).explain.methods
    except OptionError:
        return ALL_METHODS


def show_one(store: Store, run: Run, key: str) -> None:
    """Draw what is stored of one input: its methods side by side, with how far to trust them."""
    found = store.artifacts(run.id, kind="explanation", key=key)
    if not found:
        st.info(tr("No explanation of this sample is stored: choose methods above and press Explain."))
        return
    target = _choose_target(found, key)
    shown = _at_cursor([artifact for artifact in found if target_of(artifact) == target])
    data = explanations_data([Explained(artifact, store.arrays(artifact.id)) for artifact in shown])
    if data is not None:
        st.caption(markdown_text(data.heading, 200))
        st.caption(_steps_told(shown))
        _notes(shown[-1])
        _draw(store, run, data, shown, f"explanations-{run.id}-{key}-{target}")
    st.caption(tr(LEGEND))
    _trust(shown, f"trust-{run.id}-{key}")
    with st.expander(tr("How these were made")):
        kept_out = ("class_names", "names", "values")
        st.json([{name: value for name, value in one.meta.items() if name not in kept_out} for one in shown])


def show_several(store: Store, run: Run, keys: Sequence[str]) -> None:
    """Draw several inputs below each other: a column a method, each with one colour scale for all."""
    chosen = {key: _of_last_target(store.artifacts(run.id, kind="explanation", key=key)) for key in keys}
    chosen = {key: _at_cursor(found) for key, found in chosen.items() if found}
    missing = [key for key in keys if key not in chosen]
    if missing:
        st.caption(tr("Not explained yet: {samples}.", samples=", ".join(missing)))
    shown = [artifact for found in chosen.values() for artifact in found]
    explained = [[Explained(one, store.arrays(one.id)) for one in found] for found in chosen.values()]
    data = grid_data(explained, methods_for(shown[-1].meta.get("model"))) if shown else None
    if data is None:
        st.info(tr("None of these samples is explained: choose methods above and press Explain."))
        return
    st.caption(_steps_told(shown))
    _draw_grid(store, run, data, explained, shown)
    st.caption(tr("Each method has one colour scale for all samples, with its numbers."))
    st.caption(tr(LEGEND))


def _draw_grid(
    store: Store, run: Run, data: GridData, explained: Sequence[Sequence[Explained]], shown: Sequence[Artifact]
) -> None:
    key = f"grid-{run.id}-{'-'.join(str(one.id) for one in shown)}"
    if data.kind == "pictures":
        alt = tr("Attribution maps, a row for each sample and a column for each method")
        source = _source(store, run, shown, "grid_data, pictures_grid_figure", "pictures_grid_figure(data).show()")
        draw(lambda dark: pictures_grid_figure(data, dark=dark), key, alt, source)
    elif data.kind == "table":
        for place, scale in enumerate(data.scales):
            st.markdown(f"**{markdown_text(method_name(scale.method))}**")
            drawing = f"rows_grid_figure(data, {place}).show()"
            draw(
                lambda dark, place=place: rows_grid_figure(data, place, dark=dark),  # type: ignore[misc]
                f"{key}-{scale.method}",
                tr("{method}: a line for each sample, a column for each column", method=method_name(scale.method)),
                _source(store, run, shown, "grid_data, rows_grid_figure", drawing),
            )
    else:
        _texts_grid(store, run, data, explained, key)


def _texts_grid(store: Store, run: Run, data: GridData, explained: Sequence[Sequence[Explained]], key: str) -> None:
    limits = limits_of(data)
    for place, sample in enumerate(explained):
        panels = text_data(sample, limits=limits)
        st.caption(markdown_text(panels.heading, 200))
        columns = st.columns(len(data.scales))
        for panel in panels.panels:
            column = [scale.method for scale in data.scales].index(panel.method)
            with columns[column].container(border=True):
                shown = [one.artifact for one in sample if one.artifact.meta.get("method") == panel.method]
                texts = _texts_source(store, run, shown, limits[panel.method])
                alt = tr("{method}: each word on a ground that says for or against", method=method_name(panel.method))
                draw(
                    lambda dark, panel=panel: text_figure(panel, dark=dark),  # type: ignore[misc]
                    f"{key}-{place}-{panel.method}",
                    alt,
                    texts,
                )
                told = {"method": method_name(panel.method), "limit": data.scales[column].ticks[1][-1]}
                st.caption(tr("{method}, colours up to ±{limit}", **told))


def _texts_source(store: Store, run: Run, shown: Sequence[Artifact], limit: float) -> Source:
    method = str(shown[0].meta.get("method"))
    return Source(
        "explanations",
        {"run": run.id, "ids": ",".join(str(one.id) for one in shown)},
        chart_code(
            store,
            run,
            "from torchglass.charts import Explained\n"
            "from torchglass.charts.explanations_text import text_data, text_figure",
            f"{_reading(shown)}\ndata = text_data(explained, limits={{{method!r}: {limit!r}}})",
            "text_figure(data.panels[0]).show()",
        ),
    )


def _at_cursor(found: Sequence[Artifact]) -> list[Artifact]:
    """Those of the explained checkpoint nearest to the cursor; without a cursor the newest of each method."""
    if chosen_step() is not None:
        step = shown_step(artifact.step for artifact in found)
        found = [artifact for artifact in found if artifact.step == step]
    newest = {str(artifact.meta.get("method")): artifact for artifact in found}
    order = methods_for(found[-1].meta.get("model")) if found else ()
    return sorted(newest.values(), key=lambda one: order.index(m) if (m := one.meta.get("method")) in order else 99)


def _steps_told(shown: Sequence[Artifact]) -> str:
    steps = sorted({artifact.step for artifact in shown})
    if len(steps) == 1:
        return tr("The model as it was at a checkpoint. {step}", step=step_told(steps[0]))
    return tr(
        "The model as it was at its checkpoints of steps {steps}.", steps=", ".join(f"{step:,}" for step in steps)
    )


def _notes(artifact: Artifact) -> None:
    """Say what was done to an input of the user's own before the model saw it."""
    told = artifact.meta.get("own")
    for note in told if isinstance(told, list) else ():
        match note:
            # A store may be anybody's: a sentence that is not ours could ask for anything in its braces.
            case [str(sentence), dict(values)] if SENTENCES.get(sentence, frozenset()) <= set(values):
                if sentence in SENTENCES:
                    st.text(tr(sentence, **{str(name): plain_text(value, 300) for name, value in values.items()}))


def _trust(shown: Sequence[Artifact], key: str) -> None:
    listing = trust_listing(shown)
    with st.expander(tr("How far to trust them"), expanded=False):
        if len(listing):
            show_listing(listing, key)
        else:
            st.info(tr("These explanations were not judged: explain again to judge them."), icon=":material/info:")


def _draw(store: Store, run: Run, data: ExplanationsData, shown: Sequence[Artifact], key: str) -> None:
    imports, reading = "explanation_figures, explanations_data", "explanations_data(explained)"
    if isinstance(data, PicturesData):
        alt = tr("Input, attribution map and overlay, one row for each method")
        source = _source(store, run, shown, imports, "explanation_figures(data)[0].show()", reading)
        draw(lambda dark: explanation_figures(data, dark=dark)[0], key, alt, source)
        return
    columns = st.columns(2)
    panels: Sequence[PartsPanel] = data.panels
    for place, panel in enumerate(panels):
        with columns[place % 2].container(border=True):
            st.markdown(f"**{markdown_text(panel.title, 160)}**")
            draw(
                lambda dark, place=place: explanation_figures(data, dark=dark)[place],  # type: ignore[misc]
                f"{key}-{panel.method}",
                tr("{method}: each part's share of the score", method=method_name(panel.method)),
                _source(store, run, shown, imports, f"explanation_figures(data)[{place}].show()", reading),
            )
            st.caption("  \n".join(markdown_text(said, MOST_CHARACTERS) for said in panel.trust))


def _source(
    store: Store, run: Run, shown: Sequence[Artifact], names: str, drawing: str, data: str | None = None
) -> Source:
    """The raw attributions, and the code that draws them from the store; `data` None is that of a grid."""
    model = shown[-1].meta.get("model")
    module = "torchglass.charts.explanations_grid" if data is None else "torchglass.charts"
    imports = "Explained" if data is None else f"Explained, {names}"
    grid = f"from {module} import {names}" if data is None else ""
    grouped = (
        "samples = [[one for one in explained if one.artifact.key == key] "
        "for key in dict.fromkeys(one.artifact.key for one in explained)]\n"
        f"data = grid_data(samples, {methods_for(model)!r})"
    )
    return Source(
        "explanations",
        {"run": run.id, "ids": ",".join(str(one.id) for one in shown)},
        chart_code(
            store,
            run,
            f"from torchglass.charts import {imports}\n{grid}".strip(),
            f"{_reading(shown)}\n{grouped if data is None else f'data = {data}'}",
            drawing,
        ),
    )


def _reading(shown: Sequence[Artifact]) -> str:
    ids = {one.id for one in shown}
    found = f"[one for one in store.artifacts(run.id, kind='explanation') if one.id in {ids}]"
    return f"explained = [Explained(one, store.arrays(one.id)) for one in {found}]"


def _choose_target(found: Sequence[Artifact], key: str) -> int:
    newest = found[-1]
    if not newest.meta.get("class_names"):
        return target_of(newest)
    targets = sorted({target_of(artifact) for artifact in found})
    chosen = st.segmented_control(
        tr("Explained class"),
        targets,
        default=target_of(newest),
        required=True,
        format_func=lambda index: markdown_text(class_name(newest.meta, index)),
        key=f"target-{key}",
    )
    return int(chosen) if chosen in targets else target_of(newest)


def _of_last_target(found: Sequence[Artifact]) -> list[Artifact]:
    """Explanations of the class that was explained last."""
    return [artifact for artifact in found if target_of(artifact) == target_of(found[-1])]


def target_of(artifact: Artifact) -> int:
    """The class that was explained; NO_TARGET of what has none."""
    target = artifact.meta.get("target")
    return target if isinstance(target, int) else NO_TARGET

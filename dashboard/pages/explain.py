"""Explain: what a trained model looks at. Stored explanations are shown here; new ones are made by a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy.typing as npt
import streamlit as st

from torchglass.charts import Explained, ExplanationsData, PicturesData, explanation_figures, explanations_data
from torchglass.charts.explanations import PartsPanel
from torchglass.charts.explanations_words import answer, class_name, method_name
from torchglass.charts.pictures import resized, rgb
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.trust import MOST_CHARACTERS
from torchglass.charts.units import number
from torchglass.dashboard import episode, film_strip, job_panel, notices, overview, shortcuts, what_if
from torchglass.dashboard.figures import draw
from torchglass.dashboard.run_arguments import argument_of
from torchglass.dashboard.training_order import order_training
from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import get
from torchglass.store import Artifact, Run, Store

SAMPLE = "sample"
THUMBNAILS_AT_FIRST = 20
MAX_THUMBNAILS = 60
MAX_LISTED = 200
THUMBNAIL_PIXELS = 64
CELL_PIXELS = 80
NAME_CHARACTERS = 16
SENTENCE_CHARACTERS = 110
ALL_METHODS = ("gradcam", "shap", "lime")  # of a picture, where the catalogue does not know the model
LEGEND = (
    "Red speaks for the class, or for a larger value, and blue against it; a map from blue to yellow shows evidence "
    "for it alone. What is known to decide is outlined in green. In brackets stands what a random order and an edge "
    "detector, which know nothing of the model, get in the same test: a map that is no better explains nothing. An "
    "explanation shows what the model's score responds to. It is not proof of a cause."
)
PREDICTED = -1  # the choice of class that leaves it to the model

Arrays = Mapping[str, npt.NDArray[Any]]


def show(store: Store, run: Run) -> None:
    """Choose a sample, see what is stored about it, ask for more."""
    notices.run_heading("Explain", store, run)
    samples = store.artifacts(run.id, kind="samples")
    if samples:
        arrays, meta = store.arrays(samples[-1].id), samples[-1].meta
        sample = _choose_sample(arrays, meta)
        _order_explanation(store, run, sample, meta)
        job_panel.show()
        _explanations(store, run, sample)
        what_if.show(store, run, sample, arrays, meta)
        shortcuts.show(store, run, meta)
        episode.show(store, run, meta)
        overview.show(store, run, meta)
    else:
        notices.nothing_recorded(
            "This run stored no samples. Runs of the reference models do; for a model of your own, call",
            "torchglass.explain(model, inputs, target, method='shap')",
        )
        order_training()
        job_panel.show()
        sample = 0
    film_strip.show(store, run, sample)


def _choose_sample(arrays: Arrays, meta: Mapping[str, Any]) -> int:
    """Offer the samples, pictures to click at and texts or rows in a list; the address keeps the chosen index."""
    inputs = _inputs(arrays)
    pictures = inputs.ndim == 4
    count = min(len(inputs), MAX_THUMBNAILS if pictures else MAX_LISTED)
    asked = st.query_params.get(SAMPLE, "0")
    chosen = int(asked) if asked.isdecimal() and int(asked) < count else 0
    if not pictures:
        return _listed(count, chosen, arrays, meta)
    _thumbnails(range(min(count, THUMBNAILS_AT_FIRST)), chosen, arrays, meta)
    if count > THUMBNAILS_AT_FIRST:
        with st.expander("More samples", expanded=chosen >= THUMBNAILS_AT_FIRST):
            _thumbnails(range(THUMBNAILS_AT_FIRST, count), chosen, arrays, meta)
    return chosen


def _inputs(arrays: Arrays) -> npt.NDArray[Any]:
    return arrays["inputs"] if "inputs" in arrays else arrays["images"]  # as they were called once


def _thumbnails(indices: range, chosen: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
    """Draw samples in rows as wide as the page; a button below each puts its index into the address."""
    row = st.container(horizontal=True, gap="small")
    for index in indices:
        with row.container(width=CELL_PIXELS, gap="xsmall"):
            picture = resized(rgb(_inputs(arrays)[index]), THUMBNAIL_PIXELS, THUMBNAIL_PIXELS)
            st.image(picture, width=THUMBNAIL_PIXELS, output_format="PNG")
            name = markdown_text(answer(arrays, meta, index), NAME_CHARACTERS)
            look: Literal["primary", "secondary"] = "primary" if index == chosen else "secondary"
            if st.button(
                f"#{index} · {name}" if name else f"#{index}", key=f"sample-{index}", type=look, width="stretch"
            ):
                st.query_params[SAMPLE] = str(index)
                st.rerun()


def _listed(count: int, chosen: int, arrays: Arrays, meta: Mapping[str, Any]) -> int:
    def described(index: int) -> str:
        said = (f"#{index}", answer(arrays, meta, index), _content(arrays, meta, index))
        return " · ".join(part for part in said if part)

    picked = st.selectbox("Sample", range(count), index=chosen, format_func=described)
    st.query_params[SAMPLE] = str(picked)
    return int(picked)


def _content(arrays: Arrays, meta: Mapping[str, Any], index: int) -> str:
    """A text's words, or a row's first columns in their own units."""
    if "words" in arrays:
        words = (str(word) for token, word in zip(_inputs(arrays)[index], arrays["words"][index], strict=True) if token)
        return plain_text(" ".join(words), SENTENCE_CHARACTERS)
    names, scale, row = meta.get("feature_names") or [], meta.get("scale"), _inputs(arrays)[index]
    if scale:
        row = row * scale["deviations"] + scale["means"]
    pairs = (f"{name} {number(float(f'{value:.3g}'))}" for name, value in zip(names, row, strict=False))
    return plain_text(", ".join(pairs), SENTENCE_CHARACTERS)


def _order_explanation(store: Store, run: Run, sample: int, meta: Mapping[str, Any]) -> None:
    if not store.artifacts(run.id, kind="checkpoint"):
        st.info("New explanations need the trained weights, which this run has not stored yet.", icon=":material/info:")
        return
    offered = _methods(meta)
    classes = range(len(meta.get("class_names") or []))
    with st.form("explain", border=True):
        *target, methods, start = st.columns([2, 3, 1] if classes else [5, 1], vertical_alignment="bottom")
        chosen_class = PREDICTED
        if classes:
            chosen_class = target[0].selectbox(
                "Class",
                [PREDICTED, *classes],
                format_func=lambda index: "predicted" if index == PREDICTED else class_name(meta, index),
            )
        chosen_methods = methods.multiselect("Methods", offered, default=offered, format_func=method_name)
        if not start.form_submit_button("Explain", type="primary", width="stretch"):
            return
    if not chosen_methods:
        st.warning("Choose at least one method.", icon=":material/warning:")
        return
    arguments = ["explain", argument_of(run), "--samples", str(sample), "--methods", ",".join(chosen_methods)]
    if chosen_class != PREDICTED:
        arguments += ["--target", str(chosen_class)]
    job_panel.start(f"Explain sample {sample}", arguments)


def _methods(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """The methods that suit the run's model, best first."""
    try:
        return get(str(meta.get("model"))).explain.methods
    except OptionError:
        return ALL_METHODS


def _explanations(store: Store, run: Run, sample: int) -> None:
    found = store.artifacts(run.id, kind="explanation", key=f"test/{sample}")
    if not found:
        st.info("No explanation of this sample is stored.", icon=":material/info:")
        return
    target = _choose_target(found)
    shown = _newest_of_each_method([artifact for artifact in found if _target(artifact) == target])
    data = explanations_data([Explained(artifact, store.arrays(artifact.id)) for artifact in shown])
    if data is not None:
        st.caption(markdown_text(data.heading, 200))
        _draw(data, f"explanations-{sample}-{target}")
    st.caption(LEGEND)
    with st.expander("How these were made"):
        kept_out = ("class_names", "names", "values")
        st.json([{key: value for key, value in one.meta.items() if key not in kept_out} for one in shown])


def _draw(data: ExplanationsData, key: str) -> None:
    if isinstance(data, PicturesData):
        alt = "Input, attribution map and overlay, one row for each method"
        draw(lambda dark: explanation_figures(data, dark=dark)[0], key, alt)
        return
    columns = st.columns(2)
    panels: Sequence[PartsPanel] = data.panels
    for place, panel in enumerate(panels):
        with columns[place % 2].container(border=True):
            st.markdown(f"**{markdown_text(panel.title, 160)}**")
            draw(
                lambda dark, place=place: explanation_figures(data, dark=dark)[place],  # type: ignore[misc]
                f"{key}-{panel.method}",
                f"{method_name(panel.method)}: each part's share of the score",
            )
            st.caption("  \n".join(markdown_text(said, MOST_CHARACTERS) for said in panel.trust))


def _choose_target(found: Sequence[Artifact]) -> int:
    newest = found[-1]
    if not newest.meta.get("class_names"):
        return _target(newest)
    targets = sorted({_target(artifact) for artifact in found})
    chosen = st.segmented_control(
        "Explained class",
        targets,
        default=_target(newest),
        required=True,
        format_func=lambda index: markdown_text(class_name(newest.meta, index)),
    )
    return int(chosen)


def _target(artifact: Artifact) -> int:
    target = artifact.meta.get("target")
    return target if isinstance(target, int) else PREDICTED


def _newest_of_each_method(found: Sequence[Artifact]) -> list[Artifact]:
    newest = {str(artifact.meta.get("method")): artifact for artifact in found}
    order = _methods(found[-1].meta)
    return sorted(newest.values(), key=lambda one: order.index(m) if (m := one.meta.get("method")) in order else 99)

"""Explain: what a trained model looks at. Stored explanations are shown here; new ones are made by a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy.typing as npt
import streamlit as st

from torchglass.charts.explanations_words import answer, class_name, method_name
from torchglass.charts.pictures import resized, rgb
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.units import number
from torchglass.dashboard import notices
from torchglass.dashboard.explaining import episode, film_strip, overview, own_input, shortcuts, side_by_side, what_if
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.run_arguments import argument_of
from torchglass.dashboard.ordering.training_order import order_training
from torchglass.language import tr
from torchglass.store import Run, Store

SAMPLE, OTHERS = "sample", "with"
THUMBNAILS_AT_FIRST = 20
MAX_THUMBNAILS = 60
MAX_LISTED = 200
MAX_BESIDE = 11  # samples below the chosen one: a page of pictures
THUMBNAIL_PIXELS = 64
CELL_PIXELS = 80
NAME_CHARACTERS = 16
SENTENCE_CHARACTERS = 110
PREDICTED = -1  # the choice of class that leaves it to the model

Arrays = Mapping[str, npt.NDArray[Any]]


def show(store: Store, run: Run) -> None:
    """Choose a sample or several, see what is stored about them, ask for more."""
    notices.run_heading(tr("Explain"), store, run)
    samples = store.artifacts(run.id, kind="samples")
    if samples:
        arrays, meta = store.arrays(samples[-1].id), samples[-1].meta
        sample = _choose_sample(arrays, meta)
        others = _choose_others(sample, arrays, meta)
        _order_explanation(store, run, [sample, *others], meta)
        job_panel.show()
        if others:
            side_by_side.show_several(store, run, [f"test/{each}" for each in (sample, *others)])
        else:
            side_by_side.show_one(store, run, f"test/{sample}")
        own_input.show(store, run, sample, arrays, meta)
        what_if.show(store, run, sample, arrays, meta)
        shortcuts.show(store, run, meta)
        episode.show(store, run, meta)
        overview.show(store, run, meta)
    else:
        notices.nothing_recorded(
            tr("This run stored no samples. Runs of the reference models do; for a model of your own, call"),
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
        with st.expander(tr("More samples"), expanded=chosen >= THUMBNAILS_AT_FIRST):
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
            st.image(picture, width=THUMBNAIL_PIXELS, output_format="PNG", alt=tr("Sample {index}", index=index))
            name = markdown_text(answer(arrays, meta, index), NAME_CHARACTERS)
            look: Literal["primary", "secondary"] = "primary" if index == chosen else "secondary"
            if st.button(
                f"#{index} · {name}" if name else f"#{index}", key=f"sample-{index}", type=look, width="stretch"
            ):
                st.query_params[SAMPLE] = str(index)
                st.rerun()


def _listed(count: int, chosen: int, arrays: Arrays, meta: Mapping[str, Any]) -> int:
    picked = st.selectbox(
        tr("Sample"), range(count), index=chosen, format_func=lambda index: _described(index, arrays, meta)
    )
    st.query_params[SAMPLE] = str(picked)
    return int(picked)


def _described(index: int, arrays: Arrays, meta: Mapping[str, Any]) -> str:
    content = "" if _inputs(arrays).ndim == 4 else _content(arrays, meta, index)
    return " · ".join(part for part in (f"#{index}", answer(arrays, meta, index), content) if part)


def _choose_others(sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> list[int]:
    """Samples to be shown below the chosen one; the address keeps them."""
    count = min(len(_inputs(arrays)), MAX_LISTED)
    asked = st.query_params.get(OTHERS, "").split(",")
    kept = [int(part) for part in asked if part.isdecimal() and int(part) < count and int(part) != sample]
    picked = st.multiselect(
        tr("Beside it"),
        [index for index in range(count) if index != sample],
        default=list(dict.fromkeys(kept))[:MAX_BESIDE],
        format_func=lambda index: _described(index, arrays, meta),
        max_selections=MAX_BESIDE,
        placeholder=tr("Choose more samples to compare what the methods say of them"),
        key=f"beside-{sample}",
    )
    if picked:
        st.query_params[OTHERS] = ",".join(map(str, picked))
    elif OTHERS in st.query_params:
        del st.query_params[OTHERS]
    return [int(index) for index in picked]


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


def _order_explanation(store: Store, run: Run, samples: Sequence[int], meta: Mapping[str, Any]) -> None:
    if not store.artifacts(run.id, kind="checkpoint"):
        st.info(
            tr("New explanations need the trained weights, which this run has not stored yet."), icon=":material/info:"
        )
        return
    offered = side_by_side.methods_for(meta.get("model"))
    classes = range(len(meta.get("class_names") or []))
    with st.form("explain", border=True):
        *target, methods, when, start = st.columns([2, 3, 2, 1] if classes else [4, 2, 1], vertical_alignment="bottom")
        chosen_class = PREDICTED
        if classes:
            chosen_class = target[0].selectbox(
                tr("Class"),
                [PREDICTED, *classes],
                format_func=lambda index: tr("predicted") if index == PREDICTED else class_name(meta, index),
            )
        chosen_methods = methods.multiselect(tr("Methods"), offered, default=offered, format_func=method_name)
        at_all = when.toggle(
            tr("At every checkpoint"), help=tr("Then the cursor chooses which one is shown, and the film strip grows")
        )
        if not start.form_submit_button(tr("Explain"), type="primary", width="stretch"):
            return
    if not chosen_methods:
        st.warning(tr("Choose at least one method."), icon=":material/warning:")
        return
    listed = ",".join(map(str, samples))
    arguments = ["explain", argument_of(run), "--samples", listed, "--methods", ",".join(chosen_methods)]
    if chosen_class != PREDICTED:
        arguments += ["--target", str(chosen_class)]
    if at_all:
        arguments += ["--checkpoints", "all"]
    label = (
        tr("Explain sample {sample}", sample=listed)
        if len(samples) == 1
        else tr("Explain samples {samples}", samples=listed)
    )
    job_panel.start(label, arguments)

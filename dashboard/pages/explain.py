"""Explain: what a trained model looks at. Stored explanations are shown here; new ones are made by a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy.typing as npt
import streamlit as st

from torchglass.charts import Explained, explanations_data, explanations_figure
from torchglass.charts.explanations import METHOD_NAMES, class_name
from torchglass.charts.pictures import resized, rgb
from torchglass.charts.text import markdown_text
from torchglass.dashboard import job_panel, notices
from torchglass.dashboard.figures import draw
from torchglass.dashboard.training_order import order_training
from torchglass.store import Artifact, Run, Store

SAMPLE = "sample"
THUMBNAILS_AT_FIRST = 20
MAX_THUMBNAILS = 60
THUMBNAIL_PIXELS = 64
CELL_PIXELS = 80
PREDICTED = -1  # the choice of class that leaves it to the model


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
    else:
        notices.nothing_recorded(
            "This run stored no samples. Runs of the reference models do; for a model of your own, call",
            "torchglass.explain(model, images, target, method='gradcam')",
        )
        order_training()
        job_panel.show()


def _choose_sample(arrays: dict[str, npt.NDArray[Any]], meta: Any) -> int:
    """Show thumbnails and return the index of the chosen one, which the address keeps."""
    count = min(len(arrays["images"]), MAX_THUMBNAILS)
    asked = st.query_params.get(SAMPLE, "0")
    chosen = int(asked) if asked.isdecimal() and int(asked) < count else 0
    _thumbnails(range(min(count, THUMBNAILS_AT_FIRST)), chosen, arrays, meta)
    if count > THUMBNAILS_AT_FIRST:
        with st.expander("More samples", expanded=chosen >= THUMBNAILS_AT_FIRST):
            _thumbnails(range(THUMBNAILS_AT_FIRST, count), chosen, arrays, meta)
    return chosen


def _thumbnails(indices: range, chosen: int, arrays: dict[str, npt.NDArray[Any]], meta: Any) -> None:
    """Draw samples in rows as wide as the page; a button below each puts its index into the address."""
    row = st.container(horizontal=True, gap="small")
    for index in indices:
        with row.container(width=CELL_PIXELS, gap="xsmall"):
            picture = resized(rgb(arrays["images"][index]), THUMBNAIL_PIXELS, THUMBNAIL_PIXELS)
            st.image(picture, width=THUMBNAIL_PIXELS, output_format="PNG")
            name = markdown_text(class_name(meta, int(arrays["labels"][index])))
            look: Literal["primary", "secondary"] = "primary" if index == chosen else "secondary"
            if st.button(f"#{index} · {name}", key=f"sample-{index}", type=look, width="stretch"):
                st.query_params[SAMPLE] = str(index)
                st.rerun()


def _order_explanation(store: Store, run: Run, sample: int, meta: Any) -> None:
    if not store.artifacts(run.id, kind="checkpoint"):
        st.info("New explanations need the trained weights, which this run has not stored yet.", icon=":material/info:")
        return
    names = meta.get("class_names") or []
    classes = [PREDICTED, *range(len(names))]
    with st.form("explain", border=True):
        target, methods, start = st.columns([2, 3, 1], vertical_alignment="bottom")
        chosen_class = target.selectbox(
            "Class",
            classes,
            format_func=lambda index: "predicted" if index == PREDICTED else class_name(meta, index),
        )
        chosen_methods = methods.multiselect(
            "Methods", list(METHOD_NAMES), default=list(METHOD_NAMES), format_func=METHOD_NAMES.__getitem__
        )
        if not start.form_submit_button("Explain", type="primary", width="stretch"):
            return
    if not chosen_methods:
        st.warning("Choose at least one method.", icon=":material/warning:")
        return
    # A name that begins with a dash would be read as an option; the uid names the same run.
    named = run.uid if run.name.startswith("-") else run.name
    arguments = ["explain", named, "--samples", str(sample), "--methods", ",".join(chosen_methods)]
    if chosen_class != PREDICTED:
        arguments += ["--target", str(chosen_class)]
    job_panel.start(f"Explain sample {sample}", arguments)


def _explanations(store: Store, run: Run, sample: int) -> None:
    found = store.artifacts(run.id, kind="explanation", key=f"test/{sample}")
    if not found:
        st.info("No explanation of this sample is stored.", icon=":material/info:")
        return
    targets = sorted({_target(artifact) for artifact in found})
    newest = targets.index(_target(found[-1]))
    target = st.segmented_control(
        "Explained class",
        targets,
        default=targets[newest],
        required=True,
        format_func=lambda index: markdown_text(class_name(found[-1].meta, index)),
    )
    shown = _newest_of_each_method([artifact for artifact in found if _target(artifact) == target])
    data = explanations_data([Explained(artifact, store.arrays(artifact.id)) for artifact in shown])
    if data is not None:
        st.caption(markdown_text(data.heading, 200))
    draw(
        lambda dark: explanations_figure(data, dark=dark),
        f"explanations-{sample}-{target}",
        "Input, attribution map and overlay, one row for each method",
    )
    st.caption("A map shows what the model's score responds to. It is not proof of a cause.")
    with st.expander("How these were made"):
        st.json([{key: value for key, value in artifact.meta.items() if key != "class_names"} for artifact in shown])


def _target(artifact: Artifact) -> int:
    target = artifact.meta.get("target")
    return target if isinstance(target, int) else PREDICTED


def _newest_of_each_method(found: Sequence[Artifact]) -> list[Artifact]:
    newest = {str(artifact.meta.get("method")): artifact for artifact in found}
    order = list(METHOD_NAMES)
    return sorted(newest.values(), key=lambda one: order.index(m) if (m := one.meta.get("method")) in order else 99)

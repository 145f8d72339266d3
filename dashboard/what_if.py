"""The section "What if" of the page Explain: change a region, a word or a column and see what the model then says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from torchglass.charts.generated import enlarged
from torchglass.charts.pictures import rgb
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.units import number
from torchglass.charts.what_if import ARTIFACT_KIND, WhatIfData, checkpoints_figure, scores_figure, what_if_data
from torchglass.dashboard import job_panel
from torchglass.dashboard.figures import draw
from torchglass.dashboard.run_arguments import argument_of
from torchglass.store import Artifact, Run, Store

PICTURE_PIXELS = 224
FRAME = (0, 230, 120)
SHOWN_TRIALS = 3
ABOUT = (
    "Change the sample and ask the model again: no map, but the truth about one change. Every checkpoint that the run "
    "kept is asked, so you also see since when it answers so."
)
HIDDEN = "(hidden)"

Arrays = Mapping[str, npt.NDArray[Any]]


def show(store: Store, run: Run, sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
    """Offer a change of a sample, order it as a job, and draw the newest outcomes.

    `arrays` and `meta` are those of the run's samples.
    """
    if "inputs" not in arrays or "form" not in meta or not store.artifacts(run.id, kind="checkpoint"):
        return
    st.subheader("What if", anchor="what-if")
    st.caption(ABOUT)
    change = _change(sample, arrays, meta)
    if change and st.button("Try it", type="primary", key="what-if-try"):
        job_panel.start(f"What if, sample {sample}", ["what-if", argument_of(run), "--sample", str(sample), *change])
        st.rerun()
    trials = store.artifacts(run.id, kind=ARTIFACT_KIND, key=f"test/{sample}")
    for trial in reversed(trials[-SHOWN_TRIALS:]):
        _outcome(store, trial)


def _change(sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> list[str]:
    """The command line's words for the change that is chosen, [] for none."""
    inputs = arrays["inputs"]
    if inputs.ndim == 4:
        return _region(sample, inputs)
    if np.issubdtype(inputs.dtype, np.integer):
        return _word(sample, arrays)
    return _column(sample, inputs, meta)


def _region(sample: int, inputs: npt.NDArray[Any]) -> list[str]:
    height, width = inputs.shape[2:]
    shown, chosen = st.columns([1, 2])
    with chosen:
        left, right = st.slider("Columns", 0, width, (0, max(1, width // 8)), key="what-if-columns")
        top, bottom = st.slider("Rows", 0, height, (0, max(1, height // 8)), key="what-if-rows")
        what = st.segmented_control(
            "Change", ["Erase", "Paste from another sample"], default="Erase", required=True, key="what-if-change"
        )
        source = 0
        if what != "Erase":
            source = int(st.number_input("From sample", 0, len(inputs) - 1, min(len(inputs) - 1, sample + 1)))
    box = (left, top, right, bottom)
    with shown:
        st.image(_framed(rgb(inputs[sample]), box), caption="the region", output_format="PNG")
    if left == right or top == bottom:
        st.info("Choose a region that holds pixels.", icon=":material/info:")
        return []
    told = ",".join(map(str, box))
    return ["--erase", told] if what == "Erase" else ["--paste", told, "--source", str(source)]


def _word(sample: int, arrays: Arrays) -> list[str]:
    ids = arrays["inputs"][sample]
    words = arrays["words"][sample] if "words" in arrays else ids.astype(np.str_)
    places = [place for place, token in enumerate(ids) if token]
    which, becomes = st.columns(2)
    place = which.selectbox(
        "Word", places, format_func=lambda place: f"{place}: {plain_text(words[place], 40)}", key="what-if-word"
    )
    known = sorted({str(word) for word in arrays["words"][arrays["inputs"] != 0]}) if "words" in arrays else []
    word = becomes.selectbox(
        "becomes", [HIDDEN, *known], format_func=lambda word: plain_text(word, 40), key="what-if-becomes"
    )
    return [f"--replace={place}" if word == HIDDEN else f"--replace={place}={word}"]


def _column(sample: int, inputs: npt.NDArray[Any], meta: Mapping[str, Any]) -> list[str]:
    table = inputs.astype(np.float64)
    scale = meta.get("scale")
    if scale:
        table = table * np.array(scale["deviations"]) + np.array(scale["means"])
    names = meta.get("feature_names") or [f"column {place}" for place in range(table.shape[1])]
    which, becomes = st.columns(2)
    column = which.selectbox(
        "Column",
        range(table.shape[1]),
        format_func=lambda place: f"{plain_text(names[place], 40)}: {_short(table[sample, place])}",
        key="what-if-column",
    )
    low, high = float(table[:, column].min()), float(table[:, column].max())
    if not 0 < high - low < math.inf:
        st.info("This column has the same value in every kept sample.", icon=":material/info:")
        return []
    # A slider of its own for each column: the span of another one's values means nothing here.
    now = float(table[sample, column])
    digits = max(0, 2 - math.floor(math.log10(high - low)))  # a hundredth of the span or less is told and reached
    value = becomes.slider(
        "becomes", low, high, now, 10.0**-digits, f"%.{digits}f", key=f"what-if-value-{sample}-{column}"
    )
    if value == now:
        st.info("Move the slider: it stands at the value that the column has.", icon=":material/info:")
        return []
    return [f"--set=#{column}={value!r}"]


def _outcome(store: Store, trial: Artifact) -> None:
    data = what_if_data(trial, store.arrays(trial.id))
    with st.container(border=True):
        st.markdown(f"**{markdown_text(data.told, 200)}**")
        st.caption(markdown_text(data.summary, 300))
        _pictures(data)
        bars, lines = st.columns(2)
        with bars:
            alt = "Scores of the classes before and after the change"
            draw(lambda dark: scores_figure(data, dark=dark), f"what-if-{trial.id}", alt)
        with lines:
            alt = "The target's score before and after the change, over the checkpoints"
            draw(lambda dark: checkpoints_figure(data, dark=dark), f"what-if-{trial.id}-steps", alt)


def _pictures(data: WhatIfData) -> None:
    if data.pictures is None:
        return
    row = st.container(horizontal=True, gap="small")
    for picture, caption in zip(data.pictures, ("before", "after"), strict=True):
        row.image(enlarged(picture, 128), caption=caption, width=128, output_format="PNG")


def _framed(picture: npt.NDArray[np.uint8], box: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """The picture enlarged, with a line around the region."""
    large = enlarged(picture, PICTURE_PIXELS).copy()
    factor = large.shape[0] // picture.shape[0]
    left, top, right, bottom = (edge * factor for edge in box)
    rows, columns = np.indices(large.shape[:2])
    near = (rows >= top - 2) & (rows < bottom + 2) & (columns >= left - 2) & (columns < right + 2)
    large[near & ~((rows >= top) & (rows < bottom) & (columns >= left) & (columns < right))] = FRAME
    return large


def _short(value: float) -> str:
    return number(float(f"{value:.4g}"))

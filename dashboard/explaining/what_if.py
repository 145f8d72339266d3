"""The section "What if" of the page Explain: change a region, a word or a column and see what the model then says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from torchglass.charts.generated import enlarged
from torchglass.charts.pictures import rgb
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.units import number
from torchglass.charts.what_if import ARTIFACT_KIND, WhatIfData, checkpoints_figure, scores_figure, what_if_data
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.run_arguments import argument_of
from torchglass.language import mark, tr
from torchglass.store import Artifact, Run, Store

PICTURE_PIXELS = 224
FRAME = (0, 230, 120)
SHOWN_TRIALS = 3
ABOUT = mark(
    "Change the sample and ask the model again: no map, but the truth about one change. Every checkpoint that the run "
    "kept is asked, so you also see since when it answers so."
)
HIDDEN = mark("(hidden)")
ERASE, PASTE = mark("Erase"), mark("Paste from another sample")
SHOWN_COLUMNS = 4  # that get a slider at first
COLUMNS = 2

Arrays = Mapping[str, npt.NDArray[Any]]


def show(store: Store, run: Run, sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> None:
    """Offer a change of a sample, order it as a job, and draw the newest outcomes.

    `arrays` and `meta` are those of the run's samples.
    """
    if "inputs" not in arrays or "form" not in meta or not store.artifacts(run.id, kind="checkpoint"):
        return
    st.subheader(tr("What if"), anchor="what-if")
    st.caption(tr(ABOUT))
    change = _change(store, run, sample, arrays, meta)
    if change and st.button(tr("Try it"), type="primary", key="what-if-try"):
        command = ["what-if", argument_of(run), "--sample", str(sample), *change]
        job_panel.start(tr("What if, sample {sample}", sample=sample), command)
        st.rerun()
    trials = store.artifacts(run.id, kind=ARTIFACT_KIND, key=f"test/{sample}")
    for trial in reversed(trials[-SHOWN_TRIALS:]):
        _outcome(store, run, trial)


def _change(store: Store, run: Run, sample: int, arrays: Arrays, meta: Mapping[str, Any]) -> list[str]:
    """The command line's words for the change that is chosen, [] for none."""
    inputs = arrays["inputs"]
    if inputs.ndim == 4:
        return _region(sample, inputs)
    if np.issubdtype(inputs.dtype, np.integer):
        return _word(sample, arrays)
    return _columns(sample, inputs, meta, _strongest(store, run, sample))


def _region(sample: int, inputs: npt.NDArray[Any]) -> list[str]:
    height, width = inputs.shape[2:]
    shown, chosen = st.columns([1, 2])
    with chosen:
        left, right = st.slider(tr("Columns"), 0, width, (0, max(1, width // 8)), key="what-if-columns")
        top, bottom = st.slider(tr("Rows"), 0, height, (0, max(1, height // 8)), key="what-if-rows")
        what = st.segmented_control(
            tr("Change"), [ERASE, PASTE], default=ERASE, required=True, format_func=tr, key="what-if-change"
        )
        source = 0
        if what != ERASE:
            source = int(st.number_input(tr("From sample"), 0, len(inputs) - 1, min(len(inputs) - 1, sample + 1)))
    box = (left, top, right, bottom)
    with shown:
        st.image(_framed(rgb(inputs[sample]), box), caption=tr("the region"), output_format="PNG")
    if left == right or top == bottom:
        st.info(tr("Choose a region that holds pixels."), icon=":material/info:")
        return []
    told = ",".join(map(str, box))
    return ["--erase", told] if what == ERASE else ["--paste", told, "--source", str(source)]


def _word(sample: int, arrays: Arrays) -> list[str]:
    ids = arrays["inputs"][sample]
    words = arrays["words"][sample] if "words" in arrays else ids.astype(np.str_)
    places = [place for place, token in enumerate(ids) if token]
    which, becomes = st.columns(2)
    place = which.selectbox(
        tr("Word"), places, format_func=lambda place: f"{place}: {plain_text(words[place], 40)}", key="what-if-word"
    )
    known = sorted({str(word) for word in arrays["words"][arrays["inputs"] != 0]}) if "words" in arrays else []
    word = becomes.selectbox(
        tr("becomes"),
        [HIDDEN, *known],
        format_func=lambda word: tr(HIDDEN) if word == HIDDEN else plain_text(word, 40),
        key="what-if-becomes",
    )
    return [f"--replace={place}" if word == HIDDEN else f"--replace={place}={word}"]


def _columns(sample: int, inputs: npt.NDArray[Any], meta: Mapping[str, Any], strongest: Sequence[int]) -> list[str]:
    table = inputs.astype(np.float64)
    scale = meta.get("scale")
    if scale:
        table = table * np.array(scale["deviations"]) + np.array(scale["means"])
    names = meta.get("feature_names") or [tr("column {number}", number=place) for place in range(table.shape[1])]
    spans = [(float(column.min()), float(column.max())) for column in table.T]
    movable = [place for place, (low, high) in enumerate(spans) if 0 < high - low < math.inf]
    if not movable:
        st.info(tr("Every column has one value in all kept samples: none can be moved."), icon=":material/info:")
        return []
    first = [place for place in dict.fromkeys([*strongest, *movable]) if place in movable][:SHOWN_COLUMNS]
    chosen = st.multiselect(
        tr("Columns to change"),
        movable,
        default=sorted(first),
        format_func=lambda place: plain_text(names[place], 40),
        key=f"what-if-columns-{sample}",
    )
    told = []
    for place, column in enumerate(chosen):
        if place % COLUMNS == 0:
            row = st.columns(COLUMNS)
        with row[place % COLUMNS]:
            now = float(table[sample, column])
            value = _value(sample, column, markdown_text(names[column], 40), now, spans[column])
        if value != now:
            told.append(f"--set=#{column}={value!r}")
    if not told:
        st.info(tr("Move a slider: all stand at the values that the sample has."), icon=":material/info:")
        return []
    if st.button(tr("Back to the sample's values"), icon=":material/undo:", key="what-if-back"):
        for column in chosen:
            del st.session_state[_slider_key(sample, column)]
        st.rerun()
    return told


def _value(sample: int, column: int, name: str, now: float, span: tuple[float, float]) -> float:
    low, high = span
    digits = max(0, 2 - math.floor(math.log10(high - low)))  # a hundredth of the span or less is told and reached
    # A slider of its own for each column: the span of another one's values means nothing here.
    key = _slider_key(sample, column)
    return float(st.slider(f"{name} ({_short(now)})", low, high, now, 10.0**-digits, f"%.{digits}f", key=key))


def _slider_key(sample: int, column: int) -> str:
    return f"what-if-value-{sample}-{column}"


def _strongest(store: Store, run: Run, sample: int) -> list[int]:
    """Columns by how much they count in the sample's newest explanation, none where it has none."""
    found = store.artifacts(run.id, kind="explanation", key=f"test/{sample}")
    if not found:
        return []
    strength = np.abs(np.nan_to_num(store.arrays(found[-1].id)["attributions"][0].astype(np.float64)))
    return [int(place) for place in np.argsort(-strength, kind="stable")] if strength.ndim == 1 else []


def _outcome(store: Store, run: Run, trial: Artifact) -> None:
    data = what_if_data(trial, store.arrays(trial.id))
    with st.container(border=True):
        st.markdown(f"**{markdown_text(data.told, 200)}**")
        st.caption(markdown_text(data.summary, 300))
        _pictures(data)
        bars, lines = st.columns(2)
        with bars:
            alt = tr("Scores of the classes before and after the change")
            source = _source(store, run, trial, "scores_figure")
            draw(lambda dark: scores_figure(data, dark=dark), f"what-if-{trial.id}", alt, source)
        with lines:
            alt = tr("The target's score before and after the change, over the checkpoints")
            source = _source(store, run, trial, "checkpoints_figure")
            draw(lambda dark: checkpoints_figure(data, dark=dark), f"what-if-{trial.id}-steps", alt, source)


def _source(store: Store, run: Run, trial: Artifact, figure: str) -> Source:
    return Source(
        "artifact",
        {"id": trial.id, "array": "shown_after"},
        chart_code(
            store,
            run,
            f"from torchglass.charts.what_if import {figure}, what_if_data",
            f'trials = store.artifacts(run.id, kind="{ARTIFACT_KIND}")\n'
            f"trial = next(one for one in trials if one.id == {trial.id})\n"
            "data = what_if_data(trial, store.arrays(trial.id))",
            f"{figure}(data).show()",
        ),
    )


def _pictures(data: WhatIfData) -> None:
    if data.pictures is None:
        return
    row = st.container(horizontal=True, gap="small")
    for picture, caption in zip(data.pictures, (tr("before"), tr("after")), strict=True):
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

"""One quiet line below a page's heading: what else the run recorded at the chosen step, and where that is shown."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st

from torchglass.analysis.at_step import Moment, Reading, read_moment
from torchglass.charts.units import quantity
from torchglass.dashboard.links import link
from torchglass.language import mark, tr
from torchglass.store import Run, Store

# Kinds of artifacts that pages show: the page's address, and what the link says.
_ARTIFACTS = {
    "explanation": ("explain", mark("Explanation of step {step}")),
    "checkpoint": ("explain", mark("Checkpoint of step {step}")),
    "memory_peak": ("memory", mark("Allocations of step {step}")),
}


def show(store: Store, run: Run, step: int | None) -> None:
    """Say what lies at a step or next to it; nothing where no step is chosen or nothing was recorded."""
    if step is None:
        return
    moment = read_moment(store, run, step)
    said, places = list(_said(moment)), list(_places(moment))
    if not said and not places:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.caption(tr("Step {step}: {readings}", step=f"{step:,}", readings=" · ".join(said) or "–"), width="content")
        for address, label in places:
            link(address, f":small[{label}]", run=run.name, step=str(step))


def _said(moment: Moment) -> Iterator[str]:
    readings = (
        (mark("loss {value}"), moment.loss),
        (mark("gradient norm {value}"), moment.gradient_norm),
        (mark("took {value}"), moment.step_seconds),
        (mark("GPU {value} busy"), moment.utilization_percent),
    )
    for sentence, reading in readings:
        if reading is not None:
            yield _with_its_step(tr(sentence, value=quantity(reading.value, reading.unit)), reading, moment.step)
    if moment.nonfinite:
        yield f":red[{tr('{count} NaN or Inf in sampled tensors', count=f'{moment.nonfinite:,}')}]"


def _with_its_step(told: str, reading: Reading, step: int) -> str:
    return told if reading.step == step else tr("{reading} (at {step})", reading=told, step=f"{reading.step:,}")


def _places(moment: Moment) -> Iterator[tuple[str, str]]:
    """Addresses of pages that show something of this moment, and what."""
    if moment.window is not None:
        first, last = moment.window
        yield "kernels", tr("Profile of steps {first} to {last}", first=f"{first:,}", last=f"{last:,}")
    if moment.histograms is not None:
        yield "distributions", tr("Histograms of step {step}", step=f"{moment.histograms:,}")
    for kind, (address, sentence) in _ARTIFACTS.items():
        if kind in moment.artifacts:
            yield address, tr(sentence, step=f"{moment.artifacts[kind]:,}")

"""The section "Over training": what the model looked at while it learnt, as a film strip with its drift."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from torchglass.charts.attribution_drift import drift_figure
from torchglass.charts.explanations_words import method_name
from torchglass.charts.film_strip_figures import enlarged_figure, film_strip_figures
from torchglass.charts.over_training import GROUPS, LEGEND, OverTraining, methods_over_training, read_over_training
from torchglass.charts.text import markdown_text
from torchglass.charts.units import number
from torchglass.dashboard.answering.tables import MAX_EXPLANATIONS
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.dashboard.stepping.recorded_step import shown_step, step_told
from torchglass.language import tr
from torchglass.store import Artifact, Run, Store


def show(store: Store, run: Run, sample: int) -> None:
    """Draw what is stored of a run; the sample that the page shows comes first where it is among it."""
    artifacts = store.artifacts(run.id, kind="explanation")
    found = methods_over_training(artifacts)
    st.subheader(tr("Over training"), anchor=False)
    if not found:
        _say_what_to_do(store, run)
        return
    group = _choose_group(list(found), run)
    method = _choose_method(found[group], group)
    read = read_over_training(store, run.id, artifacts, group, method, first=f"{group}/{sample}")
    if read is not None:
        _draw(store, run, read, artifacts, sample)


def _choose_group(groups: list[str], run: Run) -> str:
    if len(groups) == 1:
        return groups[0]
    chosen = st.segmented_control(
        tr("What is explained"),
        groups,
        default=groups[0],
        required=True,
        format_func=lambda name: tr(GROUPS[name]),
        key=f"group-{run.id}",
    )
    return str(chosen)


def _choose_method(methods: tuple[str, ...], group: str) -> str:
    if len(methods) == 1:
        return methods[0]
    chosen = st.segmented_control(
        tr("Method"),
        methods,
        default=methods[0],
        required=True,
        format_func=lambda method: markdown_text(method_name(method)),
        key=f"method-{group}",
    )
    return str(chosen)


def _draw(store: Store, run: Run, read: OverTraining, artifacts: Sequence[Artifact], sample: int) -> None:
    name, strip = method_name(read.method), read.strip
    key = f"over-training-{run.id}-{read.group}-{read.method}"
    largest = number(float(f"{strip.largest:.2g}"))
    told = {"group": tr(GROUPS[read.group]), "method": name, "largest": largest}
    st.caption(markdown_text(tr("{group}. {method}, raw values up to {largest}.", **told), 200))
    step = None if chosen_step() is None else shown_step(strip.steps)
    at = "" if step is None else f", outlined={step}"
    source = partial(_source, store, run, read, artifacts, sample)
    alt = tr("{method} of each input at several steps, in one colour scale", method=name)
    if strip.kind == "pictures":
        draw(
            lambda dark: film_strip_figures(strip, dark=dark, outlined=step)[0],
            key,
            alt,
            source(f"film_strip_figures(read.strip{at})[0].show()"),
        )
    else:
        columns = st.columns(2)
        for place, one in enumerate(strip.strips):
            with columns[place % 2].container(border=True):
                st.markdown(f"**{markdown_text(one.name, 120)}**")
                draw(
                    lambda dark, place=place: film_strip_figures(strip, dark=dark, outlined=step)[place],  # type: ignore[misc]
                    f"{key}-{place}",
                    alt,
                    source(f"film_strip_figures(read.strip{at})[{place}].show()"),
                )
    if step is not None:
        st.caption(step_told(step))
        draw(
            lambda dark: enlarged_figure(strip, step, dark=dark),
            f"{key}-enlarged",
            tr("The frames of the chosen step, enlarged"),
            source(f"enlarged_figure(read.strip, {step}).show()"),
        )
    alt = tr("Score and drift of the maps over the steps")
    draw(
        lambda dark: drift_figure(read.drift, dark=dark), f"{key}-drift", alt, source("drift_figure(read.drift).show()")
    )
    st.caption(" ".join((tr(LEGEND), *(markdown_text(note, 200) for note in strip.notes))))


def _source(
    store: Store, run: Run, read: OverTraining, artifacts: Sequence[Artifact], sample: int, drawing: str
) -> Source:
    """The raw attributions of every frame of the strip, and the code that reads and draws them."""
    shown = [
        one
        for one in artifacts
        if one.key.startswith(f"{read.group}/")
        and one.meta.get("method") == read.method
        and one.step in read.strip.steps
    ]
    return Source(
        "explanations",
        {"run": run.id, "ids": ",".join(str(one.id) for one in shown[-MAX_EXPLANATIONS:])},
        chart_code(
            store,
            run,
            "from torchglass.charts.attribution_drift import drift_figure\n"
            "from torchglass.charts.film_strip_figures import enlarged_figure, film_strip_figures\n"
            "from torchglass.charts.over_training import read_over_training",
            'artifacts = store.artifacts(run.id, kind="explanation")\n'
            f"group, method = {read.group!r}, {read.method!r}\n"
            f'read = read_over_training(store, run.id, artifacts, group, method, first=f"{{group}}/{sample}")',
            drawing,
        ),
    )


def _say_what_to_do(store: Store, run: Run) -> None:
    checkpoints = len(store.artifacts(run.id, kind="checkpoint"))
    if checkpoints > 1:
        st.info(
            tr(
                "No explanation at two steps is stored. This run kept {count} checkpoints: explain them with "
                "{command}.",
                count=checkpoints,
                command="`torchglass explain RUN --checkpoints all`",
            ),
            icon=":material/info:",
        )
    else:
        st.info(
            tr(
                "No explanation at two steps is stored. During training, {code} explains a few inputs again and again.",
                code="`attach(..., probes=torchglass.Probes(inputs, targets))`",
            ),
            icon=":material/info:",
        )

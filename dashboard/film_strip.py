"""The section "Over training": what the model looked at while it learnt, as a film strip with its drift."""

from __future__ import annotations

import streamlit as st

from torchglass.charts.attribution_drift import drift_figure
from torchglass.charts.explanations_words import method_name
from torchglass.charts.film_strip_figures import film_strip_figures
from torchglass.charts.over_training import GROUPS, LEGEND, OverTraining, methods_over_training, read_over_training
from torchglass.charts.text import markdown_text
from torchglass.charts.units import number
from torchglass.dashboard.figures import draw
from torchglass.store import Run, Store


def show(store: Store, run: Run, sample: int) -> None:
    """Draw what is stored of a run; the sample that the page shows comes first where it is among it."""
    artifacts = store.artifacts(run.id, kind="explanation")
    found = methods_over_training(artifacts)
    st.subheader("Over training")
    if not found:
        _say_what_to_do(store, run)
        return
    group = _choose_group(list(found), run)
    method = _choose_method(found[group], group)
    read = read_over_training(store, run.id, artifacts, group, method, first=f"{group}/{sample}")
    if read is not None:
        _draw(read, f"over-training-{run.id}-{group}-{method}")


def _choose_group(groups: list[str], run: Run) -> str:
    if len(groups) == 1:
        return groups[0]
    chosen = st.segmented_control(
        "What is explained",
        groups,
        default=groups[0],
        required=True,
        format_func=GROUPS.__getitem__,
        key=f"group-{run.id}",
    )
    return str(chosen)


def _choose_method(methods: tuple[str, ...], group: str) -> str:
    if len(methods) == 1:
        return methods[0]
    chosen = st.segmented_control(
        "Method",
        methods,
        default=methods[0],
        required=True,
        format_func=lambda method: markdown_text(method_name(method)),
        key=f"method-{group}",
    )
    return str(chosen)


def _draw(read: OverTraining, key: str) -> None:
    name, strip = method_name(read.method), read.strip
    largest = number(float(f"{strip.largest:.2g}"))
    st.caption(markdown_text(f"{GROUPS[read.group]}. {name}, raw values up to {largest}.", 200))
    alt = f"{name} of each input at several steps, in one colour scale"
    if strip.kind == "pictures":
        draw(lambda dark: film_strip_figures(strip, dark=dark)[0], key, alt)
    else:
        columns = st.columns(2)
        for place, one in enumerate(strip.strips):
            with columns[place % 2].container(border=True):
                st.markdown(f"**{markdown_text(one.name, 120)}**")
                draw(
                    lambda dark, place=place: film_strip_figures(strip, dark=dark)[place],  # type: ignore[misc]
                    f"{key}-{place}",
                    alt,
                )
    draw(lambda dark: drift_figure(read.drift, dark=dark), f"{key}-drift", "Score and drift of the maps over the steps")
    st.caption(" ".join((LEGEND, *(markdown_text(note, 200) for note in strip.notes))))


def _say_what_to_do(store: Store, run: Run) -> None:
    checkpoints = len(store.artifacts(run.id, kind="checkpoint"))
    if checkpoints > 1:
        st.info(
            f"No explanation at two steps is stored. This run kept {checkpoints} checkpoints: explain them with "
            "`torchglass explain RUN --checkpoints all`.",
            icon=":material/info:",
        )
    else:
        st.info(
            "No explanation at two steps is stored. During training, "
            "`attach(..., probes=torchglass.Probes(inputs, targets))` explains a few inputs again and again.",
            icon=":material/info:",
        )

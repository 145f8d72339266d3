"""Report: a run, or several compared, as one file that opens offline."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from torchglass.charts import file_name
from torchglass.dashboard import notices
from torchglass.dashboard.choosing import run_list
from torchglass.dashboard.choosing.organizing import listed_names
from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.ordering.report_building import Building
from torchglass.dashboard.ordering.run_arguments import argument_of
from torchglass.language import LANGUAGES, language, tr
from torchglass.report import MAX_MB, MAX_RUNS, SECTIONS
from torchglass.report.options import ALWAYS
from torchglass.store import Run, Store

LEAST_MB, MOST_MB = 2.5, 50.0
LOOK_SECONDS = 0.5  # between two looks at a report that is being built
_BUILDING = "report_building"


def show(store: Store, run: Run) -> None:
    """Choose what a report is to hold, and build it as one download."""
    notices.run_heading(tr("Report"), store, run)
    st.text(
        tr(
            "One HTML file with everything that these pages show. It needs no server and no network to open, on a "
            "screen, a phone or paper."
        )
    )
    runs = [run, *_others(store, run)]
    options = _options()
    building = _building()
    st.download_button(
        tr("Build the report") if len(runs) == 1 else tr("Build the comparison of {count} runs", count=len(runs)),
        data=partial(building.build, store.location, [one.name for one in runs], options),
        file_name=f"{file_name(run.name)}{'-compared' if len(runs) > 1 else ''}.html",
        mime="text/html",
        icon=":material/download:",
        type="primary",
        on_click=building.ask,
    )
    _progress(building)
    st.caption(tr("The same from a terminal:"))
    st.code(_command(store, runs, options), language="bash", wrap_lines=True)


def _others(store: Store, run: Run) -> list[Run]:
    """Runs that the report holds against this one; those that the address lists are chosen at first."""
    names = [name for name in listed_names(store) if name != run.name]
    if not names:
        return []
    asked = run_list.names_in(st.query_params.get(run_list.PARAMETER, ""))
    chosen = st.multiselect(
        tr("Compare with"),
        names,
        default=[name for name in asked if name in names][: MAX_RUNS - 1],
        max_selections=MAX_RUNS - 1,
        placeholder=tr("No other run"),
        key=f"report-runs-{run.id}",
    )
    return [store.run(name) for name in chosen]


def _options() -> dict[str, Any]:
    """What `export_report` is asked for."""
    said, size = st.columns(2)
    spoken = said.selectbox(
        tr("Language of the report"),
        list(LANGUAGES),
        index=list(LANGUAGES).index(language()),
        format_func=LANGUAGES.__getitem__,
        key="report-language",
    )
    largest = size.number_input(
        tr("Largest size, MB"),
        LEAST_MB,
        MOST_MB,
        MAX_MB,
        0.5,
        help=tr(
            "What does not fit is left out, and said in the report: points of curves first, then histograms, "
            "explained samples, profiler windows."
        ),
        key="report-size",
    )
    free = [section for section in SECTIONS if section not in ALWAYS]
    with st.expander(tr("Sections")):
        sections = st.pills(
            tr("Sections"),
            free,
            selection_mode="multi",
            default=free,
            format_func=lambda section: tr(SECTIONS[section]),
            label_visibility="collapsed",
            key="report-sections",
        )
    wanted = None if len(sections) == len(free) else tuple(sections)
    return {"language": spoken, "max_mb": float(largest), "sections": wanted}


def _building() -> Building:
    """What this visitor asked for; it outlives the runs of the page's script."""
    if _BUILDING not in st.session_state:
        st.session_state[_BUILDING] = Building()
    kept: Building = st.session_state[_BUILDING]
    return kept


def _progress(building: Building) -> None:
    fragment(_tell, run_every=LOOK_SECONDS if building.is_going_on else None)(building, building.is_going_on)


def _tell(building: Building, waited: bool) -> None:
    """Say how far the report is; once there is nothing to wait for, the whole page runs again and looks no more."""
    if building.is_going_on:
        st.text(tr("Building: {doing} …", doing=building.said))
    elif waited:
        st.rerun()
    elif building.state == "built":
        st.text(tr("Built: {size} MB. Your browser has it.", size=f"{building.megabytes:.1f}"))
    elif building.state == "failed":
        st.error(tr("The report could not be built."), icon=":material/error:")
        st.text(building.said)


def _command(store: Store, runs: Sequence[Run], options: Mapping[str, Any]) -> str:
    """The command that writes this very report; a database's password is not in it."""
    words = ["torchglass", "report", *map(argument_of, runs), "--store", store.location.shown]
    if options["max_mb"] != MAX_MB:
        words += ["--max-mb", f"{options['max_mb']:g}"]
    if options["language"] != "en":
        words += ["--language", options["language"]]
    if options["sections"] is not None:
        words += ["--sections", ",".join((*options["sections"], *ALWAYS))]
    return shlex.join(words)

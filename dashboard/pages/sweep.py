"""Sweep: a search for a better recipe while it goes on: how far it got, what did best, and which switch mattered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from torchglass.analysis.sweeps import Sweep, Trial, read_sweeps
from torchglass.charts.sweep import (
    history_data,
    history_figure,
    importances_data,
    importances_figure,
    parallel_data,
    parallel_figure,
)
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.units import MISSING, duration
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.dashboard.ordering import job_panel
from torchglass.dashboard.ordering.sweep_order import order_sweep
from torchglass.errors import MissingExtraError
from torchglass.language import mark, tr
from torchglass.store import Store

PARAMETER = "sweep"  # of the address: the sweep that is shown
MOST_ROWS = 500
STATE_SIGNS = {"complete": "✓", "pruned": "✂", "running": "●", "failed": "✗", "lost": "?", "waiting": "…"}
STATES = {
    "complete": mark("complete"),
    "pruned": mark("pruned"),
    "running": mark("running"),
    "failed": mark("failed"),
    "lost": mark("lost"),
    "waiting": mark("waiting"),
}
_PICKED, _IN_URL = "picked_sweep", "sweep_in_url"

OpenRun = Callable[[str], None]


def show(store: Store, open_run: OpenRun) -> None:
    """Let a sweep be chosen and show it, or let one be started; a click on a trial opens its run."""
    st.header(tr("Sweep"), anchor=False)
    try:
        sweeps = read_sweeps(store.location)
    except MissingExtraError as missing:
        st.info(tr("Sweeps are kept by Optuna, which is not installed where the page runs."), icon=":material/info:")
        st.text(str(missing))
        return
    sweep = _choose(sweeps)
    if sweep is None:
        st.info(
            tr(
                "No sweep in this store yet. Search for a better recipe here, or by the command below; run that twice, "
                "or on two machines with one database, and both work on the same sweep."
            ),
            icon=":material/info:",
        )
        job_panel.show()
        order_sweep()
        return
    with st.expander(tr("Start a sweep, or make one longer"), icon=":material/play_arrow:"):
        order_sweep()
    job_panel.show()
    _state(sweep)
    _best(store, sweep, open_run)
    _charts(store, sweep)
    st.subheader(tr("Trials"), anchor=False)
    _table(store, sweep, open_run)


def _charts(store: Store, sweep: Sweep) -> None:
    history, parallel, importances = history_data(sweep), parallel_data(sweep), importances_data(sweep)
    draw(
        lambda dark: history_figure(history, dark=dark),
        f"sweep_history_{sweep.name}",
        tr("Value of each trial, and the best so far"),
        _source(store, sweep, "history"),
    )
    st.subheader(tr("What each trial chose, and what came of it"), anchor=False)
    draw(
        lambda dark: parallel_figure(parallel, dark=dark),
        f"sweep_parallel_{sweep.name}",
        tr("A line for each trial through the values of its switches to its score"),
        _source(store, sweep, "parallel"),
    )
    if len(parallel.numbers):
        st.caption(tr("Each line is a complete trial; the thick red one is the best."))
    st.subheader(tr("Which switch mattered"), anchor=False)
    draw(
        lambda dark: importances_figure(importances, dark=dark),
        f"sweep_importances_{sweep.name}",
        tr("Importance of each switch"),
        _source(store, sweep, "importances", "importances"),
    )
    if importances.names:
        st.caption(
            tr(
                "PED-ANOVA: how differently the better trials are spread over a switch than all that were searched. "
                "With few trials much of it is chance."
            )
        )


def _source(store: Store, sweep: Sweep, chart: str, table: str = "trials") -> Source:
    """What is behind a chart of the sweep; `chart` is how its two functions begin."""
    code = f"""\
from torchglass.analysis.sweeps import read_sweep
from torchglass.charts.sweep import {chart}_data, {chart}_figure
from torchglass.store.location import locate

sweep = read_sweep(locate({store.location.shown!r}), {sweep.name!r})
{chart}_figure({chart}_data(sweep)).show()
"""
    return Source(table, {"sweep": sweep.name}, code)


def _choose(sweeps: Sequence[Sweep]) -> Sweep | None:
    """Show the picker; the address wins once it changed, as with runs, else the newest sweep is shown."""
    known = {sweep.name: sweep for sweep in sweeps}
    if not known:
        return None
    asked = st.query_params.get(PARAMETER)
    if asked in known and asked != st.session_state.get(_IN_URL):
        st.session_state[_PICKED] = asked
    elif st.session_state.get(_PICKED) not in known:
        st.session_state[_PICKED] = next(iter(known))
    picked = st.selectbox(tr("Sweep"), list(known), key=_PICKED, format_func=plain_text)
    st.session_state[_IN_URL] = picked
    if picked != asked:
        st.query_params[PARAMETER] = picked
    return known[picked]


def _state(sweep: Sweep) -> None:
    what = " · ".join(markdown_text(name) for name in (sweep.model, sweep.dataset) if name)
    counts = sweep.counts
    ended = counts.get("complete", 0) + counts.get("pruned", 0) + counts.get("failed", 0)
    states = ", ".join(f"{count} {tr(STATES[state])}" for state, count in counts.items())
    told = tr(
        "{ended} of {total} trials ended: {states}",
        ended=ended,
        total=sweep.total or len(sweep.trials),
        states=states or tr("none has begun"),
    )
    st.caption(f"{what or tr('A study of Optuna')} · {told}")
    if counts.get("running"):
        st.button(
            tr("Refresh"),
            icon=":material/refresh:",
            help=tr("The charts of this page show one moment of the sweep"),
            key="sweep-refresh",
        )


def _best(store: Store, sweep: Sweep, open_run: OpenRun) -> None:
    best, own = sweep.best, sweep.of_defaults
    if best is None or best.value is None:
        return
    tiles = st.columns(3)
    tiles[0].metric(tr("Best {metric}", metric=markdown_text(sweep.metric)), f"{best.value:.4g}", border=True)
    tiles[1].metric(tr("Of trial"), str(best.number), border=True)
    gain = None if own is None or own.value is None else best.value - own.value
    tiles[2].metric(
        tr("Against the recipe's own"),
        MISSING if gain is None else f"{gain:+.4g}",
        border=True,
        help=tr("By the held out samples that chose the best of many, which flatters it: compare both on the test set"),
    )
    if st.button(tr("Open the best trial's run"), icon=":material/show_chart:", key="sweep-open-best"):
        _open(store, sweep, best, open_run)
    if sweep.best_command is not None:
        st.markdown(tr("Train the best recipe on the whole training set:"))
        st.code(sweep.best_command, language="bash", wrap_lines=True)


def _open(store: Store, sweep: Sweep, trial: Trial, open_run: OpenRun) -> None:
    """Open a trial's run, or say why there is none."""
    name = _run_of(sweep, trial)
    if name in store.run_names(archived=None):
        open_run(name)
    else:
        st.info(
            tr("The run of this trial is not in the store: it was deleted, or has not begun."), icon=":material/info:"
        )


def _table(store: Store, sweep: Sweep, open_run: OpenRun) -> None:
    shown = sweep.ranked[:MOST_ROWS]
    if not shown:
        return
    st.caption(tr("Click a row to open the trial's run."))
    columns = _columns(sweep, shown)
    numbers = {name for name in columns if all(isinstance(value, int | float | None) for value in columns[name])}
    event = st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        key=f"trials_of_{sweep.name}",
        placeholder=MISSING,
        column_config={name: st.column_config.NumberColumn(format="%.4g") for name in numbers},
    )
    if len(sweep.trials) > MOST_ROWS:
        st.caption(tr("The best {count} of {total} trials.", count=MOST_ROWS, total=len(sweep.trials)))
    places = [*event["selection"]["rows"], *(row for row, _ in event["selection"]["cells"])]
    if places and places[0] < len(shown):
        _open(store, sweep, shown[places[0]], open_run)


def _columns(sweep: Sweep, trials: Sequence[Trial]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        tr("Trial"): [trial.number for trial in trials],
        tr("Value"): [trial.value for trial in trials],
        tr("State"): [f"{STATE_SIGNS[trial.state]} {tr(STATES[trial.state])}" for trial in trials],
    }
    for name in sweep.switches:
        columns[plain_text(name)] = [_plain(trial.changes.get(name)) for trial in trials]
    columns[tr("Duration")] = [_duration(trial) for trial in trials]
    columns[tr("Run")] = [plain_text(_run_of(sweep, trial)) for trial in trials]
    if any(trial.reason for trial in trials):
        columns[tr("Note")] = [plain_text(trial.reason or "") for trial in trials]
    return columns


def _run_of(sweep: Sweep, trial: Trial) -> str:
    """Name of a trial's run; one that has not ended has not told it, and is called by its number."""
    return trial.run or f"{sweep.name}/{trial.number}"


def _plain(value: Any) -> Any:
    return value if value is None or (isinstance(value, int | float) and not isinstance(value, bool)) else str(value)


def _duration(trial: Trial) -> str:
    if trial.started is None or trial.ended is None:
        return MISSING
    return duration(trial.ended - trial.started)

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
from torchglass.dashboard.figures import draw
from torchglass.errors import MissingExtraError
from torchglass.store import Store

PARAMETER = "sweep"  # of the address: the sweep that is shown
START = "torchglass sweep lenet5 --trials 20"
MOST_ROWS = 500
STATE_MARKS = {
    "complete": "✓ complete",
    "pruned": "✂ pruned",
    "running": "● running",
    "failed": "✗ failed",
    "lost": "? lost",
    "waiting": "… waiting",
}
_PICKED, _IN_URL = "picked_sweep", "sweep_in_url"

OpenRun = Callable[[str], None]


def show(store: Store, open_run: OpenRun) -> None:
    """Let a sweep be chosen and show it; a click on a trial opens its run."""
    st.header("Sweep", anchor=False)
    try:
        sweeps = read_sweeps(store.location)
    except MissingExtraError as missing:
        st.info("Sweeps are kept by Optuna, which is not installed where the page runs.", icon=":material/info:")
        st.text(str(missing))
        return
    sweep = _choose(sweeps)
    if sweep is None:
        st.info(
            "No sweep in this store yet. Search for a better recipe; run the command twice, or on two machines with "
            "one database, and both work on the same sweep:",
            icon=":material/info:",
        )
        st.code(START, language="bash")
        return
    _state(sweep)
    _best(sweep)
    history, parallel, importances = history_data(sweep), parallel_data(sweep), importances_data(sweep)
    draw(lambda dark: history_figure(history, dark=dark), "sweep_history", "Value of each trial, and the best so far")
    st.subheader("What each trial chose, and what came of it", anchor=False)
    alt = "A line for each trial through the values of its switches to its score"
    draw(lambda dark: parallel_figure(parallel, dark=dark), "sweep_parallel", alt)
    if len(parallel.numbers):
        st.caption("Each line is a complete trial; the thick red one is the best.")
    st.subheader("Which switch mattered", anchor=False)
    alt = "Importance of each switch"
    draw(lambda dark: importances_figure(importances, dark=dark), "sweep_importances", alt)
    if importances.names:
        st.caption(
            "PED-ANOVA: how differently the better trials are spread over a switch than all that were searched. With "
            "few trials much of it is chance."
        )
    st.subheader("Trials", anchor=False)
    _table(store, sweep, open_run)


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
    picked = st.selectbox("Sweep", list(known), key=_PICKED, format_func=plain_text)
    st.session_state[_IN_URL] = picked
    if picked != asked:
        st.query_params[PARAMETER] = picked
    return known[picked]


def _state(sweep: Sweep) -> None:
    what = " on ".join(markdown_text(name) for name in (sweep.model, sweep.dataset) if name)
    counts = sweep.counts
    ended = counts.get("complete", 0) + counts.get("pruned", 0) + counts.get("failed", 0)
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none has begun"
    st.caption(f"{what or 'A study of Optuna'} · {ended} of {sweep.total or len(sweep.trials)} trials ended: {told}")
    if counts.get("running"):
        st.button("Refresh", icon=":material/refresh:", help="The charts of this page show one moment of the sweep")


def _best(sweep: Sweep) -> None:
    best, own = sweep.best, sweep.of_defaults
    if best is None or best.value is None:
        return
    tiles = st.columns(3)
    tiles[0].metric(markdown_text(f"Best {sweep.metric}"), f"{best.value:.4g}", border=True)
    tiles[1].metric("Of trial", str(best.number), border=True)
    gain = None if own is None or own.value is None else best.value - own.value
    tiles[2].metric(
        "Against the recipe's own",
        MISSING if gain is None else f"{gain:+.4g}",
        border=True,
        help="By the held out samples that chose the best of many, which flatters it: compare both on the test set",
    )
    if sweep.best_command is not None:
        st.markdown("Train the best recipe on the whole training set:")
        st.code(sweep.best_command, language="bash", wrap_lines=True)


def _table(store: Store, sweep: Sweep, open_run: OpenRun) -> None:
    known = {run.name for run in store.runs(archived=None)}
    shown = sweep.ranked[:MOST_ROWS]
    if not shown:
        return
    st.caption("Click a row to open the trial's run.")
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
        st.caption(f"The best {MOST_ROWS} of {len(sweep.trials)} trials.")
    places = [*event["selection"]["rows"], *(row for row, _ in event["selection"]["cells"])]
    if places and places[0] < len(shown):
        name = _run_of(sweep, shown[places[0]])
        if name in known:
            open_run(name)
        else:
            st.info("The run of this trial is not in the store: it was deleted, or has not begun.")


def _columns(sweep: Sweep, trials: Sequence[Trial]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "Trial": [trial.number for trial in trials],
        "Value": [trial.value for trial in trials],
        "State": [STATE_MARKS[trial.state] for trial in trials],
    }
    for name in sweep.switches:
        columns[plain_text(name)] = [_plain(trial.changes.get(name)) for trial in trials]
    columns["Duration"] = [_duration(trial) for trial in trials]
    columns["Run"] = [plain_text(_run_of(sweep, trial)) for trial in trials]
    if any(trial.reason for trial in trials):
        columns["Note"] = [plain_text(trial.reason or "") for trial in trials]
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

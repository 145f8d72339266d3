"""Compare: what this run does differently from another, from the time of a step down, with what is only noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from torchglass.analysis.comparison import Comparison, compare
from torchglass.analysis.differences import Difference
from torchglass.analysis.measured import measure
from torchglass.analysis.wording import MISSING, amount, interval, noise_note, verdict
from torchglass.charts import (
    contributions_data,
    contributions_figure,
    distributions_data,
    distributions_figure,
    phase_pairs_data,
    phase_pairs_figure,
)
from torchglass.charts.text import plain_text, sentence
from torchglass.dashboard import notices
from torchglass.dashboard.figures import draw
from torchglass.store import Run, Store

PARAMETER = "base"  # of the address: the run that is compared with
TABLE_ROWS = 500
_PICKED, _IN_URL = "compared_with", "base_in_url"


def show(store: Store, run: Run) -> None:
    """Let a base be chosen and draw the comparison of this run with it."""
    notices.run_heading("Compare", store, run)
    base = _choose_base(run, store.runs(archived=None))
    if base is None:
        notices.nothing_recorded(
            "There is no other run in this store to compare with. Record another one:",
            'torchglass.attach(model, optimizer, run="another")',
        )
        return
    rank = _choose_rank(store, base, run)
    notices.offer_refresh(run)
    comparison = compare(measure(store, base, rank), measure(store, run, rank))
    _circumstances(comparison)
    _steps(comparison)
    _rows_of_windows(comparison)
    found = [each for each in (*comparison.resources, *comparison.results) if each.base != each.new or each.reason]
    if found:
        st.subheader("Memory, throughput and results", anchor=False)
        _table(found)
    st.caption(noise_note())


def _choose_base(run: Run, known: Iterable[Run]) -> Run | None:
    """Show the picker; the address wins once it changed, as with the run itself, else the run before this one."""
    others = {each.name: each for each in known if each.id != run.id}
    if not others:
        return None
    names = list(others)
    asked = st.query_params.get(PARAMETER)
    if asked in others and asked != st.session_state.get(_IN_URL):
        st.session_state[_PICKED] = asked
    elif st.session_state.get(_PICKED) not in others:
        earlier = [name for name, each in others.items() if each.created_at <= run.created_at]
        st.session_state[_PICKED] = earlier[0] if earlier else names[0]
    picked = st.selectbox(
        "With (A)", names, key=_PICKED, help="Run A is what the run in the sidebar, run B, is compared with"
    )
    st.session_state[_IN_URL] = picked
    if picked != asked:
        st.query_params[PARAMETER] = picked
    return others[picked]


def _choose_rank(store: Store, base: Run, new: Run) -> int:
    ranks = [{series.rank for series in store.series_of(each.id, kind="phase")} for each in (base, new)]
    common = sorted(ranks[0] & ranks[1])
    if len(common) < 2:
        return common[0] if common else 0
    return int(st.selectbox("Rank", common))


def _circumstances(comparison: Comparison) -> None:
    for letter, each in (("A", comparison.base), ("B", comparison.new)):
        st.text(f"{letter}  {plain_text(each.run.name)}: {each.run.status}, {each.steps.told}")
    if comparison.circumstances:
        st.caption("What else differs, and may be the reason:")
        st.dataframe(
            {
                "": [name for name, _, _ in comparison.circumstances],
                "A": ["not said" if base is None else base for _, base, _ in comparison.circumstances],
                "B": ["not said" if new is None else new for _, _, new in comparison.circumstances],
            },
            hide_index=True,
            width="stretch",
        )


def _steps(comparison: Comparison) -> None:
    st.subheader("Step time", anchor=False)
    if comparison.base.whole is None or comparison.new.whole is None:
        st.info("There are not steps in both runs that can be compared.", icon=":material/info:")
        st.text(sentence(comparison.step[0].reason or ""))
        return
    _table(comparison.step)
    distributions = distributions_data(comparison)
    alt = "Share of steps by step time, of both runs"
    draw(lambda dark: distributions_figure(distributions, dark=dark), "distributions", alt)
    if not comparison.phases:
        return
    if comparison.contributions:
        st.subheader("Where the difference comes from", anchor=False)
        contributions = contributions_data(comparison)
        alt = "Waterfall of what each phase adds to the difference of the mean steps"
        draw(lambda dark: contributions_figure(contributions, dark=dark), "contributions", alt)
    st.subheader("Phases", anchor=False)
    pairs = phase_pairs_data(comparison)
    alt = "Seconds of each phase in both runs"
    draw(lambda dark: phase_pairs_figure(pairs, dark=dark), "phase_pairs", alt)
    _table(comparison.phases)


def _rows_of_windows(comparison: Comparison) -> None:
    found = [
        (title, rows)
        for title, rows in (("GPU kernels", comparison.kernels), ("Operators", comparison.operators))
        if rows
    ]
    if not found:
        st.info("Only runs with profiler windows can be compared by operator and kernel.", icon=":material/info:")
        return
    for title, rows in found:
        st.subheader(f"{title}, own time a step", anchor=False)
        _table(rows[:TABLE_ROWS])
    count = sum(each.evidence == "windows" for _, rows in found for each in rows)
    if count > 20:
        st.caption(f"Of {count} rows with bounds, up to {round(count / 20)} may look different by chance alone.")


def _table(differences: Sequence[Difference]) -> None:
    columns: dict[str, list[Any]] = {
        "Name": [_title(each) for each in differences],
        "A": [amount(each.base, each.unit) for each in differences],
        "B": [amount(each.new, each.unit) for each in differences],
        "B - A": [amount(each.change, each.unit, signed=True) for each in differences],
        "%": [each.percent for each in differences],
        "95 % interval": [interval(each) for each in differences],
        "Verdict": [verdict(each) for each in differences],
    }
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        placeholder=MISSING,
        column_config={
            "Name": st.column_config.Column(width="medium"),
            "%": st.column_config.NumberColumn(format="%+.1f"),
        },
    )


def _title(difference: Difference) -> str:
    kind, colon, name = difference.name.partition(":")
    return name if colon and kind in ("operator", "kernel") else difference.name

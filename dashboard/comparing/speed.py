"""Speed of the compared runs: all of them held against the first, and a pair in detail, with what is only noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from torchglass.analysis.comparison import Comparison
from torchglass.analysis.differences import Difference
from torchglass.analysis.wording import MISSING, amount, interval, noise_note, percentage, verdict
from torchglass.charts import (
    contributions_data,
    contributions_figure,
    distributions_data,
    distributions_figure,
    phase_pairs_data,
    phase_pairs_figure,
)
from torchglass.charts.text import plain_text, sentence
from torchglass.dashboard.comparing.kept import compared
from torchglass.dashboard.comparing.runs import label
from torchglass.dashboard.drawing.figures import Source, draw
from torchglass.language import tr
from torchglass.report.page import STATUSES
from torchglass.store import Run, Store

TABLE_ROWS = 500
CHANCE = 20  # of so many rows with 95 % bounds one looks different by chance


def show(store: Store, runs: Sequence[Run]) -> None:
    """Compare the others with the first: in a table where there are several, then one of them in detail."""
    st.subheader(tr("Speed"), anchor=False)
    rank = _choose_rank(store, runs)
    with st.spinner(tr("Comparing the steps of the runs")):
        comparisons = compared(store, runs[0], list(runs[1:]), rank)
    if len(runs) == 2:
        _pair(store, comparisons[0])
        return
    _overview(runs, comparisons)
    place = st.selectbox(
        tr("In detail, against A"),
        range(len(comparisons)),
        format_func=lambda place: label(place + 1, runs[place + 1]),
        key="compared_pair",
    )
    _pair(store, comparisons[place])


def _choose_rank(store: Store, runs: Sequence[Run]) -> int:
    """A rank that all runs have, the first one unless another is chosen."""
    ranks = [{series.rank for series in store.series_of(run.id, kind="phase")} for run in runs]
    common = sorted(set.intersection(*ranks))
    if len(common) < 2:
        return common[0] if common else 0
    return int(st.selectbox(tr("Rank"), common))


def _overview(runs: Sequence[Run], comparisons: Sequence[Comparison]) -> None:
    """Draw a row for each measure, with a column for each run."""
    rows: dict[str, list[Difference | None]] = {}
    for place, comparison in enumerate(comparisons):
        found = (*comparison.step, *comparison.phases, *comparison.resources)
        for each in found:
            rows.setdefault(each.name, [None] * len(comparisons))[place] = each
    kept = {name: row for name, row in rows.items() if any(each and _is_known(each) for each in row)}
    if not kept:
        st.info(tr("None of these runs timed a step: attach with the model and its optimizer."), icon=":material/info:")
        return
    columns = {
        tr("Measure"): [_title(_first(row)) for row in kept.values()],
        plain_text(label(0, runs[0])): [amount(_first(row).base, _first(row).unit) for row in kept.values()],
        **{
            plain_text(label(place + 1, runs[place + 1])): [against_base(row[place]) for row in kept.values()]
            for place in range(len(comparisons))
        },
    }
    st.dataframe(columns, hide_index=True, width="stretch", key="compared_speed", alt=tr("Speed of each run"))


def _first(row: Sequence[Difference | None]) -> Difference:
    """The difference that tells what the first run has: one from a run without any steps tells of neither."""
    known = [each for each in row if each is not None]
    return next((each for each in known if each.base is not None), known[0])


def _is_known(difference: Difference) -> bool:
    return difference.base is not None or difference.new is not None


def against_base(difference: Difference | None) -> str:
    """A run's value, how far it is from the first run's, and what to think of that."""
    if difference is None or difference.new is None:
        return MISSING
    value = amount(difference.new, difference.unit)
    return value if difference.base is None else f"{value}  {percentage(difference.percent)}, {verdict(difference)}"


def _pair(store: Store, comparison: Comparison) -> None:
    """Draw all that is known of two runs' speed, from the time of a step down to kernels."""
    for letter, each in (("A", comparison.base), ("B", comparison.new)):
        st.text(f"{letter}  {plain_text(each.run.name)}: {tr(STATUSES[each.run.status])}, {each.steps.told}")
    _steps(store, comparison)
    _rows_of_windows(comparison)
    found = [each for each in (*comparison.resources, *comparison.results) if each.base != each.new or each.reason]
    if found:
        st.markdown(f"**{tr('Memory, throughput and results')}**")
        _table(found)
    st.caption(noise_note())


def _steps(store: Store, comparison: Comparison) -> None:
    if comparison.base.whole is None or comparison.new.whole is None:
        st.info(tr("There are not steps in both runs that can be compared."), icon=":material/info:")
        st.text(sentence(comparison.step[0].reason or ""))
        return
    _table(comparison.step)
    distributions = distributions_data(comparison)
    draw(
        lambda dark: distributions_figure(distributions, dark=dark),
        "distributions",
        tr("Share of steps by step time, of both runs"),
        _source(store, comparison, "distributions", key="phase/step"),
    )
    if not comparison.phases:
        return
    if comparison.contributions:
        st.markdown(f"**{tr('Where the difference comes from')}**")
        contributions = contributions_data(comparison)
        draw(
            lambda dark: contributions_figure(contributions, dark=dark),
            "contributions",
            tr("Waterfall of what each phase adds to the difference of the mean steps"),
            _source(store, comparison, "contributions", kind="phase"),
        )
    st.markdown(f"**{tr('Phases')}**")
    pairs = phase_pairs_data(comparison)
    draw(
        lambda dark: phase_pairs_figure(pairs, dark=dark),
        "phase_pairs",
        tr("Seconds of each phase in both runs"),
        _source(store, comparison, "phase_pairs", kind="phase"),
    )
    _table(comparison.phases)


def _source(store: Store, comparison: Comparison, chart: str, *, key: str = "", kind: str = "") -> Source:
    """The steps behind a chart of two runs; `chart` is how its two functions begin."""
    base, new, rank = comparison.base.run, comparison.new.run, comparison.base.rank
    code = f"""\
from torchglass.analysis.comparison import compare
from torchglass.analysis.measured import measure
from torchglass.charts import {chart}_data, {chart}_figure
from torchglass.store import open_store

with open_store({store.location.shown!r}, read_only=True) as store:
    base, new = (measure(store, store.run(name), {rank}) for name in ({base.name!r}, {new.name!r}))
    data = {chart}_data(compare(base, new))
{chart}_figure(data).show()
"""
    return Source("runs_series", {"runs": f"{base.id},{new.id}", "key": key, "kind": kind, "rank": rank}, code)


def _rows_of_windows(comparison: Comparison) -> None:
    titles = (
        (tr("GPU kernels, own time a step"), comparison.kernels),
        (tr("Operators, own time a step"), comparison.operators),
    )
    found = [(title, rows) for title, rows in titles if rows]
    if not found:
        st.info(tr("Only runs with profiler windows can be compared by operator and kernel."), icon=":material/info:")
        return
    for title, rows in found:
        st.markdown(f"**{title}**")
        _table(rows[:TABLE_ROWS])
    count = sum(each.evidence == "windows" for _, rows in found for each in rows)
    if count > CHANCE:
        st.caption(
            tr(
                "Of {count} rows with bounds, up to {few} may look different by chance alone.",
                count=count,
                few=round(count / CHANCE),
            )
        )


def _table(differences: Sequence[Difference]) -> None:
    columns: dict[str, list[Any]] = {
        tr("Name"): [_title(each) for each in differences],
        "A": [amount(each.base, each.unit) for each in differences],
        "B": [amount(each.new, each.unit) for each in differences],
        "B - A": [amount(each.change, each.unit, signed=True) for each in differences],
        "%": [each.percent for each in differences],
        tr("95 % interval"): [interval(each) for each in differences],
        tr("Verdict"): [verdict(each) for each in differences],
    }
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        placeholder=MISSING,
        column_config={
            tr("Name"): st.column_config.Column(width="medium"),
            "%": st.column_config.NumberColumn(format="%+.1f"),
        },
    )


def _title(difference: Difference) -> str:
    """What it is about, without the kind that the heading says."""
    kind, colon, name = difference.name.partition(":")
    return name if colon and kind in ("operator", "kernel") else difference.name

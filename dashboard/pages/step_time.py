"""Step time: where the time of a step goes, live, and what it buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from torchglass.analysis.energy import StepEnergy, read_step_energy
from torchglass.analysis.ranks import read_ranks
from torchglass.analysis.stragglers import find_straggler, straggler_text
from torchglass.charts.phases import PREFIX, WHOLE, name_of, phase_shares_figure, shares_data
from torchglass.charts.ranks import own_work_figure, ranks_data, ranks_figure
from torchglass.charts.text import markdown_text, plain_text
from torchglass.charts.units import quantity
from torchglass.charts.variants import ARTIFACT_KIND, Mode, VariantsData, variants_data, variants_figure
from torchglass.charts.work_done import work_notes
from torchglass.dashboard import notices
from torchglass.dashboard.answering.tables import MAX_SERIES
from torchglass.dashboard.drawing.chart_code import chart_code
from torchglass.dashboard.drawing.figures import TILE_PIXELS, Source, draw
from torchglass.dashboard.drawing.live import live_charts
from torchglass.dashboard.fragments import fragment
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.dashboard.stepping.slow_steps import show_slowest, show_step
from torchglass.dashboard.stepping.window_choice import wait_for_windows
from torchglass.errors import StoreError
from torchglass.language import mark, tr
from torchglass.store import Location, Run, Series, Store, open_store

REFRESH_SECONDS = 3.0
MISSING = "missing/"
TECHNIQUES: Mapping[Mode, str] = {
    "train": mark("Training under each technique"),
    "infer": mark("Inference under each technique"),
}
HOST_BOUND, SAMPLES, MFU = "work/host_bound_percent", "work/samples_per_second", "work/mfu_percent"
_RANKS = (
    "from torchglass.analysis.ranks import read_ranks\nfrom torchglass.charts.ranks import {figure}, ranks_data",
    "data = ranks_data(read_ranks(store, run.id))",
    "{figure}(data).show()",
)


def show(store: Store, run: Run) -> None:
    """Draw tiles and shares of the whole run and of the chosen step, then the live stack and the slowest steps."""
    notices.run_heading(tr("Step time"), store, run)
    phases = store.series_of(run.id, kind="phase")
    if not phases and run.status != "running":
        _variants(store, run)
        notices.nothing_recorded(tr("This run timed no phase of its steps."), notices.ATTACH)
        return
    rank = _choose_rank(phases)
    windows = store.windows(run.id, rows=False)
    wait_for_windows(store.location, run, windows)
    step = chosen_step()
    beside = show_step(store, run, rank, step) if step is not None else None
    in_step = {part.phase: part.seconds for part in beside.phases} if beside else {}
    every = REFRESH_SECONDS if run.status == "running" else None
    fragment(_summary, run_every=every)(store.location, run, rank, in_step)
    live_charts(
        run,
        ["phase", "work"],
        rank=rank,
        windows=[window for window in windows if window.rank == rank],
        waiting=tr("Waiting for the first step to end."),
        ended=tr("The run ended before its first step did."),
    )
    if windows:
        st.caption(tr("Dotted bands: steps that ran under the profiler."))
    _notes(store, run, rank)
    show_slowest(store, run, rank, windows, step)
    if len({series.rank for series in phases}) > 1:
        _ranks(store, run)
    _variants(store, run)


def _choose_rank(phases: Sequence[Series]) -> int:
    ranks = sorted({series.rank for series in phases}) or [0]
    if len(ranks) == 1:
        return ranks[0]
    chosen = st.segmented_control(tr("Rank"), ranks, default=ranks[0], required=True)
    return ranks[0] if chosen is None else int(chosen)


def _summary(location: Location, run: Run, rank: int, in_step: Mapping[str, float]) -> None:
    """Draw what holds for the whole run. A fragment runs without the rest of the page, so it opens the store itself."""
    try:
        with open_store(location, read_only=True) as store:
            phases = store.series_of(run.id, kind="phase", rank=rank)
            found = [*phases, *store.series_of(run.id, kind="work", rank=rank)]
            facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == rank}
            energy = read_step_energy(store, run.id, rank)
    except StoreError:
        st.rerun()
    shares, series = shares_data(found), {one.key: one for one in found}
    if not shares.phases:
        if f"{PREFIX}{WHOLE}" in series:  # a trace that was imported names steps, and not always their phases
            st.metric(tr("Mean step"), quantity(series[f"{PREFIX}{WHOLE}"].mean, "s"), border=True, width="content")
        return
    _tiles(series, facts, energy)
    draw(
        lambda dark: phase_shares_figure(shares, step_seconds=in_step, dark=dark),
        "phase_shares",
        tr("Share of each phase in the time"),
        Source(
            "series",
            {"ids": ",".join(str(one.id) for one in phases)},
            chart_code(
                store,
                run,
                "from torchglass.charts.phases import phase_shares_figure, shares_data",
                f'data = shares_data(store.series_of(run.id, kind="phase", rank={rank}))',
                "phase_shares_figure(data).show()",
            ),
        ),
    )
    if in_step:
        st.caption(tr("Bars: all steps. Diamonds: the chosen step."))


def _tiles(series: Mapping[str, Series], facts: Mapping[str, Any], energy: StepEnergy | None) -> None:
    step = series.get(f"{PREFIX}{WHOLE}")
    phases = {key: one for key, one in series.items() if key.startswith(PREFIX) and key != f"{PREFIX}{WHOLE}"}
    total = sum(_total(one) for one in phases.values())
    longest = max(phases, key=lambda key: _total(phases[key]))
    share = f"{100 * _total(phases[longest]) / total:.0f} %" if total > 0 else "–"
    joules = _energy_tiles(energy)
    tiles = st.grid(2 + len(_WORK) + len(joules), min_column_width=TILE_PIXELS)
    tiles.metric(tr("Mean step"), quantity(step.mean if step else None, "s"), border=True)
    name = markdown_text(name_of(longest.removeprefix(PREFIX)), 24)
    tiles.metric(tr("Most: {phase}", phase=name), share, border=True)
    for title, key, unit, meaning in _WORK:
        found = series.get(key)
        reason = facts.get(f"{MISSING}{key}")
        why = plain_text(reason, 200) if reason else tr("nothing was recorded under it")
        help_text = tr(meaning)
        if not found:
            help_text = tr("{meaning} Not measured: {reason}.", meaning=help_text, reason=markdown_text(why, 200))
        tiles.metric(tr(title), quantity(_rounded(found.mean), unit) if found else "N/A", border=True, help=help_text)
    for title, value, meaning in joules:
        tiles.metric(title, value, border=True, help=meaning)


def _energy_tiles(energy: StepEnergy | None) -> list[tuple[str, str, str]]:
    """Title, value and meaning of what was measured of energy; nothing without a GPU that tells it."""
    if energy is None:
        return []
    meaning = tr("What the GPU used; mean over the run.")
    if energy.gpus > 1:
        meaning = tr("What {count} GPUs used together, idle ones included; mean over the run.", count=energy.gpus)
    tiles = [(tr("Energy a step"), quantity(_rounded(energy.step_joules), "J"), meaning)]
    if energy.sample_joules is not None:
        meaning = tr(
            "The energy of a step over its {count} samples, the mean of late steps.",
            count=quantity(_rounded(energy.samples)),
        )
        tiles.append((tr("Energy a sample"), quantity(_rounded(energy.sample_joules), "J"), meaning))
    return tiles


_WORK = (
    (
        mark("Host-bound"),
        HOST_BOUND,
        "%",
        mark("Mean share of the step in which the GPU had already run out of work."),
    ),
    (mark("Samples a second"), SAMPLES, "", mark("Mean over the run.")),
    (
        mark("MFU"),
        MFU,
        "%",
        mark("Model FLOPs utilization: what the model computed, of the device's dense peak for its dtype."),
    ),
)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _ranks(store: Store, run: Run) -> None:
    ranks = read_ranks(store, run.id)
    if len(ranks.ranks) < 2:
        return
    data = ranks_data(ranks)
    st.subheader(tr("Ranks side by side"), anchor=False)
    st.text(straggler_text(ranks, find_straggler(ranks)))
    if not data.phases:
        return
    ids = [series.id for series in store.series_of(run.id, kind="phase")][:MAX_SERIES]
    told = {"ids": ",".join(map(str, ids))}
    figures = (
        ("ranks", ranks_figure, tr("Median seconds of each phase in each rank")),
        ("own_work", own_work_figure, tr("Seconds of each rank's own work over the steps")),
    )
    for key, figure, alt in figures:
        code = chart_code(store, run, *(part.format(figure=figure.__name__) for part in _RANKS))
        draw(lambda dark, figure=figure: figure(data, dark=dark), key, alt, Source("series", told, code))  # type: ignore[misc]


def _variants(store: Store, run: Run) -> None:
    """Show the run's model under each technique, where that was measured."""
    artifacts = store.artifacts(run.id, kind=ARTIFACT_KIND)
    for mode, title in TECHNIQUES.items():
        data = variants_data(artifacts, mode)
        if data is not None:
            st.subheader(tr(title), anchor=False)
            _draw_variants(store, run, data, tr(title))


def _draw_variants(store: Store, run: Run, data: VariantsData, title: str) -> None:
    code = chart_code(
        store,
        run,
        "from torchglass.charts.variants import variants_data, variants_figure",
        f'data = variants_data(store.artifacts(run.id, kind="{ARTIFACT_KIND}"), "{data.mode}")',
        "variants_figure(data).show()",
    )
    told = Source("variants", {"run": run.id, "mode": data.mode}, code)
    draw(lambda dark: variants_figure(data, dark=dark), f"variants-{data.mode}", title, told)


def _total(series: Series) -> float:
    return (series.mean or 0.0) * (series.count - series.nonfinite_count)


def _notes(store: Store, run: Run, rank: int) -> None:
    facts = {fact.key: fact.value for fact in store.facts(run.id) if fact.rank == rank}
    for note in work_notes(facts):
        st.text(note)
    fact = facts.get("phases")
    if not isinstance(fact, Mapping):
        return
    if fact.get("clock") == "host" and str(fact.get("device", "")).startswith("cuda"):
        st.caption(tr("Measured by the host's clock: on a GPU, a phase is the time to launch its work, not to do it."))
    if fact.get("note"):
        st.text(plain_text(fact["note"], 300))

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
from torchglass.dashboard.figures import TILE_PIXELS, draw
from torchglass.dashboard.live import live_charts
from torchglass.dashboard.window_choice import wait_for_windows
from torchglass.errors import StoreError
from torchglass.store import Location, Run, Series, Store, open_store

REFRESH_SECONDS = 3.0
MISSING = "missing/"
TECHNIQUES: Mapping[Mode, str] = {"train": "Training under each technique", "infer": "Inference under each technique"}
HOST_BOUND, SAMPLES, MFU = "work/host_bound_percent", "work/samples_per_second", "work/mfu_percent"


def show(store: Store, run: Run) -> None:
    """Draw tiles and shares of the whole run above the live stack of its steps."""
    notices.run_heading("Step time", store, run)
    phases = store.series_of(run.id, kind="phase")
    if not phases and run.status != "running":
        _variants(store, run)
        notices.nothing_recorded("This run timed no phase of its steps.", notices.ATTACH)
        return
    rank = _choose_rank(phases)
    windows = store.windows(run.id, rows=False)
    wait_for_windows(store.location, run, windows)
    every = REFRESH_SECONDS if run.status == "running" else None
    st.fragment(_summary, run_every=every)(store.location, run.id, rank)
    live_charts(
        run,
        ["phase", "work"],
        rank=rank,
        windows=[window for window in windows if window.rank == rank],
        waiting="Waiting for the first step to end.",
        ended="The run ended before its first step did.",
    )
    if windows:
        st.caption("Dotted bands: steps that ran under the profiler.")
    _notes(store, run, rank)
    if len({series.rank for series in phases}) > 1:
        _ranks(store, run)
    _variants(store, run)


def _choose_rank(phases: Sequence[Series]) -> int:
    ranks = sorted({series.rank for series in phases}) or [0]
    if len(ranks) == 1:
        return ranks[0]
    chosen = st.segmented_control("Rank", ranks, default=ranks[0], required=True)
    return ranks[0] if chosen is None else int(chosen)


def _summary(location: Location, run_id: int, rank: int) -> None:
    """Draw what holds for the whole run. A fragment runs without the rest of the page, so it opens the store itself."""
    try:
        with open_store(location, read_only=True) as store:
            found = [
                *store.series_of(run_id, kind="phase", rank=rank),
                *store.series_of(run_id, kind="work", rank=rank),
            ]
            facts = {fact.key: fact.value for fact in store.facts(run_id) if fact.rank == rank}
            energy = read_step_energy(store, run_id, rank)
    except StoreError:
        st.rerun()
    shares, series = shares_data(found), {one.key: one for one in found}
    if not shares.phases:
        if f"{PREFIX}{WHOLE}" in series:  # a trace that was imported names steps, and not always their phases
            st.metric("Mean step", quantity(series[f"{PREFIX}{WHOLE}"].mean, "s"), border=True, width="content")
    else:
        _tiles(series, facts, energy)
        draw(lambda dark: phase_shares_figure(shares, dark=dark), "phase_shares", "Share of each phase in the time")


def _tiles(series: Mapping[str, Series], facts: Mapping[str, Any], energy: StepEnergy | None) -> None:
    step = series.get(f"{PREFIX}{WHOLE}")
    phases = {key: one for key, one in series.items() if key.startswith(PREFIX) and key != f"{PREFIX}{WHOLE}"}
    total = sum(_total(one) for one in phases.values())
    longest = max(phases, key=lambda key: _total(phases[key]))
    share = f"{100 * _total(phases[longest]) / total:.0f} %" if total > 0 else "–"
    joules = _energy_tiles(energy)
    tiles = st.grid(2 + len(_WORK) + len(joules), min_column_width=TILE_PIXELS)
    tiles.metric("Mean step", quantity(step.mean if step else None, "s"), border=True)
    tiles.metric(f"Most: {markdown_text(name_of(longest.removeprefix(PREFIX)), 24)}", share, border=True)
    for title, key, unit, meaning in _WORK:
        found = series.get(key)
        reason = facts.get(f"{MISSING}{key}")
        why = plain_text(reason, 200) if reason else "nothing was recorded under it"
        help_text = meaning if found else f"{meaning} Not measured: {markdown_text(why, 200)}."
        tiles.metric(title, quantity(_rounded(found.mean), unit) if found else "N/A", border=True, help=help_text)
    for title, value, meaning in joules:
        tiles.metric(title, value, border=True, help=meaning)


def _energy_tiles(energy: StepEnergy | None) -> list[tuple[str, str, str]]:
    """Title, value and meaning of what was measured of energy; nothing without a GPU that tells it."""
    if energy is None:
        return []
    gpus = f"{energy.gpus} GPUs used together, idle ones included" if energy.gpus > 1 else "the GPU used"
    meaning = f"What {gpus}; mean over the run."
    tiles = [("Energy a step", quantity(_rounded(energy.step_joules), "J"), meaning)]
    if energy.sample_joules is not None:
        meaning = f"The energy of a step over its {quantity(_rounded(energy.samples))} samples, the mean of late steps."
        tiles.append(("Energy a sample", quantity(_rounded(energy.sample_joules), "J"), meaning))
    return tiles


_WORK = (
    ("Host-bound", HOST_BOUND, "%", "Mean share of the step in which the GPU had already run out of work."),
    ("Samples a second", SAMPLES, "", "Mean over the run."),
    ("MFU", MFU, "%", "Model FLOPs utilization: what the model computed, of the device's dense peak for its dtype."),
)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _ranks(store: Store, run: Run) -> None:
    ranks = read_ranks(store, run.id)
    if len(ranks.ranks) < 2:
        return
    data = ranks_data(ranks)
    st.subheader("Ranks side by side", anchor=False)
    st.text(straggler_text(ranks, find_straggler(ranks)))
    if not data.phases:
        return
    draw(lambda dark: ranks_figure(data, dark=dark), "ranks", "Median seconds of each phase in each rank")
    draw(lambda dark: own_work_figure(data, dark=dark), "own_work", "Seconds of each rank's own work over the steps")


def _variants(store: Store, run: Run) -> None:
    """Show the run's model under each technique, where that was measured."""
    artifacts = store.artifacts(run.id, kind=ARTIFACT_KIND)
    for mode, title in TECHNIQUES.items():
        data = variants_data(artifacts, mode)
        if data is not None:
            st.subheader(title, anchor=False)
            _draw_variants(data, title)


def _draw_variants(data: VariantsData, title: str) -> None:
    draw(lambda dark: variants_figure(data, dark=dark), f"variants-{data.mode}", title)


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
        st.caption("Measured by the host's clock: on a GPU, a phase is the time to launch its work, not to do it.")
    if fact.get("note"):
        st.text(plain_text(fact["note"], 300))

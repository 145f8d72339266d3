"""On Step time: the chosen step beside the mean, and the slowest steps of a rank."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import streamlit as st

from torchglass.analysis.slow_steps import (
    SlowStep,
    StepBesideAll,
    beside_all,
    read_every_step,
    slowest_steps,
    stretch,
)
from torchglass.analysis.steps import WHOLE, Steps
from torchglass.charts.phases import name_of
from torchglass.charts.text import plain_text
from torchglass.charts.units import quantity, scale_of
from torchglass.dashboard.stepping.pick_step import pick_step
from torchglass.language import mark, tr
from torchglass.store import Location, ProfilerWindow, Run, Store, open_store

HELD_RUNS = 4  # of 8 MB each
SLOWEST = 10
RARE_PERCENT = (1, 5, 10)
_PLACES = {
    1: mark("Step {step} took {seconds}, {times} times the mean: it is among the slowest 1 % of {count} steps."),
    5: mark("Step {step} took {seconds}, {times} times the mean: it is among the slowest 5 % of {count} steps."),
    10: mark("Step {step} took {seconds}, {times} times the mean: it is among the slowest 10 % of {count} steps."),
}


def show_step(store: Store, run: Run, rank: int, step: int) -> StepBesideAll | None:
    """Show the step, or the nearest that was timed, phase by phase beside the mean."""
    found = beside_all(every_step(store, run, rank, step), step)
    if found is None:
        return None
    st.subheader(tr("Step {step} beside the mean", step=f"{found.step:,}"), anchor=False)
    if found.step != step:
        st.caption(tr("The timed step nearest to {step}.", step=f"{step:,}"))
    st.text(place_told(found))
    rows = [*found.phases, found.whole]
    scale = scale_of("s", found.whole.seconds)
    st.dataframe(
        {
            tr("Phase"): [*(plain_text(name_of(row.phase)) for row in found.phases), tr("whole step")],
            tr("This step, {unit}", unit=scale.unit): [row.seconds * scale.factor for row in rows],
            tr("Mean, {unit}", unit=scale.unit): [row.mean_seconds * scale.factor for row in rows],
            tr("Difference, {unit}", unit=scale.unit): [row.difference_seconds * scale.factor for row in rows],
            tr("Above, % of steps"): [row.percentile for row in rows],
        },
        hide_index=True,
        width="stretch",
        column_config={
            tr("This step, {unit}", unit=scale.unit): st.column_config.NumberColumn(format="%.3g"),
            tr("Mean, {unit}", unit=scale.unit): st.column_config.NumberColumn(format="%.3g"),
            tr("Difference, {unit}", unit=scale.unit): st.column_config.NumberColumn(format="%+.3g"),
            tr("Above, % of steps"): st.column_config.ProgressColumn(
                help=tr("So many of all steps took less time in this phase"),
                format="%.1f %%",
                min_value=0,
                max_value=100,
            ),
        },
    )
    return found


def place_told(found: StepBesideAll) -> str:
    """Where a step stands among all."""
    mean = found.whole.mean_seconds
    values = {
        "step": f"{found.step:,}",
        "seconds": quantity(found.whole.seconds, "s"),
        "times": f"{found.whole.seconds / mean:.2f}" if mean > 0 else "–",
        "count": f"{found.step_count:,}",
    }
    for percent in RARE_PERCENT:
        if found.slowest_percent <= percent:
            return tr(_PLACES[percent], **values)
    return tr(
        "Step {step} took {seconds}, {times} times the mean: longer than {percent} % of {count} steps.",
        percent=f"{found.whole.percentile:.0f}",
        **values,
    )


def show_slowest(store: Store, run: Run, rank: int, windows: Sequence[ProfilerWindow], step: int | None) -> None:
    """List the slowest steps of a rank; a row that is picked moves the cursor."""
    steps = every_step(store, run, rank, step)
    found = slowest_steps(steps, [window for window in windows if window.rank == rank], SLOWEST)
    if not found:
        return
    st.subheader(tr("Slowest steps"), anchor=False)
    span = {"first": f"{int(steps.numbers[0]):,}", "last": f"{int(steps.numbers[-1]):,}"}
    st.caption(tr("Of steps {first} to {last}. Pick a row: every panel of every page then shows that step.", **span))
    scale = scale_of("s", found[0].seconds)
    took, extra = tr("Took, {unit}", unit=scale.unit), tr("Longer by, {unit}", unit=scale.unit)
    pick_step(
        {
            tr("Step"): [each.step for each in found],
            took: [each.seconds * scale.factor for each in found],
            tr("Times the median"): [each.times_median for each in found],
            tr("Mostly in"): [plain_text(name_of(each.phase)) if each.phase else "–" for each in found],
            extra: [each.extra_seconds * scale.factor for each in found],
            tr("Note"): [_note(each) for each in found],
        },
        [each.step for each in found],
        f"slowest-{run.id}-{rank}",
        **{
            tr("Step"): st.column_config.NumberColumn(format="localized"),
            took: st.column_config.NumberColumn(format="%.4g"),
            tr("Times the median"): st.column_config.NumberColumn(format="%.2f"),
            tr("Mostly in"): st.column_config.TextColumn(help=tr("The phase that took most above its median")),
            extra: st.column_config.NumberColumn(format="%.3g", help=tr("In that phase, than on the median")),
        },
    )


def _note(found: SlowStep) -> str:
    return tr("under the profiler") if found.is_profiled else ""


def every_step(store: Store, run: Run, rank: int, around: int | None) -> Steps:
    """Every step of a rank with its phases, kept for a while: the page runs again at every move of the cursor."""
    known = store.find_series(run.id, WHOLE, rank)
    last = known.last_step if known is not None and known.last_step is not None else 0
    cursor = known.cursor if known is not None else 0
    return _held(store.location, run.uid, run.id, rank, cursor, stretch(last, around))


@functools.lru_cache(maxsize=HELD_RUNS)
def _held(location: Location, run_uid: str, run_id: int, rank: int, cursor: int, window: tuple[int, int]) -> Steps:
    with open_store(location, read_only=True) as store:
        return read_every_step(store, run_id, rank, window)

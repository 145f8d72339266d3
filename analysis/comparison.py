"""Two runs side by side: from the time of a step down to its phases, operators and kernels, with what else changed."""

from __future__ import annotations

from dataclasses import dataclass

from torchglass.analysis.bootstrap import STATISTICS
from torchglass.analysis.circumstances import Circumstance, differing
from torchglass.analysis.differences import Difference
from torchglass.analysis.direction import best_extreme
from torchglass.analysis.measured import Measured
from torchglass.analysis.metrics import (
    RATE_KEY,
    SAMPLES_PER_SECOND,
    difference_in,
    peak_difference,
    phase_difference,
    row_differences,
    step_difference,
    usual_statistic,
)
from torchglass.analysis.steps import in_order


@dataclass(frozen=True)
class Comparison:
    """What run B (`new`) does differently from run A (`base`).

    `step` are the median, mean and 95th percentile of the time of a step; `phases` the median of each (the mean of one
    that most steps do without), and `contributions` their means, whose changes add up to the change of the mean step:
    none where one of the runs told no phases, as imported traces do.
    `operators` and `kernels` are their own seconds a step in the profiler windows, the largest change first.
    """

    base: Measured
    new: Measured
    step: tuple[Difference, ...]
    phases: tuple[Difference, ...]
    contributions: tuple[Difference, ...]
    operators: tuple[Difference, ...]
    kernels: tuple[Difference, ...]
    resources: tuple[Difference, ...]
    results: tuple[Difference, ...]
    circumstances: tuple[Circumstance, ...]


def compare(base: Measured, new: Measured) -> Comparison:
    """Compare run A, the base, with run B, the new one."""
    phases = [name for name in in_order([*base.steps.phases, *new.steps.phases]) if _takes_time(base, new, name)]
    have_phases = all(each.steps.phases for each in (base, new))
    rates = [SAMPLES_PER_SECOND] if RATE_KEY in base.series or RATE_KEY in new.series else []
    return Comparison(
        base=base,
        new=new,
        step=tuple(step_difference(base, new, statistic) for statistic in STATISTICS),
        phases=tuple(phase_difference(base, new, name, usual_statistic(base, new, name)) for name in phases),
        contributions=tuple(phase_difference(base, new, name, "mean") for name in phases) if have_phases else (),
        operators=row_differences(base, new, "operator"),
        kernels=row_differences(base, new, "kernel"),
        resources=(*(difference_in(base, new, name) for name in rates), peak_difference(base, new)),
        results=_results(base, new),
        circumstances=differing(base, new),
    )


def contribution(difference: Difference) -> float:
    """Seconds by which a phase changes the mean step; one that a run does not know took no time of its own there."""
    return (difference.new or 0.0) - (difference.base or 0.0)


def _takes_time(base: Measured, new: Measured, phase: str) -> bool:
    found = (base.phases.get(phase), new.phases.get(phase))
    return any(each is not None and each.value("mean") > 0 for each in found)


def _results(base: Measured, new: Measured) -> tuple[Difference, ...]:
    """The last value of each scalar that both runs logged, and its best one where its name says which that is."""
    found = []
    for key, series in base.series.items():
        if series.kind == "scalar" and key in new.series:
            found.append(difference_in(base, new, f"series:{key}.last"))
            best = best_extreme(key)
            found += [difference_in(base, new, f"series:{key}.{best}")] if best is not None else []
    return tuple(found)

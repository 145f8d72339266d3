"""What can be compared, by name: `step_time`, `backward.mean`, `operator:aten::mm`, `test/accuracy.max`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np

from torchglass.analysis.bootstrap import STATISTICS, Resampled, Statistic
from torchglass.analysis.differences import Difference, between_windows, missing, sampled, single
from torchglass.analysis.measured import Measured
from torchglass.analysis.sides import sides
from torchglass.errors import OptionError
from torchglass.language import listed, tr
from torchglass.store.records import RowKind

STEP_TIME = "step_time"
MEMORY_PEAK = "memory_peak"
SAMPLES_PER_SECOND = "samples_per_second"
KINDS: tuple[RowKind, ...] = ("operator", "kernel")
# The first of these that both runs recorded: of the device's allocator, else of the process.
PEAK_KEYS = ("memory/peak_bytes", "memory/process_bytes", "host/process_memory_bytes")
RATE_KEY = "work/samples_per_second"
LOGGED_KINDS = ("scalar", "layer")  # what develops over the training, so that only its end can be compared
SUMMARIES = ("last", "min", "max")
LEAST_SHARE_OF_STEP = 0.001  # what changes the step by less is called noise, however sure it is of a small phase
_PHASE = "phase/"


def difference_in(base: Measured, new: Measured, name: str) -> Difference:
    """The difference between two runs in what a name stands for.

    Raises:
        OptionError: neither run has anything of that name, or it fits several.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind in KINDS:
        return row_difference(base, new, "kernel" if kind == "kernel" else "operator", rest)
    plain, statistic = _split(name.removeprefix("series:"))
    if plain == STEP_TIME or plain == f"{_PHASE}step":
        return step_difference(base, new, _sampling(name, statistic))
    phase = plain.removeprefix(_PHASE)
    if phase in (*base.steps.phases, *new.steps.phases) and not name.startswith("series:"):
        chosen = _sampling(name, statistic) if statistic else usual_statistic(base, new, phase)
        return phase_difference(base, new, phase, chosen)
    if plain == MEMORY_PEAK and statistic is None:
        return peak_difference(base, new)
    if plain == SAMPLES_PER_SECOND:
        return samples_difference(base, new, RATE_KEY, _sampling(name, statistic), SAMPLES_PER_SECOND)
    return series_difference(base, new, plain, statistic)


def step_difference(base: Measured, new: Measured, statistic: Statistic) -> Difference:
    """The difference in the time of a step."""
    name = _named(STEP_TIME, statistic)
    if base.whole is None or new.whole is None:
        return missing(name, "s", statistic, _no_steps(base, new))
    return sampled(name, "s", statistic, base.whole, new.whole)


def phase_difference(base: Measured, new: Measured, phase: str, statistic: Statistic) -> Difference:
    """The difference in the time of a phase."""
    first, second = base.phases.get(phase), new.phases.get(phase)
    name = _named(phase, statistic)
    if first is None or second is None:
        values = [each.value(statistic) if each is not None else None for each in (first, second)]
        return single(name, "s", statistic, *values)
    return sampled(name, "s", statistic, first, second, least_seconds(base))


def usual_statistic(base: Measured, new: Measured, phase: str) -> Statistic:
    """The median, or the mean of a phase that most steps of one of the runs do without."""
    found = [each for each in (base.phases.get(phase), new.phases.get(phase)) if each is not None]
    return "median" if all(each.value("median") > 0 for each in found) else "mean"


def peak_difference(base: Measured, new: Measured) -> Difference:
    """The difference in the most memory that was ever in use."""
    for key in PEAK_KEYS:
        if key in base.series and key in new.series:
            return single(MEMORY_PEAK, "B", f"max of {key}", base.series[key].maximum, new.series[key].maximum)
    return missing(MEMORY_PEAK, "B", "max", tr("the runs have none of {keys} in common", keys=", ".join(PEAK_KEYS)))


def samples_difference(
    base: Measured, new: Measured, key: str, statistic: Statistic, called: str | None = None
) -> Difference:
    """The difference in a series with a value at every step or second."""
    first, second = base.samples(key), new.samples(key)
    name, unit = _named(called or key, statistic), _unit(base, new, key)
    if first is None or second is None:
        return missing(name, unit, statistic, _lacking(key, first, second))
    return sampled(name, unit, statistic, first, second)


def series_difference(base: Measured, new: Measured, key: str, statistic: str | None) -> Difference:
    """The difference in a series: what was logged by its last value, what is measured all along by its median.

    Raises:
        OptionError: neither run has that series.
    """
    known = [each for each in (base.series.get(key), new.series.get(key)) if each is not None]
    if not known:
        raise _unknown(base, new, key)
    if statistic is None:
        statistic = "last" if known[0].kind in LOGGED_KINDS else "median"
    if statistic in STATISTICS:
        return samples_difference(base, new, key, _sampling(key, statistic))
    if statistic == "last":
        values: list[float | None] = [base.last(key), new.last(key)]
    else:
        found = [each.series.get(key) for each in (base, new)]
        extremes = [None if each is None else (each.minimum, each.maximum) for each in found]
        values = [None if each is None else each[statistic == "max"] for each in extremes]
    return single(f"{key}.{statistic}", _unit(base, new, key), statistic, *values)


def row_difference(base: Measured, new: Measured, kind: RowKind, name: str) -> Difference:
    """The difference in the time that an operator or kernel itself takes in a step, by the profiler windows.

    Raises:
        OptionError: no window has it, or several names contain this one.
    """
    first, second = base.seconds_per_step(kind), new.seconds_per_step(kind)
    full = f"{kind}:{name}"
    if not base.windows or not new.windows:
        return between_windows(full, "s", np.zeros(len(base.windows)).tolist(), np.zeros(len(new.windows)).tolist())
    names = {*first, *second}
    if name not in names:
        close = sorted(each for each in names if name and name in each)
        if len(close) > 1:
            raise OptionError(f"{full!r} could be any of {', '.join(close[:5])}: write the whole name")
        if not close:
            raise OptionError(
                f"no profiler window of these runs has {full!r}; `torchglass compare` lists what they have"
            )
        name = close[0]
    return _row_difference(base, new, f"{kind}:{name}", first.get(name), second.get(name))


def row_differences(base: Measured, new: Measured, kind: RowKind) -> tuple[Difference, ...]:
    """The differences in all operators or kernels, the largest first; none unless both runs have a window."""
    if not base.windows or not new.windows:
        return ()
    first, second = base.seconds_per_step(kind), new.seconds_per_step(kind)
    found = [
        _row_difference(base, new, f"{kind}:{name}", first.get(name), second.get(name))
        for name in sorted({*first, *second})
    ]
    return tuple(sorted(found, key=lambda each: -abs(each.change or 0.0)))


def least_seconds(base: Measured) -> float:
    """The difference that changes a step by too little to count."""
    return LEAST_SHARE_OF_STEP * base.whole.value("median") if base.whole is not None else 0.0


def _row_difference(
    base: Measured, new: Measured, name: str, first: Iterable[float] | None, second: Iterable[float] | None
) -> Difference:
    return between_windows(
        name,
        "s",
        [0.0] * len(base.windows) if first is None else list(first),
        [0.0] * len(new.windows) if second is None else list(second),
        least_seconds(base),
    )


def _named(name: str, statistic: Statistic) -> str:
    return name if statistic == "median" else f"{name}.{statistic}"


def _split(name: str) -> tuple[str, str | None]:
    head, dot, tail = name.rpartition(".")
    return (head, tail) if dot and tail in (*STATISTICS, *SUMMARIES) else (name, None)


def _sampling(name: str, statistic: str | None) -> Statistic:
    for each in STATISTICS:
        if each == (statistic or "median"):
            return each
    raise OptionError(f"{name!r}: of what is measured at every step there are .{', .'.join(STATISTICS)}")


def _unit(base: Measured, new: Measured, key: str) -> str:
    return next((each.series[key].unit for each in (base, new) if key in each.series), "")


def _no_steps(base: Measured, new: Measured) -> str:
    untimed = [letter for letter, each in (("A", base), ("B", new)) if not each.steps.recorded]
    distorted = [
        tr("none of the {count} steps of {side} can be compared", count=each.steps.recorded, side=letter)
        for letter, each in (("A", base), ("B", new))
        if each.steps.recorded and each.whole is None
    ]
    none = [tr("no step was timed in {sides}", sides=sides(untimed))] if untimed else []
    return listed([*none, *distorted])


def _lacking(key: str, first: Resampled | None, second: Resampled | None) -> str:
    lacking = [letter for letter, each in (("A", first), ("B", second)) if each is None]
    return tr("no finite {key} was recorded in {sides}", key=key, sides=sides(lacking))


def _unknown(base: Measured, new: Measured, name: str) -> OptionError:
    fixed = [STEP_TIME, MEMORY_PEAK, SAMPLES_PER_SECOND]
    series = [key for key in (*base.series, *new.series) if not key.startswith(_PHASE)]
    known = dict.fromkeys([*fixed, *base.steps.phases, *new.steps.phases, *series])
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.65)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(fixed)}, phases and series"
    return OptionError(f"neither run has {name!r}: {hint}")

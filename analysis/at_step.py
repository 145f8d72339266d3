"""What a run recorded at one step, gathered from everything that it recorded: the join that no single page has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from torchglass.analysis.steps import WHOLE
from torchglass.store import Run, Series, Store

LOSS_KEYS = ("loss", "train/loss")
FARTHEST_SHARE = 0.01  # of the run: what lies farther from the step did not happen next to it
MOST_LAYERS = 64  # whose norms are added up here; a page reads this line at every move of the cursor
_LOSS = re.compile(r"loss", re.IGNORECASE)
_NORM = re.compile(r"(^|[/_.])(grad(ient)?_?norm|gnorm)$", re.IGNORECASE)
_LAYER_NORM = re.compile(r"layers/.*/gradient_norm")
_UTILIZATION = re.compile(r"gpu[^/]*/utilization_percent")
_WIDER = 10  # times, until a series has a point in reach


class Reading(NamedTuple):
    """A value, the step that it is of, and its unit; it may be NaN or Inf."""

    step: int
    value: float
    unit: str


class Moment(NamedTuple):
    """One step of a run. A reading is of that step or the nearest that has one; None where nothing was recorded.

    `window` holds the first and the last step of a profiler window, `histograms` a step at which tensors were sampled,
    with so many NaN and Inf (`nonfinite`), `artifacts` a step for each kind; all of them at the step or next to it.
    """

    step: int
    loss: Reading | None
    gradient_norm: Reading | None
    utilization_percent: Reading | None
    step_seconds: Reading | None
    window: tuple[int, int] | None
    histograms: int | None
    nonfinite: int
    artifacts: Mapping[str, int]


def read_moment(store: Store, run: Run, step: int) -> Moment:
    """Read what rank 0 recorded at a step, by the summaries of all series and the points of those that are told of."""
    known = [one for one in store.series_of(run.id, rank=0) if one.count]
    last = max((one.last_step for one in known if one.last_step is not None), default=step)
    loss, norm = _loss(known), next((one for one in known if one.kind == "scalar" and _NORM.search(one.key)), None)
    layers = [] if norm else [one for one in known if _LAYER_NORM.fullmatch(one.key)]
    layers = layers if len(layers) <= MOST_LAYERS else []
    gpus = [one for one in known if _UTILIZATION.fullmatch(one.key)]
    whole = next((one for one in known if one.key == WHOLE), None)
    wanted = [one for one in (loss, norm, whole, *layers, *gpus) if one is not None]
    found = readings_near(store, wanted, step)
    reach = max(1, round(FARTHEST_SHARE * last))
    near = store.nearby(run.id, step - reach, step + reach)
    sampled = nearest(near.histograms, step)
    return Moment(
        step=step,
        loss=_of(loss, found),
        gradient_norm=_of(norm, found) if norm else _together(layers, found),
        utilization_percent=_mean([found[one.id] for one in gpus if one.id in found]),
        step_seconds=_of(whole, found),
        window=_window(store, run, step, reach),
        histograms=sampled,
        nonfinite=near.histograms[sampled] if sampled is not None else 0,
        artifacts={
            kind: place for kind, steps in near.artifacts.items() if (place := nearest(steps, step)) is not None
        },
    )


def readings_near(store: Store, series: Sequence[Series], step: int) -> dict[int, Reading]:
    """The value of each series at a step, or at the nearest that has one (of two the earlier), by the series' id."""
    found: dict[int, Reading] = {}
    reach = 0
    pending = {one.id: one for one in series if one.count}
    while pending:
        read = store.points_of(pending, window=(step - reach, step + reach))
        for series_id, points in read.items():
            if len(points.steps):
                place = int(np.argmin(np.abs(points.steps - step)))
                one = pending.pop(series_id)
                found[series_id] = Reading(int(points.steps[place]), float(points.values[place]), one.unit)
        ends = [one.last_step or 0 for one in pending.values()]
        if step - reach < 0 and step + reach > max(ends, default=0):
            break  # points of negative steps alone, or hidden ones
        reach = max(_WIDER, reach * _WIDER)
    return found


def nearest(steps: Iterable[int], step: int) -> int | None:
    """The one of some steps that is nearest to a step, of two the earlier; None of none."""
    return min(steps, key=lambda each: (abs(each - step), each), default=None)


def _loss(known: Sequence[Series]) -> Series | None:
    scalars = {one.key: one for one in known if one.kind == "scalar"}
    named = [key for key in LOSS_KEYS if key in scalars] or [key for key in scalars if _LOSS.search(key)]
    return scalars[named[0]] if named else None


def _of(series: Series | None, found: Mapping[int, Reading]) -> Reading | None:
    return None if series is None else found.get(series.id)


def _together(layers: Sequence[Series], found: Mapping[int, Reading]) -> Reading | None:
    """The norm of all gradients, where every parameter was read at the same step."""
    read = [found[one.id] for one in layers if one.id in found]
    if not read or len(read) < len(layers) or len({each.step for each in read}) > 1:
        return None
    return Reading(read[0].step, float(np.sqrt(np.sum(np.square([each.value for each in read])))), read[0].unit)


def _mean(read: Sequence[Reading]) -> Reading | None:
    if not read:
        return None
    return Reading(read[0].step, float(np.mean([each.value for each in read])), read[0].unit)


def _window(store: Store, run: Run, step: int, reach: int) -> tuple[int, int] | None:
    spans = [(each.step, each.step + max(each.step_count, 1) - 1) for each in store.windows(run.id, rows=False)]
    close = [span for span in spans if away(span, step) <= reach]
    return min(close, key=lambda span: (away(span, step), span), default=None)


def away(span: tuple[int, int], step: int) -> int:
    """Steps between a step and a span of them; 0 inside."""
    return max(span[0] - step, step - span[1], 0)

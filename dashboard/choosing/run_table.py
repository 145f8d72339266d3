"""The rows of the table of runs: what a reader wants to know of each before opening it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from torchglass.analysis.direction import best_extreme, best_value
from torchglass.charts.text import plain_text
from torchglass.language import mark, tr
from torchglass.store import Run, Series, Store
from torchglass.store.records import RunStatus

SPARK_POINTS = 60
MOST_KEPT = 4096  # glances at ended runs, some kilobytes each
CELL_CHARACTERS = 120
CONFIG, METRIC = "config", "metric"
LOSS_KEYS = ("loss", "train/loss")
ACCURACY_KEYS = ("test/accuracy", "validation/accuracy", "val/accuracy", "accuracy")
STATUS_MARKS: Mapping[RunStatus, str] = {
    "running": mark("● running"),
    "finished": mark("✓ finished"),
    "failed": mark("✗ failed"),
    "interrupted": mark("◼ interrupted"),
    "lost": mark("? lost"),
}


class Glance(NamedTuple):
    """A run, its scalars of rank 0 by key, its last step, and the course of its loss (at most some 60 values)."""

    run: Run
    scalars: Mapping[str, Series]
    last_step: int | None
    course: list[float] | None


class _Seen(NamedTuple):
    scalars: Mapping[str, Series]
    last_step: int | None
    course: list[float] | None


class Extra(NamedTuple):
    """A column that a visitor asked for: an entry of the configuration by dots, or a scalar by its key."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


class _EndedRuns:
    """What is known of runs that have ended, which no longer changes; of this server, the newest looks alone."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, float], _Seen] = {}
        self._lock = threading.Lock()

    def get(self, run: Run) -> _Seen | None:
        with self._lock:
            return self._known.get(_key(run))

    def keep(self, run: Run, seen: _Seen) -> None:
        if run.ended_at is None:
            return
        with self._lock:
            self._known[_key(run)] = seen
            while len(self._known) > MOST_KEPT:
                del self._known[next(iter(self._known))]


def _key(run: Run) -> tuple[str, float]:
    return run.uid, -1.0 if run.ended_at is None else run.ended_at


_ENDED = _EndedRuns()


def glance(store: Store, run_ids: Sequence[int]) -> list[Glance]:
    """Look at runs, with a few statements for all of them; those that are gone are left out."""
    runs = store.runs_with_ids(run_ids)
    seen = {run.id: known for run in runs if (known := _ENDED.get(run)) is not None}
    fresh = [run for run in runs if run.id not in seen]
    series = store.series_of_runs([run.id for run in fresh], kinds=("scalar", "phase"))
    losses = {run_id: found.id for run_id in series if (found := loss_of(_scalars(series[run_id]))) is not None}
    courses = store.points_of(losses.values(), max_points=SPARK_POINTS)
    for run in fresh:
        steps = [each.last_step for each in series[run.id] if each.last_step is not None]
        values = courses[losses[run.id]].values if run.id in losses else None
        course = None if values is None else [float(value) for value in values[np.isfinite(values)]]
        seen[run.id] = _Seen(_scalars(series[run.id]), max(steps, default=None), course)
        _ENDED.keep(run, seen[run.id])
    return [Glance(run, *seen[run.id]) for run in runs]


def _scalars(series: Iterable[Series]) -> dict[str, Series]:
    return {each.key: each for each in series if each.kind == "scalar"}


def loss_of(scalars: Mapping[str, Series]) -> Series | None:
    """The loss of a run: by its usual names, else the first that is called one."""
    return _first(scalars, LOSS_KEYS, "loss")


def accuracy_of(scalars: Mapping[str, Series]) -> Series | None:
    """The accuracy of a run: of what was held out if there is one, else the first that is called one."""
    return _first(scalars, ACCURACY_KEYS, "acc")


def _first(scalars: Mapping[str, Series], keys: Sequence[str], part: str) -> Series | None:
    known = next((scalars[key] for key in keys if key in scalars), None)
    return known or next((each for key, each in scalars.items() if part in key.lower()), None)


def offered(glances: Sequence[Glance]) -> list[Extra]:
    """Every scalar and every entry of a configuration that one of the runs has."""
    metrics = dict.fromkeys(key for each in glances for key in each.scalars)
    entries = dict.fromkeys(name for each in glances for name in flat(each.run.config))
    return [*(Extra(METRIC, key) for key in sorted(metrics)), *(Extra(CONFIG, name) for name in sorted(entries))]


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Entries of a nested configuration by their names joined by dots."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else {f"{prefix}{name}": value}
    return found


def columns(glances: Sequence[Glance], extras: Sequence[Extra] = ()) -> dict[str, list[Any]]:
    """Titles and cells; what no run has takes no room."""
    losses, accuracies = ([find(each.scalars) for each in glances] for find in (loss_of, accuracy_of))
    begun = [datetime.fromtimestamp(each.run.created_at, UTC) for each in glances]
    shown: dict[str, list[Any]] = {
        tr("Run"): [each.run.name for each in glances],
        tr("Status"): [tr(STATUS_MARKS[each.run.status]) for each in glances],
        tr("Last step"): [each.last_step for each in glances],
        tr("Loss"): [each.course for each in glances],
        tr("Last loss"): [_last(loss) for loss in losses],
        tr("Best loss"): [_best(loss) for loss in losses],
        tr("Last accuracy"): [_last(accuracy) for accuracy in accuracies],
        tr("Best accuracy"): [_best(accuracy) for accuracy in accuracies],
    }
    for extra in extras:
        shown |= _extra(glances, extra)
    return shown | {
        tr("Duration"): [_duration(each.run) for each in glances],
        tr("Begun"): begun,
        **_if_any(tr("Tags"), [", ".join(each.run.tags) for each in glances]),
        **_if_any(tr("Note"), [each.run.note for each in glances]),
        **_if_any(tr("Error"), [each.run.error or "" for each in glances]),
    }


def column_config(shown: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """How the columns look: numbers to four digits, the loss as a line, times as a clock tells them."""
    config: dict[str, Any] = {
        name: st.column_config.NumberColumn(format="%.4g")
        for name, values in shown.items()
        if all(value is None or isinstance(value, float) for value in values)
    }
    return config | {
        tr("Run"): st.column_config.TextColumn(width="medium"),
        tr("Status"): st.column_config.TextColumn(width=110),
        tr("Last step"): st.column_config.NumberColumn(format="localized"),
        tr("Loss"): st.column_config.LineChartColumn(
            width=110, color="blue", help=tr("Course of the loss, from the first step to the last")
        ),
        tr("Best loss"): st.column_config.NumberColumn(format="%.4g", help=tr("The smallest one")),
        tr("Best accuracy"): st.column_config.NumberColumn(
            format="%.4g",
            help=tr("Of the first that the run logged of {keys}", keys=", ".join(ACCURACY_KEYS)),
        ),
        tr("Duration"): st.column_config.NumberColumn(format="compact", width=90),
        tr("Begun"): st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm", timezone=st.context.timezone),
        tr("Tags"): st.column_config.TextColumn(width="small"),
        tr("Note"): st.column_config.TextColumn(width="medium"),
        tr("Error"): st.column_config.TextColumn(width="large"),
    }


def _extra(glances: Sequence[Glance], extra: Extra) -> dict[str, list[Any]]:
    title = plain_text(extra.name, 60)
    if extra.kind == CONFIG:
        return {f"config.{title}": _alike([flat(each.run.config).get(extra.name) for each in glances])}
    series = [each.scalars.get(extra.name) for each in glances]
    last = {tr("last {key}", key=title): [_last(each) for each in series]}
    return (
        last
        if best_extreme(extra.name) is None
        else last | {tr("best {key}", key=title): [_best(each) for each in series]}
    )


def _alike(values: Sequence[Any]) -> list[Any]:
    """Numbers where all are, else text: a column of a table holds one kind of things."""
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        return [None if value is None else float(value) for value in values]
    return [None if value is None else plain_text(_told(value), CELL_CHARACTERS) for value in values]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _last(series: Series | None) -> float | None:
    return None if series is None else series.last


def _best(series: Series | None) -> float | None:
    return None if series is None else best_value(series)


def _duration(run: Run) -> timedelta:
    ended_at = run.ended_at if run.ended_at is not None else run.heartbeat_at
    return timedelta(seconds=round(ended_at - run.created_at))


def _if_any(title: str, texts: list[str]) -> dict[str, list[Any]]:
    return {title: texts} if any(texts) else {}

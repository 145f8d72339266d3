"""The tables of a report: rows of plain text, ready for a template that escapes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from torchglass.analysis.direction import best_step, best_value
from torchglass.charts import PhasesData, plain_text
from torchglass.charts.listings import Field, Listing
from torchglass.charts.phases import name_of
from torchglass.charts.units import MISSING, duration, number, quantity
from torchglass.language import mark, tr
from torchglass.report.contents import Contents
from torchglass.store import Series

MAX_NAME = 140  # characters of a kernel's name: templates run to a page
RECENT = 200  # steps: what a step costs now, beside what it cost on average
MAX_VALUE = 500  # characters of one configuration value


class Row(NamedTuple):
    """Cells of a row of a table; `alarm` asks for attention."""

    cells: tuple[str, ...]
    alarm: bool = False


def scalar_rows(contents: Contents) -> list[Row]:
    """Name, last, best, smallest, largest, mean, count of every scalar, those that have a best first.

    The rank is named where there are several.
    """
    return [
        Row(
            (
                _named(series, contents.rank_count),
                _with_unit(series, series.last),
                _best(series),
                _at(series, series.minimum, series.minimum_step),
                _at(series, series.maximum, series.maximum_step),
                _with_unit(series, series.mean),
                number(series.count),
                number(series.nonfinite_count),
            ),
            alarm=series.nonfinite_count > 0,
        )
        for series in sorted(contents.summaries, key=lambda series: best_value(series) is None)
    ]


def _named(series: Series, ranks: int) -> str:
    name = plain_text(series.key)
    return tr("{name} (rank {rank})", name=name, rank=series.rank) if ranks > 1 else name


def _best(series: Series) -> str:
    return _at(series, best_value(series), best_step(series))


def _at(series: Series, value: float | None, step: int | None) -> str:
    return MISSING if value is None or step is None else f"{_with_unit(series, value)}, {step:,}"


def _with_unit(series: Series, value: float | None) -> str:
    return quantity(value, plain_text(series.unit, 12))


def phase_rows(phases: PhasesData) -> list[Row]:
    """Phase, its share, its mean a step, its mean in the last steps, its total."""
    steps = max(phases.step_count, 1)
    late = _recent(phases)
    return [
        Row(
            (
                plain_text(tr(name_of(name))),
                f"{100 * share:.1f} %",
                quantity(total / steps, "s"),
                quantity(recent, "s"),
                duration(total),
            )
        )
        for name, total, share, recent in zip(
            phases.phases, phases.totals.tolist(), phases.shares.tolist(), late, strict=True
        )
    ]


def _recent(phases: PhasesData) -> list[float | None]:
    """Mean seconds of each phase in the last `RECENT` steps; None of a phase that they did without."""
    if not phases.steps.size:
        return [None] * len(phases.phases)
    late = phases.seconds[:, phases.steps > phases.steps[-1] - RECENT]
    return [float(np.nanmean(row)) if np.isfinite(row).any() else None for row in late]


class ListingTable(NamedTuple):
    """A listing as text, ready for the template."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    words: tuple[int, ...]  # columns of text, which begin at the left
    note: str


def listing_table(title: str, listing: Listing) -> ListingTable:
    """Write the values of a listing with their units; long names lose their end."""
    cells = [[_cell(field, value) for value in field.values] for field in listing.fields]
    notes = []
    if listing.left_out:
        notes.append(tr("{count} more rows are not listed.", count=number(listing.left_out)))
    if listing.unknown:
        notes.append(tr("Not known of any row: {names}.", names=", ".join(map(tr, listing.unknown))))
    rows = tuple(Row(tuple(column)) for column in zip(*cells, strict=True))
    columns = tuple(tr(field.title) for field in listing.fields)
    words = tuple(place for place, field in enumerate(listing.fields) if field.unit == "text")
    return ListingTable(tr(title), columns, rows, words, " ".join(notes))


def _cell(field: Field, value: Any) -> str:
    if field.unit == "text":
        return plain_text(value, MAX_NAME)
    if value is None:
        return MISSING
    if field.unit in ("share", "%"):
        return f"{value:.1f} %"
    if field.unit == "B/s":
        return f"{quantity(value, 'B')}/s"
    return quantity(value, "" if field.unit == "count" else field.unit)


def setting_rows(settings: Mapping[str, Any], prefix: str = "") -> list[Row]:
    """Settings by name; nested ones are named "optimizer.lr"."""
    rows: list[Row] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            rows += setting_rows(value, f"{name}.")
        else:
            rows.append(Row((plain_text(name), plain_text(_setting(name, value), MAX_VALUE))))
    return rows


def _setting(name: str, value: object) -> str:
    if name.endswith("_bytes") and isinstance(value, int):
        return quantity(value, "B")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def reading_rows(contents: Contents) -> list[Row]:
    """Device, figure, last reading, why there is none or what else is to be known, and over which time."""
    return [
        Row(tuple(plain_text(cell, MAX_VALUE) for cell in (one.device, one.figure, one.value, one.reason, one.window)))
        for one in contents.resources.readings
    ]


READING_COLUMNS = (mark("device"), mark("figure"), mark("last"), mark("why, or note"), mark("window"))


def tiles(contents: Contents) -> list[tuple[str, str]]:
    """The handful of figures that the report opens with."""
    found = [(tr("Duration"), duration(contents.duration_seconds))]
    if contents.step is not None:
        found.append((tr("Last step"), number(contents.step)))
    if contents.phases.mean_step is not None:
        found.append((tr("Mean step"), quantity(contents.phases.mean_step, "s")))
    last = {series.key: series for series in contents.summaries if series.last is not None}
    for series in (last[key] for words in (("loss",), ("acc",)) for key in _first(last, words)):
        found.append((tr("Last {name}", name=plain_text(series.key, 40)), _with_unit(series, series.last)))
        if _best(series) != MISSING:
            best = _with_unit(series, best_value(series))
            found.append((tr("Best {name}", name=plain_text(series.key, 40)), best))
    if isinstance(contents.model.get("parameters"), int):
        found.append((tr("Parameters"), number(contents.model["parameters"])))
    return found


def _first(keys: Iterable[str], words: Sequence[str]) -> list[str]:
    return [key for key in keys if any(word in key.lower() for word in words)][:1]


def moment(seconds: float) -> str:
    """A time as "2026-11-21 12:40:05 UTC"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

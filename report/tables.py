"""The tables of a report: rows of plain text, ready for a template that escapes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from torchglass.analysis.direction import best_step, best_value
from torchglass.charts import PhasesData, plain_text
from torchglass.charts.listings import Field, Listing
from torchglass.charts.phases import name_of
from torchglass.charts.units import duration, number, quantity
from torchglass.report.contents import Contents
from torchglass.store import Series

MAX_NAME = 140  # characters of a kernel's name: templates run to a page
MAX_VALUE = 500  # characters of one configuration value


class Row(NamedTuple):
    """Cells of a row of a table; `alarm` asks for attention."""

    cells: tuple[str, ...]
    alarm: bool = False


def scalar_rows(contents: Contents) -> list[Row]:
    """Name, last, best, smallest, largest, mean, count of every scalar; the rank is named where there are several."""
    return [
        Row(
            (
                plain_text(series.key) + (f" (rank {series.rank})" if contents.rank_count > 1 else ""),
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
        for series in contents.summaries
    ]


def _best(series: Series) -> str:
    return _at(series, best_value(series), best_step(series))


def _at(series: Series, value: float | None, step: int | None) -> str:
    return "–" if value is None or step is None else f"{_with_unit(series, value)}, {step:,}"


def _with_unit(series: Series, value: float | None) -> str:
    return quantity(value, plain_text(series.unit, 12))


def phase_rows(phases: PhasesData) -> list[Row]:
    """Phase, its share, its mean a step, its total."""
    steps = max(phases.step_count, 1)
    return [
        Row((plain_text(name_of(name)), f"{100 * share:.1f} %", quantity(total / steps, "s"), duration(total)))
        for name, total, share in zip(phases.phases, phases.totals.tolist(), phases.shares.tolist(), strict=True)
    ]


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
    notes = [f"{number(listing.left_out)} more rows are not listed."] if listing.left_out else []
    if listing.unknown:
        notes.append(f"Not known of any row: {', '.join(listing.unknown)}.")
    rows = tuple(Row(tuple(column)) for column in zip(*cells, strict=True))
    columns = tuple(field.title for field in listing.fields)
    words = tuple(place for place, field in enumerate(listing.fields) if field.unit == "text")
    return ListingTable(title, columns, rows, words, " ".join(notes))


def _cell(field: Field, value: Any) -> str:
    if field.unit == "text":
        return plain_text(value, MAX_NAME)
    if value is None:
        return "–"
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


def tiles(contents: Contents) -> list[tuple[str, str]]:
    """The handful of figures that the report opens with."""
    found = [("Duration", duration(contents.duration_seconds))]
    if contents.step is not None:
        found.append(("Last step", number(contents.step)))
    if contents.phases.mean_step is not None:
        found.append(("Mean step", quantity(contents.phases.mean_step, "s")))
    last = {series.key: series for series in contents.summaries if series.last is not None}
    for key in [key for key in last if "loss" in key.lower()][:1] + [key for key in last if "acc" in key.lower()][:1]:
        found.append((f"Last {plain_text(key, 40)}", _with_unit(last[key], last[key].last)))
    if isinstance(contents.model.get("parameters"), int):
        found.append(("Parameters", number(contents.model["parameters"])))
    return found


def moment(seconds: float) -> str:
    """A time as "2026-11-21 12:40:05 UTC"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

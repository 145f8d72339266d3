"""The tables of a report: rows of plain text, ready for a template that escapes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from torchglass.charts import KernelsData, PhasesData, plain_text
from torchglass.charts.units import duration, number, quantity
from torchglass.report.contents import Contents
from torchglass.store import Series

MAX_VALUE = 500  # characters of one configuration value
SMALLER_IS_BETTER = ("loss", "error", "perplexity", "nll", "mse", "mae")
LARGER_IS_BETTER = ("acc", "f1", "auc", "precision", "recall", "iou", "map", "psnr", "ssim", "bleu", "r2", "reward")


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
    name = series.key.rsplit("/", 1)[-1].lower()
    if any(word in name for word in SMALLER_IS_BETTER):
        return _at(series, series.minimum, series.minimum_step)
    if any(word in name for word in LARGER_IS_BETTER):
        return _at(series, series.maximum, series.maximum_step)
    return "–"


def _at(series: Series, value: float | None, step: int | None) -> str:
    return "–" if value is None or step is None else f"{_with_unit(series, value)}, {step:,}"


def _with_unit(series: Series, value: float | None) -> str:
    return quantity(value, plain_text(series.unit, 12))


def phase_rows(phases: PhasesData) -> list[Row]:
    """Phase, its share, its mean a step, its total."""
    steps = max(phases.step_count, 1)
    return [
        Row((plain_text(name), f"{100 * share:.1f} %", quantity(total / steps, "s"), duration(total)))
        for name, total, share in zip(phases.phases, phases.totals.tolist(), phases.shares.tolist(), strict=True)
    ]


def kernel_rows(data: KernelsData) -> list[Row]:
    """Name, share, calls and times a step."""
    steps = max(data.step_count, 1)
    columns = (data.names, data.shares, data.calls, data.self_seconds, data.total_seconds)
    return [
        Row(
            (
                plain_text(name, 300),
                f"{100 * share:.1f} %",
                number(calls / steps),
                quantity(own / steps, "s"),
                quantity(total / steps, "s"),
            )
        )
        for name, share, calls, own, total in zip(*columns, strict=True)
    ]


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
    steps = contents.phases.step_count
    if steps:
        found.append(("Mean step", quantity(float(contents.phases.totals.sum()) / steps, "s")))
    last = {series.key: series for series in contents.summaries if series.last is not None}
    for key in [key for key in last if "loss" in key.lower()][:1] + [key for key in last if "acc" in key.lower()][:1]:
        found.append((f"Last {plain_text(key, 40)}", _with_unit(last[key], last[key].last)))
    if isinstance(contents.model.get("parameters"), int):
        found.append(("Parameters", number(contents.model["parameters"])))
    return found


def moment(seconds: float) -> str:
    """A time as "2026-11-21 12:40:05 UTC"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

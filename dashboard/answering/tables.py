"""The complete numbers behind each chart, as a table: what its menu offers as CSV and as Parquet.

A chart names its table and the table's arguments in a `Source`; nothing is kept in this process for a download that may
never be asked for. A new table is one function and one line of `TABLES`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from torchglass.charts.variants import ARTIFACT_KIND as VARIANTS
from torchglass.charts.variants import Mode, variants_data
from torchglass.charts.windows import read_tables
from torchglass.dashboard.answering.query import BadQueryError, Query
from torchglass.dashboard.answering.run_tables import importances, runs_series, trials
from torchglass.exchange.csv_file import harmless
from torchglass.store import Store
from torchglass.store.bins import bin_edges, number_line_order

MAX_SERIES = 256
MAX_WINDOWS = 1000
MAX_EXPLANATIONS = 200
MAX_ROWS = 3_000_000  # a CSV of some 200 MB; `torchglass export` writes what is larger, piece by piece

Columns = Mapping[str, Sequence[Any] | npt.NDArray[Any]]  # of equal length, by name


def series(store: Store, query: Query) -> Columns:
    """Every stored point of some series (`ids`), one row a point."""
    found = [one for one in map(store.series_with_id, query.integers("ids", MAX_SERIES)) if one is not None]
    if sum(one.count for one in found) > MAX_ROWS:
        raise BadQueryError(f"more than {MAX_ROWS:,} points: write them with `torchglass export`")
    points = [store.points(one.id) for one in found]
    sizes = [len(each.steps) for each in points]
    return {
        "key": np.repeat(np.array([one.key for one in found], object), sizes),
        "unit": np.repeat(np.array([one.unit for one in found], object), sizes),
        "rank": np.repeat(np.array([one.rank for one in found], np.int32), sizes),
        "step": _joined([each.steps for each in points], np.int64),
        "time": _joined([each.times for each in points], np.float64),
        "value": _joined([each.values for each in points], np.float64),
    }


def layers(store: Store, query: Query) -> Columns:
    """Every point of one `quantity` of a run's layers, such as gradient_norm or dead_percent, one row a point."""
    end = f"/{query.text('quantity')}"
    series = store.series_of(query.integer("run"), kind="layer", rank=query.integer("rank", 0))
    found = [(one.key.removesuffix(end), store.points(one.id)) for one in series if one.key.endswith(end)]
    return {
        "layer": np.repeat(
            np.array([name.removeprefix("layers/") for name, _ in found], object),
            [len(points.steps) for _, points in found],
        ),
        "step": _joined([points.steps for _, points in found], np.int64),
        "value": _joined([points.values for _, points in found], np.float64),
    }


def histograms(store: Store, query: Query) -> Columns:
    """Every bin that holds something of a run's histograms of one key; what has no bin has a row by its name."""
    rows: list[tuple[int, str, float, float, int]] = []
    for one in store.histograms(query.integer("run"), query.text("key"), query.integer("rank", 0)):
        order = np.argsort(number_line_order(one.bins))
        low, high = bin_edges(one.bins[order])
        told = zip(low.tolist(), high.tolist(), one.counts[order].tolist(), strict=True)
        rows += [(one.step, "bin", *each) for each in told]
        apart = (
            ("zero", 0.0, one.zero_count),
            ("NaN", np.nan, one.nan_count),
            ("+Inf", np.inf, one.positive_infinity_count),
            ("-Inf", -np.inf, one.negative_infinity_count),
        )
        rows += [(one.step, name, place, place, count) for name, place, count in apart if count]
    return _from_rows(("step", "kind", "low", "high", "count"), rows)


def window(store: Store, query: Query) -> Columns:
    """A table of one profiler window (`id`, `table`), in its own units: seconds, bytes."""
    name = query.text("table")
    found = store.window_tables(query.integer("id"), [name])
    if name not in found:
        raise BadQueryError(f"this window has no table {name!r}")
    return found[name]


def windows(store: Store, query: Query) -> Columns:
    """A table of some profiler windows (`run`, `ids`, `table`), added up as the page of kernels adds them."""
    wanted, name = set(query.integers("ids", MAX_WINDOWS)), query.text("table")
    chosen = [window for window in store.windows(query.integer("run")) if window.id in wanted]
    found = read_tables(store, chosen, (name,))
    if name not in found:
        raise BadQueryError(f"these windows have no table {name!r}")
    return found[name]


def artifact_columns(store: Store, query: Query) -> Columns:
    """The arrays of an artifact (`id`) that are as long as the longest of one dimension, as columns."""
    arrays = {name: array for name, array in store.arrays(query.integer("id")).items() if array.ndim == 1}
    longest = max((len(array) for array in arrays.values()), default=0)
    return {name: array for name, array in arrays.items() if len(array) == longest}


def artifact(store: Store, query: Query) -> Columns:
    """An array of an artifact (`id`, `array`), a row for each element with its place along each dimension."""
    arrays, name = store.arrays(query.integer("id")), query.text("array")
    if name not in arrays:
        raise BadQueryError(f"this artifact has no array {name!r}: it has {', '.join(arrays)}")
    array = arrays[name]
    if array.size > MAX_ROWS:
        raise BadQueryError(f"more than {MAX_ROWS:,} elements")
    places = np.indices(array.shape).reshape(array.ndim, -1) if array.ndim else np.empty((0, 1), int)
    return {**{f"index{axis}": place for axis, place in enumerate(places)}, "value": array.reshape(-1)}


def explanations(store: Store, query: Query) -> Columns:
    """Every attribution of some explanations (`run`, `ids`), raw: a row a pixel, word or column, with its place."""
    wanted = set(query.integers("ids", MAX_EXPLANATIONS))
    chosen = [one for one in store.artifacts(query.integer("run"), kind="explanation") if one.id in wanted]
    rows: list[tuple[Any, ...]] = []
    for one in chosen:
        values = np.asarray(store.arrays(one.id)["attributions"][0], np.float64)
        if len(rows) + values.size > MAX_ROWS:
            raise BadQueryError(f"more than {MAX_ROWS:,} values: ask for fewer explanations")
        told = (one.key, one.step, str(one.meta.get("method")))
        rows += [(*told, "/".join(map(str, place)), value) for place, value in np.ndenumerate(values)]
    return _from_rows(("key", "step", "method", "place", "value"), rows)


def variants(store: Store, query: Query) -> Columns:
    """The newest comparison of a run's model under several techniques (`run`, `mode`: train or infer)."""
    mode: Mode = "train" if query.text("mode") == "train" else "infer"
    found = variants_data(store.artifacts(query.integer("run"), kind=VARIANTS), mode)
    if found is None:
        raise BadQueryError(f"this run has no comparison in mode {mode!r}")
    return {name: column for name, column in found._asdict().items() if name not in ("mode", "heading")}


TABLES: Mapping[str, Callable[[Store, Query], Columns]] = {
    "series": series,
    "histograms": histograms,
    "layers": layers,
    "explanations": explanations,
    "runs_series": runs_series,
    "trials": trials,
    "importances": importances,
    "window": window,
    "windows": windows,
    "artifact_columns": artifact_columns,
    "variants": variants,
    "artifact": artifact,
}


def to_csv(columns: Columns) -> bytes:
    """The table as CSV (RFC 4180); no cell of it is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([harmless(name) for name in columns])
    writer.writerows(zip(*([_cell(value) for value in _listed(column)] for column in columns.values()), strict=True))
    return text.getvalue().encode()


def to_parquet(columns: Columns) -> bytes:
    """The table as Parquet, compressed by zstd."""
    table = pa.table({name: pa.array(_listed(column)) for name, column in columns.items()})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _listed(column: Sequence[Any] | npt.NDArray[Any]) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _cell(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else repr(value) if isinstance(value, float) else value


def _joined(parts: Sequence[npt.NDArray[Any]], kind: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *parts])


def _from_rows(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return dict(zip(names, columns, strict=True))

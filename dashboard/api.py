"""Routes beside the pages: live series and slices in binary, plotly.js, and a sign of life."""

from __future__ import annotations

import functools
import gzip
import importlib.resources
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from plotly.offline import get_plotlyjs_version
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

import torchglass
from torchglass.charts.series_titles import series_title
from torchglass.dashboard import slices, source, tables, wire
from torchglass.dashboard.query import BadQueryError, Query
from torchglass.dashboard.token import HEADER, is_token
from torchglass.errors import RunNotFoundError, StoreError, TorchglassError
from torchglass.store import Points, Run, Series, Store, open_store
from torchglass.store.records import TIMED_KINDS

SERIES_PATH = "/api/v1/series"
WINDOW_PATH = "/api/v1/window"
SLICES_PATH = "/api/v1/slices"
TABLE_PATH = "/api/v1/table"
HEALTH_PATH = "/api/v1/health"
PLOTLY_PATH = f"/api/v1/plotly-{get_plotlyjs_version()}.js"
LIVE_KINDS = frozenset({"scalar", "layer", "phase", "memory", "work", "device", "self"})
MAX_SERIES = 64  # of one request: a page draws at most 24 charts at once, and some have a line for each rank
MAX_QUERY_CHARACTERS = 4096
MAX_DIGITS = 15  # more would not be exact as a float64
NO_STORE = {"Cache-Control": "no-store"}
_FORMATS = {
    "csv": ("text/csv; charset=utf-8", tables.to_csv),
    "parquet": ("application/vnd.apache.parquet", tables.to_parquet),
}
FOREVER = "public, max-age=31536000, immutable"  # the version is part of the path


class Wanted(NamedTuple):
    """One series that a page draws and how far it has read it."""

    series_id: int
    cursor: int


def routes() -> list[BaseRoute]:
    """Every route of ours."""
    return [
        Route(SERIES_PATH, _guarded(series_since), methods=["GET"]),
        Route(WINDOW_PATH, _guarded(series_window), methods=["GET"]),
        Route(SLICES_PATH, _guarded(slices_between), methods=["GET"]),
        Route(TABLE_PATH, _guarded(table), methods=["GET"]),
        Route(PLOTLY_PATH, plotly_js, methods=["GET"]),
        Route(HEALTH_PATH, health, methods=["GET"]),
    ]


def series_since(request: Request, store: Store) -> Response:
    """What is new: `run`, `kinds`, `known` (series that the page has heard of), `series` (id:cursor, ...)."""
    run = store.run(_integer(request, "run"))
    kinds = _kinds(request.query_params.get("kinds", ""))
    wanted = _wanted(request.query_params.get("series", ""))
    catalogue = [series for kind in kinds for series in store.series_of(run.id, kind=kind)]
    by_id = {series.id: series for series in catalogue}
    known = [(by_id[one.series_id], one.cursor) for one in wanted if one.series_id in by_id]
    answers = source.news(store, known)
    answered = [(series, *answer) for (series, _), answer in zip(known, answers, strict=True)]
    changed = len(catalogue) != _integer(request, "known")
    header = {
        "run": _describe_run(run),
        "catalogue": [_describe_series(series) for series in catalogue] if changed else None,
        "series": [_describe_points(series, points, reset=reset) for series, points, reset in answered],
    }
    return _binary(header, [points for _, points, _ in answered])


def series_window(request: Request, store: Store) -> Response:
    """Some series from `first` to `last`: what a zoomed chart shows."""
    ids = [one.series_id for one in _wanted(request.query_params.get("series", ""))]
    first, last = _number(request, "first"), _number(request, "last")
    found = [series for series in map(store.series_with_id, ids) if series is not None]
    columns = source.windows(store, found, first, last)
    described = [_describe_points(series, points, reset=False) for series, points in zip(found, columns, strict=True)]
    return _binary({"series": described}, columns)


def slices_between(request: Request, store: Store) -> Response:
    """A stretch of a profiler window's time line: `run`, `window`, `first` and `last` in ns from its start, `bins`."""
    run = store.run(_integer(request, "run"))
    first, last = _number(request, "first"), _number(request, "last")
    header, columns = slices.answer(store, run, _integer(request, "window"), first, last, _integer(request, "bins"))
    return Response(wire.encode_columns(header, columns), media_type=wire.MEDIA_TYPE, headers=NO_STORE)


def table(request: Request, store: Store) -> Response:
    """The numbers behind a chart: `name` of the table, `format` csv or parquet, and what the table asks for itself."""
    query = Query(request.query_params)
    name, form = query.text("name"), query.text("format", "csv")
    if name not in tables.TABLES or form not in _FORMATS:
        raise BadQueryError(f"no table {name!r} as {form!r}: there are {', '.join(tables.TABLES)}, as csv and parquet")
    media_type, write = _FORMATS[form]
    return Response(write(tables.TABLES[name](store, query)), media_type=media_type, headers=NO_STORE)


def plotly_js(request: Request) -> Response:
    """The plotly.js that plotly.py brings along, compressed once."""
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(_plotly_source(), media_type="text/javascript", headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(_plotly_gzipped(), media_type="text/javascript", headers=headers)


def health(request: Request) -> Response:
    """Says that the server is up and that its routes are in place."""
    return JSONResponse({"torchglass": torchglass.__version__}, headers=NO_STORE)


def _guarded(answer: Callable[[Request, Store], Response]) -> Callable[[Request], Response]:
    """Ask for the token, open the store for this one request, and turn what goes wrong into a status."""

    def endpoint(request: Request) -> Response:
        if not is_token(request.headers.get(HEADER)):
            return _refusal(403, f"{HEADER} does not hold this server's token: reload the page")
        if len(request.url.query) > MAX_QUERY_CHARACTERS:
            return _refusal(414, f"the query has more than {MAX_QUERY_CHARACTERS} characters")
        try:
            with open_store(read_only=True) as store:
                return answer(request, store)
        except BadQueryError as error:
            return _refusal(400, str(error))
        except RunNotFoundError as error:
            return _refusal(404, str(error))
        except StoreError as error:
            return _refusal(503, str(error))
        except TorchglassError as error:
            return _refusal(500, str(error))

    return endpoint


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status, headers=NO_STORE)


def _binary(header: Mapping[str, object], columns: Sequence[Points]) -> Response:
    return Response(wire.encode(header, columns), media_type=wire.MEDIA_TYPE, headers=NO_STORE)


def _describe_run(run: Run) -> dict[str, object]:
    return {"id": run.id, "status": run.status, "created_at": run.created_at}


def _describe_series(series: Series) -> dict[str, object]:
    return {
        "id": series.id,
        "key": series.key,
        "title": series_title(series.kind, series.key),
        "kind": series.kind,
        "unit": series.unit,
        "rank": series.rank,
        "timed": series.kind in TIMED_KINDS,
    }


def _describe_points(series: Series, points: Points, *, reset: bool) -> dict[str, object]:
    return {
        "id": series.id,
        "cursor": points.cursor,
        "count": len(points.steps),
        "total": points.total,
        "reset": reset,
    }


def _wanted(text: str) -> list[Wanted]:
    entries = text.split(",") if text else []
    if len(entries) > MAX_SERIES:
        raise BadQueryError(f"{len(entries)} series asked for at once: at most {MAX_SERIES}")
    return [_one_wanted(entry) for entry in entries]


def _one_wanted(entry: str) -> Wanted:
    series_id, _, cursor = entry.partition(":")
    return Wanted(_to_integer("series", series_id), _to_integer("series", cursor or str(source.NOTHING_YET)))


def _kinds(text: str) -> list[str]:
    kinds = text.split(",") if text else []
    if unknown := set(kinds) - LIVE_KINDS:
        raise BadQueryError(f"no kind {sorted(unknown)}: there are {', '.join(sorted(LIVE_KINDS))}")
    return list(dict.fromkeys(kinds))


def _integer(request: Request, name: str) -> int:
    return _to_integer(name, request.query_params.get(name, ""))


def _to_integer(name: str, text: str) -> int:
    if not text.removeprefix("-").isdecimal() or len(text) > MAX_DIGITS:
        raise BadQueryError(f"{name} takes integers of at most {MAX_DIGITS} digits, not {text!r}")
    return int(text)


def _number(request: Request, name: str) -> float:
    text = request.query_params.get(name, "")
    try:
        number = float(text)
    except ValueError as error:
        raise BadQueryError(f"{name} takes a number, not {text!r}") from error
    if not math.isfinite(number) or abs(number) >= 10**MAX_DIGITS:
        raise BadQueryError(f"{name} takes a finite number, not {text!r}")
    return number


@functools.cache
def _plotly_source() -> bytes:
    return (importlib.resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes()


@functools.cache
def _plotly_gzipped() -> bytes:
    return gzip.compress(_plotly_source(), compresslevel=6, mtime=0)

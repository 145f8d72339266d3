"""Routes beside the pages: live series and slices in binary, tables, plotly.js, and a sign of life."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

import torchglass
from torchglass.dashboard.answering import live_answers, plotly_route, slices, tables, wire
from torchglass.dashboard.answering.query import BadQueryError, Query
from torchglass.dashboard.answering.token import HEADER, is_token
from torchglass.errors import RunNotFoundError, StoreError, TorchglassError
from torchglass.language import closest, spoken
from torchglass.store import Store, open_store

SERIES_PATH = "/api/v1/series"
WINDOW_PATH = "/api/v1/window"
SLICES_PATH = "/api/v1/slices"
TABLE_PATH = "/api/v1/table"
HEALTH_PATH = "/api/v1/health"
MAX_QUERY_CHARACTERS = 4096
NO_STORE = {"Cache-Control": "no-store"}
_FORMATS = {
    "csv": ("text/csv; charset=utf-8", tables.to_csv),
    "parquet": ("application/vnd.apache.parquet", tables.to_parquet),
}


def routes() -> list[BaseRoute]:
    """Every route of ours."""
    return [
        Route(SERIES_PATH, _guarded(series_since), methods=["GET"]),
        Route(WINDOW_PATH, _guarded(series_window), methods=["GET"]),
        Route(SLICES_PATH, _guarded(slices_between), methods=["GET"]),
        Route(TABLE_PATH, _guarded(table), methods=["GET"]),
        *plotly_route.routes(),
        Route(HEALTH_PATH, health, methods=["GET"]),
    ]


def series_since(request: Request, store: Store) -> Response:
    """What is new in live charts; see `live_answers.news`."""
    with spoken(closest(request.headers.get("accept-language"))):  # what we record is called by its name for people
        return _binary(live_answers.news(store, request.query_params))


def series_window(request: Request, store: Store) -> Response:
    """Some series from `first` to `last`: what a zoomed chart shows."""
    return _binary(live_answers.window(store, request.query_params))


def slices_between(request: Request, store: Store) -> Response:
    """A stretch of a profiler window's time line: `run`, `window`, `first` and `last` in ns from its start, `bins`."""
    query = Query(request.query_params)
    run, first, last = store.run(query.integer("run")), query.number("first"), query.number("last")
    header, columns = slices.answer(store, run, query.integer("window"), first, last, query.integer("bins"))
    return _binary(wire.encode_columns(header, columns))


def table(request: Request, store: Store) -> Response:
    """The numbers behind a chart: `name` of the table, `format` csv or parquet, and what the table asks for itself."""
    query = Query(request.query_params)
    name, form = query.text("name"), query.text("format", "csv")
    if name not in tables.TABLES or form not in _FORMATS:
        raise BadQueryError(f"no table {name!r} as {form!r}: there are {', '.join(tables.TABLES)}, as csv and parquet")
    media_type, write = _FORMATS[form]
    return Response(write(tables.TABLES[name](store, query)), media_type=media_type, headers=NO_STORE)


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


def _binary(body: bytes) -> Response:
    return Response(body, media_type=wire.MEDIA_TYPE, headers=NO_STORE)

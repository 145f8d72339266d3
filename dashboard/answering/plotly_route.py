"""Serves plotly.js, each build compressed once and kept by browsers for good."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import cache

from plotly.offline import get_plotlyjs_version
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torchglass.charts.plotly_js import Build, source

PATHS: Mapping[Build, str] = {
    "cartesian": f"/api/v1/plotly-{get_plotlyjs_version()}-cartesian.js",
    "full": f"/api/v1/plotly-{get_plotlyjs_version()}-full.js",
}
FOREVER = "public, max-age=31536000, immutable"  # the version is part of the path


def routes() -> list[Route]:
    """A route for each build."""
    return [Route(path, _answering(build), methods=["GET"]) for build, path in PATHS.items()]


def _answering(build: Build) -> Callable[[Request], Response]:
    # A function, not a partial: Starlette takes any other callable for an application.
    return lambda request: _answer(build, request)


def _answer(build: Build, request: Request) -> Response:
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(source(build), media_type="text/javascript", headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(_gzipped(build), media_type="text/javascript", headers=headers)


@cache
def _gzipped(build: Build) -> bytes:
    return gzip.compress(source(build).encode(), compresslevel=6, mtime=0)

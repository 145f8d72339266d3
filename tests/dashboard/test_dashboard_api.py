"""The binary route refuses what the page would never send, and answers what it would."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from recorded import record_example_run
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torchglass.dashboard.api import MAX_SERIES, SERIES_PATH, WINDOW_PATH, routes
from torchglass.dashboard.token import HEADER, TOKEN
from torchglass.store import open_store


def call(path: str, query: str, token: str = TOKEN) -> Response:
    """Run a route's endpoint on a request, as the server would."""
    endpoint = next(route.endpoint for route in routes() if isinstance(route, Route) and route.path == path)
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(HEADER.lower().encode(), token.encode())],
        "server": ("127.0.0.1", 80),
        "app": Starlette(),
    }
    answer: Response = endpoint(Request(scope))
    return answer


def header_of(answer: Response) -> dict[str, Any]:
    body = bytes(answer.body)
    (length,) = struct.unpack_from("<I", body)
    header: dict[str, Any] = json.loads(body[4 : 4 + length])
    return header


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHGLASS_STORE", str(tmp_path / "runs.db"))
    with open_store() as store:
        record_example_run(store, "one")
        record_example_run(store, "two")


def test_the_catalogue_is_sent_until_the_page_knows_it() -> None:
    first = header_of(call(SERIES_PATH, "run=1&kinds=scalar&known=0"))
    keys = {series["key"]: series["id"] for series in first["catalogue"]}
    assert set(keys) == {"loss", "learning_rate", "train/accuracy", "test/accuracy", "test/loss"}
    assert first["run"]["status"] == "finished"
    known = header_of(call(SERIES_PATH, f"run=1&kinds=scalar&known=5&series={keys['loss']}:-1"))
    assert known["catalogue"] is None
    assert [(one["count"], one["reset"]) for one in known["series"]] == [(200, True)]


def test_a_series_of_another_run_is_not_answered() -> None:
    other = header_of(call(SERIES_PATH, "run=2&kinds=scalar&known=0"))["catalogue"][0]["id"]
    assert header_of(call(SERIES_PATH, f"run=1&kinds=scalar&known=5&series={other}:-1"))["series"] == []


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("kinds=scalar&known=0", "run takes integers"),
        ("run=one&kinds=scalar&known=0", "run takes integers"),
        ("run=99999999999999999999&kinds=scalar&known=0", "run takes integers"),
        ("run=1&kinds=scalar,secret&known=0", "no kind"),
        ("run=1&kinds=scalar&known=0&series=1:2:3", "series takes integers"),
        ("run=1&kinds=scalar&known=0&series=1;drop", "series takes integers"),
        ("run=1&kinds=scalar&known=0&series=" + ",".join(["1:0"] * (MAX_SERIES + 1)), f"at most {MAX_SERIES}"),
    ],
)
def test_a_malformed_question_is_refused_with_the_reason(query: str, reason: str) -> None:
    answer = call(SERIES_PATH, query)
    assert answer.status_code == 400
    assert reason in json.loads(bytes(answer.body))["error"]


@pytest.mark.parametrize("window", ["first=nan&last=1", "first=1&last=inf", "first=1e300&last=2", "first=a&last=b", ""])
def test_a_malformed_window_is_refused(window: str) -> None:
    assert call(WINDOW_PATH, f"series=1&{window}").status_code == 400


def test_an_overlong_question_is_refused() -> None:
    assert call(SERIES_PATH, "run=1&known=0&series=" + "1" * 5000).status_code == 414


def test_a_run_that_is_gone_is_404_and_a_store_503(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert call(SERIES_PATH, "run=77&kinds=scalar&known=0").status_code == 404
    monkeypatch.setenv("TORCHGLASS_STORE", str(tmp_path / "gone.db"))
    assert call(SERIES_PATH, "run=1&kinds=scalar&known=0").status_code == 503


def test_no_answer_may_be_kept() -> None:
    for query in ("run=1&kinds=scalar&known=0", "run=77&known=0", "nonsense"):
        assert call(SERIES_PATH, query).headers["cache-control"] == "no-store"

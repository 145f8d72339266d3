"""The binary route refuses what the page would never send, and answers what it would."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import record_example_run
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torchglass.dashboard.answering.api import SERIES_PATH, WINDOW_PATH, routes
from torchglass.dashboard.answering.live_answers import MAX_SERIES
from torchglass.dashboard.answering.token import HEADER, TOKEN
from torchglass.store import Batch, RowBlock, open_store


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
    assert first["status"] == ["finished"]
    known = header_of(call(SERIES_PATH, f"run=1&kinds=scalar&known=5&series={keys['loss']}:-1"))
    assert known == {"status": ["finished"], "series": [[0, 200, 200, 200]]}


def test_a_tick_describes_only_what_is_new_in_a_few_bytes() -> None:
    catalogue = header_of(call(SERIES_PATH, "run=1&kinds=scalar&known=0"))["catalogue"]
    ids = [series["id"] for series in catalogue]
    read = {place: cursor for place, cursor, *_ in header_of(asked(ids, [-1] * len(ids)))["series"]}
    cursors = [read[place] for place in range(len(ids))]
    nothing = asked(ids, cursors)
    assert header_of(nothing) == {"status": ["finished"], "series": []}
    assert len(bytes(nothing.body)) <= 64
    loss = next(place for place, series in enumerate(catalogue) if series["key"] == "loss")
    cursors[loss] -= 2
    some = asked(ids, cursors)
    assert header_of(some)["series"] == [[loss, 200, 2]]
    assert len(bytes(some.body)) <= 64 + 3 * 8 * 2


def test_a_tick_of_twelve_charts_with_a_point_each_takes_less_than_a_kilobyte() -> None:
    with open_store() as store:
        run = store.start_run("twelve", {}, host="here", pid=1)
        steps = np.arange(1_000_000, 1_000_500)
        for number in range(12):
            block = RowBlock.of_series(f"metric_{number}", "scalar", "", steps, 1.7e9 + steps, np.sin(steps))
            store.write(run.id, 0, Batch(rows=[block]))
        ids = [series.id for series in store.series_of(run.id)]
    answer = asked(ids, [499] * 12, run=run.id)
    assert [entry[2] for entry in header_of(answer)["series"]] == [1] * 12
    assert len(bytes(answer.body)) < 600


def test_other_runs_are_told_of_what_the_page_has_charts_for_and_none_that_is_gone() -> None:
    with open_store() as store:
        other = store.start_run("other", {}, host="here", pid=1)
        for key in ("loss", "mine_alone"):
            block = RowBlock.of_series(key, "scalar", "", np.array([1]), np.array([1.0]), np.array([2.0]))
            store.write(other.id, 0, Batch(rows=[block]))
    header = header_of(call(SERIES_PATH, f"run=1,{other.id},77&kinds=scalar&known=0"))
    assert [series["key"] for series in header["catalogue"] if series["run"] == 1] == ["loss"]
    assert header["status"] == ["finished", "running", "finished"]
    assert len(header["created_at"]) == 3


def test_a_band_is_asked_for_by_the_series_of_its_ranks_together() -> None:
    ids = [series["id"] for series in header_of(call(SERIES_PATH, "run=1&kinds=scalar&known=0"))["catalogue"]]
    (entry,) = header_of(call(SERIES_PATH, f"run=1&kinds=scalar&known=5&series={ids[0]}%2B{ids[1]}:-1"))["series"]
    assert entry[4]["columns"] == ["low", "high"]


def asked(ids: Sequence[int], cursors: Sequence[int], run: int = 1) -> Response:
    series = ",".join(f"{one}:{cursor}" for one, cursor in zip(ids, cursors, strict=True))
    return call(SERIES_PATH, f"run={run}&kinds=scalar&known={len(ids)}&series={series}")


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
        ("run=1&kinds=scalar&known=0&smoothing=1", "smoothing takes a number from 0"),
        ("run=1&kinds=scalar&known=0&smoothing=nan", "smoothing takes a finite number"),
        ("run=1&kinds=scalar&known=0&extent=most", "no extent"),
        ("run=1,2,3,4,5,6,7,8,9,10,11&kinds=scalar&known=0", "at most 10"),
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

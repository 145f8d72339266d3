"""The Train page: it needs no store, starts what its form says, and leads to the run as soon as it records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from browsing import Watched
from driving import Server
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.ordering.job_panel import run_of
from torchglass.dashboard.ordering.jobs import Job
from torchglass.dashboard.ordering.switch_words import SWITCH_WORDS, help_text, label
from torchglass.reference_models.recipe import SWITCHES
from torchglass.store import Run

if TYPE_CHECKING:
    from playwright.sync_api import Page


def page_of_training() -> None:
    from torchglass.dashboard.pages import train

    train.show()


def visit_train(path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("TORCHGLASS_STORE", str(path))
    app = AppTest.from_function(page_of_training, default_timeout=30).run()
    assert not app.exception
    return app


def test_without_a_store_the_form_is_there_and_says_where_the_store_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = visit_train(tmp_path / "new.db", monkeypatch)
    assert app.caption[0].value.startswith("There is no store yet.")
    assert app.text[0].value == str(tmp_path / "new.db")
    assert "torchglass train lenet5" in app.code[0].value
    assert not (tmp_path / "new.db").exists()


def test_what_is_no_store_is_refused_before_anything_is_trained_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("step,loss\n1,2.5\n" * 50)
    app = visit_train(tmp_path / "notes.txt", monkeypatch)
    assert app.error[0].value == "The store cannot be read."
    assert not app.button


def test_a_jobs_run_is_the_newest_that_its_process_records() -> None:
    def run(name: str, pid: int, heartbeat_at: float) -> Run:
        return Run(1, "u", name, "running", 90.0, heartbeat_at, None, "here", pid, {}, None)

    def job(verb: str) -> Job:
        return cast(Job, SimpleNamespace(pid=7, started_at=100.0, arguments=(verb, "lenet5")))

    newest_first = [run("of another", 8, 130.0), run("second trial", 7, 120.0), run("first trial", 7, 110.0)]
    assert cast(Run, run_of(job("sweep"), newest_first)).name == "second trial"
    assert run_of(job("train"), [run("of a process that was 7 before", 7, 99.0)]) is None
    assert run_of(job("explain"), newest_first) is None


def test_the_page_says_of_each_switch_what_the_command_line_says() -> None:
    assert set(SWITCH_WORDS) == set(SWITCHES)
    assert {switch.name: help_text(switch) for switch in SWITCHES.values()} == {
        switch.name: switch.help for switch in SWITCHES.values()
    }
    assert {label(switch).lower() for switch in SWITCHES.values()} == {name.replace("_", " ") for name in SWITCHES}


@pytest.mark.browser
def test_an_empty_page_is_filled_by_a_training_that_it_starts_watches_and_stops(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    visit(server.url)
    page.get_by_text("Or train a reference model from this page").click()
    page.get_by_text("There is no store yet.").wait_for()
    page.get_by_label("Epochs", exact=True).fill("1000")
    page.get_by_label("Run name", exact=True).fill("<b>of mine</b> [x](y)")
    page.keyboard.press("Tab")
    page.locator("code", has_text="--epochs=1000").wait_for()
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_text("Watch <b>of mine</b> [x](y)").wait_for(timeout=120_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Train lenet5 · cancelled").wait_for(timeout=60_000)
    page.get_by_text("Watch <b>of mine</b> [x](y)").click()
    page.get_by_role("heading", name="Training").wait_for()
    assert page.url.endswith("/training?run=%3Cb%3Eof+mine%3C%2Fb%3E+%5Bx%5D%28y%29")
    complaints: tuple[list[Any], ...] = (watched.errors, watched.dialogs, watched.foreign_requests)
    assert complaints == ([], [], [])

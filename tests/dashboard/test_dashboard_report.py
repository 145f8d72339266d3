"""The page Report: what is chosen is what the command says, and one press of the button gives the file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import Watched
from driving import Server
from recorded import record_example_run
from shown import show

from torchglass.dashboard.ordering.report_building import Building
from torchglass.errors import OptionError
from torchglass.store import Store, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Page

HOSTILE = "-x</script><img src=x onerror=alert(1)> $(touch pwned)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Store(tmp_path / "s.db") as store:
        for name in ("older", "newer", HOSTILE):
            store.start_run(name, {}, host="h", pid=1)
    return tmp_path / "s.db"


def test_the_command_says_what_was_chosen_and_quotes_strange_names(path: Path) -> None:
    app = show(path, "report", "newer")
    assert not app.exception
    assert app.code[0].value == f"torchglass report newer --store {path}"
    app.multiselect[0].select("older").run()
    app.number_input[0].set_value(3.5).run()
    app.button_group[-1].set_value(["curves", "devices"]).run()
    assert not app.exception
    told = app.code[0].value
    assert told.startswith(f"torchglass report newer older --store {path} --max-mb 3.5 --sections curves,devices,")
    with Store(path) as store:
        uid = store.run(HOSTILE).uid
    assert show(path, "report", HOSTILE).code[0].value == f"torchglass report {uid} --store {path}"


def test_what_is_built_is_told_and_a_failure_has_its_reason(path: Path) -> None:
    building = Building()
    assert not building.is_going_on
    building.ask()
    assert building.is_going_on
    with open_store(path, read_only=True) as store:
        location = store.location
    text = building.build(location, ["newer", "older"], {"language": "en", "max_mb": 6.0, "sections": None})
    assert (building.state, building.megabytes) == ("built", len(text) / 1e6)
    assert b"All runs together" in text
    with pytest.raises(OptionError):
        building.build(location, ["newer"], {"max_mb": 0.5})
    assert building.state == "failed"
    assert "even the barest report" in building.said


@pytest.mark.browser
def test_one_press_gives_the_file_and_the_old_address_still_leads_here(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched, tmp_path: Path
) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "first")
        record_example_run(store, "second <b>", seed=1)
    visit(f"{server.url}/export?run=first&runs=first,second <b>")
    with page.expect_download() as download:
        page.get_by_role("button", name="Build the comparison of 2 runs").click()
    assert download.value.suggested_filename == "first-compared.html"
    download.value.save_as(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text("utf-8")
    assert re.findall(r'<article id="([\w-]+)">', text) == ["a-run", "b-run"]
    page.get_by_text(re.compile(r"Built: \d\.\d MB")).wait_for()
    assert watched.errors == []

"""With OpenID Connect a stranger sees the log-in and nothing of a run; who is known sees the pages and a way out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.serving.login.admission import Admission, admit_by
from torchglass.dashboard.serving.server import ENTRY_SCRIPT
from torchglass.store import open_store


class User(SimpleNamespace):
    """What Streamlit knows of a visitor."""

    def get(self, name: str) -> object:
        return getattr(self, name, None)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The page of a store with one run, for visitors by OpenID Connect."""
    monkeypatch.setenv("TORCHGLASS_STORE", str(tmp_path / "runs.db"))
    with open_store(tmp_path / "runs.db") as store:
        store.end_run(store.start_run("a secret run", {}, host="h", pid=1).id, "finished")
    admit_by(Admission(is_oidc=True))
    yield AppTest.from_file(str(ENTRY_SCRIPT), default_timeout=60)
    admit_by(Admission())


def test_a_stranger_is_asked_to_log_in_and_sees_no_run(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "user", User(is_logged_in=False, email="eve@evil.example"))
    app.run()
    assert not app.exception
    assert [button.label for button in app.button] == ["Log in"]
    assert [text.value for text in app.text] == ["Log in to see the runs of this server."]
    assert (len(app.selectbox), len(app.dataframe)) == (0, 0)
    assert "run" not in app.query_params


def test_who_is_logged_in_sees_the_runs_their_name_and_a_way_out(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "user", User(is_logged_in=True, email="ada\u202e@glass.example"))
    app.run()
    assert not app.exception
    assert app.query_params["run"] == "a secret run"
    assert [text.value for text in app.sidebar.text][-1] == "ada@glass.example"
    assert [button.label for button in app.sidebar.button][-1] == "Log out"

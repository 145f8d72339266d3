"""The control that changes what is known of a run: each change is in the store, and each has a way back on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.organizing import listed_runs
from torchglass.store import Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    with open_store(path) as store:
        for name in ("first", "*second*"):
            store.end_run(store.start_run(name, {}, host="here", pid=1).id, "finished")
    return path


def page(path: str) -> None:
    from torchglass.dashboard.organizing import organize
    from torchglass.store import open_store

    with open_store(path, read_only=True) as store:
        organize(store)


def visit(path: Path) -> AppTest:
    app = AppTest.from_function(page, kwargs={"path": str(path)}).run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [each for each in app.button if each.label == label]
    pressed = button.click().run()
    assert not pressed.exception
    return pressed


def names(path: Path) -> list[str]:
    with open_store(path, read_only=True) as store:
        return [run.name for run in store.runs()]


def test_a_run_is_named_tagged_and_annotated(path: Path) -> None:
    app = visit(path)
    app.selectbox(key="organized").select(1).run()
    app.text_input[0].input("better")
    app.text_area[0].input("warmup was too short")
    press(app, "Save")
    with open_store(path) as store:
        assert store.run("better").note == "warmup was too short"
        store.tag("better", ["a", "b"])
    app = visit(path)
    app.selectbox(key="organized").select(1).run()
    app.multiselect[0].unselect("a")
    press(app, "Save")
    with open_store(path) as store:
        assert (store.run("better").tags, store.run("better").note) == (("b",), "warmup was too short")
        assert store.run("*second*").tags == ()


def test_a_long_name_and_note_outlive_a_change_of_tags(path: Path) -> None:
    with open_store(path) as store:
        store.rename("first", "n" * 500)
        store.annotate("n" * 500, "words " * 2000)
    app = visit(path)
    app.selectbox(key="organized").select(1).run()
    app.multiselect[0].set_value(["good"])
    press(app, "Save")
    with open_store(path) as store:
        assert store.run("n" * 500).tags == ("good",)
        assert store.run("n" * 500).note == "words " * 2000


def test_a_name_that_is_taken_is_refused_as_plain_text(path: Path) -> None:
    app = visit(path)
    app.selectbox(key="organized").select(1).run()
    app.text_input[0].input("*second*")
    app = press(app, "Save")
    assert app.error[0].value == "Nothing was changed."
    assert "there is a run '*second*' already" in app.text[0].value
    assert names(path) == ["*second*", "first"]


@pytest.mark.parametrize("label", ["Archive", "Delete"])
def test_a_run_is_put_away_and_brought_back(path: Path, label: str) -> None:
    with open_store(path) as store:
        store.archive(store.start_run("long ago", {}, host="here", pid=1).id)
    app = press(visit(path), label)
    assert names(path) == ["first"]
    assert app.selectbox[1].options == [f"*second* ({label.lower()}d)", "long ago (archived)"]
    press(app, "Bring back")
    assert names(path) == ["*second*", "first"]


def test_where_every_run_is_archived_the_page_lists_those(path: Path) -> None:
    with Store(path) as store:
        store.archive("first")
        assert [run.name for run in listed_runs(store)] == ["*second*"]
        store.archive("*second*")
        assert [run.name for run in listed_runs(store)] == ["*second*", "first"]
    app = visit(path)
    assert [each.label for each in app.selectbox] == ["Archived and deleted runs"]

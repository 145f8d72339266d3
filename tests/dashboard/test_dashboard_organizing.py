"""What is done with ticked runs: each change is in the store, and each has a way back on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.choosing.organizing import listed_names
from torchglass.store import Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    with open_store(path) as store:
        for name in ("first", "*second*", "third"):
            store.end_run(store.start_run(name, {}, host="here", pid=1).id, "finished")
    return path


def page(path: str, names: list[str]) -> None:
    from torchglass.dashboard.choosing.organizing import act, bring_back, offer_undo
    from torchglass.store import open_store

    with open_store(path, read_only=True) as store:
        offer_undo(store.location)
        act(store.location, [run for run in store.runs(archived=None) if run.name in names])
        bring_back(store)


def visit(path: Path, *names: str) -> AppTest:
    """Open a page on which these runs are ticked."""
    app = AppTest.from_function(page, kwargs={"path": str(path), "names": list(names)}).run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [each for each in app.button if each.label == label]
    pressed = button.click().run()
    assert not pressed.exception
    return pressed


def labels(app: AppTest) -> list[str]:
    return [each.label for each in app.button]


def names(path: Path, *, archived: bool = False) -> list[str]:
    with open_store(path, read_only=True) as store:
        return store.run_names(archived=archived)


def test_a_run_is_named_tagged_and_annotated(path: Path) -> None:
    app = visit(path, "first")
    app.text_input[0].input("better")
    app.text_area[0].input("warmup was too short")
    press(app, "Save")
    with open_store(path) as store:
        assert store.run("better").note == "warmup was too short"
        store.tag("better", ["a", "b"])
    app = visit(path, "better")
    app.multiselect[0].unselect("a")
    press(app, "Save")
    with open_store(path) as store:
        assert (store.run("better").tags, store.run("better").note) == (("b",), "warmup was too short")
        assert store.run("*second*").tags == ()


def test_a_long_name_and_note_outlive_a_change_of_tags(path: Path) -> None:
    with open_store(path) as store:
        store.rename("first", "n" * 500)
        store.annotate("n" * 500, "words " * 2000)
    app = visit(path, "n" * 500)
    app.multiselect[0].set_value(["good"])
    press(app, "Save")
    with open_store(path) as store:
        assert store.run("n" * 500).tags == ("good",)
        assert store.run("n" * 500).note == "words " * 2000


def test_a_name_that_is_taken_is_refused_as_plain_text(path: Path) -> None:
    app = visit(path, "first")
    app.text_input[0].input("*second*")
    app = press(app, "Save")
    assert app.error[0].value == "Nothing was changed."
    assert "there is a run '*second*' already" in app.text[0].value
    assert names(path) == ["third", "*second*", "first"]


@pytest.mark.parametrize("way", ["Archive", "Delete"])
def test_what_is_put_away_can_be_had_back_at_once(path: Path, way: str) -> None:
    app = press(visit(path, "*second*", "third"), way)
    assert names(path) == ["first"]
    assert [each.value for each in app.markdown] == [f"{way}d 2 runs."]
    app = press(app, "Undo")
    assert names(path) == ["third", "*second*", "first"]
    assert "Undo" not in labels(app)


def test_undo_stands_until_the_next_change_and_names_what_it_brings_back(path: Path) -> None:
    app = press(visit(path, "*second*"), "Delete")
    assert app.markdown[0].value == r"Deleted \*second\*."
    with open_store(path) as store:
        store.rename("third", "*second*")
    app = press(app, "Undo")
    assert names(path) == ["*second*", "*second*-2", "first"]
    app = visit(path, "first")
    app.text_area[0].input("kept")
    app = press(press(app, "Save"), "Archive")
    assert "Undo" in labels(app)


def test_an_archived_run_is_taken_out_again(path: Path) -> None:
    with open_store(path) as store:
        store.archive("first")
    app = visit(path, "first")
    assert "Archive" not in labels(app)
    press(app, "Take out of the archive")
    assert names(path) == ["third", "*second*", "first"]


def test_a_deleted_run_can_be_brought_back_later(path: Path) -> None:
    with open_store(path) as store:
        for name in ("first", "*second*"):
            store.delete(name)
    app = visit(path)
    assert app.selectbox[0].options == ["*second*", "first"]
    press(app, "Bring back")
    assert names(path) == ["third", "*second*"]


@pytest.mark.parametrize(("count", "can"), [(1, False), (2, True), (10, True), (11, False)])
def test_two_to_ten_runs_can_be_compared(tmp_path: Path, count: int, can: bool) -> None:
    path = tmp_path / "runs.db"
    chosen = [f"run-{number}" for number in range(count)]
    with open_store(path) as store:
        for name in chosen:
            store.start_run(name, {}, host="here", pid=1)
    app = visit(path, *chosen)
    assert [each.disabled for each in app.button if each.label == "Compare"] == [not can]


def test_where_every_run_is_archived_the_page_lists_those(path: Path) -> None:
    with Store(path) as store:
        store.archive("first")
        assert listed_names(store) == ["third", "*second*"]
        for name in ("third", "*second*"):
            store.archive(name)
        assert listed_names(store) == ["third", "*second*", "first"]

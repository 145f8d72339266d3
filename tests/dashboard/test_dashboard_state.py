"""The chosen run: the address and the picker say the same, and neither forgets what the reader asked for."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def page(names: list[str]) -> None:
    import streamlit

    from torchglass.dashboard.choosing.state import choose_run

    streamlit.text(choose_run(names))


def visit(*names: str, asked: str | None = None) -> AppTest:
    """Open the page on a store with these runs, newest first, at an address that may name one."""
    app = AppTest.from_function(page, kwargs={"names": list(names)})
    if asked is not None:
        app.query_params["run"] = asked
    return app.run()


def chosen(app: AppTest) -> str:
    assert not app.exception
    text: str = app.text[0].value
    return text


def test_without_a_wish_the_newest_run_is_chosen_and_written_into_the_address() -> None:
    app = visit("newest", "older")
    assert chosen(app) == "newest"
    assert app.query_params["run"] == "newest"


def test_the_address_decides_at_first_and_the_picker_afterwards() -> None:
    app = visit("newest", "older", asked="older")
    assert chosen(app) == app.selectbox[0].value == "older"
    app.selectbox[0].select("newest").run()
    assert chosen(app) == "newest"
    assert app.query_params["run"] == "newest"


def test_an_address_that_changes_wins_over_the_picker() -> None:
    app = visit("newest", "older")
    app.query_params["run"] = "older"
    app.run()
    assert chosen(app) == app.selectbox[0].value == "older"


def test_a_run_that_is_not_there_stays_asked_for_until_it_is() -> None:
    names = ["newest"]
    app = AppTest.from_function(page, kwargs={"names": names})
    app.query_params["run"] = "to come"
    app.run()
    assert (chosen(app), app.selectbox[0].value) == ("to come", None)
    app.run()
    assert (chosen(app), app.selectbox[0].value) == ("to come", None)
    names[:] = ["even newer", "to come", "newest"]
    app.run()
    assert chosen(app) == app.selectbox[0].value == "to come"


def test_a_page_change_clears_the_address_and_keeps_the_run() -> None:
    app = visit("newest", "older", asked="older")
    app.query_params.clear()
    app.run()
    assert chosen(app) == "older"
    assert app.query_params["run"] == "older"


def test_a_list_of_runs_in_the_address_chooses_its_last_one() -> None:
    app = AppTest.from_function(page, kwargs={"names": ["newest", "a, b", "older"]})
    app.query_params["runs"] = "older,a%2C b"
    app.run()
    assert chosen(app) == app.selectbox[0].value == app.query_params["run"] == "a, b"
    app.selectbox[0].select("newest").run()
    assert chosen(app) == "newest"

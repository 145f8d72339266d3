"""One step for every panel: chosen by a link, the keyboard, the slider or a click, and carried from page to page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import Watched
from driving import Server, wait_until
from recorded import record_example_run
from streamlit.testing.v1 import AppTest

from torchglass.charts.theme import template

if TYPE_CHECKING:
    from playwright.sync_api import Page

MARKED = (
    "[...document.querySelectorAll('.tg-figure-plot.js-plotly-plot')].filter(plot => plot.layout.meta?.steps)"
    ".map(plot => plot.layout.shapes.filter(shape => shape.name === 'torchglass-cursor').map(shape => shape.x0).join())"
)


def marked(step: int | str) -> str:
    """Whether several charts are there and each is marked at this step alone."""
    return f"(m => m.length > 1 && m.every(at => at === '{step}'))({MARKED})"


def step_in(address: str) -> str | None:
    return parse_qs(urlsplit(address).query).get("step", [None])[0]


def script() -> None:
    import streamlit as st

    from torchglass.dashboard.stepping import cursor

    cursor.show(500, follows=True)
    st.text(f"step {cursor.chosen_step()}")
    if st.button("To 42"):
        cursor.move_cursor(42)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [(None, "step None"), ("17", "step 17"), ("0", "step 0"), ("-3", "step None"), ("1e3", "step None"),
     ("9" * 16, "step None"), ("<b>", "step None")],
)  # fmt: skip
def test_an_address_names_the_step_and_nonsense_names_none(asked: str | None, shown: str) -> None:
    app = AppTest.from_function(script, default_timeout=30)
    if asked is not None:
        app.query_params["step"] = asked
    assert app.run().text[0].value == shown


def test_a_page_may_move_the_cursor_itself() -> None:
    app = AppTest.from_function(script, default_timeout=30)
    app.query_params["step"] = "17"
    app.run()
    app.button[0].click().run()
    assert app.text[0].value == "step 42"


@pytest.mark.browser
def test_the_cursor_marks_every_chart_of_every_page_and_stays_in_the_address(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched
) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "example", steps=400)
    visit(f"{server.url}/distributions?run=example&step=120")
    wait_until(page, marked(120), "the link's step is marked on every chart")
    slider = page.get_by_label("Step that every panel shows")
    assert slider.input_value() == "120"
    # The keyboard, wherever the focus is, but not while a reader types.
    page.keyboard.press("]")
    page.keyboard.press("Shift+}")
    wait_until(page, marked(131), "one on, then ten on")
    assert step_in(page.url) == "131"
    # A page that sets parameters of its own takes nothing away, nor does another page.
    page.get_by_role("link", name="Step time").click()
    page.get_by_role("heading", name="Step time").first.wait_for()
    assert step_in(page.url) == "131"
    assert slider.input_value() == "131"
    page.get_by_role("link", name="Distributions").click()
    wait_until(page, marked(131), "marked again after the way back")
    # A click on a chart picks the step that it shows there; arrow keys go on from it by what is recorded.
    plot = page.locator(".tg-figure-plot").first
    plot.locator(".nsewdrag").first.click(position={"x": 200, "y": 60})
    wait_until(page, f"!{marked(131)}", "the click moved it")
    clicked = int(step_in(page.url) or -1)
    assert clicked % 10 == 0  # layers were recorded every ten steps
    plot.focus()
    page.keyboard.press("ArrowRight")
    wait_until(page, marked(clicked + 10), "the next recorded step")
    page.reload()
    wait_until(page, marked(clicked + 10), "a reload keeps it")
    page.keyboard.press("Escape")
    wait_until(page, marked(""), "no step is chosen")
    assert step_in(page.url) is None
    assert watched.errors == []


@pytest.mark.browser
def test_a_chart_keeps_its_zoom_and_gives_its_picture_its_numbers_and_its_code(
    server: Server, page: Page, visit: Callable[[str], None], watched: Watched, tmp_path: Path
) -> None:
    with server.fresh_store() as store:
        record_example_run(store, "example", steps=400)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit(f"{server.url}/distributions?run=example")
    wait_until(page, marked(""))
    plot = page.locator(".tg-figure-plot").first
    plot.evaluate(
        "node => { node.dataset.mine = 'yes'; return window.Plotly.relayout(node, {'xaxis.range': [50, 90]}) }"
    )
    page.get_by_label("Step that every panel shows").focus()
    page.keyboard.press("ArrowLeft")  # the script runs again for the step
    wait_until(page, marked(399))
    page.get_by_test_id("stApp").and_(page.locator('[data-test-script-state="notRunning"]')).wait_for()
    assert plot.evaluate("node => [node.dataset.mine, ...node.layout.xaxis.range]") == ["yes", 50, 90]

    def choose(item: str) -> None:
        page.locator(".tg-menu-button").first.click()
        page.get_by_role("menuitem", name=item).click()

    def saved(item: str) -> bytes:
        with page.expect_download() as event:
            choose(item)
        target = tmp_path / event.value.suggested_filename
        event.value.save_as(target)
        assert target.stem.startswith("gradient_flow")
        return target.read_bytes()

    assert saved("PNG picture").startswith(b"\x89PNG")
    assert b"<svg" in saved("SVG picture")
    numbers = saved("Data as CSV").decode().splitlines()
    assert numbers[0].startswith("layer,step,")
    assert len(numbers) > 100
    assert saved("Data as Parquet").startswith(b"PAR1")
    choose("Copy as Python")
    assert "open_store" in page.evaluate("navigator.clipboard.readText()")
    choose("Copy link")
    assert step_in(page.evaluate("navigator.clipboard.readText()")) == "399"
    # Whoever turns the light off while the page is open can read it still.
    page.emulate_media(color_scheme="dark")
    ink = "document.querySelector('.tg-figure-plot').layout.template.layout.font.color"
    wait_until(page, f"{ink} === '{template(True)['layout']['font']['color']}'", "drawn anew in the dark's colours")
    # The menu is a menu to the keyboard too.
    page.locator(".tg-menu-button").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "SVG picture"
    page.keyboard.press("Escape")
    assert page.get_by_role("menu").count() == 0
    assert watched.errors == []


def focused(page: Page) -> Any:
    return page.evaluate("document.activeElement.textContent")

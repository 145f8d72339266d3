"""One step in the whole report: chosen by click, keyboard, number or link, and marked on every chart that has steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Watched
from recorded import record_example_run
from report_runs import record_everything_rare
from test_report_page import draw_all, until

from torchglass.report import export_report
from torchglass.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

LINE = "[data-figure='0'] > .mark.line"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        run = record_example_run(opened, gpu=True)
        record_everything_rare(opened, run)
        record_example_run(opened, "other", seed=1)
        yield opened


@pytest.fixture
def report(store: Store, tmp_path: Path) -> str:
    return export_report(store, "example", tmp_path / "report.html").as_uri()


def figure(page: Page, name: str) -> Locator:
    found = page.get_by_role("figure", name=name, exact=True)
    found.scroll_into_view_if_needed()
    found.locator(".main-svg").first.wait_for()
    return found


def step(page: Page) -> str:
    return page.get_by_label("Step", exact=True).input_value()


def place_of(page: Page, wanted: int) -> float:
    """Where a step of the first figure is, in pixels from the figure's left edge."""
    found: float = page.evaluate(
        f"""(() => {{ const axis = document.querySelector("[data-figure='0']")._fullLayout.xaxis;
            return axis._offset + axis.d2p({wanted}); }})()"""
    )
    return found


def test_a_click_a_key_and_a_number_move_one_line_over_all_charts(
    store: Store, report: str, page: Page, watched: Watched
) -> None:
    page.goto(report)
    curve = figure(page, "loss")
    box = curve.bounding_box()
    assert box
    curve.click(position={"x": place_of(page, 100), "y": box["height"] / 2})
    assert step(page) == "100"
    assert page.url.endswith("#step=100")
    mark = page.locator(LINE).bounding_box()
    assert mark
    assert mark["x"] - box["x"] == pytest.approx(place_of(page, 100), abs=2)
    curve.focus()
    for key, wanted in (("ArrowRight", "101"), ("Shift+ArrowLeft", "91"), ("End", "200"), ("Home", "1")):
        page.keyboard.press(key)
        assert step(page) == wanted
    flow = figure(page, "Gradient norm")
    assert flow.locator(":scope > .mark.line").count() == 0, "it begins at step 10"
    page.get_by_label("Step", exact=True).fill("1,20")
    page.keyboard.press("Enter")
    assert step(page) == "120"
    assert flow.locator(":scope > .mark.line").count() == 1
    page.get_by_role("button", name="Values").click()
    rows = page.locator("#at-step tbody tr").all_inner_texts()
    loss = store.find_series(store.run("example").id, "loss")
    assert loss
    value = store.points(loss.id, window=(120, 120)).values[0]
    assert rows[:2] == [f"loss\t{value:.4g}", "test/loss\t0.2406 from step 100"]
    assert figure(page, "weights/conv1.weight, ridgelines").locator(":scope > .mark.row").count() == 1
    page.get_by_role("button", name="Clear").click()
    assert (step(page), page.locator(".mark").count(), "#" in page.url) == ("", 0, False)
    assert page.locator("#at-step").is_hidden()
    assert watched.errors == []


def test_a_link_carries_the_step_and_the_place(report: str, page: Page) -> None:
    page.goto(f"{report}#over_training&step=60")
    page.locator(LINE).wait_for(state="attached")
    assert step(page) == "60"
    strip = figure(page, "Probes, during training: Grad-CAM")
    frame = strip.locator(":scope > .mark.frame").bounding_box()
    whole = strip.bounding_box()
    assert frame
    assert whole
    middle: float = strip.evaluate("(box) => box._fullLayout.xaxis._offset + box._fullLayout.xaxis.l2p(2)")
    assert frame["x"] - whole["x"] + frame["width"] / 2 == pytest.approx(middle, abs=3), "step 50 is the last before"
    page.get_by_role("link", name="Memory").click()
    until(page, "location.hash === '#memory&step=60'")
    assert step(page) == "60"


def test_runs_that_are_compared_have_their_values_side_by_side(store: Store, tmp_path: Path, page: Page) -> None:
    page.goto(export_report(store, ["example", "other"], tmp_path / "two.html").as_uri() + "#step=50")
    page.get_by_role("button", name="Values").click()
    table = page.locator("#at-step")
    assert table.locator("thead").inner_text().split() == ["name", "A", "B"]
    cells = table.locator("tbody tr").first.locator("td").all_inner_texts()
    assert cells[0] == "loss"
    assert cells[1] != cells[2]


def test_everybody_can_read_it_in_light_in_dark_and_on_paper(report: str, page: Page, watched: Watched) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(report)
    page.locator(LINE.removesuffix(" > .mark.line") + " .main-svg").first.wait_for()
    look = page.get_by_role("button", name="As the system")
    look.click()
    page.get_by_role("button", name="Light").click()
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(15, 18, 23)"
    for _ in range(2):
        found = Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        page.get_by_role("button", name="Dark").or_(page.get_by_role("button", name="As the system")).first.click()
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.emulate_media(media="print")
    draw_all(page)
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.locator("nav, #bar, #print").evaluate_all("(all) => all.every((one) => !one.offsetParent)")
    widths = page.locator("[data-figure] .main-svg:first-child").evaluate_all(
        "(all) => all.map((one) => one.clientWidth)"
    )
    assert set(widths) == {660}
    ink = "getComputedStyle(document.querySelector(\"[data-figure='0'] .xtick text\")).fill"
    until(page, f"{ink} === 'rgb(43, 47, 54)'")
    assert page.locator("main details:not([open])").count() == 0
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    until(page, "document.querySelector(\"[data-figure='0'] .main-svg\")?.clientWidth < 640")
    assert watched.errors == []

"""The page is for everyone: axe finds nothing serious, the keyboard reaches everything, and it speaks Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import Watched
from driving import SETTLED, Server, wait_until
from judged import record_judged
from overviewed import record_overviews
from profiled import record_profiled_run
from recorded import record_example_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]

RUNS = {"step_time": "profiled", "kernels": "profiled", "timeline": "profiled", "memory": "profiled"}
PAGES = (
    *("", "training", "step_time", "kernels", "timeline", "devices", "memory", "distributions", "model", "quality"),
    *("compare", "explain", "report", "sweep", "train"),
)
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa"]}
OF_COLOURS = {"type": "rule", "values": ["color-contrast"]}  # the only one that knows light from dark
# What plotly draws has thousands of nodes; its ink is held by the test of the palette.
EVERYTHING = {"exclude": [[".main-svg"]]}
# The sidebar is the same on every page.
BUT_SIDEBAR = {"exclude": [[".main-svg"], ['[data-testid="stSidebar"]']]}
EXCUSES = """([rule, targets, excused]) => targets.map((target) =>
    excused.some(([name, where]) => name === rule && document.querySelector(target)?.closest(where)))"""
# Rule, where, and why it is Streamlit's own and cannot be had otherwise.
EXCUSED = (
    ("list", '[data-testid="stSidebarNavItems"]'),  # groups of pages: a div between the list and its items
    ("listitem", '[data-testid="stSidebarNavItems"]'),
    ("color-contrast", ".token"),  # colours of highlighted code are built in
    # One accent is text on a dark ground here and the ground below white text there: 3.4:1, or 4.7:1 for buttons.
    ("color-contrast", '[data-testid="stMain"] [data-variant="segmented_control"][data-selected="true"]'),
    ("color-contrast", '[data-testid="stMain"] [data-testid="stSlider"]'),
)
IS_DRAWN = """[...document.querySelectorAll(".tg-figure-plot, .tg-plot")].every((plot) =>
    plot.getBoundingClientRect().top > innerHeight || plot.matches(".js-plotly-plot"))
    && !document.querySelector('[data-stale="true"]')"""
FOCUSED = """() => {
    const node = document.activeElement;
    const name = node.getAttribute("aria-label") || node.innerText || node.labels?.[0]?.innerText || node.placeholder;
    const { outlineStyle, boxShadow } = getComputedStyle(node);
    return {
        name: (name || "").trim(),
        role: node.getAttribute("role") || node.tagName.toLowerCase(),
        isOurs: !!node.closest('[data-testid^="stBidiComponent"]'),
        isMarked: outlineStyle !== "none" || boxShadow !== "none",
    };
}"""
CHINESE = {"": "运行", "kernels": "内核", "compare": "比较", "explain": "解释"}


def record_all(server: Server) -> None:
    with server.fresh_store() as store:
        record_profiled_run(store)
        record_overviews(store)
        record_judged(store, record_example_run(store, "everything", gpu=True).id)


def address(server: Server, path: str, **query: str) -> str:
    asked = {"run": RUNS.get(path, "everything"), **({"sample": "3"} if path == "explain" else {}), **query}
    return f"{server.url}/{path}?{'&'.join(f'{name}={value}' for name, value in asked.items())}"


def violations(page: Page, context: dict[str, Any], rules: dict[str, Any]) -> Iterator[str]:
    """What axe calls serious or critical and nothing excuses: rule, element, and what it says."""
    options = {"resultTypes": ["violations"], "runOnly": rules}
    found: list[dict[str, Any]] = Axe().run(page, context, options).response["violations"]
    for rule in found:
        if rule["impact"] not in ("serious", "critical"):
            continue
        targets = [node["target"][-1] for node in rule["nodes"]]
        excused = page.evaluate(EXCUSES, [rule["id"], targets, [list(each) for each in EXCUSED]])
        for node, is_excused in zip(rule["nodes"], excused, strict=True):
            if not is_excused:
                told = [each["message"] for each in (*node["any"], *node["all"], *node["none"])]
                yield f"{rule['id']}: {node['html'][:120]} {told[:1]}"


def test_axe_finds_nothing_serious_on_any_page_light_or_dark(
    server: Server, visit: Visit, page: Page, watched: Watched
) -> None:
    record_all(server)
    found = {}
    for path in PAGES:
        context = EVERYTHING if path == PAGES[0] else BUT_SIDEBAR
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        visit(address(server, path))
        wait_until(page, IS_DRAWN, f"everything in view of {path!r} is drawn")
        found[path, "light"] = list(violations(page, context, RULES))
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        wait_until(page, "getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'")
        wait_until(page, IS_DRAWN, f"everything in view of {path!r} is drawn in the dark")
        found[path, "dark"] = list(violations(page, context, OF_COLOURS))
    assert {where: each for where, each in found.items() if each} == {}
    assert watched.errors == []


def test_the_keyboard_reaches_pages_controls_charts_and_their_menus_and_one_sees_where_it_is(
    server: Server, visit: Visit, page: Page
) -> None:
    record_all(server)
    visit(address(server, "distributions"))
    page.get_by_label("Step that every panel shows").wait_for()
    wait_until(page, IS_DRAWN)
    reached: list[dict[str, Any]] = []
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
        if reached[-1]["role"] == "body":
            break
    names = [each["name"] for each in reached]
    assert names[0] == "Skip to main content"
    links = page.locator('[data-testid="stSidebarNavLink"]')
    assert set(links.all_inner_texts()) - {name for each in names for name in (each, each.split("\n")[-1])} == set()
    for control in ("Run", "Step that every panel shows", "Quantity", "Parameter"):
        assert any(control in name for name in names), control
    assert any(each["role"] == "figure" for each in reached), "a chart over steps takes the arrow keys"
    assert any(name.startswith("Menu of the chart") for name in names)
    ours = [each for each in reached if each["isOurs"]]
    assert len(ours) >= 6
    assert [each for each in ours if not each["isMarked"]] == []


def test_a_menu_of_a_chart_is_used_with_the_keyboard_alone(server: Server, visit: Visit, page: Page) -> None:
    record_all(server)
    visit(address(server, "distributions"))
    button = page.get_by_role("button", name=re.compile("Menu of the chart")).first
    button.focus()
    page.keyboard.press("Enter")
    first = page.evaluate("document.activeElement.innerText")
    page.keyboard.press("ArrowDown")
    assert first != page.evaluate("document.activeElement.innerText")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "menuitem"
    page.keyboard.press("Escape")
    assert "Menu of the chart" in page.evaluate("document.activeElement.getAttribute('aria-label')")


def test_the_page_speaks_chinese_where_it_is_asked_to_and_remembers(
    server: Server, visit: Visit, page: Page, watched: Watched
) -> None:
    record_all(server)
    for path, heading in CHINESE.items():
        visit(address(server, path, lang="zh"))
        page.get_by_role("heading", name=heading, exact=True).first.wait_for()
        wait_until(page, IS_DRAWN)
        text = page.locator(SETTLED).inner_text()
        assert re.findall(r"\{\w+\}", text) == []
        assert page.locator('[data-testid="stException"]').count() == 0
        wait_until(page, "document.documentElement.lang === 'zh'")
    page.locator('[data-testid="stSidebarNavLink"]', has_text="设备").click()
    page.get_by_role("heading", name="设备", exact=True).wait_for()
    page.get_by_text("温度").first.wait_for()  # a live chart, whose name the server tells
    assert "lang=zh" in page.url
    page.get_by_role("radio", name="English").click()
    page.get_by_role("heading", name="Devices", exact=True).wait_for()
    assert "lang=" not in page.url, "English is this browser's own"
    assert watched.errors == []

"""The report in a real browser: offline, complete, deaf to whatever a run is called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import Watched
from recorded import histogram_of, record_example_run

from torchglass.report import export_report
from torchglass.store import ArtifactBlock, Batch, Fact, HistogramBlock, ProfilerRow, ProfilerWindow, RowBlock, Store

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

HOSTILE = (
    '</script><script>window.pwned=1;alert(1)</script><img src=x onerror="window.pwned=2;alert(2)">'
    "[a](javascript:alert(3)) <a href='javascript:alert(4)'>b</a> %{y} {{7*7}} \u202egnp.exe"
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def report(store: Store, tmp_path: Path) -> str:
    return export_report(store, record_example_run(store, gpu=True), tmp_path / "report.html").as_uri()


def drawn(page: Page) -> tuple[int, int]:
    """Figures that have been drawn, and figures in all."""
    counts: list[int] = page.evaluate(
        """[document.querySelectorAll("[data-figure].js-plotly-plot .main-svg:first-child").length,
            document.querySelectorAll("[data-figure]").length]"""
    )
    return counts[0], counts[1]


def until(page: Page, condition: str) -> None:
    """Wait for a condition without `eval`, which playwright's own waiting needs and the report's policy forbids."""
    page.evaluate(
        f"""new Promise((done, fail) => {{
            const look = () => (({condition}) ? done() : requestAnimationFrame(look));
            setTimeout(() => fail(new Error("never came true")), 20000);
            look();
        }})"""
    )


def draw_all(page: Page) -> None:
    """Have every figure drawn as it is for a sheet of paper."""
    until(page, "window.Plotly && document.querySelector('[data-figure]').tabIndex === 0")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    until(page, "[...document.querySelectorAll('[data-figure]')].every((box) => box.querySelector('.main-svg'))")


def test_it_opens_offline_without_a_request_or_a_complaint(report: str, page: Page, watched: Watched) -> None:
    page.goto(report)
    draw_all(page)
    count, total = drawn(page)
    assert count == total >= 30
    assert watched.errors == []
    assert [url for url in watched.requests if not url.startswith(("data:", "blob:"))] == [report]


def test_figures_are_drawn_only_when_they_come_into_view(report: str, page: Page, watched: Watched) -> None:
    page.goto(report)
    page.wait_for_selector("[data-figure='0'] .main-svg")
    count, total = drawn(page)
    assert count < total / 2
    last = page.locator("[data-figure]").nth(total - 1)
    assert last.locator(".main-svg").count() == 0
    last.scroll_into_view_if_needed()
    last.locator(".main-svg").first.wait_for()
    assert watched.errors == []


def test_every_number_that_was_stored_arrives_in_the_figure(report: str, page: Page) -> None:
    page.goto(report)
    page.wait_for_selector("[data-figure='0'] .main-svg")
    raw: dict[str, Any] = page.evaluate(
        """() => {
            const trace = document.querySelector("[data-figure='0']")._fullData[0];
            return {x: Array.from(trace.x), first: trace.y[0], count: trace.y.length, nan: Number.isNaN(trace.y[149])};
        }"""
    )
    assert raw["x"] == list(range(1, 201))
    assert (raw["count"], raw["nan"]) == (200, True)
    assert 2 < raw["first"] < 2.5


def test_dark_and_light_follow_the_reader(report: str, page: Page) -> None:
    color = "getComputedStyle(document.querySelector(\"[data-figure='0'] .xtick text\")).fill"
    page.emulate_media(color_scheme="light")
    page.goto(report)
    page.wait_for_selector("[data-figure='0'] .main-svg")
    light = page.evaluate(color)
    page.emulate_media(color_scheme="dark")
    until(page, f"{color} !== '{light}'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    until(page, f"{color} === '{light}'")


def test_a_phone_needs_no_sideways_scrolling(report: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(report)
    page.wait_for_selector("#contents:not([open])")
    for figure in page.locator("[data-figure]").all()[::6]:
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    widths: list[float] = page.evaluate(
        "[...document.querySelectorAll('[data-figure] .main-svg')].map((svg) => svg.getBoundingClientRect().right)"
    )
    assert len(widths) >= 7
    assert max(widths) <= 390


def test_no_chart_offers_to_send_itself_to_a_cloud(report: str, page: Page) -> None:
    page.goto(report)
    draw_all(page)
    titles: list[str] = page.evaluate(
        "[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title || '')"
    )
    assert titles
    assert not [title for title in titles if any(word in title.lower() for word in ("share", "cloud", "produced"))]


def test_the_contents_lead_to_every_section(report: str, page: Page) -> None:
    page.goto(report)
    targets: list[str] = page.evaluate("[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))")
    sections: list[str] = page.evaluate("[...document.querySelectorAll('main section')].map((s) => '#' + s.id)")
    assert targets == sections
    assert len(sections) == 19


def record_hostile_run(store: Store) -> str:
    run = record_example_run(store, HOSTILE, steps=20, config={HOSTILE: HOSTILE, "url": "javascript:alert(5)"})
    steps, values = np.arange(1, 4), np.array([1.0, np.nan, 2.0])
    times = run.created_at + steps.astype(np.float64)
    now = run.created_at
    keys = ((HOSTILE, "scalar"), (f"layers/{HOSTILE}/gradient_norm", "layer"), (f"phase/{HOSTILE}", "phase"))
    store.write(
        run.id,
        0,
        Batch(
            rows=[
                *(RowBlock.of_series(key, kind, HOSTILE, steps, times, values) for key, kind in keys),  # type: ignore[arg-type]
                RowBlock.of_series(f"gpu0/{HOSTILE}", "device", HOSTILE, steps, times, values),
            ],
            histograms=[HistogramBlock(HOSTILE, histogram_of(np.ones(3), 1, now))],
            windows=[
                ProfilerWindow(
                    1, now, 1, 1.0, {"note": HOSTILE, "device": HOSTILE}, (ProfilerRow("kernel", HOSTILE, 1, 9.0, 9.0),)
                )
            ],
            facts=[
                Fact(0, "warnings/1", HOSTILE, now),
                Fact(0, "environment", {HOSTILE: HOSTILE}, now),
                Fact(0, "phases", {"clock": HOSTILE, "note": HOSTILE}, now),
                Fact(
                    0,
                    "devices/gpu",
                    {"gpus": [{"name": HOSTILE}], "reason": HOSTILE},
                    now,
                ),
            ],
        ),
    )
    explanation = store.artifacts(run.id, kind="explanation")[0]
    meta = dict(explanation.meta) | {
        "method": HOSTILE,
        "class_names": [HOSTILE] * 10,
        "layer": HOSTILE,
        "output_space": HOSTILE,
    }
    arrays = store.arrays(explanation.id)
    store.add_artifact(run.id, ArtifactBlock("explanation", HOSTILE, 1, now, meta, arrays))
    store.end_run(run.id, "failed", f"{HOSTILE}\n{HOSTILE}")
    return run.name


def test_hostile_names_execute_nothing_anywhere(store: Store, tmp_path: Path, page: Page, watched: Watched) -> None:
    report = export_report(store, record_hostile_run(store), tmp_path / "hostile.html").as_uri()
    page.goto(report)
    draw_all(page)
    assert page.evaluate("window.pwned") is None
    assert watched.dialogs == []
    assert watched.errors == []
    assert [url for url in watched.requests if not url.startswith(("data:", "blob:"))] == [report]
    assert page.evaluate("document.querySelectorAll('script').length") == 4
    assert page.evaluate("[...document.images].every((image) => image.src.startsWith('data:image/png'))")
    links: list[str] = page.evaluate(
        "[...document.querySelectorAll('a')].map((a) => a.getAttribute('href') || a.getAttribute('xlink:href') || '')"
    )
    assert {link[:1] for link in links} <= {"#", ""}
    assert page.locator("h1").inner_text().startswith("</script><script>window.pwned=1")
    svg_texts = "[...document.querySelectorAll('svg text')].map((text) => text.textContent)"
    shown: str = page.evaluate(f"document.title + document.body.innerText + {svg_texts}")
    assert "\u202e" not in shown

"""How soon the first screen of a large store stands, in a real browser. `make bench BENCH=page_first_screen` runs this.

1,000 series of 100,000 points; a fresh browser profile each time, so nothing is cached. Told beside it is the home page
of the same server, which draws no chart: what of the time is Streamlit's own start. `--quick` makes a smaller store and
keeps no result.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from machine import machine
from page_browser import browser, renderer_clock
from page_serving import Server, serving
from playwright.sync_api import Browser
from reading_stores import make_wide_store

RESULTS = Path(__file__).parent / "results" / "page-first-screen-cpu.md"
SERIES, POINTS, VISITS = 1_000, 100_000, 5
LIMIT_SECONDS = 2.0
SETTLED = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'
CHART = ".tg-plot .main-svg"
ON_SCREEN = """() => [...document.querySelectorAll('.tg-plot')]
    .filter(plot => plot.getBoundingClientRect().top < window.innerHeight)
    .every(plot => plot.querySelector('.main-svg'))"""


class Visit(NamedTuple):
    """Seconds from the address to what was waited for, and seconds of work until then."""

    first: float
    all: float
    page: float
    server: float
    requests: int
    nodes: int


def visit(opened: Browser, server: Server, path: str, selector: str) -> Visit:
    """Open a page in a fresh profile and wait for its first chart, then for all that are on screen."""
    context = opened.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    work = renderer_clock(opened)
    worked, began = server.cpu_seconds, time.perf_counter()
    page.goto(f"{server.url}{path}", wait_until="commit")
    page.wait_for_selector(selector)
    first = time.perf_counter() - began
    while not page.evaluate(ON_SCREEN):
        page.wait_for_timeout(10)
    found = Visit(
        first,
        time.perf_counter() - began,
        work(),
        server.cpu_seconds - worked,
        len(asked),
        page.evaluate("document.getElementsByTagName('*').length"),
    )
    context.close()
    return found


def medians(visits: list[Visit]) -> Visit:
    """The median of each figure."""
    return Visit(*(statistics.median(column) for column in zip(*visits, strict=True)))  # type: ignore[arg-type]


def row(name: str, found: Visit, verdict: str) -> str:
    """A line of the table."""
    return (
        f"| {name} | {found.first:.2f} s | {found.all:.2f} s | {found.page:.2f} s | {found.server:.2f} s "
        f"| {found.requests:.0f} | {found.nodes:.0f} | {verdict} |"
    )


def main() -> None:
    """Measure and, at full size, keep the page of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--store", type=Path, help="a store that was made before")
    options = parser.parse_args()
    series, points = (100, 10_000) if options.quick else (SERIES, POINTS)
    with tempfile.TemporaryDirectory() as folder:
        path = options.store or Path(folder) / "runs.db"
        if options.store is None:
            make_wide_store(path, series, points)
        with serving(path) as server, browser() as opened:
            visit(opened, server, "/training", CHART)  # what the server loads on first use is loaded
            charts = [visit(opened, server, "/training", CHART) for _ in range(VISITS)]
            bare = [visit(opened, server, "/", SETTLED) for _ in range(VISITS)]
    training, home = medians(charts), medians(bare)
    met = "reached" if training.all <= LIMIT_SECONDS else "**not reached**"
    page = "\n".join(
        [
            "# The first screen of a large store",
            "",
            f"Machine: {machine()}. `make bench BENCH=page_first_screen` ({time.strftime('%Y-%m-%d')}).",
            f"{series:,} series of {points:,} points, medians of {VISITS} visits, a fresh profile each; browser and",
            "server share the cores. Wanted: the charts on screen within "
            f"{LIMIT_SECONDS:.0f} s. Fastest visit: {min(each.all for each in charts):.2f} s.",
            f"The machine's load while measuring: {os.getloadavg()[0]:.1f}; the work of the two processes counts no",
            "waiting for a core.",
            "",
            "| page | first chart | all on screen | page's work | server's work | requests | DOM nodes | |",
            "|---|---|---|---|---|---|---|---|",
            row("Training", training, met),
            row("Runs, without a chart", home, ""),
            "",
        ]
    )
    print(page)
    if not options.quick:
        RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

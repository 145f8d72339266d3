"""What one viewer of twelve live charts costs, in a real browser. `make bench BENCH=page_live` runs this.

The page Training of a run that gains a point of each series every second is open in Chromium; counted are the work of
the server's process, what our route sends, and the work of the browser. The server's work is also that of a page whose
run does not move. `--seconds` makes it shorter; then no result is kept.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from machine import machine
from page_browser import browser, renderer_clock
from page_serving import CHARTS, RUN, Server, serving, training
from playwright.sync_api import Browser, Response

RESULTS = Path(__file__).parent / "results" / "page-live-cpu.md"
SECONDS = 30
SETTLE_SECONDS = 3
LIMIT_PERCENT, LIMIT_BYTES = 2.0, 1000
DRAWN = "document.querySelectorAll('.tg-plot .main-svg').length"


class Watched(NamedTuple):
    """What a stretch of watching cost: bytes are per answer of our route."""

    ticks: int
    server_percent: float
    body_bytes: float
    wire_bytes: float
    browser_percent: float
    same_node: bool


def watch(opened: Browser, server: Server, seconds: float, height: int) -> Watched:
    """Look at the page for a while, in a window that is so high."""
    context = opened.new_context(viewport={"width": 1400, "height": height})
    page = context.new_page()
    page.goto(f"{server.url}/training?run={RUN}")
    page.wait_for_selector(".tg-plot .main-svg")
    page.wait_for_timeout(1000 * SETTLE_SECONDS)
    page.evaluate("document.querySelectorAll('.tg-plot').forEach(plot => { plot.tgMark = true; })")
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer) if "/api/v1/series" in answer.url else None)
    seconds_of_browser = renderer_clock(opened)
    worked, drew = server.cpu_seconds, seconds_of_browser()
    page.wait_for_timeout(1000 * seconds)
    cpu, browsing = server.cpu_seconds - worked, seconds_of_browser() - drew
    sizes = [answer.request.sizes() for answer in answers]
    kept = page.evaluate("[...document.querySelectorAll('.tg-plot')].every(plot => plot.tgMark)")
    context.close()
    bodies = [size["responseBodySize"] for size in sizes]
    heads = [size["responseHeadersSize"] for size in sizes]
    return Watched(
        len(sizes),
        100 * cpu / len(sizes),  # of the second that a tick stands for, however late a busy machine made it
        sum(bodies) / len(bodies),
        (sum(bodies) + sum(heads)) / len(bodies),
        100 * browsing / len(sizes),
        bool(kept),
    )


def rows(seen: Watched) -> list[str]:
    """Lines of the table."""
    reached = {True: "reached", False: "**not reached**"}
    return [
        f"| server's processor | {LIMIT_PERCENT:.0f} % of one core or less | {seen.server_percent:.2f} % "
        f"| {reached[seen.server_percent <= LIMIT_PERCENT]} |",
        f"| body of an answer, {CHARTS} new points in it | {LIMIT_BYTES:,} bytes or less | {seen.body_bytes:.0f} bytes "
        f"| {reached[seen.body_bytes <= LIMIT_BYTES]} |",
        f"| the same with its HTTP headers |  | {seen.wire_bytes:.0f} bytes |  |",
        f"| plots stay the same nodes | all | {'all' if seen.same_node else 'not all'} | {reached[seen.same_node]} |",
        f"| the page in the browser |  | {seen.browser_percent:.1f} % of one core |  |",
    ]


def main() -> None:
    """Measure and, at full length, keep the page of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        with training(path), serving(path) as server, browser() as opened:
            all_charts = watch(opened, server, seconds, 2600)
    page = "\n".join(
        [
            "# One viewer of twelve live charts",
            "",
            f"Machine: {machine()}. `make bench BENCH=page_live` ({time.strftime('%Y-%m-%d')}).",
            f"All {CHARTS} charts are on screen and gain a point a second; {all_charts.ticks} ticks were watched.",
            "Work is told a tick, for one tick a second.",
            f"The machine's load while measuring: {os.getloadavg()[0]:.1f}.",
            "",
            "| what | wanted | measured | |",
            "|---|---|---|---|",
            *rows(all_charts),
            "",
        ]
    )
    print(page)
    if seconds == SECONDS:
        RESULTS.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

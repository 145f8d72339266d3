"""Reports: how long one takes to write, how large it is, how soon its first chart stands. `make bench BENCH=report`.

Every report is written by the command in a fresh process and opened by a fresh page of a real browser from disk,
without a network; several are taken and the median is given. `--quick` makes a smaller store and keeps no result.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.request import urlopen

import numpy as np
from machine import machine

from torchglass.store import Batch, Column, RowBlock, open_store

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RESULTS = Path(__file__).parent / "results"
TESTS = Path(__file__).parents[1] / "tests"
RUNS = ("first", "second")
SERIES, POINTS = 100, 100_000
SPIKE = 1000.0
TRIALS = 3
BLOCK = 10_000  # points of each series in one write
ASKS = 40  # of the server, while it builds a report and while it does not
WATCH = """new MutationObserver((_, watching) => {
  if (!document.querySelector('[data-figure] .main-svg')) return;
  window.firstChart = performance.now();
  watching.disconnect();
}).observe(document, { childList: true, subtree: true });"""


class Line(NamedTuple):
    """One line of the page: what was done, what was promised, what came out."""

    what: str
    wanted: str
    got: str
    met: bool | None = None


def make_store(path: Path, series: int, points: int) -> None:
    """Two runs of many noisy curves; each curve has one value of one step far above all others."""
    keys = tuple(Column(f"group{place % 25}/metric_{place}") for place in range(series))
    generator = np.random.default_rng(5)
    spikes = generator.integers(1, points - 1, series)
    with open_store(path) as store:
        for name in RUNS:
            run = store.start_run(name, {"lr": 0.1}, host=socket.gethostname(), pid=os.getpid())
            for first in range(0, points, BLOCK):
                steps = np.arange(first, min(points, first + BLOCK), dtype=np.int64)
                values = (
                    2 / np.sqrt(1 + steps[:, None] / 1000) * (1 + 0.1 * generator.standard_normal((len(steps), series)))
                )
                values[steps[:, None] == spikes] = SPIKE
                store.write(run.id, 0, Batch(rows=[RowBlock(keys, steps, 1.8e9 + 0.004 * steps, values)]))
            store.end_run(run.id, "finished")


def write(store: Path, target: Path, *arguments: str) -> tuple[float, float]:
    """Seconds that the command takes, from its start to its end, and those in which a processor worked for it."""
    began, worked = time.perf_counter(), _worked()
    command = [sys.executable, "-m", "torchglass", "report", *arguments, "--store", str(store), "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return time.perf_counter() - began, _worked() - worked


def _worked() -> float:
    """Seconds of processors for all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spikes_in(path: Path) -> int:
    """Curves whose one high value is in the file."""
    (text,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', path.read_text("utf-8"))
    told = json.loads(text)
    kept = 0
    for scalar in told["scalars"]:
        y = told["figures"][scalar["figure"]]["data"][scalar["trace"]]["y"]
        kept += bool((np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"]) == SPIKE).any())
    return kept


def first_chart(browser: Browser, path: Path) -> float:
    """Seconds from the beginning of the visit to the first chart that is drawn."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(path.as_uri())
    page.wait_for_selector("[data-figure] .main-svg")
    found: float = page.evaluate("window.firstChart")
    context.close()
    return found / 1000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A real browser."""
    sys.path.insert(0, str(TESTS))
    from browsing import find_chromium
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


def reports(folder: Path, store: Path, browser: Browser, series: int, points: int) -> list[Line]:
    """Write and open the report of one run, of two, and one that has to be small."""
    title = f"{series} series of {points:,} points"
    target = folder / "report.html"
    lines: list[Line] = []
    for what, arguments, limits in (
        (title, (RUNS[0],), (5.0, 6.0, 2.0)),
        (f"{title}, two runs compared", RUNS, (None, 6.0, None)),
        (f"{title}, at most 3 MB", (RUNS[0], "--max-mb", "3"), (None, 3.0, None)),
    ):
        written = [write(store, target, *arguments) for _ in range(TRIALS)]
        seconds, worked = (statistics.median(each) for each in zip(*written, strict=True))
        drawn = statistics.median(first_chart(browser, target) for _ in range(TRIALS))
        size = target.stat().st_size / 1e6
        for name, got, unit, limit in (
            ("written in", seconds, "s", limits[0]),
            ("size", size, "MB", limits[1]),
            ("first chart after", drawn, "s", limits[2]),
        ):
            wanted = "" if limit is None else f"{limit:g} {unit} or less"
            of_work = f" ({worked:.2f} s of CPU)" if name == "written in" else ""
            met = None if limit is None else got <= limit
            lines.append(Line(f"{what}: {name}", wanted, f"{got:.2f} {unit}{of_work}", met))
        kept, whole = spikes_in(target), series * (2 if arguments == RUNS else 1)
        lines.append(Line(f"{what}: curves whose spike of one step is in it", f"{whole}", f"{kept}", kept == whole))
        print(*lines[-4:], sep="\n", flush=True)
    return lines


def beside(store: Path, browser: Browser) -> list[Line]:
    """How long others wait for the server while it builds a report for one."""
    sys.path.insert(0, str(TESTS / "dashboard"))
    from driving import SETTLED, by_torchglass_ui, free_port, running

    with running(by_torchglass_ui(free_port()), store, store.parent) as server:
        quiet = waits(server.url, ASKS)
        page = browser.new_page()
        page.goto(f"{server.url}/report?run={RUNS[0]}")
        page.wait_for_selector(SETTLED)
        asked: list[float] = []
        thread = threading.Thread(target=lambda: asked.extend(waits(server.url, ASKS)))
        with page.expect_download(timeout=60_000):
            page.get_by_role("button", name="Build the report").click()
            thread.start()
        thread.join()
    return [
        Line("An answer of the server, nothing else going on: median, longest", "", told(quiet)),
        Line("The same while it builds a report", "", told(asked)),
    ]


def waits(url: str, count: int) -> list[float]:
    """Seconds that each of some answers takes, one twentieth of a second apart."""
    found = []
    for _ in range(count):
        began = time.perf_counter()
        with urlopen(f"{url}/_stcore/health") as answer:
            answer.read()
        found.append(time.perf_counter() - began)
        time.sleep(0.05)
    return found


def told(seconds: list[float]) -> str:
    """Median and longest in milliseconds."""
    return f"{1000 * statistics.median(seconds):.0f} ms, {1000 * max(seconds):.0f} ms"


def page(lines: list[Line]) -> str:
    """Write the results as a Markdown page."""
    marks = {True: "reached", False: "**not reached**", None: ""}
    return "\n".join(
        [
            "# Reports",
            "",
            f"Machine: {machine()}. Rewritten by `make bench` ({time.strftime('%Y-%m-%d')}).",
            f"Median of {TRIALS} fresh processes, and of as many visits from disk without a network. To write is",
            "the whole command's, Python and plotly loaded; the time to the first chart begins with the visit.",
            "",
            "| what | wanted | measured | |",
            "|---|---|---|---|",
            *(f"| {line.what} | {line.wanted} | {line.got} | {marks[line.met]} |" for line in lines),
            "",
        ]
    )


def main() -> None:
    """Make the store, write and open reports of it, print the page and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the series and points; nothing is kept")
    options = parser.parse_args()
    series, points = (SERIES // 10, POINTS // 10) if options.quick else (SERIES, POINTS)
    with tempfile.TemporaryDirectory(prefix="report-") as name, chromium() as browser:
        store = Path(name) / "runs.db"
        make_store(store, series, points)
        lines = reports(Path(name), store, browser, series, points) + beside(store, browser)
    text = page(lines)
    print(text)
    if not options.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "report-cpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

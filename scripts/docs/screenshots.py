"""Remake docs/images: record runs, serve the page for them, and take each picture in light and in dark.

python scripts/docs/screenshots.py             all of them
python scripts/docs/screenshots.py explain     those whose name begins so
python scripts/docs/screenshots.py --store F   of a store that was recorded before
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from exhibition import REPORT, neutral_command, record
from PIL import Image
from visits import DARK, PHONE, PICTURES_OF_THE_PAGE, WIDTH, Picture

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from browsing import find_chromium  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = ROOT / "docs" / "images"
READY = "torchglass is at "
SETTLED = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'
MAIN = '[data-testid="stMain"]'
MAX_BYTES = 150_000
COLORS = (256, 128, 64, 32)
PATIENCE_MS = 120_000
DRAWN_MS = 1_500  # for charts to draw themselves once they are there
MARGIN = 12  # px around what a picture shows of a page
TALLEST = 5_000  # px of a page whose middle is wanted

# Without a font the switch of languages would show empty boxes.
WITHOUT_BOXES = """document.querySelectorAll('[data-testid="stButtonGroup"]').forEach(
    group => group.textContent.includes("中文") && (group.style.visibility = "hidden"))"""

# Where the store lies is this machine's business.
WITHOUT_FOLDER = """folder => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.nodeValue = texts.currentNode.nodeValue.replaceAll(folder + "/", "");
}"""

Theme = Literal["light", "dark"]
THEMES: Sequence[Theme] = ("light", "dark")


def main() -> int:
    """Take the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="beginnings of names")
    parser.add_argument("--store", type=Path, help="a store in whose folder the report lies, too")
    parser.add_argument("--list", action="store_true", help="say which there are, and take none")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{each.name}{end}" for each in PICTURES_OF_THE_PAGE for end in each.ends))
        return 0
    wanted = [each for each in PICTURES_OF_THE_PAGE if not options.names or each.name.startswith(tuple(options.names))]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        store = options.store.absolute() if options.store else record(Path(folder))
        print(f"recorded in {time.monotonic() - began:.0f} s", flush=True)
        with _served(store) as address, ThreadPoolExecutor(len(THEMES)) as walks:
            walked = walks.map(lambda theme: _walk(theme, wanted, address, store.parent / REPORT), THEMES)
            missed = sorted({name for names in walked for name in names})
        print(f"{len(wanted) - len(missed)} pages pictured in {time.monotonic() - began:.0f} s in all", flush=True)
    if missed:
        print(f"not there: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _walk(theme: Theme, wanted: Sequence[Picture], address: str, report: Path) -> list[str]:
    """Take all pictures in a theme; return the names of those whose page never showed what they are of."""
    missed = []
    with _browser() as browser:
        page = browser.new_page(color_scheme=theme, locale="en-GB")
        page.set_default_timeout(PATIENCE_MS)
        for picture in wanted:
            if picture.phone and theme == "dark":
                continue
            try:
                shot = _visited(page, picture, address, report)
            except Exception as error:
                print(f"{picture.name}: {str(error).splitlines()[0]}", file=sys.stderr)
                missed.append(picture.name)
            else:
                _keep(shot, picture.name + ("" if theme == "light" else DARK))
    return missed


def _visited(page: Page, picture: Picture, address: str, report: Path) -> bytes:
    # Figures are drawn once they come into view: what a picture begins with may lie far down.
    width, height = PHONE if picture.phone else (WIDTH, TALLEST if picture.top else picture.height)
    page.set_viewport_size({"width": width, "height": height})
    is_report = picture.address == "{report}"
    page.goto(report.as_uri() if is_report else f"{address}/{picture.address}")
    if not is_report:
        page.wait_for_selector(SETTLED)
    page.wait_for_selector(picture.waits_for, state="attached")
    for name in picture.clicks:
        page.get_by_role("button", name=name).or_(page.get_by_role("tab", name=name)).first.click()
    page.wait_for_timeout(DRAWN_MS)
    page.evaluate(WITHOUT_FOLDER, str(report.parent))
    return _shot(page, picture)


def _shot(page: Page, picture: Picture) -> bytes:
    """The picture itself: of a page that is as tall as its content, so that nothing is scrolled away."""
    if not writes_chinese():
        page.evaluate(WITHOUT_BOXES)
    if not picture.top:
        return page.screenshot()
    page.locator(picture.top).first.wait_for()
    page.wait_for_timeout(2 * DRAWN_MS)
    first, main = (page.locator(each).first.bounding_box() for each in (picture.top, MAIN))
    assert first is not None
    assert main is not None
    margin = first["x"] - main["x"] - MARGIN
    top = max(0.0, first["y"] - MARGIN)
    tall = page.evaluate(
        f"document.querySelector('{MAIN} [data-testid=stVerticalBlock]').getBoundingClientRect().bottom"
    )
    height = min(picture.height, tall + MARGIN - top)
    return page.screenshot(
        clip={"x": main["x"] + margin, "y": top, "width": WIDTH - main["x"] - 2 * margin, "height": height}
    )


@cache
def writes_chinese() -> bool:
    """Whether this machine has a font for the name of the page's second language."""
    found = shutil.which("fc-list")
    return bool(found and subprocess.run([found, ":lang=zh"], capture_output=True, check=False).stdout)


def _keep(shot: bytes, name: str) -> None:
    """Write a picture with as many colours as fit."""
    image = Image.open(BytesIO(shot)).convert("RGB")
    for colors in COLORS:
        buffer = BytesIO()
        image.quantize(colors, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
    (FOLDER / f"{name}.png").write_bytes(buffer.getvalue())
    print(f"{name}.png  {image.width} x {image.height}, {buffer.tell() / 1000:.0f} kB, {colors} colours", flush=True)


@contextmanager
def _served(store: Path) -> Iterator[str]:
    """Serve the store on a free port and give the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "TORCHGLASS_STORE": store.name, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        neutral_command("ui", "--port", port),
        cwd=store.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        ready = next((line for line in server.stdout if line.startswith(READY)), None)
        if ready is None:
            sys.exit("the page did not start: try torchglass ui")
        yield ready.removeprefix(READY).strip()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


@contextmanager
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


if __name__ == "__main__":
    sys.exit(main())

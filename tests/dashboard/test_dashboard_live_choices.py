"""How a reader has live charts drawn: smoothed, over each other, by the clock, at a step, all of it in the link."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from driving import SETTLED, wait_until

from torchglass.charts.smoothing import smoothed
from torchglass.store import Batch, RowBlock, Run, Store

if TYPE_CHECKING:
    from driving import Server
    from playwright.sync_api import Page

    from torchglass.store.records import Floats

pytestmark = pytest.mark.browser

Visit = Callable[[str], None]
BEGAN = 1_700_000_000.0


def write(store: Store, run: Run, key: str, steps: Floats, values: Floats, rank: int = 0, unit: str = "") -> None:
    """A series with a point every tenth of a second from when the runs of these tests began."""
    block = RowBlock.of_series(key, "scalar", unit, steps.astype(np.int64), BEGAN + steps / 10, values)
    store.write(run.id, rank, Batch(rows=[block]))


def plot_of(key: str) -> str:
    return f"document.querySelector('.tg-chart[data-key=\"{key}\"] .tg-plot')"


def drawn(page: Page, key: str, trace: int) -> tuple[list[float], list[float]]:
    """What a trace of a chart shows."""
    x, y = page.evaluate(f"(() => {{ const {{x, y}} = {plot_of(key)}.data[{trace}]; return [[...x], [...y]]; }})()")
    return x, y


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_long_line_is_smoothed_as_the_report_smooths_it_and_goes_on_so(
    server: Server, page: Page, visit: Visit
) -> None:
    count, fresh = 20_000, 3
    steps = np.arange(0.0, 2.0 * (count + fresh), 2.0)
    values = 1 / np.sqrt(1 + steps) + np.random.default_rng(0).normal(scale=0.2, size=len(steps))
    values[100], values[count + 1] = np.nan, np.inf
    expected = smoothed(steps, values, 0.9)
    with server.fresh_store() as store:
        run = store.start_run("long", {}, host="here", pid=1)
        write(store, run, "loss", steps[:count], values[:count])
        visit(f"{server.url}/training?run=long&smoothing=0.9")
        wait_until(page, f"{plot_of('loss')}?.data?.[1]?.x.length > 100")
        x, y = drawn(page, "loss", 1)
        assert len(x) <= 2100
        np.testing.assert_array_equal(np.array(y, float), expected[(np.array(x) / 2).astype(int)])
        write(store, run, "loss", steps[count:], values[count:])
        wait_until(page, f"{plot_of('loss')}.data[1].x.at(-1) === {steps[-1]}")
        _, y = drawn(page, "loss", 1)
        np.testing.assert_allclose(np.array(y[-fresh:], float), expected[-fresh:], rtol=1e-9)
        page.get_by_label("Smoothing").fill("0.5")
        wait_until(page, f"{plot_of('loss')}.data[1].y.at(-1) === {float(smoothed(steps, values, 0.5)[-1])!r}")


def test_runs_and_the_cursor_and_every_choice_are_in_the_link_and_last(
    server: Server, page: Page, visit: Visit
) -> None:
    steps = np.arange(10.0, 510.0, 10.0)
    with server.fresh_store() as store:
        for name, offset in (("first, one", 0.0), ("second", 5.0)):
            run = store.start_run(name, {}, host="here", pid=1)
            for key in ("loss", "test/accuracy"):
                write(store, run, key, steps, offset + steps / 100)
            write(store, run, f"only/{name}", steps, steps)
            store.end_run(run.id, "finished")
        visit(f"{server.url}/training?run=second&with=first%252C+one&smoothing=0.5&log=1")
        lines = f"{plot_of('loss')}?.data?.filter(trace => trace.type === 'scatter' && trace.mode === 'lines')"
        assert wait_until(page, f"{lines}?.length === 4 && [0, 2].map(place => {lines}[place].name)") == [
            "second",
            "first, one",
        ]
        assert page.locator(".tg-runs").inner_text().split("\n") == ["second", "first, one"]
        assert page.locator(".tg-chart").count() == 3, "no chart of its own for what the other run alone logged"
        assert page.evaluate(f"{plot_of('loss')}.layout.yaxis.type") == "log"

        box = page.locator('.tg-chart[data-key="loss"] .nsewdrag').first.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] * 0.503, box["y"] + box["height"] / 2)
        step = int(wait_until(page, f"{plot_of('loss')}.layout.shapes[0]?.x0"))
        assert step % 10 == 0, "snapped to a recorded step"
        assert 200 <= step <= 320
        wait_until(page, f"{plot_of('test/accuracy')}.layout.shapes[0]?.x0 === {step}", "the line in every chart")
        values = page.locator('.tg-chart[data-key="test/accuracy"] .tg-value')
        assert values.all_text_contents() == [f"{5 + step / 100:g}", f"{step / 100:g}"]

        page.locator('.tg-chart[data-key="test/accuracy"]').focus()
        page.keyboard.press("ArrowRight")
        wait_until(page, f"{plot_of('loss')}.layout.shapes[0]?.x0 === {step + 10}")
        page.get_by_label("X axis").select_option("relative")
        place = page.evaluate(f"{plot_of('loss')}.data[0].x[{step // 10}] - {plot_of('loss')}.data[0].x[0]")
        assert place == pytest.approx((step + 10) / 10 - 1)
        where = f"{plot_of('loss')}.layout.shapes[0].x0 === {plot_of('loss')}.data[0].x[{step // 10}]"
        wait_until(page, where, "the line where that step was on the clock")

        chosen = {"run": ["second"], "smoothing": ["0.5"], "log": ["1"], "axis": ["relative"], "step": [str(step + 10)]}
        assert parameters(page) == chosen | {"with": ["first%2C one"]}
        page.get_by_role("link", name="Devices").click()
        page.get_by_role("heading", name="Devices").wait_for()
        wait_until(page, "!location.search.includes('smoothing') && location.search.includes('step=')")
        page.get_by_role("link", name="Training").click()
        wait_until(page, f"{plot_of('loss')}?.data?.[1]?.visible === true")
        wait_until(page, "location.search.includes('smoothing=0.5')")
        assert parameters(page) == chosen | {"with": ["first%2C one"]}
        page.reload()
        page.wait_for_selector(SETTLED)
        wait_until(page, f"{plot_of('loss')}?.layout?.shapes?.length === 1 && {plot_of('loss')}.data[1].visible")
        assert parameters(page) == chosen | {"with": ["first%2C one"]}


def test_ranks_become_a_band_and_an_outlier_no_longer_flattens_the_rest(
    server: Server, page: Page, visit: Visit
) -> None:
    steps = np.arange(1.0, 201.0)
    values = 2 + np.sin(steps / 20)
    values[77] = 900.0
    with server.fresh_store() as store:
        run = store.start_run("ranks", {}, host="here", pid=1)
        write(store, run, "seconds", steps, values, rank=0, unit="s")
        write(store, run, "seconds", steps, values + 1, rank=1, unit="s")
        store.end_run(run.id, "finished")
        visit(f"{server.url}/training?run=ranks")
        wait_until(page, f"{plot_of('seconds')}?.data?.length === 5")
        top = f"{plot_of('seconds')}._fullLayout.yaxis.range[1]"
        wait_until(page, f"{top} > 900")
        page.get_by_label("Ignore outliers").check()
        low, high = np.percentile(values, 5), np.percentile(values + 1, 95)
        wait_until(page, f"{top} < 10")
        assert page.evaluate(top) == pytest.approx(high + 0.1 * (high - low))
        assert page.locator(".tg-value").all_text_contents() == [f"{values[-1] + rank:.3f} s" for rank in (0, 1)]
        page.get_by_label("Ranks").select_option("mean")
        wait_until(page, f"{plot_of('seconds')}.data.length === 5 && {plot_of('seconds')}.data[1].fill === 'tonexty'")
        edges = [drawn(page, "seconds", trace)[1] for trace in (0, 1, 2)]
        np.testing.assert_allclose(edges, [values + 1, values, values + 0.5])
        name = page.locator(".tg-chart").get_attribute("aria-label")
        assert name == f"seconds: {values[-1] + 0.5:.3f} s at step 200"
        page.get_by_label("Filter charts").fill("^sec.*s$")
        page.locator(".tg-chart").wait_for()
        page.get_by_label("Filter charts").fill("^loss")
        page.get_by_text("No chart has this text in its name.").wait_for()

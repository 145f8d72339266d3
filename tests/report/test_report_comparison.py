"""A report of several runs: what differs comes first, one colour a run, and speed with what is only noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from recorded import record_example_run

from torchglass.analysis.comparison import compare
from torchglass.analysis.measured import measure
from torchglass.analysis.wording import amount, interval, percentage, verdict
from torchglass.charts.theme import PALETTE
from torchglass.errors import OptionError, RunNotFoundError
from torchglass.report import export_report
from torchglass.report.bounds import FULL, Bounds
from torchglass.report.compared import Compared, read_compared
from torchglass.report.comparison_page import comparison_drawings
from torchglass.report.contents import read_contents
from torchglass.report.html import Report, render_report
from torchglass.store import ArtifactBlock, Batch, Fact, RowBlock, Run, Store

STEPS = 400
LOSSES = {"base": (2.0, 0.5), "same": (2.0, 0.5), "slow": (2.0, 0.25), "bare": (1.0, 1.0)}
SECONDS = {"base": 0.1, "same": 0.1, "slow": 0.2, "bare": 0.1}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


def record(store: Store, name: str) -> Run:
    """A run of 400 steps, twice as slow under the name "slow"; "bare" logs no accuracy."""
    config = {"lr": 0.1, "model": {"width": 32 if name == "slow" else 16}, **({"extra": 1} if name == "bare" else {})}
    run = store.start_run(name, config, host=f"{name}-host", pid=1)
    at = np.arange(1, STEPS + 1)
    times = run.created_at + at.astype(np.float64)
    noise = 1 + 0.05 * np.random.default_rng(len(name)).standard_normal(STEPS)
    seconds = SECONDS[name] * noise
    first, last = LOSSES[name]
    rows = [
        RowBlock.of_series("phase/forward", "phase", "s", at, times, 0.25 * seconds),
        RowBlock.of_series("phase/backward", "phase", "s", at, times, 0.75 * seconds),
        RowBlock.of_series("phase/step", "phase", "s", at, times, seconds),
        RowBlock.of_series("loss", "scalar", "", at, times, np.linspace(first, last, STEPS)),
        RowBlock.of_series(f"only/{name}", "scalar", "", at, times, np.zeros(STEPS)),
        RowBlock.of_series("gpu0/power_watts", "device", "W", at, times, np.full(STEPS, 300.0 + len(name))),
        RowBlock.of_series("memory/peak_bytes", "memory", "B", at, times, np.full(STEPS, 2e9)),
    ]
    if name != "bare":
        rows.append(RowBlock.of_series("test/accuracy", "scalar", "", at, times, np.linspace(0.1, 0.9, STEPS)))
    store.write(run.id, 0, Batch(rows=rows, facts=[Fact(0, "environment", {"torch": "2.13.0"}, 0.0)]))
    store.end_run(run.id, "failed" if name == "bare" else "finished", "ValueError: no more" if name == "bare" else None)
    return store.run(name)


def compared(store: Store, *names: str) -> tuple[Compared, str]:
    contents = [read_contents(store, record(store, name), written_at=0.0) for name in names]
    found = read_compared(store, contents, FULL)
    return found, render_report(Report(tuple(contents), found))


def rows_of(text: str, section: str) -> dict[str, list[str]]:
    """Cells of the rows in a section of the comparison, by the first of them."""
    (part,) = re.findall(rf'<section id="compare-{section}">(.*?)</section>', text, re.DOTALL)
    rows = [
        [unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", part, re.DOTALL)
    ]
    return {row[0]: row[1:] for row in rows if row}


def test_two_runs_are_told_apart_by_settings_scores_and_speed(store: Store) -> None:
    found, text = compared(store, "base", "slow")
    assert rows_of(text, "runs")["B"][:2] == ["slow", "finished"]
    differing = re.findall(r'<tr class="flagged">(.*?)</tr>', text)
    assert [re.sub(r"<[^>]*>", " ", row).split() for row in differing] == [["model.width", "16", "32"]]
    assert rows_of(text, "differences")["lr"] == ["0.1", "0.1"]
    scores = rows_of(text, "curves")
    assert scores["loss"] == ["0.5\nbest 0.5 at 400", "0.25\nbest 0.25 at 400"]
    assert scores["only/base"] == ["0", "–"]
    speed = rows_of(text, "speed")
    assert speed["step time"][1].endswith("slower")
    change = float(re.findall(r"\+([\d.]+) %", speed["step time"][1])[0])
    assert change == pytest.approx(100, abs=3)
    assert [drawing.name for drawing in comparison_drawings(found) if drawing.section == "speed"] == [
        "B against A: how step times are distributed",
        "B against A: phases",
        "B against A: where the difference of the mean step comes from",
    ]


def test_four_runs_say_of_each_what_the_comparison_with_the_first_says(store: Store) -> None:
    found, text = compared(store, "base", "same", "slow", "bare")
    speed = rows_of(text, "speed")
    base = measure(store, store.run("base"))
    for column, name in enumerate(("same", "slow", "bare"), start=1):
        expected = compare(base, measure(store, store.run(name))).step[0]
        told = (
            f"{amount(expected.new, 's')}\n{percentage(expected.percent)} ({interval(expected)})\n{verdict(expected)}"
        )
        assert speed["step time"][column] == told
    assert [speed["step time"][column].rsplit("\n")[-1] for column in (1, 2)] == ["within noise", "slower"]
    assert "2 more common" not in text
    used = rows_of(text, "resources")
    assert used["Power, gpu0"] == [f"mean {watts} W\nlargest {watts} W" for watts in (304, 304, 304, 304)]
    assert rows_of(text, "curves")["test/accuracy"][3] == "–"
    assert "4 scalars of one run only have no chart here." in text
    assert len(found.pairs) == 3
    assert '<p class="alarm">D: ValueError: no more</p>' in text


def test_a_run_has_one_colour_on_every_chart(store: Store) -> None:
    found, _ = compared(store, "bare", "base", "slow")
    for drawing in comparison_drawings(found):
        if drawing.section not in ("curves", "resources"):
            continue
        colors = {trace.name: trace.line.color for trace in drawing.figure.data if trace.name}
        assert colors.items() <= dict(zip(("A bare", "B base", "C slow"), PALETTE, strict=False)).items(), drawing.name
        assert drawing.figure.layout.showlegend


def test_explanations_of_the_same_sample_by_the_same_method_stand_side_by_side(store: Store) -> None:
    for name in ("one", "two"):
        record_example_run(store, name)
    other = store.artifacts(store.run("two").id, kind="explanation")[0]
    store.add_artifact(
        store.run("two").id,
        ArtifactBlock("explanation", "test/99", 200, 0.0, dict(other.meta), store.arrays(other.id)),
    )
    contents = [read_contents(store, store.run(name), written_at=0.0) for name in ("one", "two")]
    found = read_compared(store, contents, FULL)
    assert [(each.key, each.method, [one.run for one in each.shown]) for each in found.explanations] == [
        (key, method, [0, 1]) for key in ("test/3", "test/7") for method in ("gradcam", "shap", "lime")
    ]
    text = render_report(Report(tuple(contents), found))
    assert '<h4 class="sample">test/3 by Grad-CAM</h4>' in text


def test_runs_beyond_the_bound_are_compared_and_not_shown_by_themselves(store: Store) -> None:
    contents = tuple(read_contents(store, record(store, name), written_at=0.0) for name in ("base", "same", "slow"))
    bounds = Bounds(own=1)
    text = render_report(Report(contents, read_compared(store, contents, bounds), bounds=bounds))
    assert re.findall(r'<article id="([\w-]+)">', text) == ["a-run"]
    assert "2 more runs are compared above and not shown by themselves." in text
    assert "Nothing was recorded of: Ranks," in text


def test_no_machine_is_named(store: Store) -> None:
    _, text = compared(store, "base", "slow")
    assert "base-host" not in text
    assert "slow-host" not in text


def test_a_run_named_twice_is_one_and_too_many_are_refused(store: Store, tmp_path: Path) -> None:
    run = record(store, "base")
    text = export_report(store, ["base", run, run.uid], tmp_path / "a.html").read_text("utf-8")
    assert "All runs together" not in text
    many = [store.start_run(f"run {place}", {}, host="h", pid=1) for place in range(13)]
    with pytest.raises(OptionError, match="a report of 13 runs: give 1 to 12"):
        export_report(store, many, tmp_path / "b.html")
    with pytest.raises(OptionError, match="a report of 0 runs"):
        export_report(store, [], tmp_path / "b.html")
    with pytest.raises(RunNotFoundError, match="no run 'gone'"):
        export_report(store, ["base", "gone"], tmp_path / "b.html")
    assert not (tmp_path / "b.html").exists()
    twelve = export_report(store, many[:12], tmp_path).name
    assert twelve == "run-0-compared.html"

"""Each section of a report says what its page says, and nothing where a run has nothing of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recorded import record_example_run
from report_runs import PROBED, record_everything_rare, record_throttled

from torchglass.errors import OptionError
from torchglass.report import SECTIONS, export_report
from torchglass.report.bounds import Bounds
from torchglass.report.contents import Contents, read_contents
from torchglass.report.figures import drawings
from torchglass.report.html import Report, render, render_report
from torchglass.report.options import checked
from torchglass.report.tables import phase_rows, tiles
from torchglass.store import Batch, RowBlock, Run, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    run = record_example_run(store, gpu=True)
    record_everything_rare(store, run)
    return run


def names(contents: Contents, section: str) -> list[str]:
    return [drawing.name for drawing in drawings(contents) if drawing.section == section]


def section_of(text: str, section: str) -> str:
    found = re.search(rf'<section id="{section}">(.*?)</section>', text, re.DOTALL)
    assert found, section
    return found[1]


def test_what_only_some_runs_record_has_its_place(store: Store, run: Run) -> None:
    read = read_contents(store, run, written_at=0.0)
    text = render(read)
    assert names(read, "phases")[-2:] == ["Samples a second", "MFU"]
    phases = section_of(text, "phases")
    for told in ("<dt>Samples a second</dt><dd>640</dd>", "<dt>MFU</dt><dd>41 %</dd>", "<dd>12.5 J</dd>"):
        assert told in phases
    memory = section_of(text, "memory")
    assert "Largest allocations of the peak at step 72" in memory
    assert "3 GB at the peak of 3 steps from step 70 on cuda:0." in memory
    assert "Not measured: Reserved: the allocator tells no such figure." in memory
    assert "<dt>Peak</dt><dd>3 GB</dd>" in memory
    what_if = section_of(text, "what_if")
    assert "dog: 90 % before, 25 % after; predicted cat instead of dog" in what_if
    assert what_if.count("<img") == 2
    assert "Grad-CAM" in section_of(text, "over_training")


def test_a_tensor_has_its_heat_map_its_bands_and_its_ridgelines(store: Store, run: Run) -> None:
    read = read_contents(store, run, written_at=0.0, bounds=Bounds(ridgelines=1))
    assert names(read, "histograms")[:4] == [
        "weights/conv1.weight",
        "weights/conv1.weight, percentiles",
        "weights/conv1.weight, ridgelines",
        "gradients/conv1.weight",
    ]
    assert "Ridgelines are drawn of 1 of 10 histograms." in render(read)
    (ridges,) = [drawing.figure for drawing in drawings(read) if drawing.name.endswith("ridgelines")]
    outlines = [trace for trace in ridges.data if trace.fill == "toself"]
    assert len(outlines) == 10
    assert all(trace.text is None and len(trace.x) > 50 for trace in outlines)


def test_steps_are_told_as_they_were_lately_too(store: Store) -> None:
    run = store.start_run("slower", {}, host="h", pid=1)
    at = np.arange(1000)
    seconds = np.where(at < 800, 0.1, 0.3)
    row = RowBlock.of_series("phase/forward", "phase", "s", at, at.astype(np.float64), seconds)
    store.write(run.id, 0, Batch(rows=[row]))
    (told,) = phase_rows(read_contents(store, run, written_at=0.0).phases)
    assert told.cells == ("forward", "100.0 %", "140 ms", "300 ms", "2 min 20 s")


def test_what_held_a_gpu_back_stands_beside_what_it_cost(store: Store) -> None:
    read = read_contents(store, record_throttled(store, "slow"), written_at=0.0)
    devices = section_of(render(read), "devices")
    assert "At 20 % of the readings a GPU ran slower than was asked of it." in devices
    assert "Steps took 3 times as long there as elsewhere, by the medians." in devices
    assert names(read, "devices")[0] == "Step time while a GPU was held back"


def test_the_last_reading_of_every_figure_is_listed_with_its_reason(store: Store, run: Run) -> None:
    devices = section_of(render(read_contents(store, run, written_at=0.0)), "devices")
    row = re.search(r"<tr><td>gpu0</td><td[^>]*>power</td><td>(.*?)</td><td[^>]*>(.*?)</td>", devices)
    assert row
    assert row.groups() == ("N/A", "the driver does not report power for this board")


def test_the_summary_leads_with_the_last_and_the_best(store: Store, run: Run) -> None:
    told = dict(tiles(read_contents(store, run, written_at=0.0)))
    assert told["Best loss"] == "0.06184"
    assert told["Last test/accuracy"] == told["Best test/accuracy"] == "0.9839"


def test_more_lines_than_a_reader_can_tell_apart_get_a_second_chart(store: Store) -> None:
    from test_report_contents import write_scalars

    run = store.start_run("many", {}, host="h", pid=1)
    write_scalars(store, run.id, *(f"part/{place}" for place in range(14)))
    read = read_contents(store, run, written_at=0.0)
    assert [(name, len(data.lines)) for name, data in read.curves] == [("part", 12), ("part (2)", 2)]


def test_only_the_sections_that_were_asked_for_are_written(store: Store, run: Run) -> None:
    read = read_contents(store, run, written_at=0.0)
    options = checked(sections=["devices", "curves"])
    text = render_report(Report((read,), options=options))
    assert re.findall(r'<section id="(\w+)">', text) == ["summary", "curves", "devices", "settings"]
    assert {drawing.section for drawing in drawings(read, options)} == {"curves", "devices"}
    assert 'href="#memory"' not in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sections": ["curves", "magic"]}, "no section 'magic' in a report: there are summary, curves"),
        ({"language": "tlh"}, "no language 'tlh': there are en"),
        ({"max_mb": 0}, "max_mb=0: give the largest size"),
        ({"max_mb": float("nan")}, "max_mb=nan: give the largest size"),
    ],
    ids=["section", "language", "nothing", "nan"],
)
def test_what_no_report_can_be_is_refused_in_a_sentence(
    store: Store, tmp_path: Path, asked: dict[str, object], said: str
) -> None:
    store.start_run("empty", {}, host="h", pid=1)
    with pytest.raises(OptionError, match=re.escape(said)):
        export_report(store, "empty", tmp_path / "a.html", **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "a.html").exists()


def test_a_report_speaks_the_language_that_was_asked_for(store: Store, run: Run, tmp_path: Path) -> None:
    text = export_report(store, run, tmp_path / "a.html", language="zh").read_text("utf-8")
    assert '<html lang="zh">' in text
    assert export_report(store, run, tmp_path / "b.html").read_text("utf-8").count('<html lang="en">') == 1


def test_a_run_that_goes_on_is_told_as_far_as_it_got(store: Store) -> None:
    run = record_example_run(store, "going", status="running")
    text = render(read_contents(store, run, written_at=0.0))
    assert "The run was still going on when this was written" in section_of(text, "summary")
    assert '<span class="status running">running</span>' in text
    ended = render(read_contents(store, record_example_run(store, "ended"), written_at=0.0))
    assert "still going on" not in ended


def test_every_section_has_a_title_and_a_place(store: Store, run: Run) -> None:
    text = render(read_contents(store, run, written_at=0.0))
    assert re.findall(r'<section id="(\w+)">', text) == list(SECTIONS)
    for section, title in SECTIONS.items():
        assert f"<h3>{title}</h3>" in section_of(text, section)
    assert len(PROBED) == 3


def test_dead_units_are_drawn_named_and_listed_where_they_were_recorded(store: Store) -> None:
    run = store.start_run("dying", {}, host="h", pid=1)
    at = np.arange(10, 40, 10)
    rows = [
        RowBlock.of_series(f"layers/{layer}/{what}_percent", "layer", "%", at, at.astype(np.float64), shares)
        for layer, dead in (("relu1", 5.0), ("relu2", 80.0))
        for what, shares in (("dead", np.array([0.0, 1.0, dead])), ("zero", np.array([50.0, 60.0, 90.0])))
    ]
    store.write(run.id, 0, Batch(rows=rows))
    read = read_contents(store, run, written_at=0.0)
    assert names(read, "layers") == ["Share of dead units of each layer"]
    layers = section_of(render(read), "layers")
    assert "Dead units at step 30" in layers
    assert "80 %" in layers
    assert layers.index("relu2") < layers.index("relu1")

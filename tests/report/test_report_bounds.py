"""A report fits: it gives things up in the stated order, says so, keeps spikes, and is not written if it cannot."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import record_example_run

from torchglass.errors import OptionError
from torchglass.report import export_report
from torchglass.report.bounds import FULL, Bounds, given_up, ladder
from torchglass.store import Batch, Column, RowBlock, Run, Store

START = 1_800_000_000.0
SPIKE = 500.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


def record_curves(store: Store, series: int, points: int) -> Run:
    """Curves of noise; one step of each is far above all others."""
    run = store.start_run("curves", {}, host="h", pid=1)
    generator = np.random.default_rng(1)
    values = generator.normal(size=(points, series))
    values[generator.integers(1, points - 1, series), np.arange(series)] = SPIKE
    steps = np.arange(points)
    keys = tuple(Column(f"group{place}/metric") for place in range(series))
    store.write(run.id, 0, Batch(rows=[RowBlock(keys, steps, START + steps.astype(np.float64), values)]))
    store.end_run(run.id, "finished")
    return run


def payload(path: Path) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', path.read_text("utf-8"))
    found: dict[str, Any] = json.loads(text)
    return found


def raw_values(told: dict[str, Any], scalar: dict[str, Any]) -> np.ndarray[Any, Any]:
    y = told["figures"][scalar["figure"]]["data"][scalar["trace"]]["y"]
    return np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"])


def test_the_rungs_go_down_one_thing_after_the_other() -> None:
    rungs = list(ladder())
    assert rungs[0] == FULL
    changed = [
        next(name for name in vars(FULL) if getattr(after, name) != getattr(before, name))
        for before, after in pairwise(rungs)
    ]
    order = ["points", "histograms", "samples", "windows", "own", "pictures", "curve_charts"]
    assert list(dict.fromkeys(changed)) == order
    for before, after in pairwise(rungs):
        assert all(getattr(after, name) <= getattr(before, name) for name in vars(FULL))
    assert len({*map(repr, rungs)}) == len(rungs)


def test_what_was_given_up_is_said_and_nothing_else() -> None:
    assert given_up(FULL) == []
    assert given_up(Bounds(points=250)) == ["Curves have at most about 250 points each, extremes among them."]
    said = given_up(list(ladder())[-1])
    assert len(said) == 7
    assert said[-1] == "At most 12 charts of scalars are drawn."


def test_a_report_that_is_too_large_has_fewer_points_and_keeps_each_spike(store: Store, tmp_path: Path) -> None:
    run = record_curves(store, 12, 100_000)
    whole = export_report(store, run, tmp_path / "whole.html", max_mb=None)
    size = whole.stat().st_size / 1e6
    assert "is shorter" not in whole.read_text("utf-8")
    small = export_report(store, run, tmp_path / "small.html", max_mb=size - 0.05)
    assert small.stat().st_size / 1e6 <= size - 0.05
    text = small.read_text("utf-8")
    assert "Curves have at most about 500 points each, extremes among them." in text
    assert "histograms are shown" not in text
    for path, most in ((whole, 1000), (small, 500)):
        told = payload(path)
        assert len(told["scalars"]) == 12
        for scalar in told["scalars"]:
            values = raw_values(told, scalar)
            assert len(values) <= most + 8
            assert (values == np.float32(SPIKE)).sum() == 1


def barest(store: Store, run: Run, path: Path) -> float:
    """The size that the refusal of a far too small one asks for, in MB."""
    with pytest.raises(
        OptionError, match=r"max_mb=0\.5: even the barest report of this run takes \d\.\d MB"
    ) as refusal:
        export_report(store, run, path, max_mb=0.5)
    (named,) = re.findall(r"takes (\d\.\d) MB", str(refusal.value))
    return float(named)


def test_nothing_is_written_where_even_the_barest_is_too_large(store: Store, tmp_path: Path) -> None:
    run = record_example_run(store)
    named = barest(store, run, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()
    assert export_report(store, run, tmp_path / "a.html", max_mb=named).stat().st_size <= named * 1e6


def test_histograms_go_before_samples_do(store: Store, tmp_path: Path) -> None:
    run = record_example_run(store)
    export_report(store, run, tmp_path / "a.html", max_mb=barest(store, run, tmp_path / "a.html"))
    text = (tmp_path / "a.html").read_text("utf-8")
    assert "histograms are shown" in text
    assert text.count('class="pictures"') == 6

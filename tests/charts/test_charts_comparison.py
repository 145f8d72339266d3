"""Two runs drawn side by side: contributions that sum to the difference, shares that sum to one, names as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from torchglass.analysis.comparison import Comparison, compare
from torchglass.analysis.measured import measure
from torchglass.charts import (
    contributions_data,
    contributions_figure,
    distributions_data,
    distributions_figure,
    phase_pairs_data,
    phase_pairs_figure,
)
from torchglass.charts.phases import NAMES
from torchglass.charts.theme import NEUTRAL, PALETTE
from torchglass.store import Batch, RowBlock, Run, Store

Phases = Mapping[str, npt.NDArray[np.float64]]


def record(store: Store, name: str, phases: Phases) -> Run:
    run = store.start_run(name, {}, host="here", pid=1)
    whole = {"step": np.sum(list(phases.values()), axis=0)} if phases else {}
    at = np.arange(len(next(iter(phases.values()), [])))
    rows = [
        RowBlock.of_series(f"phase/{key}", "phase", "s", at, 1.7e9 + at.astype(np.float64), values)
        for key, values in {**phases, **whole}.items()
    ]
    store.write(run.id, 0, Batch(rows=rows))
    return run


def compared(folder: Path, base: Phases, new: Phases, name: str = "base") -> Comparison:
    with Store(folder / "store.db") as store:
        return compare(measure(store, record(store, name, base)), measure(store, record(store, "new", new)))


def slower_backward() -> tuple[Phases, Phases]:
    generator = np.random.default_rng(0)

    def phases(backward: float) -> Phases:
        jitter = generator.lognormal(0, 0.03, (3, 200))
        return {"data": 0.01 * jitter[0], "forward": 0.03 * jitter[1], "backward": backward * jitter[2]}

    base, new = phases(0.05), phases(0.06)
    return base, {**new, "gradient_sync": np.full(200, 0.002)}


def test_the_waterfall_ends_where_the_mean_steps_differ(tmp_path: Path) -> None:
    base, new = slower_backward()
    data = contributions_data(compared(tmp_path, base, new))
    assert data.phases == ("data", "forward", "backward", "gradient_sync")
    assert data.seconds.sum() == pytest.approx(data.total)
    assert data.total == pytest.approx(
        sum(each[20:].mean() for each in new.values()) - sum(each[20:].mean() for each in base.values())
    )
    assert (data.verdicts[2], data.verdicts[3], data.verdicts[4]) == ("higher", "unknown", "higher")
    figure = contributions_figure(data)
    (bars,) = figure.data
    widths, starts = np.asarray(bars.x, np.float64), np.asarray(bars.base, np.float64)
    assert starts[1:4] == pytest.approx((starts + widths)[:3], abs=1e-4)  # each begins where the one before ended
    assert (starts + widths)[3] == pytest.approx(widths[4], rel=1e-4)
    assert widths[4] == pytest.approx(1e3 * data.total, rel=1e-4)
    assert list(bars.marker.color) == [NEUTRAL, NEUTRAL, PALETTE[1], NEUTRAL, PALETTE[1]]
    assert list(bars.y)[-1] == "<b>mean step</b>"


def test_the_outlines_hold_all_steps_but_those_said_to_lie_outside(tmp_path: Path) -> None:
    base, new = slower_backward()
    base["data"][100] = 30.0
    data = distributions_data(compared(tmp_path, base, new))
    assert data.shares.sum(axis=1) + np.array(data.beyond) == pytest.approx([1, 1])
    assert data.beyond == pytest.approx((1 / 180, 0))
    assert data.edges[-1] < 0.2  # one step that hung does not squeeze the rest into a line
    assert data.medians[1] == pytest.approx(np.median(sum(each[20:] for each in new.values())))
    figure = distributions_figure(data)
    assert "outside: 0.6 % of A and 0.0 % of B" in figure.layout.xaxis.title.text


def test_pairs_have_the_bounds_of_each_run_and_say_what_to_think(tmp_path: Path) -> None:
    base, new = slower_backward()
    data = phase_pairs_data(compared(tmp_path, base, new))
    assert data.verdicts == ("within noise", "within noise", "slower", "not measured in A")
    assert (data.low[:, :3] < data.seconds[:, :3]).all()
    assert (data.high[:, :3] > data.seconds[:, :3]).all()
    assert np.isnan(data.seconds[0, 3])
    first, second = phase_pairs_figure(data).data
    assert list(second.y)[3] == f"{NAMES['gradient_sync']}<br><sub>not measured in A</sub>"
    assert np.asarray(first.x)[2] == pytest.approx(50, rel=0.02)
    assert np.asarray(first.error_x.array)[2] > 0


def test_names_of_runs_are_text(tmp_path: Path) -> None:
    base, new = slower_backward()
    comparison = compared(tmp_path, base, new, "<img src=x>")
    for figure in (
        distributions_figure(distributions_data(comparison)),
        phase_pairs_figure(phase_pairs_data(comparison)),
    ):
        assert figure.data[0].name.startswith("A &lt;img src=x&gt;")


def test_equal_steps_are_drawn_too(tmp_path: Path) -> None:
    steps = {"forward": np.full(100, 0.1)}
    comparison = compared(tmp_path, steps, steps)
    assert distributions_data(comparison).shares.sum() == pytest.approx(2)
    assert contributions_data(comparison).total == 0
    contributions_figure(contributions_data(comparison))


def test_runs_without_steps_say_so(tmp_path: Path) -> None:
    comparison = compared(tmp_path, {}, slower_backward()[0])
    for figure in (
        distributions_figure(distributions_data(comparison)),
        contributions_figure(contributions_data(comparison)),
        phase_pairs_figure(phase_pairs_data(compared(tmp_path, {}, {}, "third"))),
    ):
        assert "Nothing recorded" in figure.layout.annotations[0].text

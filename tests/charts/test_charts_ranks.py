"""Ranks drawn side by side: bounded rows, own work without waiting, phases in their colours."""

from __future__ import annotations

import numpy as np
import pytest

from torchglass.analysis.ranks import Ranks
from torchglass.charts import own_work_figure, ranks_data, ranks_figure
from torchglass.charts.columns import MAX_COLUMNS
from torchglass.charts.phases import COLORS
from torchglass.charts.ranks import MOST_RANKS


def lockstep(ranks: int, steps: int = 30, slow: int = 1) -> Ranks:
    """Ranks of 100 ms a step, of which one works 90 ms and the others 60 ms."""
    forward = np.full((ranks, steps), 0.06)
    forward[slow] = 0.09
    seconds = np.stack([np.zeros((ranks, steps)), forward, 0.1 - forward], axis=1)
    whole = np.full((ranks, steps), 0.1)
    return Ranks(
        tuple(range(ranks)),
        ("to_device", "forward", "gradient_sync"),
        np.arange(steps),
        seconds,
        whole,
        "gradient_sync",
    )


def test_bars_are_the_medians_of_the_phases_that_take_time() -> None:
    data = ranks_data(lockstep(4))
    assert data.phases == ("forward", "gradient_sync")
    assert data.medians.sum(axis=1) == pytest.approx([0.1] * 4)
    figure = ranks_figure(data)
    assert list(figure.data[0].x) == pytest.approx([60, 90, 60, 60])
    assert [trace.marker.color for trace in figure.data] == [COLORS["forward"], COLORS["gradient_sync"]]
    assert list(figure.data[0].y) == ["rank 0", "rank 1", "rank 2", "rank 3"]


def test_the_heat_map_shows_work_without_waiting_in_few_columns() -> None:
    data = ranks_data(lockstep(4, steps=3 * MAX_COLUMNS))
    assert data.own.shape == (4, MAX_COLUMNS)
    assert data.own[:, 0] == pytest.approx([0.06, 0.09, 0.06, 0.06])
    (heat_map,) = own_work_figure(data).data
    assert np.asarray(heat_map.z)[1, 5] == pytest.approx(90)
    assert (heat_map.zmin, heat_map.zmax) == pytest.approx((60, 90))


def test_of_very_many_ranks_those_with_most_work_are_shown_and_the_others_counted() -> None:
    data = ranks_data(lockstep(200, slow=177))
    assert len(data.ranks) == MOST_RANKS
    assert data.ranks[-1] == 177
    assert list(data.ranks) == sorted(data.ranks)
    assert data.left_out == 200 - MOST_RANKS
    assert "136 ranks with less work are not shown" in own_work_figure(data).layout.xaxis.title.text


def test_no_common_step_says_so() -> None:
    none = Ranks((0, 1), ("forward",), np.empty(0, np.int64), np.empty((2, 1, 0)), np.empty((2, 0)), "backward")
    for draw in (ranks_figure, own_work_figure):
        assert "Nothing recorded" in draw(ranks_data(none)).layout.annotations[0].text

"""What a drawing keeps, compared with a slow twin that says it in plain loops."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from blocks import block, series_id, start
from hypothesis import given, settings
from hypothesis import strategies as st

from torchglass.store import Batch, Store
from torchglass.store.downsample import worth_drawing

Floats = npt.NDArray[np.float64]


def slow_twin(values: list[float], max_points: int) -> list[int]:
    """First, last, smallest and largest of each bucket, and both ends of every stretch that is not finite, unless there
    are more of these than points wanted: then the first and last of them in each bucket."""
    if len(values) <= max_points:
        return list(range(len(values)))
    size = math.ceil(len(values) * 4 / max_points)
    chosen = set()
    for start_index in range(0, len(values), size):
        bucket = range(start_index, min(start_index + size, len(values)))
        chosen |= {bucket[0], bucket[-1]}
        finite = [index for index in bucket if math.isfinite(values[index])]
        if finite:
            chosen |= {min(finite, key=lambda i: (values[i], i)), max(finite, key=lambda i: (values[i], -i))}
    marks = []
    for index, value in enumerate(values):
        if not math.isfinite(value):
            alone_before = index == 0 or math.isfinite(values[index - 1])
            alone_after = index == len(values) - 1 or math.isfinite(values[index + 1])
            if alone_before or alone_after:
                marks.append(index)
    if len(marks) <= max_points:
        return sorted(chosen | set(marks))
    for number in {mark // size for mark in marks}:
        of_bucket = [mark for mark in marks if mark // size == number]
        chosen |= {of_bucket[0], of_bucket[-1]}
    return sorted(chosen)


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(st.one_of(st.floats(-10, 10), st.sampled_from([math.nan, math.inf, -math.inf])), max_size=120),
    max_points=st.integers(4, 40),
)
def test_the_fast_choice_is_the_slow_twins_choice(values: list[float], max_points: int) -> None:
    assert worth_drawing(np.array(values, np.float64), max_points).tolist() == slow_twin(values, max_points)


def spiky() -> Floats:
    values = np.sin(np.arange(100_000) / 3000)
    values[31_337] = 9.0
    values[77_777] = -9.0
    values[50_000:50_003] = np.nan
    values[60_000] = np.inf
    return values


@pytest.mark.parametrize("max_points", [1, 4, 50, 2000])
def test_a_spike_of_one_point_and_a_nan_stretch_survive_any_zoom(store: Store, max_points: int) -> None:
    run = start(store)
    store.write(run, 0, Batch(rows=[block(np.arange(100_000), spiky())]))
    drawn = store.points(series_id(store, run), max_points=max_points)
    assert drawn.total == 100_000
    assert {31_337, 77_777, 50_000, 50_002, 60_000, 0, 99_999} <= set(drawn.steps.tolist())
    assert len(drawn.steps) <= max(max_points, 4) + 8
    assert drawn.values[drawn.steps == 31_337] == [9.0]
    assert np.isnan(drawn.values[drawn.steps == 50_000]).all()


def test_a_series_that_is_nan_at_every_other_step_is_drawn_with_as_few_points_as_any_other() -> None:
    values = spiky()
    values[::2] = np.nan
    drawn = worth_drawing(values, 400)
    assert len(drawn) <= 600
    assert {31_337, 77_777} <= set(drawn.tolist())
    assert {index // 1000 for index in drawn.tolist() if np.isnan(values[index])} == set(range(100))


def test_few_points_are_left_alone() -> None:
    assert worth_drawing(np.array([3.0, np.nan, 1.0]), 3).tolist() == [0, 1, 2]
    assert worth_drawing(np.empty(0), 3).tolist() == []

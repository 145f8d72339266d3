"""A sweep's charts: values, the best so far, places on axes, and nobody's words as markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from torchglass.analysis.sweeps import State, Sweep, Trial
from torchglass.charts import sweep as chart
from torchglass.charts.theme import ALARM


def trial(number: int, value: float | None, state: State = "complete", **changes: Any) -> Trial:
    course = () if value is None else ((1, 0.0), (2, value))
    kept = value if state == "complete" else None
    return Trial(number, state, kept, changes, f"s/{number}", {}, course, 1e9, 1e9 + 5, None, None)


def sweep(trials: Sequence[Trial], *, largest: bool = True, logs: Sequence[str] = ("lr",), **shares: float) -> Sweep:
    first = trials[0].changes if trials else {}
    return Sweep(
        "s", "lenet5", "digits", "validation/accuracy", 3, 0, 9, largest, first, frozenset(logs), tuple(trials), shares
    )


FOUR = sweep(
    [
        trial(0, 0.5, lr=1e-3, optimizer="adamw"),
        trial(1, 0.25, lr=1e-2, optimizer="sgd"),
        trial(2, 0.1, "pruned", lr=1.0, optimizer="sgd"),
        trial(3, 0.75, lr=1e-1, optimizer="adamw"),
        trial(4, None, "running", lr=1e-1, optimizer="adamw"),
    ],
    lr=0.75,
    optimizer=0.25,
)


def test_the_best_so_far_never_falls_and_a_pruned_trial_is_told_apart() -> None:
    data = chart.history_data(FOUR)
    assert data.numbers.tolist() == [0, 1, 3]
    assert data.best.tolist() == [0.5, 0.5, 0.75]
    assert (data.pruned_numbers.tolist(), data.pruned_values.tolist()) == ([2], [0.1])
    assert data.own == 0.5
    smallest = chart.history_data(sweep(FOUR.trials, largest=False))
    assert smallest.best.tolist() == [0.5, 0.25, 0.25]


def test_places_are_by_logarithm_where_the_search_was_and_the_best_trial_lies_on_top() -> None:
    data = chart.parallel_data(FOUR)
    assert data.numbers.tolist() == [1, 0, 3]
    lr, optimizer, value = data.axes
    np.testing.assert_allclose(lr.places, [0.5, 0, 1], atol=1e-12)
    assert lr.tick_texts == ("0.001", "0.00316", "0.01", "0.0316", "0.1")
    assert optimizer.tick_texts == ("adamw", "sgd")
    assert optimizer.places.tolist() == [1, 0, 0]
    np.testing.assert_allclose(value.places, [0, 0.5, 1])
    by_value = chart.parallel_data(sweep(FOUR.trials, logs=()))
    np.testing.assert_allclose(by_value.axes[0].places, [(1e-2 - 1e-3) / (1e-1 - 1e-3), 0, 1])


def test_the_best_line_is_bold_and_a_value_that_never_varied_has_a_place() -> None:
    figure = chart.parallel_figure(chart.parallel_data(FOUR))
    assert [figure.data[row].line.color == ALARM for row in range(3)] == [False, False, True]
    same = chart.parallel_data(sweep([trial(0, 0.5, lr=1.0, off=None), trial(1, 0.5, lr=1.0, off=2.0)]))
    assert [axis.places.tolist() for axis in same.axes] == [[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]
    assert same.axes[1].tick_texts == ("2", "none")


def test_of_many_trials_the_best_are_drawn_and_the_others_counted() -> None:
    many = sweep([trial(number, number / 7, lr=1.0 + number) for number in range(chart.MOST_LINES + 5)])
    data = chart.parallel_data(many)
    assert data.left_out == 5
    assert data.numbers.tolist() == list(range(5, chart.MOST_LINES + 5))


def test_importances_sum_to_a_hundred_percent_and_say_so_where_nothing_can_be_told() -> None:
    figure = chart.importances_figure(chart.importances_data(FOUR))
    assert figure.data[0].x.tolist() == [75, 25]
    assert "Too few trials" in chart.importances_figure(chart.importances_data(sweep([]))).layout.annotations[0].text


@pytest.mark.parametrize("dark", [False, True])
def test_an_empty_sweep_is_said_and_markup_in_names_is_text(dark: bool) -> None:
    for figure in (
        chart.history_figure(chart.history_data(sweep([])), dark=dark),
        chart.parallel_figure(chart.parallel_data(sweep([])), dark=dark),
    ):
        assert "No trial has ended" in figure.layout.annotations[0].text
    hostile = sweep([trial(0, 0.5, "complete", **{"<img src=x>": "<b>%{x}"}), trial(1, 0.6, lr=1)])
    hostile = hostile._replace(metric="<a href=x>", importances={"<img src=x>": 1.0})
    for figure in (
        chart.history_figure(chart.history_data(hostile), dark=dark, title="<u>"),
        chart.parallel_figure(chart.parallel_data(hostile), dark=dark),
        chart.importances_figure(chart.importances_data(hostile), dark=dark),
    ):
        text = figure.to_json().replace("\\u003c", "<")
        for markup in ("<img", "<a href", "<u>", "<b>%"):
            assert markup not in text
        assert not any("img" in (each.hovertemplate or "") for each in figure.data)

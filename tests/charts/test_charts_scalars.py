"""Curves: axes, marks of what was not a number, and what the figure carries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchglass.charts.scalars import Curve, scalars_data, scalars_figure
from torchglass.charts.theme import MAX_LINES
from torchglass.store.records import Points

HOSTILE = "</script><img src=x onerror=alert(1)>%{y}"


def points(values: list[float], *, first_step: int = 1, start: float = 1000.0, interval: float = 2.0) -> Points:
    size = len(values)
    steps = np.arange(first_step, first_step + size)
    return Points(steps, start + interval * np.arange(float(size)), np.array(values, np.float64), size, size)


def test_relative_time_counts_from_the_start_of_the_run_and_picks_minutes_for_long_runs() -> None:
    short = scalars_data([Curve("loss", points([1, 2, 3]), start=990.0)], x_axis="relative")
    assert short.lines[0].x.tolist() == [10.0, 12.0, 14.0]
    assert short.x_title == "time since start (s)"
    long = scalars_data([Curve("loss", points([1, 2, 3], interval=300.0), start=1000.0)], x_axis="relative")
    assert long.lines[0].x.tolist() == [0.0, 5.0, 10.0]
    assert long.x_title == "time since start (min)"


def test_wall_time_is_milliseconds_on_a_date_axis() -> None:
    data = scalars_data([Curve("loss", points([1, 2]))], x_axis="wall")
    assert data.lines[0].x.tolist() == [1_000_000.0, 1_002_000.0]
    assert scalars_figure(data).layout.xaxis.type == "date"


def test_nonfinite_steps_are_marked_at_the_height_of_the_line_before_them() -> None:
    line = scalars_data([Curve("loss", points([np.nan, 5, np.inf, -np.inf, 7, np.nan]))]).lines[0]
    assert line.mark_x.tolist() == [1, 3, 4, 6]
    assert line.mark_y.tolist() == [5, 5, 5, 7]
    assert line.mark_kind == ("NaN", "+Inf", "-Inf", "NaN")
    assert line.stretches.tolist() == [[1, 1], [3, 4], [6, 6]]


def test_a_run_of_nothing_but_nan_still_shows_marks() -> None:
    figure = scalars_figure(scalars_data([Curve("loss", points([np.nan, np.nan]))]), log_y=True)
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert len(marks) == 1
    assert list(marks[0].x) == [1, 2]
    assert min(marks[0].y) > 0


def test_smoothing_draws_over_the_raw_line_in_the_same_colour() -> None:
    figure = scalars_figure(scalars_data([Curve("loss", points([1, 3, 2, 4]))], smoothing=0.5))
    ghost, line = figure.data
    assert ghost.line.color == line.line.color
    assert ghost.opacity < 1
    assert list(ghost.y) == [1, 3, 2, 4]
    assert line.y[1] == pytest.approx(1 / 3 + 2 * 3 / 3)


def test_short_lines_can_be_left_as_they_are() -> None:
    curves = [Curve("test/loss", points([1, 3])), Curve("loss", points([1, 3, 2]))]
    short, long = scalars_data(curves, smoothing=0.5, smooth_from=3).lines
    assert short.smooth is None
    assert long.smooth is not None


def test_seconds_are_drawn_in_the_unit_that_suits_the_largest() -> None:
    data = scalars_data([Curve("a", points([0.0005, 0.002]))], unit="s")
    assert data.unit == "ms"
    assert data.lines[0].values == pytest.approx([0.5, 2.0])


def test_a_logarithmic_axis_says_how_many_values_it_cannot_show() -> None:
    figure = scalars_figure(scalars_data([Curve("a", points([1.0, 0.0, -2.0]))]), log_y=True)
    assert figure.layout.yaxis.type == "log"
    assert "2 values of 0 or less" in figure.layout.annotations[0].text


def test_curves_beyond_the_readable_number_are_counted_not_drawn() -> None:
    data = scalars_data([Curve(f"run {index}", points([1, 2])) for index in range(MAX_LINES + 3)])
    assert (len(data.lines), data.left_out) == (MAX_LINES, 3)
    assert "3 more curves" in scalars_figure(data).layout.annotations[0].text


def test_all_lines_of_a_full_figure_look_different() -> None:
    figure = scalars_figure(scalars_data([Curve(f"run {index}", points([1, 2])) for index in range(MAX_LINES)]))
    assert len({(trace.line.color, trace.line.dash) for trace in figure.data}) == MAX_LINES


def test_nothing_logged_says_so_and_why() -> None:
    figure = scalars_figure(scalars_data([]), reason="Validation <never> ran.")
    text = figure.layout.annotations[0].text
    assert "Nothing recorded" in text
    assert "Validation &lt;never&gt; ran." in text


def test_names_are_escaped_and_never_reach_a_hovertemplate() -> None:
    data = scalars_data([Curve(HOSTILE, points([1, np.nan, 2])), Curve("other", points([1, 2]))])
    figure = scalars_figure(data, title=HOSTILE)
    text = figure.to_json()
    assert "<img" not in text
    assert "&lt;img" in text.replace("\\u0026", "&")
    assert all("%{y}" not in (trace.hovertemplate or "") for trace in figure.data)


def test_points_travel_as_typed_arrays() -> None:
    def lists_of_numbers(value: Any) -> list[list[float]]:
        if isinstance(value, dict):
            return [found for entry in value.values() for found in lists_of_numbers(entry)]
        if isinstance(value, list):
            numbers = [value] if len(value) > 8 and all(isinstance(entry, int | float) for entry in value) else []
            return numbers + [found for entry in value for found in lists_of_numbers(entry)]
        return []

    long = points([float(value) for value in np.sin(np.arange(2000))])
    figure = scalars_figure(scalars_data([Curve("loss", long)], smoothing=0.9))
    assert lists_of_numbers(figure.to_plotly_json()) == []
    four_columns = 4 * 2000 * 4 * 4 / 3  # bytes of float32 in base64, of which JSON escapes every slash
    assert len(figure.to_json()) < 1.15 * four_columns + 2000
    assert all(trace.type == "scatter" for trace in figure.data)


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_differ_in_the_template_alone(dark: bool) -> None:
    data = scalars_data([Curve("loss", points([1, 2, np.nan]))])
    light = scalars_figure(data).to_plotly_json()
    other = scalars_figure(data, dark=dark).to_plotly_json()
    assert (light["layout"].pop("template") == other["layout"].pop("template")) == (not dark)
    assert str(light) == str(other)


def test_a_value_that_never_changes_is_told_from_zero() -> None:
    flat = scalars_figure(scalars_data([Curve("lr", points([0.001, 0.001])), Curve("b", points([np.nan, 0.001]))]))
    assert flat.layout.yaxis.rangemode == "tozero"
    assert scalars_figure(scalars_data([Curve("lr", points([0.001, 0.002]))])).layout.yaxis.rangemode is None
    assert scalars_figure(scalars_data([Curve("lr", points([np.nan]))])).layout.yaxis.rangemode is None

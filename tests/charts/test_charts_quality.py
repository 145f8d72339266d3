"""Confusion, calibration, predictions, boxes and generated pictures: the sums behind them and what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from judged import CLASS_NAMES, CONFUSION, calibration_table, detector_arrays, detector_gallery

from torchglass.charts.calibration import CalibrationData, calibration_data, calibration_figure, calibration_text
from torchglass.charts.confusion import (
    MAX_CLASSES,
    MAX_TEXTS,
    NOTHING_SCORED,
    ConfusionData,
    classes_listing,
    confusion_data,
    confusion_figure,
    confusion_text,
    mistakes_listing,
)
from torchglass.charts.detections import detections_data, detections_figure, precision_listing
from torchglass.charts.generated import GAP, sheet_data, sheet_figure
from torchglass.charts.predictions import predictions_data, predictions_figure, predictions_text

COUNTS = np.array(CONFUSION)
HOSTILE = "<img src=x onerror=alert(1)> %{y}"


def matrix(counts: npt.NDArray[Any], names: Sequence[str]) -> ConfusionData:
    """The data of a matrix that is one."""
    data = confusion_data(counts, names)
    assert data is not None
    return data


def bins(table: npt.NDArray[Any]) -> CalibrationData:
    """The data of a table of bins that is one."""
    data = calibration_data(table)
    assert data is not None
    return data


def test_rows_are_the_truth_and_shares_are_of_a_row() -> None:
    data = matrix(COUNTS, CLASS_NAMES)
    assert data.accuracy == pytest.approx(42 / 50)
    np.testing.assert_allclose(data.shares[1], [3 / 20, 15 / 20, 2 / 20])
    np.testing.assert_allclose(data.shares.sum(axis=1), 1)


def test_precision_recall_and_f1_of_each_class_follow_their_definitions() -> None:
    fields = {field.title: field.values for field in classes_listing(matrix(COUNTS, CLASS_NAMES)).fields}
    assert fields["Precision"] == pytest.approx((100 * 18 / 21, 100 * 15 / 18, 100 * 9 / 11))
    assert fields["Recall"] == pytest.approx((90, 75, 90))
    precision, recall = 15 / 18, 15 / 20
    assert fields["F1"][1] == pytest.approx(100 * 2 * precision * recall / (precision + recall))
    assert fields["Samples"] == (20, 20, 10)
    assert fields["Answers"] == (21, 18, 11)


def test_a_class_that_is_absent_has_no_recall_and_one_never_answered_no_precision() -> None:
    data = matrix(np.array([[3, 0, 0], [2, 0, 0], [0, 0, 0]]), CLASS_NAMES)
    fields = {field.title: field.values for field in classes_listing(data).fields}
    assert fields["Precision"] == (60.0, None, None)
    assert fields["Recall"] == (100.0, 0.0, None)
    assert fields["F1"] == (75.0, 0.0, None)
    assert np.isnan(data.shares[2]).all()
    assert matrix(np.zeros((2, 2)), ()).accuracy is None


def test_mistakes_are_listed_by_how_many_and_right_answers_never() -> None:
    listing = mistakes_listing(matrix(COUNTS, CLASS_NAMES), most=2)
    fields = {field.title: field.values for field in listing.fields}
    assert fields["Is"] == ("square", "circle")
    assert fields["Taken for"] == ("circle", "square")
    assert fields["Samples"] == (3, 2)
    assert fields["Of the class"] == pytest.approx((15, 10))
    assert listing.left_out == 2
    assert len(mistakes_listing(matrix(np.eye(3), CLASS_NAMES), most=5)) == 0


@pytest.mark.parametrize(("by_share", "wanted"), [(False, {"18", "15", "9", "3", "2", "1"}), (True, {"90", "75"})])
def test_cells_carry_counts_or_percentages_white_only_where_they_are_full(by_share: bool, wanted: set[str]) -> None:
    figure = confusion_figure(matrix(COUNTS, CLASS_NAMES), by_share=by_share)
    texts = [trace for trace in figure.data if trace.type == "scatter"]
    assert {text for trace in texts for text in trace.text} >= wanted
    for trace in texts:
        for column, row in zip(trace.x, trace.y, strict=True):
            assert (trace.textfont.color == "#ffffff") == (COUNTS[row, column] / COUNTS[row].sum() >= 0.55)


def test_right_and_wrong_have_colours_of_their_own_and_nothing_is_left_blank() -> None:
    right, wrong = (trace for trace in confusion_figure(matrix(COUNTS, CLASS_NAMES)).data[:2])
    assert np.isfinite(right.z).sum() == 3
    assert np.isfinite(wrong.z).sum() == 4
    assert right.text[1][0] == "square taken for circle<br>3 samples, 15.0 % of square"


def test_many_classes_lose_their_texts_and_very_many_their_picture() -> None:
    size = MAX_TEXTS + 1
    figure = confusion_figure(matrix(np.eye(size), ()))
    assert {trace.type for trace in figure.data} == {"heatmap"}
    assert list(figure.layout.xaxis.ticktext)[:2] == ["0", "1"]
    huge = confusion_figure(matrix(np.eye(MAX_CLASSES + 1), ()))
    assert "201 classes are too many to draw" in huge.layout.annotations[0].text
    assert "Nothing recorded" in confusion_figure(None).layout.annotations[0].text


def test_the_calibration_error_is_the_gap_weighted_by_samples() -> None:
    table = np.array([[0, np.nan, np.nan], [10, 0.4, 0.5], [30, 0.9, 0.70667]])
    data = bins(table)
    assert data.error == pytest.approx((10 * 0.1 + 30 * 0.19333) / 40)
    assert np.isnan(data.accuracies[0])
    assert calibration_text(data).startswith(
        "Expected calibration error: 17 % (3 bins of equal width), on the whole too"
    )
    assert "not sure enough" in calibration_text(bins(np.array([[5, 0.5, 0.9]])))


def test_bins_are_drawn_in_their_middles_with_their_samples_below() -> None:
    figure = calibration_figure(bins(calibration_table(10)))
    right, marks, _, samples = figure.data
    assert list(right.x) == pytest.approx(list(range(5, 100, 10)))
    filled = np.isfinite(np.array(right.y, np.float64))
    np.testing.assert_allclose(np.array(marks.x)[filled] - np.array(right.y)[filled], 10, atol=1e-9)
    assert list(samples.y) == list(calibration_table(10)[:, 0])
    assert "mean confidence" in right.hovertext[-1]
    assert right.hovertext[0] == "confidence 0 to 10 %: 0 samples"
    assert "Nothing recorded" in calibration_figure(bins(np.zeros((0, 3)))).layout.annotations[0].text


def test_errors_of_predictions_follow_their_definitions_and_leave_out_what_is_not_finite() -> None:
    data = predictions_data(np.array([1.0, 2.0, 6.0, 4.0]), np.array([2.0, 4.0, 6.0, np.nan]))
    assert data is not None
    assert data.root_mean_square_error == pytest.approx((5 / 3) ** 0.5)
    assert data.mean_absolute_error == pytest.approx(1.0)
    assert data.r2 == pytest.approx(1 - 5 / 14)
    assert "3 samples" in predictions_text(data)
    assert "1 predictions were NaN or infinite" in predictions_text(data)
    line, points = predictions_figure(data).data
    assert list(line.x) == list(line.y) == [1.0, 6.0]
    assert list(points.y) == [2.0, 4.0, 6.0]


def test_predictions_of_what_never_varies_have_no_r2_and_none_at_all_no_data() -> None:
    flat = predictions_data(np.ones(3), np.zeros(3))
    assert flat is not None
    assert flat.r2 is None
    assert predictions_data(np.array([np.nan]), np.array([1.0])) is None
    assert "Nothing recorded" in predictions_figure(None).layout.annotations[0].text


def test_boxes_above_the_score_are_drawn_beside_those_that_are_there() -> None:
    gallery, scores = detector_gallery(), detector_arrays()
    data = detections_data(gallery["inputs"], scores["detections"], gallery["targets"], CLASS_NAMES)
    assert data is not None
    first, second = data.boxes
    assert [(box.name, box.score) for box in first] == [("circle", None), ("circle", pytest.approx(0.95))]
    assert (first[1].left, first[1].top, first[1].right, first[1].bottom) == (3, 4, 14, 15)
    assert [box.name for box in second] == ["star", "circle", "star"]
    every = detections_data(gallery["inputs"], scores["detections"], None, CLASS_NAMES, least_score=0.0, most=1)
    assert every is not None
    assert [box.name for box in every.boxes[0]] == ["circle", "star"]
    assert every.left_out == 1


def test_a_drawn_box_goes_round_its_corners_with_row_zero_on_top() -> None:
    gallery, scores = detector_gallery(), detector_arrays()
    figure = detections_figure(
        detections_data(gallery["inputs"], scores["detections"], gallery["targets"], [HOSTILE] * 3)
    )
    found = next(trace for trace in figure.data if trace.type == "scatter" and trace.line.dash == "solid")
    assert list(found.x) == [3, 14, 14, 3, 3, None]
    assert list(found.y) == [4, 4, 15, 15, 4, None]
    assert figure.layout.yaxis.range == (31.5, -0.5)
    assert "<img" not in found.hovertext[0]
    assert found.hovertext[0].endswith("95 %")


def test_a_class_that_does_not_occur_has_no_average_precision() -> None:
    fields = precision_listing(detector_arrays()["average_precision"], CLASS_NAMES).fields
    assert fields[0].values == CLASS_NAMES
    assert fields[1].values == (pytest.approx(90), None, pytest.approx(45))


def test_pictures_lie_in_rows_with_gaps_and_what_does_not_fit_is_counted() -> None:
    pictures = np.zeros((5, 1, 32, 32), np.uint8)
    pictures[3] = 200
    data = sheet_data(pictures, columns=2, most=4)
    assert data is not None
    assert (data.shown, data.left_out) == (4, 1)
    assert data.picture.shape == (2 * 64 + GAP, 2 * 64 + GAP, 3)
    assert (data.picture[64 + GAP :, 64 + GAP :] == 200).all()
    assert (data.picture[:64, :64] == 0).all()
    assert sheet_figure(data).data[0].type == "image"
    assert sheet_data(np.zeros((0, 1, 4, 4))) is None
    assert "Nothing recorded" in sheet_figure(None).layout.annotations[0].text


@pytest.mark.parametrize(
    "foreign", [np.zeros(4), np.zeros((2, 3)), np.array([["a"]]), np.array([[np.nan]]), -np.eye(2)]
)
def test_what_is_no_matrix_or_table_of_a_foreign_run_is_left_out(foreign: npt.NDArray[Any]) -> None:
    assert confusion_data(foreign, ()) is None
    assert foreign.shape == (2, 3) or calibration_data(foreign) is None
    assert predictions_data(np.zeros(3), np.zeros(4)) is None
    assert detections_data(np.zeros((2, 3, 8, 8)), np.zeros((2, 3, 5)), None, ()) is None
    unlike = detections_data(np.zeros((1, 3, 8, 8)), np.full((1, 1, 6), -1.0), np.zeros(1), ())
    assert unlike is not None
    assert unlike.boxes == ((),)


def test_the_matrix_of_a_detector_counts_boxes() -> None:
    assert confusion_text(matrix(COUNTS, ())) == "84.00 % of 50 samples are right."
    of_boxes = confusion_text(matrix(COUNTS, ()), of_boxes=True)
    assert of_boxes.startswith("84.00 % of 50 found boxes have the right class.")
    assert "neither here nor in the recall" in of_boxes


def test_where_nothing_was_scored_the_charts_say_so_and_not_that_nothing_was_stored() -> None:
    nothing = matrix(np.zeros((2, 2)), ())
    assert confusion_text(nothing) == "No sample was scored."
    assert confusion_text(nothing, of_boxes=True) == "No box was found on what is there."
    for figure in (confusion_figure(nothing), calibration_figure(bins(np.zeros((15, 3))))):
        assert not figure.data
        assert NOTHING_SCORED in figure.layout.annotations[0].text


def test_a_long_name_leaves_the_numbers_of_its_class_on_the_page() -> None:
    names = classes_listing(matrix(np.eye(2), ["x" * 1000, "circle"])).fields[0].values
    assert len(names[0]) <= 29
    assert names[1] == "circle"

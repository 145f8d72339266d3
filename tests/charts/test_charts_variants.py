"""Variants side by side: what is drawn is what was measured, and what could not run says so in its row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchglass.charts.theme import ALARM
from torchglass.charts.variants import variants_data, variants_figure
from torchglass.store.records import Artifact


def measured(ratio: float, same: float, size: int, **more: Any) -> dict[str, Any]:
    timing = {"median_seconds": 0.002 * ratio, "ratio": ratio, "ratio_low": ratio - 0.1, "ratio_high": ratio + 0.3}
    return {
        "status": "measured",
        "timing": timing,
        "size": {"file_bytes": size, "compressed_bytes": size // 2},
        "agreement": {"same_answers": same},
        "memory": {"peak_bytes": None, "missing": "memory was not asked for"},
        **more,
    }


ROWS: list[dict[str, Any]] = [
    {
        "name": "fp32",
        "inference": measured(1.0, 1.0, 250_000),
        "training": measured(1.0, 1.0, 0, last_loss_difference=0),
    },
    {
        "name": "int8",
        "inference": measured(0.5, 0.985, 80_000),
        "training": {"status": "cannot run", "reason": "<b>no"},
    },
    {
        "name": "onnx<script>",
        "inference": {"status": "cannot run", "reason": "onnx is not installed: pip install 'torchglass[onnx]'"},
        "training": None,
    },
]


def artifact(identity: int, time: float, rows: list[dict[str, Any]], kind: str = "variants") -> Artifact:
    meta = {"model": "lenet5", "device_name": "a chip", "batch_size": 64, "rows": rows}
    return Artifact(identity, 1, 0, kind, "lenet5", 10, time, meta)


def test_columns_are_what_was_measured_and_nan_where_nothing_was() -> None:
    data = variants_data([artifact(1, 5.0, ROWS)])
    assert data is not None
    assert data.names == ("fp32", "int8", "onnx<script>")
    assert data.reasons == ("", "", "onnx is not installed: pip install 'torchglass[onnx]'")
    np.testing.assert_allclose(data.ratios, [1, 0.5, np.nan])
    np.testing.assert_allclose(data.ratios_low, [0.9, 0.4, np.nan])
    np.testing.assert_allclose(data.bytes, [250_000, 80_000, np.nan])
    np.testing.assert_allclose(data.agreement, [100, 98.5, np.nan])


def test_training_has_its_own_rows_memory_and_loss() -> None:
    data = variants_data([artifact(1, 5.0, ROWS)], "train")
    assert data is not None
    assert data.names == ("fp32", "int8")  # the third was not asked for
    assert data.reasons == ("", "<b>no")
    np.testing.assert_allclose(data.bytes, [np.nan, np.nan])
    np.testing.assert_allclose(data.agreement, [0, np.nan])


def test_the_newest_comparison_of_the_mode_counts() -> None:
    older, newer = artifact(1, 5.0, ROWS), artifact(2, 6.0, [ROWS[0] | {"training": None}])
    other = artifact(3, 9.0, ROWS, kind="explanation")
    infers, trains = variants_data([newer, other, older]), variants_data([newer, older, other], "train")
    assert infers is not None
    assert trains is not None
    assert (infers.names, trains.names) == (("fp32",), ("fp32", "int8"))
    assert variants_data([other]) is None
    assert "bench-model" in variants_figure(None).layout.annotations[0].text


def test_times_sizes_and_agreement_are_drawn_with_the_interval_and_the_reason() -> None:
    figure = variants_figure(variants_data([artifact(1, 5.0, ROWS)]))
    times, sizes, answers = figure.data
    np.testing.assert_allclose(times.x, [1, 0.5, np.nan])
    np.testing.assert_allclose(times.error_x.array, [0.3, 0.3, np.nan])
    np.testing.assert_allclose(times.error_x.arrayminus, [0.1, 0.1, np.nan])
    np.testing.assert_allclose(sizes.x, [250, 80, np.nan])
    assert figure.layout.xaxis2.title.text == "file, kB"
    assert answers.marker.color[1] == ALARM  # below 99 % of equal answers
    assert answers.marker.color[0] != ALARM
    assert "98.5 %" in answers.hovertext[1]
    assert times.hovertext[1] == "int8: 1 ms, × 0.50 (0.40 to 0.80)"
    why = [note for note in figure.layout.annotations if "cannot run" in (note.text or "")]
    assert [note.y for note in why] == [2]
    assert "onnx is not installed" in why[0].text


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_names_and_reasons_are_text_and_never_markup(mode: Any) -> None:
    drawn = variants_figure(variants_data([artifact(1, 5.0, ROWS)], mode)).to_json()
    assert "<script>" not in drawn
    assert "\\u003cscript" not in drawn
    assert "<b>no" not in drawn
    assert "\\u003cb\\u003eno" not in drawn

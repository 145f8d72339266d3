"""Rows as bars and texts as words: order, sums, colours, truth, and texts that nobody can make dance."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from torchglass.charts import explanation_figures, explanations_data
from torchglass.charts.explanations_table import MOST_BARS, TableData, table_data, table_figure
from torchglass.charts.explanations_text import DEEPEST, LINE_CHARACTERS, MOST_WORDS, TextData, text_data, text_figure
from torchglass.charts.explanations_words import Explained, answer, heading, method_name
from torchglass.store import Artifact

HOSTILE = "<img src=x onerror=alert(1)>"


def explained(relevance: list[float], *, arrays: dict[str, Any] | None = None, **meta: Any) -> Explained:
    """An explanation of one text or row as the store hands it out."""
    facts = {"kind": "table", "method": "shap", "class_names": ["benign", "malignant"], "output_space": "logit"}
    kept = {
        "attributions": np.array([relevance], np.float32),
        "targets": np.array([1]),
        "outputs": np.array([3.5], np.float32),
        "base_values": np.array([0.5], np.float32),
    }
    return Explained(Artifact(1, 1, 0, "explanation", "test/0", 7, 0.0, facts | meta), kept | (arrays or {}))


def words(texts: list[str], relevance: list[float], **more: Any) -> Explained:
    return explained(relevance, kind="text", names=texts, **more)


def test_the_largest_columns_stand_on_top_with_their_raw_values() -> None:
    panel = table_data([explained([0.1, -2.0, 0.5], names=["age", "bmi", "bp"], values=[72.0, 30.456, 93.0])]).panels[0]
    assert panel.names == ("bmi", "bp", "age")
    assert panel.title == "SHAP for class malignant, logit 3.5 from 0.5"
    figure = table_figure(panel)
    bars = figure.data[0]
    assert list(bars.x) == pytest.approx([-2.0, 0.5, 0.1])
    assert figure.layout.yaxis.ticktext == ("bmi = 30.46", "bp = 93", "age = 72")
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert figure.layout.xaxis.title.text == "effect on the logit"
    assert bars.marker.color[0] != bars.marker.color[1]
    assert bars.marker.color[1] == bars.marker.color[2]


def test_bars_add_up_to_the_whole_however_many_columns_there_are() -> None:
    generator = np.random.default_rng(0)
    for count in (1, MOST_BARS, MOST_BARS + 1, MOST_BARS + 2, 200):
        relevance = generator.normal(size=count)
        figure = table_figure(table_data([explained(list(relevance))]).panels[0])
        assert len(figure.data[0].x) <= MOST_BARS + 1
        assert sum(figure.data[0].x) == pytest.approx(relevance.astype(np.float32).sum(), abs=1e-4)


def test_a_regression_says_what_was_predicted_and_what_is_true() -> None:
    one = explained([1.0], task="regression", output_space="value", class_names=[], label=140.0, predicted=151.23456)
    assert heading(one.artifact) == "test/0, step 7; predicted 151.2; true 140"
    assert table_data([one]).panels[0].title == "SHAP, value 3.5 from 0.5"


def test_what_a_picture_shows_and_what_was_found_are_named() -> None:
    one = explained([1.0], task="detection", label=[0, 1], predicted=1, probability=0.25)
    assert heading(one.artifact) == "test/0, step 7; shows benign, malignant; predicted malignant (25.0 %)"


def test_words_are_coloured_by_sign_and_depth_and_padding_is_left_out() -> None:
    data = text_data([words(["good", "film", "", ""], [2.0, -1.0, 0.0, 0.0])])
    panel = data.panels[0]
    assert panel.words == ("good", "film")
    grounds = [shape.fillcolor for shape in text_figure(panel).layout.shapes]
    assert grounds == [f"rgba(240,90,60,{DEEPEST:.3f})", f"rgba(70,150,235,{DEEPEST / 2:.3f})"]
    written = text_figure(panel).layout.annotations
    assert [one.text for one in written] == ["good", "film"]
    assert [one.hovertext for one in written] == ["good: 2", "film: -1"]


def test_a_given_limit_keeps_one_scale_over_time() -> None:
    panel = text_data([words(["good"], [1.0])], limits={"shap": 4.0}).panels[0]
    assert text_figure(panel).layout.shapes[0].fillcolor.endswith(f"{DEEPEST / 4:.3f})")


def test_lines_wrap_and_words_never_overlap() -> None:
    generator = np.random.default_rng(1)
    texts = ["x" * int(length) for length in generator.integers(1, 40, 120)]
    figure = text_figure(text_data([words(texts, [0.0] * len(texts))]).panels[0])
    boxes = [(shape.y0, shape.x0, shape.x1) for shape in figure.layout.shapes]
    assert len(boxes) == 120
    widest = max(right for _, _, right in boxes)
    assert widest < (LINE_CHARACTERS + 1) * 7.25
    for (line, _, right), (next_line, left, _) in pairwise(boxes):
        assert next_line < line or left > right
    assert figure.layout.height > -min(shape.y1 for shape in figure.layout.shapes)


def test_very_long_texts_are_cut_and_say_so() -> None:
    panel = text_data([words(["so"] * (MOST_WORDS + 5), [0.1] * (MOST_WORDS + 5))]).panels[0]
    assert len(text_figure(panel).layout.annotations) == MOST_WORDS
    assert f"Only the first {MOST_WORDS} of {MOST_WORDS + 5} words are shown." in panel.trust


def test_words_that_decide_are_outlined() -> None:
    truth = {"truth": np.array([[False, True, False]])}
    panel = text_data([words(["not", "good", ""], [0.0, 1.0, 0.0], arrays=truth)]).panels[0]
    assert [shape.line.width for shape in text_figure(panel).layout.shapes] == [0, 2]
    unknown = text_data([words(["not", "good"], [0.0, 1.0])]).panels[0]
    assert {shape.line.width for shape in text_figure(unknown).layout.shapes} == {0}


@pytest.mark.parametrize("dark", [False, True])
def test_hostile_names_and_words_are_inert(dark: bool) -> None:
    meta: dict[str, Any] = {"class_names": [HOSTILE] * 2, "method": HOSTILE, "output_space": HOSTILE, "layer": HOSTILE}
    for one in (words([HOSTILE] * 3, [1.0, 2.0, 3.0], **meta), explained([1.0], names=[HOSTILE], values=[1.0], **meta)):
        data = explanations_data([one])
        for figure in explanation_figures(data, dark=dark):
            assert "<img" not in json.dumps(figure.to_dict(), default=str)


def test_each_kind_gets_its_own_figures() -> None:
    table = explanations_data([explained([1.0]), explained([2.0], method="lime")])
    text = explanations_data([words(["a"], [1.0])])
    assert isinstance(table, TableData)
    assert isinstance(text, TextData)
    assert [len(explanation_figures(data)) for data in (table, text, None)] == [2, 1, 1]


def test_methods_have_names_for_people() -> None:
    assert [method_name(name) for name in ("gradcam", "integrated_gradients", "gradient_x_input", "rise")] == [
        "Grad-CAM",
        "Integrated gradients",
        "Gradient × input",
        "RISE",
    ]


def test_an_answer_is_a_class_a_number_or_what_a_picture_shows() -> None:
    names = {"class_names": ["ring", "star"]}
    boxes = np.array([[[1, 0, 0, 9, 9], [0, 1, 1, 5, 5], [-1, 0, 0, 0, 0]]], np.float32)
    assert answer({"targets": np.array([1])}, names, 0) == "star"
    assert answer({"labels": np.array([0])}, names, 0) == "ring"
    assert answer({"targets": np.array([151.234])}, {"form": {"task": "regression"}}, 0) == "151.2"
    assert answer({"targets": boxes}, names | {"form": {"task": "detection"}}, 0) == "ring, star"
    assert answer({"targets": np.array([0])}, names | {"form": {"task": "control"}}, 0) == ""

"""Several samples side by side: one scale a method; the trust table: each score beside chance, and a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torchglass.charts import Explained
from torchglass.charts.explanations_grid import grid_data, limits_of, pictures_grid_figure, rows_grid_figure
from torchglass.charts.trust_table import trust_listing, trust_rows
from torchglass.store import Artifact

HOSTILE = "<img src=x>"


def explained(method: str, values: Any, kind: str = "pictures", key: str = "test/0", **meta: Any) -> Explained:
    array = np.asarray(values, np.float32)[None]
    inputs = np.full((1, 1, 2, 2), 0.5, np.float32) if kind == "pictures" else array
    facts = {"method": method, "kind": kind, "class_names": [HOSTILE, "b"], "label": 0, "predicted": 1, **meta}
    artifact = Artifact(1, 1, 0, "explanation", key, 3, 0.0, facts)
    return Explained(artifact, {"attributions": array, "inputs": inputs})


def test_a_method_has_one_scale_over_all_samples_and_a_cam_without_negatives_none_below_zero() -> None:
    first = [explained("shap", [[[1.0, -2.0], [0, 0]]]), explained("gradcam", [[0.5, 0], [0, 0]])]
    second = [explained("shap", [[[8.0, 0], [0, 0]]], key="test/4")]
    data = grid_data([first, second], ("gradcam", "shap"))
    assert data is not None
    assert [(scale.method, scale.limit, scale.signed) for scale in data.scales] == [
        ("gradcam", 0.5, False),
        ("shap", 8.0, True),
    ]
    assert limits_of(data) == {"gradcam": 0.5, "shap": 8.0}
    assert data.rows[1].relevance[0] is None
    figure = pictures_grid_figure(data)
    assert len(figure.layout.images) == 2 + 3  # inputs and maps
    bars = [trace.marker for trace in figure.data]
    assert [(bar.cmin, bar.cmax) for bar in bars] == [(0.0, 0.5), (-8.0, 8.0)]
    assert figure.layout.xaxis.ticktext == ("input", "Grad-CAM", "SHAP")
    assert HOSTILE not in "".join(figure.layout.yaxis.ticktext)


def test_rows_of_a_table_share_a_heat_map_of_the_columns_that_count_most() -> None:
    names = [f"c{place}" for place in range(30)]
    weak, strong = np.full(30, 0.1), np.full(30, 0.2)
    strong[29], weak[0] = -3.0, 1.0
    data = grid_data([[explained("shap", each, "table", names=names)] for each in (weak, strong)], ())
    assert data is not None
    figure = rows_grid_figure(data, 0)
    assert figure.data[0].z.shape == (2, 24)
    assert (figure.data[0].zmin, figure.data[0].zmax) == (-3.0, 3.0)
    assert figure.layout.xaxis.ticktext[0] == "c0"
    assert figure.layout.xaxis.ticktext[-1] == "c29"
    assert figure.data[0].z[1, -1] == pytest.approx(-3.0)


def test_nothing_explained_is_said() -> None:
    assert grid_data([[], []], ("shap",)) is None
    assert "None of these samples" in str(pictures_grid_figure(None).layout.annotations[0].text)


def judged(scores: dict[str, float], random: dict[str, float], edges: dict[str, float] | None = None) -> Artifact:
    baselines = {"random": random} | ({"edges": edges} if edges is not None else {})
    meta = {"method": "shap", "scores": scores, "baselines": baselines}
    return Artifact(1, 1, 0, "explanation", "test/0", 3, 0.0, meta)


@pytest.mark.parametrize(
    ("metric", "value", "random", "edges", "verdict"),
    [
        ("deletion", 0.2, 0.4, 0.3, "better than chance and than edges"),
        ("deletion", 0.35, 0.4, 0.3, "better than chance, not than edges"),
        ("deletion", 0.4, 0.4, 0.3, "no better than chance"),
        ("insertion", 0.5, 0.4, None, "better than chance"),
        ("insertion", 0.3, 0.4, None, "no better than chance"),
        ("completeness_error", 0.01, None, None, "it adds up"),
        ("completeness_error", 0.3, None, None, "it does not add up"),
        ("agreement", 0.9, 0.0, None, "the methods agree"),
        ("agreement", 0.2, 0.0, None, "the methods disagree"),
        ("randomisation", 0.9, None, None, "it shows the input, whatever was learnt"),
        ("sparseness", 0.9, 0.4, None, ""),
    ],
    ids=lambda each: str(each),
)
def test_a_verdict_says_which_side_of_chance_a_score_lies(
    metric: str, value: float, random: float | None, edges: float | None, verdict: str
) -> None:
    known = [{} if figure is None else {metric: figure} for figure in (random, edges)]
    (row,) = trust_rows([judged({metric: value}, known[0], known[1] if edges is not None else None)])
    assert (row.method, row.value, row.random, row.edges, row.verdict) == ("SHAP", value, random, edges, verdict)


def test_an_explanation_that_was_not_judged_has_no_row_and_odd_facts_break_nothing() -> None:
    assert len(trust_listing([Artifact(1, 1, 0, "explanation", "test/0", 3, 0.0, {"scores": "many"})])) == 0
    listing = trust_listing([judged({"deletion": 0.25}, {"deletion": 0.5})])
    titles = ["Method", "Score", "Value", "Random order", "Verdict", "What it measures"]
    assert [field.title for field in listing.fields] == titles

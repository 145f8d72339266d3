"""Explaining rows of a table, a regression among them: closed forms, sums that add up, a sentence for each mistake."""

from typing import Any

import numpy as np
import pytest
import torch
from explainers_written import rows_network, shapley_by_hand
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain, method_names

GENERATOR = torch.Generator().manual_seed(4)
ROWS = torch.randn(3, 6, generator=GENERATOR)
BACKGROUND = torch.randn(32, 6, generator=GENERATOR) + 0.5
METHODS = method_names("table")


@pytest.mark.parametrize("method", ["shap", "integrated_gradients", "gradient_x_input", "occlusion"])
@pytest.mark.parametrize("columns", [6, 13])
def test_of_a_linear_model_the_values_are_weight_times_distance_from_the_mean(method: str, columns: int) -> None:
    model = nn.Linear(columns, 4)
    rows, background = torch.randn(2, columns), torch.randn(10, columns) + 1
    found = explain(model, rows, 3, method, background=background)
    wanted = model.weight[3].double() * (rows - background.double().mean(0))
    np.testing.assert_allclose(found.attributions, wanted.detach().numpy(), atol=1e-6)


def test_lime_of_a_linear_model_gives_a_column_the_sign_and_order_of_its_weight() -> None:
    model = nn.Linear(4, 1)
    with torch.no_grad():
        model.weight[:] = torch.tensor([[3.0, 0.0, -2.0, 0.5]])
    found = explain(model, torch.full((1, 4), 2.0), method="lime", background=torch.randn(200, 4))
    first, second, third, fourth = found.attributions[0]
    assert first > -third > fourth > abs(second)
    assert third < 0
    assert found.checks["surrogate_r2"] > 0.5  # a quartile says less than its column


def test_shap_of_columns_is_the_definition() -> None:
    model = rows_network().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)

    def worth(coalition: tuple[int, ...]) -> float:
        shown = BACKGROUND.clone()
        shown[:, list(coalition)] = ROWS[0, list(coalition)]
        with torch.no_grad():
            return float(model(shown)[:, 1].double().mean())

    found = explain(model, ROWS, 1, "shap", background=BACKGROUND)
    np.testing.assert_allclose(found.attributions[0], shapley_by_hand(worth, 6), atol=1e-5)
    assert found.base_values == pytest.approx([worth(())] * 3, abs=1e-5)
    # The rows, two probes of the copy, and each coalition once, though shap asks for none and all of them twice.
    assert found.model_evaluations == 3 + 2 + 3 * len(BACKGROUND) * 2**6


def test_integrated_gradients_of_a_bent_model_are_complete() -> None:
    model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(50)
    found = explain(model, ROWS, method="integrated_gradients", background=BACKGROUND)
    with torch.no_grad():
        differences = (model(ROWS) - model(BACKGROUND.mean(0, keepdim=True)))[:, 0].numpy()
    np.testing.assert_allclose(found.attributions.sum(1), differences, rtol=1e-3)
    coarse = explain(model, ROWS, method="integrated_gradients", background=BACKGROUND, steps=16)
    assert coarse.checks["completeness_error_relative"] > found.checks["completeness_error_relative"]
    assert coarse.parameters["steps"] == 16


def test_a_model_that_jumps_cannot_add_up_and_says_so() -> None:
    class Step(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return (rows > 0).float().sum(1) + 0 * rows.sum(1)

    found = explain(Step(), ROWS, method="integrated_gradients", background=-1.0)
    assert found.checks["completeness_error_relative"] == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_a_regression_has_one_output_and_its_value_is_explained(method: str) -> None:
    model = rows_network(outputs=1).eval()
    column = explain(model, ROWS, method=method, background=BACKGROUND)
    flat = explain(nn.Sequential(model, nn.Flatten(0)), ROWS, method=method, background=BACKGROUND)
    np.testing.assert_allclose(flat.attributions, column.attributions, atol=1e-6)
    np.testing.assert_array_equal(column.targets, [0, 0, 0])
    assert (column.output_space, column.kind, column.attributions.shape) == ("value", "table", (3, 6))
    with pytest.raises(ExplainError, match="target class 1 is out of range: the model has one output, target 0"):
        explain(model, ROWS, 1, method, background=BACKGROUND)


@pytest.mark.parametrize("method", METHODS)
def test_a_column_that_never_changes_does_no_harm(method: str) -> None:
    background, rows = BACKGROUND.clone(), ROWS.clone()
    background[:, 2] = rows[:, 2] = 0
    found = explain(rows_network().eval(), rows, 0, method, background=background)
    assert np.isfinite(found.attributions).all()
    if method != "lime":
        np.testing.assert_allclose(found.attributions[:, 2], 0, atol=1e-6)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"inputs": ROWS / 0 * 0}, r"inputs hold NaN or infinity in rows \[0, 1, 2\]"),
    "one row": ({"inputs": ROWS[0], "kind": "table"}, r"shape \(6,\), wanted \(N, F\): add the batch axis"),
    "integers": ({"inputs": ROWS.long(), "kind": "table"}, "hold torch.int64: convert to float"),
    "other columns": ({"background": BACKGROUND[:, :4]}, r"background has shape \(32, 4\), wanted \(B, 6\)"),
    "no rows": ({"inputs": ROWS[:0]}, r"shape \(0, 6\): there is nothing to explain in rows"),
    "method of pictures": ({"method": "gradcam"}, "'gradcam' does not explain rows: choose one of shap"),
    "lime without rows": ({"method": "lime"}, "'lime' has 1 background rows: give 8 or more of the training set"),
    "objects": ({"inputs": np.array([["a"]])}, "give numbers"),
}


@pytest.mark.parametrize(("wrong", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_mistake_gives_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ExplainError, match=sentence) as caught:
        explain(**{"model": rows_network(), "inputs": ROWS, **wrong})
    assert "\n" not in str(caught.value)


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="samples is 9: give at least 14 for 6 parts"):
        explain(rows_network(), ROWS, method="lime", background=BACKGROUND, samples=9)

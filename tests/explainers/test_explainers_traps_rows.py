"""What the libraries get wrong with rows and texts, each as they do it and as we do."""

from typing import Any

import numpy as np
import pytest
import shap
import torch
import torch.nn.functional as F
from captum.attr import Lime
from explainers_written import Attentive, WordSum, texts
from torch import Tensor, nn

from torchglass.explainers import explain

ROWS = torch.randn(2, 4, generator=torch.Generator().manual_seed(3))
BACKGROUND = torch.randn(5, 4, generator=torch.Generator().manual_seed(4)) + 1
WIDE = torch.randn(1, 30, generator=torch.Generator().manual_seed(5)) + 2


class Functional(nn.Module):
    """Small scores through a function that shap's DeepExplainer does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, rows: Tensor) -> Tensor:
        table: Tensor = self.second(F.relu(self.first(rows))) / 40
        return table


def complete(model: nn.Module, found: np.ndarray[Any, Any], target: int) -> np.ndarray[Any, Any]:
    """How far sums are off, as a share of the difference."""
    with torch.no_grad():
        difference = (model(ROWS)[:, target] - model(BACKGROUND)[:, target].mean()).double().numpy()
    return np.asarray(np.abs(found.sum(1) - difference) / np.abs(difference))


def test_a_small_model_that_is_wrong_passes_shaps_own_check_and_not_ours() -> None:
    model = Functional().eval()
    wrong = shap.DeepExplainer(model, BACKGROUND).shap_values(ROWS, check_additivity=True)  # no complaint
    assert complete(model, wrong[:, :, 1], 1).max() > 0.05
    found = explain(model, ROWS, 1, "shap", background=BACKGROUND, algorithm="deep")
    assert complete(model, found.attributions, 1).max() < 1e-3


@pytest.mark.parametrize("target", [0, 1])
def test_one_class_of_several_is_explained_where_shap_ranks_outputs_and_fails(target: int) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with pytest.raises(IndexError):
        shap.DeepExplainer(model, BACKGROUND).shap_values(ROWS, ranked_outputs=1)
    found = explain(model, ROWS, target, "shap", background=BACKGROUND, algorithm="deep")
    assert complete(model, found.attributions, target).max() < 1e-3


@pytest.mark.parametrize("algorithm", ["exact", "sampling", "deep", "gradient"])
@pytest.mark.parametrize("shape", ["(N,)", "(N, 1)"])
def test_one_value_a_row_is_explained_in_either_shape(algorithm: str, shape: str) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).eval()
    if shape == "(N,)":
        model.append(nn.Flatten(0))
    found = explain(model, ROWS, method="shap", background=BACKGROUND, algorithm=algorithm)
    assert found.attributions.shape == (2, 4)
    assert found.output_space == "value"


def test_no_column_is_left_out_where_shap_would_keep_ten() -> None:
    model = nn.Linear(30, 1)

    def score(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.no_grad():
            return np.asarray(model(torch.tensor(rows, dtype=torch.float32))[:, 0].double().numpy())

    judge = shap.KernelExplainer(score, np.zeros((1, 30)))
    assert (judge.shap_values(WIDE.numpy(), silent=True) == 0).sum() == 20
    found = explain(model, WIDE, method="shap")
    np.testing.assert_allclose(found.attributions, (model.weight * WIDE).detach().numpy(), atol=1e-6)


def test_lime_of_probabilities_has_weights_where_captums_hardly_has_one() -> None:
    model = nn.Sequential(nn.Linear(30, 2), nn.Softmax(1))
    with torch.no_grad():
        model[0].weight.mul_(0.3)
    judged = Lime(model).attribute(WIDE, target=1, n_samples=100, perturbations_per_eval=100)
    assert (judged != 0).sum() <= 1
    found = explain(model, WIDE, 1, "lime", background=torch.randn(64, 30), samples=1000)
    assert (np.abs(found.attributions) > 1e-4).mean() > 0.9
    assert 0 < found.checks["surrogate_r2"] <= 1


def test_no_method_asks_about_all_samples_of_a_text_at_once() -> None:
    largest = []

    class Counting(WordSum):
        def forward(self, ids: Tensor) -> Tensor:
            largest.append(len(ids))
            return super().forward(ids)

    found = explain(Counting(), texts().reshape(1, 24).clamp(min=3), 1, "lime", samples=2000)
    assert found.model_evaluations == sum(largest) >= 1500  # a coalition that is drawn twice is asked once
    assert max(largest) <= 500


def test_integrated_gradients_of_token_ids_begin_at_the_embedding() -> None:
    with pytest.raises(Exception, match=r"(?i)grad|float|dtype"):
        shap.GradientExplainer(Attentive(), texts()).shap_values(texts())
    assert explain(Attentive(), texts(), 1).layer == "words"


@pytest.mark.parametrize("algorithm", ["exact", "sampling", "deep", "gradient"])
def test_a_model_in_half_precision_is_explained_in_full(algorithm: str) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).bfloat16().eval()
    found = explain(model, ROWS, 1, "shap", background=BACKGROUND, algorithm=algorithm)
    full = explain(model.float(), ROWS, 1, "shap", background=BACKGROUND, algorithm=algorithm)
    np.testing.assert_allclose(found.attributions, full.attributions, atol=1e-6)

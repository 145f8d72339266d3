"""Overviews of a model of rows: closed forms, sums that add up, scikit-learn's own numbers, and no trace left."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from explainers_written import rows_network
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import partial_dependence as sklearn_partial_dependence
from sklearn.inspection import permutation_importance as sklearn_permutation_importance
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain
from torchglass.explainers.overview.interactions import interaction_values, interactions
from torchglass.explainers.overview.partial_dependence import partial_dependence
from torchglass.explainers.overview.permutation_importance import permutation_importance
from torchglass.explainers.overview.summary import summarize
from torchglass.explainers.private.scored_model import ELEMENTS_PER_PASS

GENERATOR = torch.Generator().manual_seed(8)
ROWS = torch.randn(40, 4, generator=GENERATOR)
BACKGROUND = torch.randn(16, 4, generator=GENERATOR) + 0.5


class Product(nn.Module):
    """f = 2 x1 x2 + 3 x0: columns 1 and 2 speak only together, 0 alone, 3 not at all."""

    def forward(self, rows: Tensor) -> Tensor:
        return 2 * rows[:, 1] * rows[:, 2] + 3 * rows[:, 0] + 0 * rows[:, 3]


class Estimator(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A torch model as scikit-learn sees one."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.is_fitted_ = True

    def fit(self, rows: npt.NDArray[Any], answers: npt.NDArray[Any]) -> "Estimator":
        return self

    def predict(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.no_grad():
            return np.asarray(self.model(torch.tensor(rows, dtype=torch.float32)).double().numpy())


def test_partial_dependence_of_a_product_fans_out_and_of_a_sum_does_not() -> None:
    found = partial_dependence(Product(), ROWS, points=7)
    assert found.curves.shape == (4, 40, 7)
    np.testing.assert_allclose(found.grid[0], np.quantile(ROWS[:, 0].double(), np.linspace(0.05, 0.95, 7)))
    slopes = np.diff(found.curves, axis=2) / np.diff(found.grid, axis=1)[:, None, :]
    np.testing.assert_allclose(slopes[0], 3, rtol=1e-4)
    np.testing.assert_allclose(slopes[1], np.repeat(2 * ROWS[:, 2:3], 6, axis=1), rtol=1e-3, atol=1e-4)
    assert found.heterogeneity[0] == pytest.approx(0, abs=1e-6)
    assert found.heterogeneity[1] == pytest.approx(
        float(2 * ROWS[:, 2].std(correction=0)) * (found.grid[1, -1] - found.grid[1, 0]), rel=1e-3
    )
    assert not found.curves[3].std(axis=1).any()
    np.testing.assert_allclose(found.centred[:, :, 0], 0, atol=0)


def test_partial_dependence_is_what_scikit_learn_finds() -> None:
    model = nn.Sequential(rows_network(4, outputs=1).eval(), nn.Flatten(0))
    found = partial_dependence(model, ROWS, columns=[2, 0], points=5)
    for place, column in enumerate((2, 0)):
        wanted = sklearn_partial_dependence(
            Estimator(model), ROWS.numpy(), [column], kind="both", method="brute",
            custom_values={column: found.grid[place]},
        )  # fmt: skip
        np.testing.assert_allclose(found.mean[place], wanted["average"][0], atol=1e-5)
        np.testing.assert_allclose(found.curves[place], wanted["individual"][0], atol=1e-5)


def test_a_column_of_few_values_has_these_as_its_grid() -> None:
    rows = ROWS.clone()
    rows[:, 1] = (rows[:, 1] > 0).float()
    found = partial_dependence(Product(), rows, points=6)
    np.testing.assert_array_equal(found.grid[1], [0, 1, np.nan, np.nan, np.nan, np.nan])
    assert np.isnan(found.curves[1, :, 2:]).all()
    assert np.isfinite(found.heterogeneity).all()


@pytest.mark.parametrize("measure", ["loss", "score"])
def test_permutation_importance_of_values_is_what_scikit_learn_finds(measure: Any) -> None:
    model, answers = Product(), Product()(ROWS) + 0.3 * torch.randn(40, generator=GENERATOR)
    found = permutation_importance(model, ROWS, answers, measure=measure, repeats=4, seed=3)
    scoring = "neg_mean_squared_error" if measure == "loss" else "r2"
    wanted = sklearn_permutation_importance(
        Estimator(model), ROWS.numpy(), answers.numpy(), scoring=scoring, n_repeats=4, random_state=3
    )
    np.testing.assert_allclose(found.worsening, wanted.importances, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.deviation, wanted.importances_std, rtol=1e-4, atol=1e-5)
    assert found.worsening[3] == pytest.approx([0] * 4, abs=1e-6)
    assert found.measure == ("squared error" if measure == "loss" else "R²")


def test_permutation_importance_of_classes_by_hand() -> None:
    """The class is the sign of column 0, and the model knows it: dealt anew, a value is right by chance."""

    class Sign(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return torch.stack((-9 * rows[:, 0].sign(), 9 * rows[:, 0].sign()), dim=1)

    rows = ROWS.clone()
    rows[:, 0] = torch.tensor([-1.0, 1.0]).repeat(20)
    right = (rows[:, 0] > 0).long()
    accuracy = permutation_importance(Sign(), rows, right, measure="score", repeats=50)
    assert (accuracy.before, accuracy.measure) == (1.0, "accuracy")
    assert accuracy.mean[0] == pytest.approx(0.5, abs=0.03)
    assert not accuracy.worsening[1:].any()
    loss = permutation_importance(Sign(), rows, right, repeats=50)
    assert loss.mean[0] == pytest.approx(18 * accuracy.mean[0], rel=0.01)
    probabilities = permutation_importance(nn.Sequential(Sign(), nn.Softmax(1)), rows, right, repeats=50)
    np.testing.assert_allclose(probabilities.worsening, loss.worsening, atol=1e-4)


def test_of_a_product_the_two_columns_share_what_they_say_together() -> None:
    found = interactions(Product(), ROWS, background=BACKGROUND)
    x, b = ROWS.double().numpy(), BACKGROUND.double().numpy()
    together = 2 * (
        x[:, 1] * x[:, 2] - x[:, 1] * b[:, 2].mean() - b[:, 1].mean() * x[:, 2] + (b[:, 1] * b[:, 2]).mean()
    )
    np.testing.assert_allclose(found.values[:, 1, 2], together / 2, atol=1e-5)
    np.testing.assert_allclose(found.values[:, 2, 1], together / 2, atol=1e-5)
    np.testing.assert_allclose(found.values[:, 0, 0], 3 * (x[:, 0] - b[:, 0].mean()), atol=1e-5)
    for pair in ((0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 3)):
        np.testing.assert_allclose(found.values[:, pair[0], pair[1]], 0, atol=1e-5)
    assert found.strength[1, 2] == pytest.approx(np.abs(together).mean(), rel=1e-4)


def test_interactions_of_a_column_add_up_to_its_shapley_value() -> None:
    model = rows_network(7).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    rows, background = torch.randn(3, 7), torch.randn(6, 7)
    shapley = explain(model, rows, 1, "shap", background=background, algorithm="exact")
    found = interactions(model, rows, 1, background=background)
    np.testing.assert_allclose(found.values.sum(axis=2), shapley.attributions, atol=1e-5)
    np.testing.assert_allclose(found.values, found.values.transpose(0, 2, 1), atol=0)
    assert shapley.base_values is not None
    np.testing.assert_allclose(found.values.sum((1, 2)), shapley.outputs - shapley.base_values, atol=1e-5)
    some = interactions(model, rows, 1, background=background, columns=[5, 2])
    assert some.columns.tolist() == [5, 2, -1]
    np.testing.assert_allclose(some.values.sum((1, 2)), found.values.sum((1, 2)), atol=1e-5)


def test_no_more_rows_are_made_at_once_than_a_pass_takes() -> None:
    asked: list[int] = []

    class Watched(Product):
        def forward(self, rows: Tensor) -> Tensor:
            asked.append(rows.untyped_storage().nbytes() // 4)  # what a pass is a part of
            return super().forward(rows)

    many = torch.randn(50_000, 4)
    interactions(Watched(), ROWS[:1], background=many)
    partial_dependence(Watched(), many, columns=0)
    assert 0 < max(asked) <= ELEMENTS_PER_PASS


def test_interaction_values_of_three_players_by_hand() -> None:
    """v is worth 6 when 0 and 1 are both there, and 12 more when all are."""
    worths = np.array([[0, 0, 0, 6, 0, 0, 0, 18]], dtype=float)
    values = interaction_values(worths)[0]
    assert values[0, 1] == pytest.approx((6 / 2 + 18 / 2) / 2)  # with 2 absent and present, half of it
    assert values[0, 2] == pytest.approx((0 / 2 + (18 - 6) / 2) / 2)
    np.testing.assert_allclose(values.sum(axis=1), [3 + 4, 3 + 4, 4])


def test_a_summary_orders_columns_and_names_the_partner_of_each() -> None:
    explanation = explain(Product(), torch.randn(200, 4), method="shap", background=BACKGROUND)
    found = summarize(explanation)
    assert found.order.tolist()[3] == 3
    assert (found.partners[1], found.partners[2]) == (2, 1)
    assert found.partners[3] == -1
    np.testing.assert_allclose(found.mean_absolute, np.abs(explanation.attributions).mean(0), rtol=1e-5)


def test_few_rows_have_no_partners_and_a_column_that_never_changes_is_none() -> None:
    def partners(rows: Tensor) -> list[int]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # shap would divide by the spread of the constant column
            return summarize(explain(Product(), rows, method="shap", background=BACKGROUND)).partners.tolist()

    constant = ROWS.clone()
    constant[:, 3] = 1
    assert partners(constant)[1:] == [2, 1, -1]
    assert partners(constant[:9]) == [-1] * 4
    constant[:, :3] = 1
    constant[:, 0] = ROWS[:, 0]
    assert partners(constant) == [-1] * 4


def test_a_model_in_training_mode_is_left_as_it_was() -> None:
    model, before = rows_network(4), torch.get_rng_state()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    partial_dependence(model, ROWS, columns=0)
    permutation_importance(model, ROWS, np.zeros(40, dtype=np.int64))
    interactions(model, ROWS[:2], background=BACKGROUND)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: partial_dependence(Product(), ROWS, columns=[4]), "column 4 is out of range: the rows have columns"),
        (lambda: partial_dependence(Product(), ROWS, points=1), "points is 1: give at least 2"),
        (lambda: partial_dependence(Product(), ROWS.long()), r"rows have shape \(40, 4\) and type torch.int64"),
        (lambda: permutation_importance(Product(), ROWS, np.zeros(3)), r"answers have shape \(3,\)"),
        (lambda: permutation_importance(rows_network(4), ROWS, np.full(40, 7)), "answers reach from 7 to 7"),
        (lambda: permutation_importance(rows_network(4), ROWS, np.zeros(40)), "give their indices"),
        (lambda: permutation_importance(Product(), ROWS, np.arange(40)), "from 0 to 39: the model has one output, for"),
        (lambda: permutation_importance(Product(), ROWS, np.full(40, np.nan)), "answers hold NaN or infinity"),
        (lambda: permutation_importance(Product(), ROWS, np.ones(40), measure="score"), "answers are all 1, of which"),
        (lambda: interactions(Product(), ROWS, columns=[1, 1]), r"columns are \[1, 1\]: name each of them once"),
        (lambda: interactions(rows_network(12), torch.ones(1, 12)), "of 12 columns were asked: choose at most 10"),
        (lambda: interactions(Product(), ROWS, 2), "target class 2 is out of range: the model has one output"),
    ],
    ids=[
        "column", "points", "integers", "answers", "classes", "floats", "counts", "unknown", "constant", "twice",
        "columns", "target",
    ],
)  # fmt: skip
def test_each_mistake_gives_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises((ExplainError, OptionError), match=sentence):
        call()

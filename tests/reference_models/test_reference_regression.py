"""Predicting a number: the loss in deviations, the scores in the target's own units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.networks.own_units import OwnUnits, own_units
from torchglass.reference_models.tasks.regression import MAX_PAIRS, Regression, number_scores


def test_the_loss_is_the_squared_error_in_deviations() -> None:
    loss = Regression(deviation=10.0).loss(torch.tensor([[110.0], [80.0]]), torch.tensor([100.0, 100.0]))
    assert loss.shape == ()
    assert loss.item() == pytest.approx((1 + 4) / 2)


def test_predicting_the_mean_costs_1_and_explains_nothing() -> None:
    true = torch.tensor([3.0, 5.0, 10.0, 14.0])
    outputs = true.mean().expand(4, 1)
    assert Regression(true.std(correction=0).item()).loss(outputs, true).item() == pytest.approx(1)
    assert number_scores(np.full(4, 8.0), true.double().numpy())["r2"] == pytest.approx(0)


def test_the_scores_of_uneven_batches_are_scikit_learn_s() -> None:
    generator = torch.Generator().manual_seed(0)
    true = 50 + 20 * torch.randn(11, generator=generator)
    outputs = (true + 5 * torch.randn(11, generator=generator))[:, None]
    task = Regression(deviation=20.0)
    tally = task.tally(torch.device("cpu"), train=False)
    for part in (slice(0, 8), slice(8, 11)):
        tally.add(outputs[part], true[part], task.loss(outputs[part], true[part]))
    scores = tally.read()
    assert scores["loss"] == pytest.approx(task.loss(outputs, true).item())
    assert scores["rmse"] == pytest.approx(root_mean_squared_error(true, outputs[:, 0]))
    assert scores["mae"] == pytest.approx(mean_absolute_error(true, outputs[:, 0]))
    assert scores["r2"] == pytest.approx(r2_score(true, outputs[:, 0]))
    np.testing.assert_array_equal(scores.arrays["true"], true.numpy())
    np.testing.assert_array_equal(scores.arrays["predicted"], outputs[:, 0].numpy())


def test_r2_is_missing_where_nothing_varies() -> None:
    assert number_scores(np.array([1.0, 2.0]), np.array([3.0, 3.0])).keys() == {"rmse", "mae"}


def test_no_more_pairs_are_kept_than_a_plot_shows() -> None:
    task = Regression()
    tally = task.tally(torch.device("cpu"), train=False)
    true = torch.arange(MAX_PAIRS + 100, dtype=torch.float32)
    tally.add(true[:, None], true, torch.tensor(0.0))
    scores = tally.read()
    assert len(scores.arrays["true"]) == len(scores.arrays["predicted"]) == MAX_PAIRS
    assert scores["r2"] == 1


def test_a_network_answers_in_own_units_by_the_form() -> None:
    form = DataForm("table", "regression", (2,), target_mean=150.0, target_deviation=75.0)
    (layer,) = own_units(form).values()
    assert isinstance(layer, OwnUnits)
    assert layer(torch.tensor([[0.0], [2.0]])).flatten().tolist() == [150.0, 300.0]
    assert not layer.state_dict()
    assert own_units(DataForm("table", "classification", (2,), ("a", "b"))) == {}


def test_a_form_survives_json_with_its_target_s_scale() -> None:
    import json

    form = DataForm("table", "regression", (2,), (), ("a", "b"), target_mean=1.5, target_deviation=2.5)
    assert DataForm.from_json(json.loads(json.dumps(form.to_json()))) == form

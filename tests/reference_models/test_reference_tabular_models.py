"""The three models for tables, trained by the real loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from torchglass.errors import DataError, OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.front_door import TrainingResult, train
from torchglass.reference_models.functions.silu import SiLU
from torchglass.reference_models.options import TrainingOptions
from torchglass.store import open_store

TABULAR = ("linear", "mlp", "perceptron")


def trained(model: str, dataset: str | None = None, *, data: Path | None = None, **changes: Any) -> TrainingResult:
    options = TrainingOptions(model=model, dataset=dataset, data=data, device="cpu", progress=False, mode="disabled")
    return train(replace(options, changes=changes))


@pytest.mark.parametrize("model", TABULAR)
def test_a_few_epochs_on_breast_cancer_are_enough_for_90_percent(model: str) -> None:
    result = trained(model, epochs=3, batch_size=16)
    assert result.score is not None
    assert result.score > 0.9
    assert result.bar.metric == "test/accuracy"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("model", TABULAR)
def test_the_recipe_reaches_the_bar(model: str, seed: int) -> None:
    result = train(TrainingOptions(model=model, seed=seed, device="cpu", progress=False, mode="disabled"))
    assert result.passed, result.score


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_a_number_is_predicted_in_its_own_units(model: str) -> None:
    result = trained(model, "diabetes", epochs=10)
    scores = result.epochs[-1].scores
    assert scores["train/loss"] < 0.8 * result.epochs[0].scores["train/loss"]
    assert scores["test/r2"] > 0.3
    assert 40 < scores["test/rmse"] < 70  # of 25 to 346
    assert scores.arrays["predicted"].mean() == pytest.approx(150, abs=30)


def test_the_linear_model_is_logistic_regression(tmp_path: Path) -> None:
    names = [
        name for name, _ in get("linear").build(DataForm("table", "classification", (4,), ("a", "b"))).named_modules()
    ]
    assert names == ["", "linear"]


def test_the_perceptron_begins_blank_and_learns_by_its_own_rule() -> None:
    exhibit = get("perceptron")
    model = exhibit.build(DataForm("table", "classification", (4,), ("a", "b", "c")))
    assert all(not parameter.any() for parameter in model.parameters())
    assert exhibit.loss is not None
    loss = exhibit.loss(torch.tensor([[1.0, 3.0, 2.0]], requires_grad=True), torch.tensor([0]))
    assert loss.item() == 2
    assert loss.grad_fn is not None
    assert loss.grad_fn.name() == "PerceptronCriterionBackward"


def test_the_mlp_s_activation_is_the_hand_written_one() -> None:
    model = get("mlp").build(DataForm("table", "classification", (4,), ("a", "b")))
    assert [type(layer) for layer in model.children()].count(SiLU) == 2
    rates = [layer.p for layer in model.children() if isinstance(layer, nn.Dropout)]
    assert rates == [get("mlp").dropout] * 2


def test_the_run_s_autograd_graph_shows_the_hand_written_function_by_its_name(tmp_path: Path) -> None:
    options = TrainingOptions(model="mlp", changes={"epochs": 1, "batch_size": 64}, store=tmp_path / "runs.db")
    result = train(replace(options, device="cpu", progress=False))
    assert result.store is not None
    with open_store(result.store, read_only=True) as store:
        (graph,) = store.artifacts(1, kind="graph", key="autograd")
        names = [str(name) for name in store.arrays(graph.id)["names"]]
    assert [name.removesuffix("Backward") for name in names].count("LeanSiLU") == 2


def test_the_perceptron_refuses_a_number_to_predict(tmp_path: Path) -> None:
    table = tmp_path / "prices.csv"
    table.write_text("a,price\n" + "\n".join(f"{row},{row * 1.5}" for row in range(20)))
    with pytest.raises(DataError, match="this table's target is a number"):
        trained("perceptron", data=table)


def test_label_smoothing_of_a_loss_that_is_no_cross_entropy_is_refused() -> None:
    with pytest.raises(OptionError, match="does not learn by cross entropy"):
        trained("perceptron", label_smoothing=0.1)


def test_a_table_of_one_s_own_trains(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(
        "a,b,kind\n" + "\n".join(f"{row % 7},{row % 5},{'high' if row % 7 > 3 else 'low'}" for row in range(140))
    )
    result = trained("linear", data=table, epochs=20)
    assert result.score is not None
    assert result.score > 0.9

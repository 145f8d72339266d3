"""Switches that change weights, targets or samples: each test fails if its switch did nothing."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from small_lessons import (
    CPU,
    at_each_step,
    equal,
    fit,
    gradients_of,
    lesson_of,
    small_network,
    table_split,
    weights_of,
)
from torch import Tensor, nn
from torch.nn import functional

from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.samples import Samples, Split
from torchglass.reference_models.front_door import prepare_lesson, train
from torchglass.reference_models.learning.initialization import initialize
from torchglass.reference_models.learning.precision import choose_precision
from torchglass.reference_models.learning.stopping import EarlyStopping
from torchglass.reference_models.options import TrainingOptions
from torchglass.reference_models.training import SupervisedLesson
from torchglass.store import open_store


def after_one_step(**changes: Any) -> list[Tensor]:
    lesson = lesson_of(epochs=1, batch_size=43, **changes)
    fit(lesson)
    return weights_of(lesson.trained)


def test_adamw_s_weight_decay_is_decoupled_each_weight_shrinks_by_rate_times_decay() -> None:
    start = weights_of(lesson_of().model)
    plain = after_one_step(optimizer="adamw", learning_rate=0.01)
    decayed = after_one_step(optimizer="adamw", learning_rate=0.01, weight_decay=0.3)
    for first, without, with_decay in zip(start, plain, decayed, strict=True):
        torch.testing.assert_close(with_decay - without, -0.01 * 0.3 * first, atol=1e-7, rtol=1e-3)


def test_sgd_s_weight_decay_is_part_of_the_gradient_which_momentum_counts_nearly_twice_at_first() -> None:
    start = weights_of(lesson_of().model)
    plain, decayed = after_one_step(), after_one_step(weight_decay=0.3)
    for first, without, with_decay in zip(start, plain, decayed, strict=True):
        torch.testing.assert_close(with_decay - without, -0.1 * 0.3 * 1.9 * first, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize(
    ("schedule", "warm_up", "rates"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("constant", 0.25, [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("step", 0.0, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]),
        ("multi_step", 0.0, [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01]),
        ("cosine", 0.0, [0.5 * (1 + math.cos(math.pi * step / 12)) for step in range(12)]),
        ("cosine", 0.5, [step / 6 for step in range(1, 7)] + [0.5 * (1 + math.cos(math.pi * k / 6)) for k in range(6)]),
    ],
)
def test_the_optimizer_steps_at_the_rates_that_the_schedule_names(
    schedule: str, warm_up: float, rates: list[float]
) -> None:
    lesson = lesson_of(epochs=4, schedule=schedule, warm_up=warm_up, learning_rate=0.2)
    seen = at_each_step(lesson, lambda: lesson.optimizer.param_groups[0]["lr"])
    fit(lesson)
    assert seen == pytest.approx([0.2 * rate for rate in rates])


def test_the_schedule_counts_steps_and_not_batches_when_they_are_accumulated() -> None:
    lesson = lesson_of(epochs=4, batch_size=4, accumulate=4, schedule="multi_step")
    seen = at_each_step(lesson, lambda: lesson.optimizer.param_groups[0]["lr"])
    fit(lesson)
    assert seen == pytest.approx([0.1] * 6 + [0.01] * 3 + [0.001] * 3)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_average_of_the_weights_is_the_formula_s_and_is_what_is_tested(accumulate: int) -> None:
    lesson = lesson_of(batch_size=8, accumulate=accumulate, ema=0.7)
    steps = at_each_step(lesson, lambda: weights_of(lesson.model), after=True)
    epochs = fit(lesson)
    assert len(steps) == 2 * math.ceil(6 / accumulate)
    expected = steps[0]
    for weights in steps[1:]:
        expected = [0.7 * old + 0.3 * new for old, new in zip(expected, weights, strict=True)]
    for ours, theirs in zip(weights_of(lesson.trained), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not equal(weights_of(lesson.trained), weights_of(lesson.model))
    test = table_split().test
    by_hand = functional.cross_entropy(lesson.trained(test.inputs), test.targets)
    assert epochs[-1].scores["test/loss"] == pytest.approx(by_hand.item())
    last = functional.cross_entropy(lesson.model(test.inputs), test.targets)
    assert epochs[-1].scores["test/loss"] != pytest.approx(last.item())


def test_smoothed_targets_pull_as_the_formula_says() -> None:
    lesson = lesson_of(epochs=1, batch_size=43, label_smoothing=0.3)
    split = table_split()
    twin = small_network()
    twin.load_state_dict(lesson.model.state_dict())
    log_shares = twin(split.train.inputs).log_softmax(dim=1)
    right = log_shares.gather(1, split.train.targets[:, None]).squeeze(1)
    loss = -(0.7 * right + 0.3 * log_shares.mean(dim=1)).mean()  # Szegedy et al. 2016: a share of 0.3 over all classes
    loss.backward()
    seen = at_each_step(lesson, lambda: gradients_of(lesson.model))
    fit(lesson)
    for ours, theirs in zip(seen[0], gradients_of(twin), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("ema", [None, 0.5], ids=["last weights", "averaged weights"])
def test_stopping_early_restores_the_weights_of_the_best_epoch(tmp_path: Path, ema: float | None) -> None:
    """Rows whose class nothing tells: validation is luck, and the best epoch is soon behind."""
    table = tmp_path / "luck.csv"
    split = table_split(100, noise=True)
    lines = [
        ",".join([*(f"{value:.4f}" for value in row), f"class {label}"])
        for row, label in zip(split.train.inputs.tolist(), split.train.targets.tolist(), strict=True)
    ]
    table.write_text("\n".join(["a,b,c,d,e,f,label", *lines]))
    changes = {
        "epochs": 10,
        "batch_size": 16,
        "learning_rate": 0.05,
        "early_stopping": 2,
        "validation": 0.25,
        "ema": ema,
    }
    result = train(
        TrainingOptions(
            model="mlp", data=table, changes=changes, store=tmp_path / "runs.db", device="cpu", progress=False
        )
    )
    scores = [epoch.scores for epoch in result.epochs]
    assert len(scores) < 10
    by_epoch = [score["validation/accuracy"] for score in scores]
    best = by_epoch.index(max(by_epoch)) + 1
    assert best == len(scores) - 2 == scores[-1]["early_stopping/best_epoch"]
    assert result.store is not None
    with open_store(result.store, read_only=True) as store:
        kept = {found.meta["epoch"]: store.arrays(found.id) for found in store.artifacts(1, kind="checkpoint")}
    state = result.model.state_dict()
    assert all(torch.equal(tensor, torch.as_tensor(kept[best][name])) for name, tensor in state.items())
    assert any(not torch.equal(tensor, torch.as_tensor(kept[best + 1][name])) for name, tensor in state.items())
    assert scores[-1]["test/loss"] == scores[best - 1]["test/loss"]


def test_a_score_that_is_no_number_is_never_the_best() -> None:
    model, stopping = small_network(), EarlyStopping(patience=2)
    assert [stopping.judge(score, model) for score in (math.nan, 0.5, 0.5, 0.4)] == [False, False, False, True]
    assert stopping.best_epoch == 2


def test_what_is_held_out_is_never_trained_on() -> None:
    lesson = lesson_of(validation=0.3, batch_size=1)
    rows: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training:
            rows.append(inputs[0])

    lesson.model.register_forward_pre_hook(keep)
    (first, _) = fit(lesson)
    assert "validation/accuracy" in first.scores.values
    learnt = {tuple(row.flatten().tolist()) for row in rows}
    assert len(learnt) == 43 - round(0.3 * 43)


def form_for(name: str) -> DataForm:
    """The form of a model's default data, without loading them."""
    return {
        "mlp": DataForm("table", "classification", (30,), ("a", "b")),
        "simple_cnn": DataForm("pictures", "classification", (1, 32, 32), ("a", "b")),
        "vit_tiny": DataForm("pictures", "classification", (3, 64, 64), ("a", "b")),
    }[name]


@pytest.mark.parametrize("name", ["mlp", "simple_cnn", "vit_tiny"])
def test_the_dropout_rate_is_set_in_every_dropout_and_drops_that_share(name: str) -> None:
    model = get(name).build(form_for(name), dropout=0.37)
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout | nn.Dropout2d)]
    assert rates
    assert set(rates) == {0.37}
    drop = next(module for module in model.modules() if isinstance(module, nn.Dropout | nn.Dropout2d))
    torch.manual_seed(0)
    dropped = drop.train()(torch.ones(100, 100, 1, 1)) == 0
    assert dropped.float().mean().item() == pytest.approx(0.37, abs=0.02)


def test_a_model_without_dropout_refuses_a_rate() -> None:
    with pytest.raises(OptionError, match="does not take dropout"):
        TrainingOptions(model="linear", changes={"dropout": 0.1})


def drawn(scheme: str) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(OrderedDict(linear=nn.Linear(400, 200), conv=nn.Conv2d(16, 64, 5), norm=nn.BatchNorm2d(64)))
    initialize(model, scheme)
    return model


@pytest.mark.parametrize(
    ("scheme", "linear", "conv"),
    [
        ("xavier", 2 / (400 + 200), 2 / (16 * 25 + 64 * 25)),
        ("kaiming", 2 / 400, 2 / (16 * 25)),
        ("normal", 0.02**2, 0.02**2),
        ("orthogonal", 1 / 400, 1 / (16 * 25)),
    ],
)
def test_initial_weights_have_the_variance_that_their_scheme_promises(scheme: str, linear: float, conv: float) -> None:
    model = drawn(scheme)
    for name, variance in (("linear", linear), ("conv", conv)):
        layer = model.get_submodule(name)
        assert isinstance(layer.weight, Tensor)
        assert isinstance(layer.bias, Tensor)
        assert layer.weight.var().item() == pytest.approx(variance, rel=0.05)
        assert layer.weight.mean().item() == pytest.approx(0, abs=0.05 * math.sqrt(variance))
        assert not layer.bias.any()
    assert torch.equal(model.get_parameter("norm.weight"), torch.ones(64))


def test_orthogonal_rows_are_orthogonal_and_xavier_s_are_uniform() -> None:
    weight = drawn("orthogonal").get_parameter("linear.weight")
    torch.testing.assert_close(weight @ weight.T, torch.eye(200), atol=1e-5, rtol=0)
    assert drawn("xavier").get_parameter("linear.weight").abs().max() <= math.sqrt(6 / 600)
    assert drawn("kaiming").get_parameter("linear.weight").abs().max() > 3 * math.sqrt(2 / 400)


def lesson_on(model: str, **changes: Any) -> SupervisedLesson:
    options = TrainingOptions(model=model, changes=changes, device="cpu", progress=False, mode="disabled", limit=96)
    lesson = prepare_lesson(options, choose_precision(CPU, None))
    assert isinstance(lesson, SupervisedLesson)
    return lesson


def test_the_command_s_scheme_reaches_the_weights() -> None:
    own, normal = lesson_on("lenet5"), lesson_on("lenet5", initialization="normal")
    weight = normal.model.get_parameter("fc1.weight")
    assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert own.model.get_parameter("fc1.weight").std().item() != pytest.approx(0.02, rel=0.05)


def pictures_seen(**changes: Any) -> list[Tensor]:
    lesson = lesson_on("lenet5", epochs=2, batch_size=96, **changes)
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor]) -> None:
        if module.training:
            seen.append(inputs[0].clone())

    lesson.model.register_forward_pre_hook(keep)
    fit(lesson)
    return seen


def matches(pictures: Tensor, known: Tensor) -> int:
    return sum(bool((known == picture).flatten(1).all(dim=1).any()) for picture in pictures)


def test_augmentation_changes_every_picture_that_is_trained_on() -> None:
    known = get("lenet5").load_data("digits").limited(96).train.inputs
    plain, moved = pictures_seen(augment=False), pictures_seen(augment=True)
    assert [matches(batch, known) for batch in plain] == [96, 96]
    assert [matches(batch, known) for batch in moved] == [0, 0]
    assert moved[0].mean().item() == pytest.approx(plain[0].mean().item(), rel=0.1)


def test_augmentation_draws_anew_in_every_epoch_and_leaves_the_test_s_pictures_alone() -> None:
    """Sixteen times one picture: whatever the order, batches are equal where the maps are."""
    pictures = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(16, 1, 8, 8)
    samples = Samples(pictures, torch.arange(16) % 2)
    split = Split(DataForm("pictures", "classification", (1, 8, 8), ("a", "b")), samples, samples)
    lesson = lesson_of(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), split, augment=True)
    trained_on: list[Tensor] = []
    tested_on: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor]) -> None:
        (trained_on if module.training else tested_on).append(inputs[0].clone())

    lesson.model.register_forward_pre_hook(keep)
    fit(lesson)
    first, second = trained_on
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    assert all(torch.equal(batch, pictures) for batch in tested_on)
    assert len(tested_on) == 2


def test_augmentation_of_what_is_no_picture_is_refused() -> None:
    with pytest.raises(OptionError, match="augment jitters pictures"):
        lesson_of(augment=True)

"""The parts of the loop that compute: scores, the learning rate's course, jitter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from torch.nn import functional

from torchglass.reference_models import Samples
from torchglass.reference_models.learning.augmentation import MAX_SHIFT, Jitter
from torchglass.reference_models.learning.batches import Batches
from torchglass.reference_models.learning.placement import ALONE
from torchglass.reference_models.learning.schedule import share_of_peak
from torchglass.reference_models.tasks.classification import ClassTally, class_scores, expected_calibration_error


@pytest.mark.parametrize("classes_answered", [10, 4], ids=["all classes", "six classes never answered"])
def test_scores_agree_with_scikit_learn(classes_answered: int) -> None:
    random = np.random.default_rng(3)
    labels = random.integers(0, 9, 500)  # class 9 never occurs
    answers = np.where(random.random(500) < 0.7, labels, random.integers(0, 9, 500)) % classes_answered
    tally = ClassTally(10, torch.device("cpu"))
    for part in np.array_split(np.arange(500), 7):
        logits = functional.one_hot(torch.tensor(answers[part]), 10).float()
        tally.add(logits, torch.tensor(labels[part]), torch.tensor(float(len(part))))
    scores = tally.read()
    precision, recall, f1, _ = precision_recall_fscore_support(labels, answers, average="macro", zero_division=0)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, answers), abs=1e-12)
    assert (scores["precision"], scores["recall"], scores["f1"]) == pytest.approx((precision, recall, f1), abs=1e-12)


def test_the_loss_is_the_mean_over_pictures_not_over_batches() -> None:
    tally = ClassTally(2, torch.device("cpu"))
    for count, loss in ((3, 1.0), (1, 5.0)):
        tally.add(torch.zeros(count, 2), torch.zeros(count, dtype=torch.int64), torch.tensor(loss))
    assert tally.read()["loss"] == pytest.approx((3 * 1.0 + 1 * 5.0) / 4)


def test_a_perfect_classifier_scores_one_everywhere() -> None:
    assert class_scores(np.diag([3, 1, 0])) == {"accuracy": 1, "precision": 1, "recall": 1, "f1": 1}


@pytest.mark.parametrize("total", [1, 2, 5, 10, 920])
def test_the_learning_rate_rises_to_its_peak_once_and_falls_to_zero(total: int) -> None:
    shares = [share_of_peak(step, total, "cosine", 0.1) for step in range(total + 1)]
    peak = shares.index(1.0)
    assert all(0 < share <= 1 for share in shares[:total])
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    assert total == 1 or shares[total] == pytest.approx(0, abs=1e-12)


def test_half_way_down_the_learning_rate_is_half_its_peak() -> None:
    assert share_of_peak(55, 100, "cosine", 0.1) == pytest.approx(0.5)
    assert share_of_peak(4, 100, "cosine", 0.1) == pytest.approx(0.5)


def test_jitter_moves_a_dot_by_no_more_than_it_promises_and_not_always_alike() -> None:
    dot = torch.zeros(200, 1, 32, 32)
    dot[:, :, 15:17, 15:17] = 1.0
    moved = Jitter(seed=1)(dot)
    places = torch.arange(32) - 15.5
    mass = moved.sum(dim=(1, 2, 3))
    across = (moved.sum(dim=(1, 2)) * places).sum(dim=1) / mass
    down = (moved.sum(dim=(1, 3)) * places).sum(dim=1) / mass
    limit = 32 * MAX_SHIFT / (1 - 0.1) * (math.cos(math.radians(10)) + math.sin(math.radians(10)))
    for drift in (across, down):
        assert drift.abs().max() <= limit + 0.1
        assert drift.abs().max() > 0.8 * 32 * MAX_SHIFT
        assert drift.mean().abs() < 0.3


def test_jitter_is_the_same_for_the_same_seed_and_leaves_torch_s_generator_alone() -> None:
    pictures = torch.rand(4, 1, 32, 32)
    before = torch.get_rng_state()
    first, again, other = Jitter(1)(pictures), Jitter(1)(pictures), Jitter(2)(pictures)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("step", [1, 1, 0.1, 0.01, 0.001]),
        ("multi_step", [1, 1, 0.1, 0.01, 0.01]),
        ("cosine", [1, 0.5 * (1 + math.cos(math.pi * 29 / 90)), 0.5, 0.5 * (1 + math.cos(math.pi * 75 / 90)), 0]),
    ],
)
def test_a_schedule_hits_its_values(schedule: str, expected: list[float]) -> None:
    found = [share_of_peak(step, 100, schedule, 0.1) for step in (10, 39, 55, 85, 100)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_without_a_rise_the_first_step_is_the_peak() -> None:
    assert share_of_peak(0, 100, "cosine", 0.0) == 1


def test_calibration_error_is_the_weighted_distance_of_confidence_and_accuracy() -> None:
    # Of four samples two are at 0.95 and right once, one at 0.55 and right, one at 0.62 and wrong.
    tally = ClassTally(2, torch.device("cpu"))
    confidence = torch.tensor([0.95, 0.95, 0.55, 0.62])
    logits = torch.stack([confidence.log(), (1 - confidence).log()], dim=1)
    tally.add(logits, torch.tensor([0, 1, 0, 1]), torch.tensor(1.0))
    scores = tally.read()
    by_hand = (2 * abs(0.95 - 0.5) + abs(0.55 - 1) + abs(0.62 - 0)) / 4
    assert scores["calibration_error"] == pytest.approx(by_hand, abs=1e-6)
    table = scores.arrays["calibration"]
    filled = table[table[:, 0] > 0]
    assert filled[:, 0].tolist() == [1, 1, 2]
    assert filled[:, 1] == pytest.approx([0.55, 0.62, 0.95], abs=1e-6)
    assert filled[:, 2] == pytest.approx([1, 0, 0.5])
    assert np.isnan(table[0, 1:]).all()
    assert expected_calibration_error(np.array([[3.0, 2.4, 3.0], [0, 0, 0]])) == pytest.approx(0.2)


def test_neighbouring_seeds_never_see_the_samples_in_one_order() -> None:
    numbers = torch.arange(50)
    samples = Samples(numbers.float().unsqueeze(1), numbers)

    def orders(seed: int) -> set[tuple[int, ...]]:
        batches = Batches(samples, 50, seed=seed, workers=0, placement=ALONE, pinned=False)
        return {tuple(next(iter(batches.of_epoch(epoch)))[1].tolist()) for epoch in range(1, 9)}

    assert len(orders(0)) == 8
    assert orders(0) == orders(0)
    assert not orders(0) & orders(1)

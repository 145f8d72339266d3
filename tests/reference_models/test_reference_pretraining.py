"""Masked words first, then classes: what is asked, what counts, and one run that can be resumed anywhere."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from own_lessons import CPU, fitted, setup_of, state_bits
from torch.nn import functional

from torchglass.errors import OptionError
from torchglass.reference_models import TrainingOptions
from torchglass.reference_models.data.words import MASK
from torchglass.reference_models.learning.precision import choose_precision
from torchglass.reference_models.lesson import Setup
from torchglass.reference_models.loops.pretraining import (
    NOT_ASKED,
    PretrainingLesson,
    mask_words,
    pretraining,
    word_accuracy,
    word_loss,
)
from torchglass.reference_models.networks.encoder import Encoder
from torchglass.reference_models.training import supervised

WORDS = 50


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)


@cache
def few_reviews() -> Setup:
    """96 reviews, 4 epochs of 3 batches."""
    return setup_of("transformer", limit=96, epochs=4, batch_size=32)


def small(**changes: Any) -> Setup:
    """A narrow encoder and few reviews."""
    setup = few_reviews()
    torch.manual_seed(0)
    form = setup.split.form
    model = Encoder(form.vocabulary_size, form.shape[0], 2, width=16, heads=2, depth=1, dropout=0.1)
    precision = choose_precision(CPU, None)
    return replace(setup, model=model, precision=precision, recipe=setup.recipe.changed(changes))


def test_fifteen_words_of_a_hundred_are_asked_for_and_most_of_them_hidden() -> None:
    ids = torch.randint(3, WORDS, (1000, 60), generator=generator())
    ids[:, 40:] = 0
    shown, asked = mask_words(ids, WORDS, generator())
    is_asked = asked != NOT_ASKED
    assert not is_asked[:, 40:].any()
    assert torch.equal(asked[is_asked], ids[is_asked])
    assert torch.equal(shown[~is_asked], ids[~is_asked])
    count = int(is_asked.sum())
    assert count / 40_000 == pytest.approx(0.15, abs=0.006)
    hidden, left = (shown[is_asked] == MASK), (shown[is_asked] == ids[is_asked])
    assert int(hidden.sum()) / count == pytest.approx(0.8, abs=0.02)
    assert int(left.sum()) / count == pytest.approx(0.1 + 0.1 / (WORDS - 3), abs=0.015)
    assert int(shown[is_asked][~hidden].min()) >= 3  # nothing is replaced by padding or by the mask


def test_the_same_generator_asks_for_the_same_words() -> None:
    ids = torch.randint(3, WORDS, (20, 10), generator=generator())
    first, second = mask_words(ids, WORDS, generator()), mask_words(ids, WORDS, generator())
    assert torch.equal(first.shown, second.shown)
    assert torch.equal(first.asked, second.asked)


def test_words_that_are_not_asked_for_do_not_count() -> None:
    logits = torch.randn(4, 6, WORDS, generator=generator(), requires_grad=True)
    asked = torch.full((4, 6), NOT_ASKED)
    asked[0, 1], asked[2, 5], asked[3, 0] = 7, 9, 11
    loss = word_loss(logits, asked)
    picked = torch.stack([logits[0, 1], logits[2, 5], logits[3, 0]])
    assert loss.item() == pytest.approx(functional.cross_entropy(picked, torch.tensor([7, 9, 11])).item(), rel=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.any(dim=2).nonzero().tolist() == [[0, 1], [2, 5], [3, 0]]
    right = logits.detach().clone()
    right[0, 1, 7] = right[2, 5, 9] = 100.0
    assert word_accuracy(right, asked).item() == pytest.approx(2 / 3)


def test_a_batch_without_any_word_asked_for_costs_nothing() -> None:
    asked = torch.full((2, 3), NOT_ASKED)
    assert word_loss(torch.randn(2, 3, WORDS), asked).item() == 0
    assert word_accuracy(torch.randn(2, 3, WORDS), asked).item() == 0


def test_half_of_the_epochs_are_for_words_and_the_last_one_always_for_classes() -> None:
    epochs, notebook = fitted(pretraining(small(epochs=5)))
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5]
    assert ["test/accuracy" in epoch.scores.values for epoch in epochs] == [False, False, True, True, True]
    assert ["pretrain/test_accuracy" in epoch.scores.values for epoch in epochs] == [True, True, False, False, False]
    assert (len(notebook.series("pretrain/loss")), len(notebook.series("loss"))) == (6, 9)
    [only], _ = fitted(pretraining(small(epochs=1)))
    assert "test/accuracy" in only.scores.values


def test_pre_training_lowers_its_loss_on_texts_that_it_has_not_seen() -> None:
    epochs, notebook = fitted(pretraining(small(epochs=16, learning_rate=2e-2, schedule="constant")))
    losses = notebook.series("pretrain/loss")
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    held_out = [epoch.scores["pretrain/test_loss"] for epoch in epochs[:8]]
    assert held_out[-1] < 0.95 * held_out[0]


def test_texts_held_out_to_choose_by_are_not_pre_trained_on() -> None:
    _, notebook = fitted(pretraining(small(epochs=2, validation=0.35)))  # 62 of 96 texts are left, two batches
    assert (len(notebook.series("pretrain/loss")), len(notebook.series("loss"))) == (2, 2)


def test_pre_training_sees_no_label() -> None:
    def after_words(turned: bool) -> dict[str, bytes]:
        setup = small(epochs=2)
        if turned:
            train = replace(setup.split.train, targets=1 - setup.split.train.targets)
            setup = replace(setup, split=replace(setup.split, train=train))
        lesson = pretraining(setup)
        fitted(lesson, until=1)
        return state_bits(lesson)

    assert after_words(False) == after_words(True)


@pytest.mark.parametrize("done", [1, 2, 3], ids=["among words", "between", "among classes"])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(done: int) -> None:
    whole = pretraining(small())
    fitted(whole)
    broken = pretraining(small())
    fitted(broken, until=done)
    resumed = pretraining(small())
    resumed.load_state(broken.state())
    epochs, _ = fitted(resumed, done=done)
    assert [epoch.number for epoch in epochs] == list(range(done + 1, 5))
    assert state_bits(resumed) == state_bits(whole)


def test_both_parts_have_a_rise_and_a_fall_of_their_own() -> None:
    lesson = pretraining(small(learning_rate=0.01, warm_up=0.0, schedule="multi_step"))
    rates = RateNotes(lesson)
    fitted(lesson)
    # six steps each: the whole rate, a tenth after a half, a hundredth after three quarters of them
    words = [0.01] * 3 + [0.001] * 2 + [0.0001]
    assert rates.seen == pytest.approx([*words, *(rate / 3 for rate in words)])
    assert rates.fresh == [0, 6]  # no moments are carried over


def test_gradients_are_bounded_in_both_parts() -> None:
    _, notebook = fitted(pretraining(small(clip_norm=0.01)))
    assert len(notebook.series("gradient_norm")) == 12
    assert min(notebook.series("gradient_norm")) > 0.01  # as they were before


def test_checkpointing_leaves_the_weights_as_they_are() -> None:
    plain, saving = pretraining(small()), pretraining(small(checkpointing=True))
    fitted(plain)
    fitted(saving)
    for one, other in zip(plain.trained.parameters(), saving.trained.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_switches_that_it_does_not_heed_are_refused() -> None:
    with pytest.raises(OptionError, match="transformer does not take accumulate"):
        TrainingOptions(model="transformer", changes={"accumulate": 2})


@pytest.mark.slow
def test_words_first_teach_more_than_as_many_epochs_of_classes_alone() -> None:
    both, _ = fitted(pretraining(setup_of("transformer")))
    classes = sum("test/accuracy" in epoch.scores.values for epoch in both)
    alone, _ = fitted(supervised(setup_of("transformer", epochs=classes, learning_rate=1e-3)))
    assert both[-1].scores["test/accuracy"] > alone[-1].scores["test/accuracy"] + 0.1


class RateNotes:
    """Notes the learning rate of each optimizer step, and the steps before which there were no moments."""

    def __init__(self, lesson: PretrainingLesson) -> None:
        self.seen: list[float] = []
        self.fresh: list[int] = []
        lesson.optimizer.register_step_pre_hook(self._note)

    def _note(self, optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        if not optimizer.state:
            self.fresh.append(len(self.seen))
        self.seen.append(optimizer.param_groups[0]["lr"])

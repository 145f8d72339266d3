"""What cannot be done is told in one sentence before anything is recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_lessons import fit, lesson_of, table_split

from torchglass.errors import OptionError
from torchglass.reference_models.front_door import train
from torchglass.reference_models.options import TrainingOptions

PLAIN = TrainingOptions(model="linear", device="cpu", progress=False)

IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "checkpointing of one layer": (
        {"model": "bilstm", "changes": {"checkpointing": True}},
        "needs a sequence of blocks",
    ),
    "nothing to choose by": (
        {"changes": {"early_stopping": 2}, "limit": 1},
        r"validation is 0\.1 of 1 training samples, which is none of them",
    ),
    "no part of one sample": ({"changes": {"validation": 0.4}, "limit": 1}, r"validation is 0\.4 of 1"),
    "early stopping with validation switched off": (
        {"changes": {"early_stopping": 2, "validation": 0.0}},
        "early_stopping chooses by a validation part",
    ),
    "jitter of a table": ({"changes": {"augment": True}}, "augment"),
    "checkpointing and compile": ({"changes": {"checkpointing": True}, "compile": True}, "choose one of them"),
}


@pytest.mark.parametrize(("asked", "sentence"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_switch_is_refused_before_a_run_is_made(
    tmp_path: Path, asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(OptionError, match=sentence):
        train(replace(PLAIN, store=tmp_path / "runs.db", **asked))
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.parametrize("name", ["epochs", "batch_size", "accumulate", "early_stopping", "cpu_threads"])
def test_a_count_that_no_machine_counts_to_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name} is 1000.*give a whole number of at least 1 and of at most"):
        replace(PLAIN, changes={name: 10**400})


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_number_that_no_float_holds_is_refused(value: int) -> None:
    with pytest.raises(OptionError, match=r"learning_rate is -?1000.*: give a number above 0"):
        replace(PLAIN, changes={"learning_rate": value})


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay"])
def test_a_rate_beyond_what_weights_can_hold_is_refused_and_the_largest_trains_to_its_end(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name} is 1e\\+300: give a number .* of at most 1,000,000,000"):
        replace(PLAIN, changes={name: 1e300})
    for optimizer in ("adamw", "sgd"):
        largest = {"learning_rate": 1e9, "weight_decay": 1e9, "optimizer": optimizer, "epochs": 2}
        assert len(train(replace(PLAIN, changes=largest, limit=60, mode="disabled")).epochs) == 2


def test_a_billion_epochs_can_be_asked_for_and_stopped() -> None:
    lesson = lesson_of(
        epochs=10**9, early_stopping=1, validation=0.3, split=table_split(noise=True), learning_rate=1e-9
    )
    assert len(fit(lesson)) <= 3


def test_the_last_validation_score_of_a_run_that_stopped_early_is_that_of_the_weights_that_are_kept() -> None:
    lesson = lesson_of(
        epochs=40, early_stopping=3, validation=0.3, split=table_split(60, noise=True), learning_rate=0.5
    )
    epochs = fit(lesson)
    best = int(epochs[-1].scores["early_stopping/best_epoch"])
    assert best < len(epochs) < 40
    for name in ("validation/accuracy", "validation/loss", "test/loss"):
        assert epochs[-1].scores[name] == epochs[best - 1].scores[name], name

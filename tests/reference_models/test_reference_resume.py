"""A run that was stopped goes on: what comes out equals an uninterrupted run bit for bit, weights and series."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from torchglass.errors import DataError
from torchglass.reference_models.front_door import TrainingResult, train
from torchglass.reference_models.lesson import Epoch, StopTraining
from torchglass.reference_models.options import TrainingOptions
from torchglass.store import open_store

EVERYTHING: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 16,
    "accumulate": 2,
    "dropout": 0.3,
    "augment": True,
    "ema": 0.5,
    "learning_rate": 0.01,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "validation": 0.2,
    "early_stopping": 3,
}
SERIES = (
    "loss",
    "gradient_norm",
    "epoch",
    "train/loss",
    "validation/accuracy",
    "early_stopping/best_epoch",
    "test/loss",
    "test/accuracy",
)


def options(folder: Path, **asked: Any) -> TrainingOptions:
    folder.mkdir(exist_ok=True)
    return replace(
        TrainingOptions(
            model="simple_cnn",
            changes=EVERYTHING,
            store=folder / "runs.db",
            run="one",
            device="cpu",
            limit=250,
            progress=False,
        ),
        **asked,
    )


def same_weights(left: nn.Module, right: nn.Module) -> bool:
    ours, theirs = left.state_dict(), right.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def series_of(result: TrainingResult) -> dict[str, tuple[list[int], npt.NDArray[np.float64]]]:
    """Steps and values of every series that does not measure time."""
    assert result.store is not None
    with open_store(result.store, read_only=True) as store:
        (run,) = store.runs()
        found = {}
        for key in SERIES:
            series = store.find_series(run.id, key)
            assert series is not None, key
            points = store.points(series.id)
            found[key] = (points.steps.tolist(), points.values)
        return found


def stop_after(number: int) -> Any:
    def watching(epoch: Epoch) -> None:
        if epoch.number == number:
            raise StopTraining

    return watching


@contextmanager
def interrupted_at_training_batch(count: int) -> Iterator[None]:
    """Ctrl-C in the middle of an epoch."""
    seen = 0

    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal seen
        seen += module.training and hasattr(module, "block1")
        if seen > count:
            raise KeyboardInterrupt

    handle = register_module_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """All four epochs at once."""
    result = train(options(tmp_path_factory.mktemp("whole")))
    assert result.epochs[-1].scores["early_stopping/best_epoch"] > 2  # or the last epochs would count for nothing
    return result


def check_equal(resumed: TrainingResult, whole: TrainingResult) -> None:
    assert same_weights(resumed.model, whole.model)
    ours, theirs = series_of(resumed), series_of(whole)
    for key in SERIES:
        assert ours[key][0] == theirs[key][0], key
        np.testing.assert_array_equal(ours[key][1], theirs[key][1], err_msg=key)


def test_a_run_stopped_between_epochs_and_resumed_equals_a_whole_one(tmp_path: Path, whole: TrainingResult) -> None:
    first = train(options(tmp_path), watching=stop_after(2))
    assert len(first.epochs) == 2
    assert not same_weights(first.model, whole.model)
    second = train(options(tmp_path, resume=True))
    assert [epoch.number for epoch in second.epochs] == [3, 4]
    check_equal(second, whole)


def test_a_run_interrupted_in_the_middle_of_an_epoch_begins_that_epoch_again(
    tmp_path: Path, whole: TrainingResult
) -> None:
    with interrupted_at_training_batch(2 * 13 + 3):  # 200 rows in batches of 16: in the third epoch
        first = train(options(tmp_path))
    assert first.interrupted
    assert len(first.epochs) == 2
    second = train(options(tmp_path, resume=True))
    assert [epoch.number for epoch in second.epochs] == [3, 4]
    check_equal(second, whole)


def test_the_same_seed_trains_the_same_bits_and_another_seed_others(tmp_path: Path, whole: TrainingResult) -> None:
    check_equal(train(options(tmp_path / "again")), whole)
    assert not same_weights(train(options(tmp_path / "other", seed=1)).model, whole.model)


def test_the_bits_do_not_depend_on_what_the_caller_drew_before(tmp_path: Path, whole: TrainingResult) -> None:
    torch.manual_seed(12345)
    torch.rand(7)
    state = torch.get_rng_state()
    again = train(options(tmp_path, mode="disabled", store=None))
    assert same_weights(again.model, whole.model)
    assert torch.equal(torch.get_rng_state(), state)


def test_other_switches_cannot_resume_a_run(tmp_path: Path) -> None:
    train(options(tmp_path), watching=stop_after(1))
    with pytest.raises(DataError, match="batch_size was 16 and is 8"):
        train(options(tmp_path, resume=True, changes={**EVERYTHING, "batch_size": 8}))

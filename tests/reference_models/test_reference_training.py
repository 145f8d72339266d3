"""Training from end to end with the real attach and the real store."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from idx_files import TEST_COUNT, write_plain
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from torchglass.errors import OptionError
from torchglass.instrumentation import attach
from torchglass.reference_models import (
    DataForm,
    TrainingOptions,
    TrainingResult,
    get,
    load_weights,
    model_from_checkpoint,
    train,
)
from torchglass.reference_models.data.digits import DIGITS_FORM
from torchglass.reference_models.front_door import MAX_CHECKPOINTS, is_kept, prepare_lesson
from torchglass.reference_models.gallery import MAX_SAMPLES
from torchglass.reference_models.learning.precision import choose_device, choose_precision
from torchglass.reference_models.progress import bar
from torchglass.reference_models.recipe import SWITCHES
from torchglass.reference_models.training import SupervisedLesson
from torchglass.store import Store, open_store

TESTED = ("loss", "accuracy", "precision", "recall", "f1", "calibration_error")
LOGGED = ("train/accuracy", *(f"test/{name}" for name in TESTED))
STEPS_PER_EPOCH = 23  # 1,437 pictures in batches of 64


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class CountReads(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts the operations that copy a number from a tensor to Python: on a GPU each one waits for it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.reads += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def options(**asked: Any) -> TrainingOptions:
    changes = {"epochs": 3, **{name: asked.pop(name) for name in list(asked) if name in SWITCHES}}
    return replace(TrainingOptions(device="cpu", changes=changes, progress=False), **asked)


def lesson_of(asked: TrainingOptions) -> SupervisedLesson:
    lesson = prepare_lesson(asked, choose_precision(choose_device(asked.device), asked.amp))
    assert isinstance(lesson, SupervisedLesson)
    return lesson


def state_of(result: TrainingResult) -> dict[str, Tensor]:
    return result.model.state_dict()


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(scope="module")
def trained(folder: Path) -> TrainingResult:
    """Three epochs on the digits, recorded."""
    return train(options(store=folder / "runs.db"))


@pytest.fixture
def store(trained: TrainingResult) -> Iterator[Store]:
    assert trained.store is not None
    with open_store(trained.store, read_only=True) as opened:
        yield opened


def values(store: Store, key: str) -> npt.NDArray[np.float64]:
    series = store.find_series(1, key)
    assert series is not None, key
    return store.points(series.id).values


def test_three_epochs_are_enough_for_85_percent_and_a_falling_loss(trained: TrainingResult, store: Store) -> None:
    loss = values(store, "loss")
    assert len(loss) == 3 * STEPS_PER_EPOCH
    assert loss[-10:].mean() < 0.5 * loss[:10].mean()
    assert trained.score is not None
    assert trained.score > 0.85
    assert not trained.passed


def test_every_epoch_s_scores_are_in_the_store_at_its_last_step(trained: TrainingResult, store: Store) -> None:
    assert [epoch.step for epoch in trained.epochs] == [22, 45, 68]
    for key, expected in {
        "epoch": [1, 2, 3],
        **{key: [epoch.scores[key] for epoch in trained.epochs] for key in LOGGED},
    }.items():
        assert values(store, key).tolist() == pytest.approx(expected), key
        series = store.find_series(1, key)
        assert series is not None
        assert store.points(series.id).steps.tolist() == [22, 45, 68]


def test_the_run_is_finished_and_its_configuration_trains_it_again(trained: TrainingResult, store: Store) -> None:
    run = store.run(trained.run_name)
    assert (run.name, run.status, trained.interrupted) == ("lenet5-digits", "finished", False)
    assert run.config["model"] == "lenet5"
    assert (run.config["epochs"], run.config["batch_size"], run.config["seed"]) == (3, 64, 0)
    assert (run.config["precision"], run.config["device"]) == ("float32", "cpu")
    assert (run.config["schedule"], run.config["augment"], run.config["limit"]) == ("cosine", True, None)


def test_the_gallery_holds_the_first_test_samples_as_the_model_saw_them(trained: TrainingResult, store: Store) -> None:
    (artifact,) = store.artifacts(1, kind="samples", key="test")
    arrays = store.arrays(artifact.id)
    split = get("lenet5").load_data("digits")
    assert np.array_equal(arrays["inputs"], split.test.inputs[:MAX_SAMPLES].numpy())
    assert arrays["targets"].tolist() == split.test.targets[:MAX_SAMPLES].tolist()
    everything = {picture.numpy().tobytes() for picture in split.train.inputs}
    assert len(arrays["background"]) == 64
    assert all(picture.tobytes() in everything for picture in arrays["background"])
    assert artifact.meta["class_names"] == list("0123456789")
    assert (artifact.meta["model"], artifact.meta["dataset"]) == ("lenet5", "digits")
    assert DataForm.from_json(artifact.meta["form"]) == DIGITS_FORM


def test_the_last_checkpoint_rebuilds_the_trained_model(trained: TrainingResult, store: Store) -> None:
    checkpoints = store.artifacts(1, kind="checkpoint", key="weights")
    assert [checkpoint.step for checkpoint in checkpoints] == [22, 45, 68]
    assert [checkpoint.meta["epoch"] for checkpoint in checkpoints] == [1, 2, 3]
    last = checkpoints[-1]
    rebuilt = model_from_checkpoint(store.arrays(last.id), last.meta)
    assert same(rebuilt.state_dict(), state_of(trained))
    assert last.meta["scores"]["test/accuracy"] == pytest.approx(trained.score)


def test_the_weights_file_lies_beside_the_store_and_scores_the_same(trained: TrainingResult, folder: Path) -> None:
    assert trained.weights == folder / "torchglass-weights" / "lenet5-digits.pt"
    model = get("lenet5").build(DIGITS_FORM)
    load_weights(trained.weights, model)
    split = get("lenet5").load_data("digits")
    with torch.no_grad():
        right = model.eval()(split.test.inputs).argmax(dim=1) == split.test.targets
    assert right.double().mean().item() == pytest.approx(trained.score)


def test_the_same_seed_gives_the_same_weights_bit_for_bit_attached_or_not(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    attached, again = (train(options(epochs=2, store=tmp_path / "a.db")) for _ in range(2))
    alone = train(options(epochs=2, mode="disabled"))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(state_of(attached), state_of(again))
    assert same(state_of(attached), state_of(alone))
    other = train(options(epochs=2, mode="disabled", seed=1))
    assert not same(state_of(alone), state_of(other))
    assert (attached.run_name, again.run_name) == ("lenet5-digits", "lenet5-digits-2")
    assert attached.weights != again.weights


def test_a_disabled_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = train(options(epochs=1, mode="disabled"))
    assert (result.weights, result.store) == (None, None)
    assert len(result.epochs) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_workers_of_the_loader_change_no_weight(tmp_path: Path) -> None:
    alone, helped = (train(options(epochs=1, workers=count, store=tmp_path / "a.db")) for count in (0, 1))
    assert same(state_of(alone), state_of(helped))


def test_torch_s_thread_count_is_as_it_was_and_changes_no_weight(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(train(options(epochs=1, store=tmp_path / "a.db")))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert same(state_of(results[0]), state_of(results[1]))


def test_ctrl_c_ends_the_run_as_interrupted_and_returns_the_epochs_so_far(tmp_path: Path) -> None:
    calls = 0

    def interrupt_in_the_second_epoch(module: nn.Module, _inputs: Any) -> None:
        nonlocal calls
        calls += isinstance(module, nn.Sequential) and module.training
        if calls == STEPS_PER_EPOCH + 5:
            raise KeyboardInterrupt

    handle = register_module_forward_pre_hook(interrupt_in_the_second_epoch)
    try:
        result = train(options(store=tmp_path / "a.db"))
    finally:
        handle.remove()
    assert result.interrupted
    assert len(result.epochs) == 1
    assert (result.weights, result.passed) == (None, False)
    with open_store(tmp_path / "a.db", read_only=True) as store:
        assert store.run("lenet5-digits").status == "interrupted"
        assert [artifact.meta["epoch"] for artifact in store.artifacts(1, kind="checkpoint")] == [1]


def test_an_error_ends_the_run_as_failed_and_reaches_the_caller(tmp_path: Path) -> None:
    def fail(module: nn.Module, _inputs: Any) -> None:
        if isinstance(module, nn.Sequential):
            raise RuntimeError("out of paper")

    handle = register_module_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="out of paper"):
            train(options(store=tmp_path / "a.db"))
    finally:
        handle.remove()
    with open_store(tmp_path / "a.db", read_only=True) as store:
        assert store.run("lenet5-digits").status == "failed"
    assert not (tmp_path / "torchglass-weights").exists()


def test_mixed_precision_on_the_cpu_trains_float32_weights_in_bfloat16(tmp_path: Path) -> None:
    result = train(options(amp="bf16", store=tmp_path / "a.db"))
    assert result.score is not None
    assert result.score > 0.85
    assert {tensor.dtype for tensor in state_of(result).values()} == {torch.float32}
    with open_store(tmp_path / "a.db", read_only=True) as store:
        assert store.run(1).config["precision"] == "bfloat16"


def test_an_epoch_reads_no_number_back_from_the_device() -> None:
    lesson = lesson_of(options(optimizer="sgd"))  # AdamW reads its own step count, which lies on the CPU
    batches = list(lesson._batches.of_epoch(1))  # the loader's own seed and shuffle are numbers of the CPU
    lesson._batches.of_epoch = lambda number: batches  # type: ignore[assignment,method-assign,return-value]
    run = attach(lesson.model, lesson.optimizer, mode="disabled")
    with bar("epoch", None, "batch", show=False) as silent, CountReads() as counted:
        tally = lesson.train_epoch(1, run, silent)
        assert counted.reads == 0
        tally.read()
        assert counted.reads > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("amp", [None, "auto"])
def test_an_epoch_on_cuda_never_waits_for_the_device(amp: str | None, tmp_path: Path) -> None:
    lesson = lesson_of(options(device="cuda", amp=amp))
    with (
        attach(lesson.model, lesson.optimizer, store=tmp_path / "a.db", profile=None) as run,
        bar("epoch", None, "batch", show=False) as silent,
    ):
        lesson.train_epoch(1, run, silent)
        torch.cuda.set_sync_debug_mode("error")
        try:
            lesson.train_epoch(2, run, silent)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_evaluation_restores_the_mode_and_leaves_no_gradient() -> None:
    lesson = lesson_of(options())
    for training in (True, False):
        lesson.model.train(training)
        lesson.evaluate(get("lenet5").load_data().test)
        assert lesson.model.training is training
    assert all(parameter.grad is None for parameter in lesson.model.parameters())


def test_mnist_trains_from_files_and_the_last_batch_may_be_small(tmp_path: Path) -> None:
    write_plain(tmp_path)
    asked = options(dataset="mnist", cache=tmp_path, epochs=1, batch_size=5, store=tmp_path / "a.db")
    result = train(asked)
    assert result.epochs[0].step == 2  # batches of 5, 5 and 2
    assert result.run_name == "lenet5-mnist"
    with open_store(tmp_path / "a.db", read_only=True) as store:
        (gallery,) = store.artifacts(1, kind="samples")
        assert len(store.arrays(gallery.id)["targets"]) == TEST_COUNT


def test_bars_are_drawn_on_a_terminal_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train(options(epochs=1, progress=True, mode="disabled"))
    drawn = terminal.getvalue()
    assert "training" in drawn
    assert "epoch 1" in drawn
    assert "test accuracy" in drawn


@pytest.mark.parametrize("progress", [True, False])
def test_no_bar_is_drawn_into_a_file_or_unasked(progress: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO() if progress else Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    train(options(epochs=1, progress=progress, mode="disabled"))
    assert stderr.getvalue() == ""


@pytest.mark.parametrize("epochs", [1, 3, 10, 11, 19, 40, 101, 1000])
def test_checkpoints_are_bounded_and_the_last_epoch_is_always_kept(epochs: int) -> None:
    kept = [number for number in range(1, epochs + 1) if is_kept(number, epochs)]
    assert kept[-1] == epochs
    assert min(epochs, MAX_CHECKPOINTS / 2) <= len(kept) <= MAX_CHECKPOINTS


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_an_absent_device_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cuda:1"):
        train(options(device="cuda:1", store=tmp_path / "a.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_default_recipe_reaches_the_quality_bar(seed: int, tmp_path: Path) -> None:
    result = train(TrainingOptions(device="cpu", seed=seed, progress=False, store=tmp_path / "a.db"))
    assert result.passed
    assert result.bar.at_least == 0.97

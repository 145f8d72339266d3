"""What may be asked of a training run, and which device and number format it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from torchglass.errors import OptionError
from torchglass.reference_models import Recipe, TrainingOptions, get
from torchglass.reference_models.learning.precision import choose_device, choose_precision
from torchglass.reference_models.recipe import SWITCHES

IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"model": "resnet"}, "'resnet'"),
    ({"dataset": "cifar10"}, "'cifar10'"),
    ({"device": "tpu"}, "'tpu'"),
    ({"device": "cuda:x"}, "'cuda:x'"),
    ({"device": "cpu:1"}, "'cpu:1'"),
    ({"model": "lenet5", "data": Path("a.csv")}, "a.csv"),
    ({"model_path": Path("folder")}, "folder"),
    ({"amp": "fp8"}, "'fp8'"),
    ({"amp": True}, "amp is True"),
    ({"limit": 0}, "limit is 0"),
    ({"resume": True, "mode": "disabled"}, "nothing to resume"),
    ({"changes": {"epochs": 0}}, "epochs is 0: give a whole number of at least 1"),
    ({"changes": {"epochs": True}}, "epochs is True"),
    ({"changes": {"batch_size": 2.5}}, "batch_size is 2.5"),
    ({"changes": {"learning_rate": 0}}, "learning_rate is 0: give a number above 0"),
    ({"changes": {"learning_rate": float("nan")}}, "learning_rate is nan"),
    ({"changes": {"learning_rate": "fast"}}, "learning_rate is 'fast'"),
    ({"changes": {"schedule": "triangle"}}, "schedule is 'triangle': give one of constant, step"),
    ({"changes": {"ema": 1.0}}, "ema is 1.0: give a number above 0 and below 1 or None"),
    ({"changes": {"epochs": None}}, "epochs is None"),
    ({"changes": {"speed": 3}}, "no switch is called 'speed'"),
    ({"changes": {"dropout": 0.5}}, "lenet5 does not take dropout"),
    ({"seed": -1}, "seed is -1"),
    ({"seed": 2**32}, "seed is 4294967296"),
    ({"workers": -1}, "workers is -1"),
    ({"mode": "off"}, "mode is 'off'"),
]


@pytest.mark.parametrize(("asked", "complaint"), IMPOSSIBLE, ids=[complaint for _, complaint in IMPOSSIBLE])
def test_an_impossible_option_is_refused_with_its_value(asked: dict[str, Any], complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        TrainingOptions(**asked)


def test_what_is_not_asked_for_comes_from_the_recipe_of_the_data_set() -> None:
    digits, mnist = (get("lenet5").source(name).recipe for name in ("digits", "mnist"))
    assert TrainingOptions().recipe == digits
    assert TrainingOptions(dataset="mnist").recipe == mnist
    asked = TrainingOptions(changes={"epochs": 3, "batch_size": 7, "learning_rate": 0.5}).recipe
    assert (asked.epochs, asked.batch_size, asked.learning_rate, asked.augment) == (3, 7, 0.5, digits.augment)


def test_a_run_is_named_after_model_and_data_set_unless_it_is_named() -> None:
    assert TrainingOptions(dataset="mnist").run_name == "lenet5-mnist"
    assert TrainingOptions(run="mine").run_name == "mine"


def test_the_cpu_is_always_there_and_auto_finds_something() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_without_cuda_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"'{name}'.*no CUDA"):
        choose_device(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_cuda_device_beyond_the_last_is_refused() -> None:
    with pytest.raises(OptionError, match="count from cuda:0"):
        choose_device(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has MPS")
def test_mps_without_mps_is_refused() -> None:
    with pytest.raises(OptionError, match="mps"):
        choose_device("mps")


def test_amp_on_the_cpu_is_bfloat16_without_a_scaler() -> None:
    precision = choose_precision(torch.device("cpu"), "auto")
    assert not precision.scaler.is_enabled()
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_without_amp_everything_stays_float32() -> None:
    precision = choose_precision(torch.device("cpu"), None)
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_amp_on_mps_is_refused() -> None:
    with pytest.raises(OptionError, match="without it"):
        choose_precision(torch.device("mps"), "auto")


def test_fp16_on_the_cpu_is_refused_with_what_to_do() -> None:
    with pytest.raises(OptionError, match=r"'fp16' and the device is the CPU.*--amp bf16"):
        choose_precision(torch.device("cpu"), "fp16")


def test_early_stopping_holds_out_a_tenth_to_choose_by_unless_told_how_much() -> None:
    assert TrainingOptions(changes={"early_stopping": 3}).recipe.validation == 0.1
    assert TrainingOptions(changes={"early_stopping": 3, "validation": 0.3}).recipe.validation == 0.3
    assert TrainingOptions().recipe.validation == 0


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_says_what_it_does_and_takes_its_default(name: str) -> None:
    switch = SWITCHES[name]
    assert switch.help
    switch.check(getattr(Recipe(), name))
    with pytest.raises(OptionError, match=name):
        switch.check(object())

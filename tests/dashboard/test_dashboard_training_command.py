"""The command that the form shows is the one that trains so: the command line reads back what was chosen."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from torchglass.dashboard.ordering.training_command import arguments_of, changes_from, command_line
from torchglass.reference_models.catalogue import available, get
from torchglass.reference_models.options import TrainingOptions
from torchglass.reference_models.recipe import SWITCHES, Recipe
from torchglass.training import add_train, given_switches


def read_back(arguments: list[str]) -> Any:
    """What the command line makes of it."""
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    add_train(lambda name, _command, _text: verbs.add_parser(name))
    return parser.parse_args(arguments)


def test_nothing_chosen_is_the_plain_command() -> None:
    options = TrainingOptions(model="lenet5")
    assert command_line(arguments_of(options)) == "torchglass train lenet5 --run=lenet5-digits"


def test_every_switch_survives_the_command_line() -> None:
    others: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 7,
        "learning_rate": 1.25e-5,
        "optimizer": "sgd",
        "weight_decay": 0.25,
        "schedule": "step",
        "warm_up": 0.5,
        "augment": not get("lenet5").defaults.augment,
        "dropout": 0.35,
        "label_smoothing": 0.125,
        "clip_norm": 2.5,
        "accumulate": 4,
        "checkpointing": True,
        "early_stopping": 6,
        "validation": 0.25,
        "initialization": "orthogonal",
        "ema": 0.99,
        "cpu_threads": 2,
    }
    assert set(others) == set(SWITCHES), "a new switch belongs here, too"
    wanted = {name: value for name, value in others.items() if get("simple_cnn").honours(name)}
    arguments = arguments_of(TrainingOptions(model="simple_cnn", changes=wanted))
    assert given_switches(read_back(arguments)) == wanted


def test_switching_off_what_the_recipe_has_on_is_said() -> None:
    recipe = Recipe(ema=0.99, augment=True, clip_norm=1.0)
    changes = changes_from(recipe, {"ema": None, "augment": False, "clip_norm": 1.0, "epochs": recipe.epochs})
    assert changes == {"ema": None, "augment": False}
    arguments = arguments_of(TrainingOptions(model="lenet5", changes=changes))
    assert arguments[2:4] == ["--no-augment", "--ema=none"]
    assert given_switches(read_back(arguments)) == changes


def test_names_and_paths_of_any_spelling_stay_one_value() -> None:
    options = TrainingOptions(
        model="mlp",
        dataset="csv",
        data=Path("-x y'$(z).csv"),
        run="--help me",
        device="cuda:1",
        amp="bf16",
        compile=True,
        resume=True,
        seed=5,
        limit=100,
    )
    arguments = arguments_of(options)
    read = read_back(arguments)
    assert (read.model, read.dataset, read.data, read.run) == ("mlp", "csv", Path("-x y'$(z).csv"), "--help me")
    assert (read.device, read.amp, read.compile, read.resume, read.seed, read.limit) == (
        "cuda:1",
        "bf16",
        True,
        True,
        5,
        100,
    )
    assert shlex.split(command_line(arguments)) == ["torchglass", *arguments]


@pytest.mark.parametrize("exhibit", [model.name for model in available()])
def test_every_recipe_changed_by_nothing_makes_no_switch(exhibit: str) -> None:
    model = get(exhibit)
    for source in model.sources:
        values = {name: getattr(source.recipe, name) for name in SWITCHES if model.honours(name)}
        assert changes_from(source.recipe, values) == {}


def test_the_form_needs_no_torch() -> None:
    script = "import sys; import torchglass.dashboard.ordering.training_order; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

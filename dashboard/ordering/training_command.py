"""A training that the page orders, as the command line that a person would type."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from torchglass.reference_models.options import TrainingOptions
from torchglass.reference_models.recipe import SWITCHES, Recipe

PROGRAM = "torchglass"


def changes_from(recipe: Recipe, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted otherwise than the recipe has it."""
    return {name: value for name, value in wanted.items() if value != getattr(recipe, name)}


def arguments_of(options: TrainingOptions) -> list[str]:
    """Arguments of `torchglass` for this training; what is as it would be anyway is left out.

    Values stand behind an equals sign, or one that begins with a dash would be read as an option.
    """
    arguments = ["train", options.model]
    if options.dataset is not None:
        arguments.append(f"--dataset={options.dataset}")
    for flag, path in (("data", options.data), ("model-path", options.model_path)):
        if path is not None:
            arguments.append(f"--{flag}={path}")
    arguments += [_switch(name, options.changes[name]) for name in SWITCHES if name in options.changes]
    if options.device != "auto":
        arguments.append(f"--device={options.device}")
    if options.amp is not None:
        arguments.append(f"--amp={options.amp}")
    arguments += [f"--{name}" for name in ("compile", "resume") if getattr(options, name)]
    if options.seed:
        arguments.append(f"--seed={options.seed}")
    if options.limit is not None:
        arguments.append(f"--limit={options.limit}")
    return [*arguments, f"--run={options.run_name}"]


def command_line(arguments: list[str]) -> str:
    """The command as a shell takes it."""
    return shlex.join([PROGRAM, *arguments])


def _switch(name: str, value: object) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag}={'none' if value is None else value}"

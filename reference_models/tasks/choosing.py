"""The task that a data set sets."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.tasks.scores import Task


def task_for(split: Split, recipe: Recipe) -> Task:
    """Return the task of `split.form.task`: the module of that name in this package makes it."""
    module = import_module(f"torchglass.reference_models.tasks.{split.form.task}")
    return cast("Task", module.make(split, recipe))

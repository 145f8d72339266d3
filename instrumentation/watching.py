"""Let a run that began without a model watch one: what trackers call `watch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from torchglass.errors import OptionError
from torchglass.instrumentation.disabled import DisabledRun
from torchglass.instrumentation.options import (
    DEFAULT_HISTOGRAMS,
    DEFAULT_NORMS,
    DEFAULT_PROFILE,
    Steps,
    check_model,
    check_options,
)
from torchglass.instrumentation.run import Run
from torchglass.store import Histogram, HistogramBlock

Moment = Literal[
    "loader_begins",
    "loader_ends",
    "forward_begins",
    "forward_ends",
    "backward_begins",
    "backward_ends",
    "optimizer_begins",
    "optimizer_ends",
    "evaluation_begins",
    "evaluation_ends",
]


@dataclass(frozen=True)
class Cadences:
    """What a watched run records and how often; as the arguments of `attach`."""

    every: Steps = DEFAULT_NORMS
    histograms: Steps = DEFAULT_HISTOGRAMS
    profile: Steps = DEFAULT_PROFILE
    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()


def watch(
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    cadences: Cadences,
    *,
    first_step: int = 0,
    hooks: bool = True,
) -> Callable[[Moment], None]:
    """Let a run that `start` began watch a model; the optimizer counts the steps from here on.

    Args:
        first_step: number of the step that comes next.
        hooks: False for a trainer that tells every moment of a step itself: the model and optimizer carry no hooks.

    Returns:
        Whom to tell the moments that hooks do not see, such as the arrival of a batch; telling never raises.

    Raises:
        OptionError: an argument cannot be used, or the run watches a model already.
    """
    optimizers = check_model(model, optimizer)
    options = check_options(
        run.name,
        run=None,
        config=None,
        devices=False,
        norms=cadences.every,
        histograms=cadences.histograms,
        profile=cadences.profile,
        include=cadences.include,
        exclude=cadences.exclude,
    )
    if isinstance(run, DisabledRun) or not run._open:
        return lambda moment: None
    if run._watcher.watched is not None:
        known = run._watcher.watched.name
        raise OptionError(f"the run {run.name!r} watches a {known} already: unwatch it first")
    run._begin_watching(model, optimizers, options, hooks=hooks)
    run._watcher.go_on_at(first_step)
    return lambda moment: run._guard.moment(getattr(run._watcher, moment))


def give_optimizer(run: Run, optimizer: torch.optim.Optimizer) -> None:
    """Name the optimizer of a run that watches its model without one; may be called within its first step."""
    if not isinstance(run, DisabledRun) and run._open and run._watcher.watched is not None:
        run._watcher.watched.add(optimizer)
        run._hooks.add_optimizer(optimizer)


def unwatch(run: Run) -> None:
    """Take the hooks off again; the run goes on, and may watch another model."""
    if not isinstance(run, DisabledRun):
        run._hooks.remove()
        run._watcher.unwatch()


def put_histogram(run: Run, key: str, histogram: Histogram) -> None:
    """Record a histogram that was counted elsewhere."""
    if not isinstance(run, DisabledRun) and run._accepts():
        run._buffer.put(HistogramBlock(key, histogram))

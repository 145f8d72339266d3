"""Let a run that began without a model watch one: what trackers call `watch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from torchglass.errors import OptionError
from torchglass.instrumentation.front_door import DEFAULT_HISTOGRAMS, DEFAULT_NORMS, DEFAULT_PROFILE
from torchglass.instrumentation.hooks import Hooks
from torchglass.instrumentation.layers import LayerStatistics, select_parameters
from torchglass.instrumentation.options import Steps, check_model, check_options
from torchglass.instrumentation.profiling import ProfilerWindows
from torchglass.instrumentation.run import DisabledRun, Run
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
    if not _take_up(run, model, optimizer, cadences):
        return lambda moment: None
    run._watcher.step, run._watcher._step_is_over = first_step, False
    if hooks:
        run._hooks = Hooks(model, optimizer, run._watcher, run._guard)
    return lambda moment: run._guard.call(getattr(run._watcher, moment))


def _take_up(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer | None, cadences: Cadences) -> bool:
    """Point the run's watcher at a model; False for a run that records nothing."""
    check_model(model, optimizer)
    options = check_options(
        run.name,
        run=None,
        config=None,
        devices=False,
        every=cadences.every,
        histograms=cadences.histograms,
        profile=cadences.profile,
        include=cadences.include,
        exclude=cadences.exclude,
    )
    if isinstance(run, DisabledRun) or not run._open:
        return False
    watcher = run._watcher
    if watcher._model is not None:
        raise OptionError(f"the run {run.name!r} watches a {type(watcher._model).__name__} already: unwatch it first")
    watcher._model, watcher._optimizer = model, optimizer
    watcher._norms_cadence, watcher._histograms_cadence = options.norms, options.histograms
    watcher._layers = LayerStatistics(
        select_parameters(model, options.include, options.exclude), run._transfer, run._buffer.put
    )
    watcher._profiler = ProfilerWindows(options.profile, run._rank, run._buffer.put, run._clock)
    watcher._timeline = None  # the next is made for the device on which the model trains
    run._follows_log = False
    count = None
    if not any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        count = sum(parameter.numel() for parameter in model.parameters())
    run.state("model", {"class": type(model).__name__, "parameters": count})
    return True


def give_optimizer(run: Run, optimizer: torch.optim.Optimizer) -> None:
    """Name the optimizer of a run that watches its model without one; may be called within its first step."""
    if isinstance(run, DisabledRun) or not run._open or run._watcher._model is None:
        return
    run._watcher._optimizer = optimizer
    run._hooks._handles.append(optimizer.register_step_pre_hook(run._hooks._before_optimizer))
    run._hooks._handles.append(optimizer.register_step_post_hook(run._hooks._after_optimizer))


def unwatch(run: Run) -> None:
    """Take the hooks off again; the run goes on, and may watch another model."""
    if not isinstance(run, DisabledRun):
        run._hooks.remove()
        run._watcher._model = None


def put_histogram(run: Run, key: str, histogram: Histogram) -> None:
    """Record a histogram that was counted elsewhere."""
    if not isinstance(run, DisabledRun) and run._accepts():
        run._buffer.put(HistogramBlock(key, histogram))

"""The one line: `attach(model, optimizer)`; and `start()`, for what has neither."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any, Literal, SupportsIndex

import torch
from torch import nn

import torchglass
from torchglass.errors import RunNotFoundError
from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.cadence import every
from torchglass.instrumentation.clock import WallClock
from torchglass.instrumentation.guard import Guard
from torchglass.instrumentation.hooks import Hooks
from torchglass.instrumentation.identity import Identity, identify
from torchglass.instrumentation.layers import LayerStatistics, select_parameters
from torchglass.instrumentation.monitor import DeviceMonitor
from torchglass.instrumentation.options import Options, Steps, check_model, check_options, is_disabled
from torchglass.instrumentation.profiling import ProfilerWindows
from torchglass.instrumentation.run import DisabledRun, Run
from torchglass.instrumentation.transfer import Transfer
from torchglass.instrumentation.watcher import StepWatcher
from torchglass.instrumentation.writer import Writer
from torchglass.store import Fact, Store, open_store
from torchglass.store import Run as StoredRun

# Norms read every weight, histograms several times, and a profiler window doubles the steps that it covers;
# `make bench` shows what these defaults cost.
DEFAULT_NORMS = every(50)
DEFAULT_HISTOGRAMS = every(500)
DEFAULT_PROFILE = every(1000, steps=3)


def attach(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    run: str | None = None,
    store: str | os.PathLike[str] | None = None,
    config: Mapping[str, Any] | None = None,
    every: Steps = DEFAULT_NORMS,
    histograms: Steps = DEFAULT_HISTOGRAMS,
    profile: Steps = DEFAULT_PROFILE,
    devices: bool = True,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    resume: str | bool | None = None,
    resume_step: SupportsIndex | None = None,
    mode: Literal["on", "disabled"] | None = None,
) -> Run:
    """Record a training loop: hook the model and the optimizer, and stream what happens into a store.

    Args:
        model: what the loop calls: for DDP the wrapper, for `torch.compile` the compiled module.
        optimizer: its steps count the run's steps; None for a loop that uses `with run.step():`.
        run: name; default is the model's class. A name that is taken gets `-2`, `-3`, ...
        store: path of the store; default `TORCHGLASS_STORE`, else `./torchglass.db`.
        config: hyper-parameters to keep with the run; anything that JSON lacks is kept as text.
        every: steps between gradient norms, weight norms and update ratios by parameter (50); None for never.
        histograms: steps between histograms of weights and gradients (500); None for never.
        profile: `every(n, steps=k)`: a window of k steps under torch.profiler every n (1000, 3); None for never.
        devices: read host and GPUs once a second.
        include, exclude: patterns (`conv*`, `*.bias`) of parameter names for norms and histograms.
        resume: name of a run that goes on, in the place of a new one; True: the one named by `run`, if there is one.
            Values of `config` replace those of the same name.
        resume_step: the step to go on at, such as a checkpoint's (default: the one after the last). What the run had
            recorded from there on is hidden, not destroyed: `torchglass unwind` shows it again.
        mode: "disabled" makes every call a no-op, as does `TORCHGLASS_MODE=disabled`.

    Raises:
        OptionError: an argument cannot be used.
        RunNotFoundError: there is no run to resume.
        StoreError: the store cannot be opened, or the run to resume is still being recorded.
    """
    check_model(model, optimizer)
    options = check_options(
        type(model).__name__,
        run=run,
        config=config,
        every=every,
        histograms=histograms,
        profile=profile,
        devices=devices,
        include=include,
        exclude=exclude,
        resume=resume,
        resume_step=resume_step,
    )
    return DisabledRun(options.config) if is_disabled(mode) else _record(model, optimizer, options, open_store(store))


def start(
    run: str | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    config: Mapping[str, Any] | None = None,
    devices: bool = True,
    resume: str | bool | None = None,
    resume_step: SupportsIndex | None = None,
    mode: Literal["on", "disabled"] | None = None,
) -> Run:
    """Record what is logged, without a model to watch: for scripts, other frameworks and loggers built on this.

    The step is the one last given to `Run.log`, or counted by `with run.step():`.

    Args:
        run: name; default is "run". A name that is taken gets `-2`, `-3`, ...
        store, config, devices, resume, resume_step, mode: as for `attach`.

    Raises:
        OptionError, RunNotFoundError, StoreError: as for `attach`.
    """
    options = check_options("run", run=run, config=config, devices=devices, resume=resume, resume_step=resume_step)
    return DisabledRun(options.config) if is_disabled(mode) else _record(None, None, options, open_store(store))


def start_rank(
    run: str,
    identity: Identity,
    *,
    store: str | os.PathLike[str] | None,
    config: Mapping[str, Any] | None,
    devices: bool,
    mode: Literal["on", "disabled"] | None,
) -> Run:
    """Start as one of several ranks, for a launcher that sets no variables by which `start` would know them.

    Ranks whose identities share a `launch_id` share one run. Raises as `start`.
    """
    options = check_options("run", run=run, config=config, devices=devices)
    if is_disabled(mode):
        return DisabledRun(options.config)
    return _record(None, None, options, open_store(store), identity)


def _record(
    model: nn.Module | None,
    optimizer: torch.optim.Optimizer | None,
    options: Options,
    store: Store,
    identity: Identity | None = None,
) -> Run:
    """Put the parts together and start them."""
    identity = identity or identify()
    stored, first_step = _enter(store, options, identity)
    buffer = Buffer()
    clock = WallClock()

    def stop_watching(reason: str) -> None:
        buffer.put(Fact(identity.rank, "warnings/hooks", reason, clock()))
        watcher.abandon()

    guard = Guard(stop_watching)
    transfer = Transfer()
    watcher = StepWatcher(
        model,
        optimizer,
        put=buffer.put,
        clock=clock,
        rank=identity.rank,
        guard=guard,
        transfer=transfer,
        layers=LayerStatistics(
            select_parameters(model, options.include, options.exclude) if model is not None else {},
            transfer,
            buffer.put,
        ),
        profiler=ProfilerWindows(options.profile, identity.rank, buffer.put, clock),
        norms_cadence=options.norms,
        histograms_cadence=options.histograms,
    )
    watcher.step = first_step
    for key, value in _facts(model, identity).items():
        buffer.put(Fact(identity.rank, key, value, clock()))
    writer = Writer(store, stored.id, identity.rank, buffer, clock)
    monitor = DeviceMonitor(buffer.put, identity.rank, lambda: watcher.step, clock) if options.devices else None
    run = Run(
        store,
        stored,
        identity.rank,
        buffer=buffer,
        clock=clock,
        guard=guard,
        transfer=transfer,
        watcher=watcher,
        hooks=Hooks(model, optimizer, watcher, guard),
        writer=writer,
        monitor=monitor,
        follows_log=model is None,
    )
    writer.start()
    if monitor is not None:
        monitor.start()
    return run


def _enter(store: Store, options: Options, identity: Identity) -> tuple[StoredRun, int]:
    """Start a run or let one go on; return it and the number of its next step."""
    host, pid, launch_id = identity.host, identity.pid, identity.launch_id
    wanted = options.resume
    if wanted is not None:
        try:
            return store.resume_run(
                wanted.run, step=wanted.step, config=options.config, rank=identity.rank, host=host, pid=pid,
                launch_id=launch_id,
            )  # fmt: skip
        except RunNotFoundError:
            if not wanted.or_start:
                raise
    started = store.start_run(options.run, options.config, host=host, pid=pid, launch_id=launch_id)
    return started, wanted.step or 0 if wanted is not None else 0


def _count(parameters: Sequence[nn.Parameter]) -> int | None:
    """Elements of all parameters; None while a lazy module does not know its shapes."""
    if any(nn.parameter.is_lazy(parameter) for parameter in parameters):
        return None
    return sum(parameter.numel() for parameter in parameters)


def _facts(model: nn.Module | None, identity: Identity) -> dict[str, Any]:
    environment: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchglass": torchglass.__version__,
        "host": identity.host,
        "world_size": identity.world_size,
    }
    if model is None:
        return {"environment": environment}
    parameters = list(model.parameters())
    return {
        "environment": environment | {"device": str(parameters[0].device) if parameters else "cpu"},
        "model": {"class": type(model).__name__, "parameters": _count(parameters)},
    }

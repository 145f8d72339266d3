"""The one line: `attach(model, optimizer)`; and `start()`, for what has neither."""

from __future__ import annotations

import os
import platform
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Literal, SupportsIndex

import torch
from torch import nn

import torchglass
from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.clock import WallClock
from torchglass.instrumentation.disabled import DisabledRun
from torchglass.instrumentation.entering import enter
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.identity import Identity, identify
from torchglass.instrumentation.layers.turns import DEFAULT_BUDGET_BYTES
from torchglass.instrumentation.live import finish_superseded
from torchglass.instrumentation.monitor import DeviceMonitor
from torchglass.instrumentation.options import (
    DEFAULT_HISTOGRAMS,
    DEFAULT_NORMS,
    DEFAULT_PROFILE,
    Options,
    Steps,
    check_model,
    check_options,
    is_disabled,
)
from torchglass.instrumentation.probing import ProbeSet
from torchglass.instrumentation.run import Run
from torchglass.instrumentation.transfer import Transfer
from torchglass.instrumentation.watcher import StepWatcher
from torchglass.instrumentation.writer import Writer
from torchglass.store import Fact, Store, open_store


def attach(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
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
    budget_bytes: SupportsIndex = DEFAULT_BUDGET_BYTES,
    activations: Steps | bool = None,
    probes: ProbeSet | None = None,
    resume: str | bool | None = None,
    resume_step: SupportsIndex | None = None,
    mode: Literal["on", "disabled"] | None = None,
) -> Run:
    """Record a training loop: hook the model and the optimizer, and stream what happens into a store.

    Args:
        model: what the loop calls: for DDP the wrapper, for `torch.compile` the compiled module.
        optimizer: its steps count the run's steps; of several, in the order in which the loop steps them, the last
            one's do. None for a loop that uses `with run.step():`.
        run: name; default is the model's class. A name that is taken gets `-2`, `-3`, ... An earlier run into the same
            store that watches the same model ends here.
        store: path of the store; default `TORCHGLASS_STORE`, else `./torchglass.db`.
        config: hyper-parameters to keep with the run; anything that JSON lacks is kept as text.
        every: steps between gradient norms, weight norms and update ratios by parameter (100); None for never.
        histograms: steps between histograms of weights and gradients (500); None for never.
        profile: `every(n, steps=k)`: a window of k steps under torch.profiler every n (1000, 3); None for never.
        devices: read host and GPUs once a second.
        include, exclude: patterns (`conv*`, `*.bias`) of parameter names for norms and histograms.
        budget_bytes: weights and gradients that norms, and histograms, may read at a step (1 GB): of a larger model
            the parameters take turns, and the run says so.
        activations: steps between looks at what each module returns: dead units, share of zeros, mean and standard
            deviation (True: 100); None for never. A compiled model has none.
        probes: `torchglass.Probes(inputs, ...)`: a few inputs that are explained again and again between the steps.
        resume: name of a run that goes on, in the place of a new one; True: the one named by `run`, if there is one.
            Values of `config` replace those of the same name.
        resume_step: the step to go on at, such as a checkpoint's (default: the one after the last). What the run had
            recorded from there on is hidden, not destroyed: `torchglass unwind` shows it again.
        mode: "disabled" makes every call a no-op, as does `TORCHGLASS_MODE=disabled`.

    Raises:
        OptionError: an argument cannot be used.
        ExplainError: the model cannot be explained on the probes.
        RunNotFoundError: there is no run to resume.
        StoreError: the store cannot be opened, or the run to resume is still being recorded.
    """
    optimizers = check_model(model, optimizer)
    options = check_options(
        type(model).__name__,
        run=run,
        config=config,
        norms=every,
        histograms=histograms,
        profile=profile,
        devices=devices,
        include=include,
        exclude=exclude,
        budget_bytes=budget_bytes,
        resume=resume,
        resume_step=resume_step,
        probes=probes,
        activations=activations,
    )
    if is_disabled(mode):
        return DisabledRun(options.config)
    looks = None if options.probes is None else options.probes.begin(model)
    device = next((str(parameter.device) for parameter in model.parameters()), "cpu")
    opened = open_store(store)
    superseded = finish_superseded(model, opened)
    started = _start(options, opened, {"device": device})
    started._begin_watching(model, optimizers, options, looks=looks)
    started._attached = weakref.ref(model)
    for name in superseded:
        tell(f"torchglass: the run {name!r} is finished, for its model is attached again, as {started.name!r}")
    return started


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
    return DisabledRun(options.config) if is_disabled(mode) else _start(options, open_store(store), {})


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
    return _start(options, open_store(store), {}, identity)


def _start(options: Options, store: Store, environment: Mapping[str, Any], identity: Identity | None = None) -> Run:
    """Put the parts together and start them."""
    identity = identity or identify(options.run)
    stored, first_step = enter(store, options, identity)
    buffer = Buffer()
    clock = WallClock()

    def stop_watching(reason: str) -> None:
        buffer.put(Fact(identity.rank, "warnings/hooks", reason, clock()))
        watcher.abandon()

    guard = Guard(stop_watching)
    transfer = Transfer()
    watcher = StepWatcher(buffer=buffer, clock=clock, rank=identity.rank, guard=guard, transfer=transfer)
    watcher.go_on_at(first_step)
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
        writer=writer,
        monitor=monitor,
    )
    run.state("environment", {**_environment(identity), **environment})
    writer.start()
    if monitor is not None:
        monitor.start()
    return run


def _environment(identity: Identity) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchglass": torchglass.__version__,
        "host": identity.host,
        "world_size": identity.world_size,
    }

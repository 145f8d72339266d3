"""What can be asked of `attach`, checked at the call and in the caller's words."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import torch
from torch import nn
from torch.jit._script import RecursiveScriptModule

from torchglass.errors import OptionError
from torchglass.instrumentation.cadence import NEVER, Cadence, every, to_cadence
from torchglass.instrumentation.calls import called_parts
from torchglass.instrumentation.layers.turns import DEFAULT_BUDGET_BYTES
from torchglass.instrumentation.probing import ProbeSet
from torchglass.instrumentation.values import whole_number

Steps = Cadence | int | None

# Norms read every weight, histograms several times, and a profiler window doubles the steps that it covers;
# `make bench` shows what these defaults cost.
DEFAULT_NORMS = every(100)
DEFAULT_HISTOGRAMS = every(500)
DEFAULT_ACTIVATIONS = every(100)  # of activations=True
DEFAULT_PROFILE = every(1000, steps=3, at_most=0.02)


@dataclass(frozen=True)
class Resume:
    """Which run goes on and where, by default after its last step; `or_start`: a new one if there is none so called."""

    run: str
    step: int | None
    or_start: bool


@dataclass(frozen=True)
class Options:
    """Arguments of `attach` that were found good."""

    run: str
    config: Mapping[str, Any]
    norms: Cadence
    histograms: Cadence
    profile: Cadence
    devices: bool
    include: Sequence[str] | None
    exclude: Sequence[str]
    budget_bytes: int
    resume: Resume | None
    probes: ProbeSet | None = None
    activations: Cadence = NEVER


def check_options(
    default_run: str,
    *,
    run: str | None,
    config: Mapping[str, Any] | None,
    devices: bool,
    norms: Steps = None,
    histograms: Steps = None,
    profile: Steps = None,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    budget_bytes: SupportsIndex = DEFAULT_BUDGET_BYTES,
    resume: str | bool | None = None,
    resume_step: SupportsIndex | None = None,
    probes: ProbeSet | None = None,
    activations: Steps | bool = None,
) -> Options:
    """Fill in what was left open, or raise OptionError; a cadence that is left out is never due."""
    if run is not None and not isinstance(run, str):
        raise OptionError(f"run={run!r}: give a name, or None for {default_run!r}")
    if config is not None and not isinstance(config, Mapping):
        raise OptionError(f"config is a {type(config).__name__}: give a mapping from names to values")
    for option, patterns in (("include", include), ("exclude", exclude)):
        if isinstance(patterns, str) or not all(isinstance(each, str) for each in patterns or ()):
            raise OptionError(f"{option}={patterns!r}: give a list of patterns such as ['conv*']")
    if probes is not None and not isinstance(probes, ProbeSet):
        raise OptionError(f"probes is a {type(probes).__name__}: give torchglass.Probes(inputs), or None")
    return Options(
        run=run or default_run,
        config=dict(config or {}),
        norms=to_cadence("every", norms),
        histograms=to_cadence("histograms", histograms),
        profile=to_cadence("profile", profile),
        devices=devices,
        include=include,
        exclude=exclude,
        budget_bytes=_check_budget(budget_bytes),
        resume=_check_resume(run, resume, resume_step),
        probes=probes,
        activations=_check_activations(activations),
    )


def _check_activations(activations: Steps | bool) -> Cadence:
    if isinstance(activations, bool):
        return DEFAULT_ACTIVATIONS if activations else NEVER
    return to_cadence("activations", activations)


def _check_budget(budget_bytes: SupportsIndex) -> int:
    try:
        found = operator.index(budget_bytes)
    except TypeError:
        found = 0
    if found <= 0:
        raise OptionError(f"budget_bytes={budget_bytes!r}: give a number of bytes, such as 10**9")
    return found


def _check_resume(run: str | None, resume: str | bool | None, step: SupportsIndex | None) -> Resume | None:
    if resume is None or resume is False:
        if step is not None:
            raise OptionError(f"resume_step={step!r} without a run to resume: name it with resume=...")
        return None
    at = None if step is None else whole_number(step)
    if resume is True:
        if run is None:
            raise OptionError("resume=True resumes the run named by run=...: name it")
        return Resume(run, at, or_start=True)
    if not isinstance(resume, str) or run not in (None, resume):
        raise OptionError(f"run={run!r}, resume={resume!r}: give resume the name of a run, which it keeps, or True")
    return Resume(resume, at, or_start=False)


def check_model(
    model: nn.Module, optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None
) -> tuple[torch.optim.Optimizer, ...]:
    """Refuse what carries no hooks; returns the optimizers.

    Raises:
        OptionError: the model is no module, or an optimizer none of torch's.
    """
    if not isinstance(model, nn.Module):
        raise OptionError(
            f"attach got {type(model).__name__} as the model: give the torch.nn.Module that the loop calls"
        )
    if any(isinstance(part, RecursiveScriptModule) for part in called_parts(model)):
        raise OptionError(
            "attach got a scripted module, on which torch allows no hooks: wrap it in a torch.nn.Module that calls it"
        )
    if optimizer is None:
        return ()
    several = isinstance(optimizer, list | tuple)
    optimizers = tuple(optimizer) if isinstance(optimizer, list | tuple) else (optimizer,)
    wrong = [type(each).__name__ for each in optimizers if not isinstance(each, torch.optim.Optimizer)]
    if wrong or not optimizers:
        given = f"a list of {wrong[0] if wrong else 'none'}" if several else wrong[0]
        raise OptionError(f"attach got {given} as the optimizer: give a torch.optim.Optimizer, a list of them, or None")
    return optimizers


def is_disabled(mode: str | None) -> bool:
    """Tell whether recording is off: by the argument, else by `TORCHGLASS_MODE`."""
    chosen = mode or os.environ.get("TORCHGLASS_MODE") or "on"
    if chosen not in ("on", "disabled"):
        raise OptionError(f"mode={chosen!r}: choose 'on' or 'disabled'")
    return chosen == "disabled"

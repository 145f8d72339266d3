"""Hugging Face Trainer: a callback for its logs and for what happens inside a step.

from torchglass.bridges.transformers import TorchglassCallback

Trainer(model, arguments, train_dataset=..., callbacks=[TorchglassCallback()])
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback

from torchglass.bridges.notices import Notices
from torchglass.instrumentation import Run, start
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.options import DEFAULT_HISTOGRAMS, DEFAULT_NORMS, DEFAULT_PROFILE, Steps
from torchglass.instrumentation.watching import Cadences, Moment, unwatch, watch

_PREFIXES = {"eval_": "eval/", "test_": "test/"}  # all else is of training
NAN_FILTER = (
    "logging_nan_inf_filter is on: the Trainer replaces a loss that is NaN or infinite by the mean of other steps, so "
    "none can be seen here; pass TrainingArguments(logging_nan_inf_filter=False)"
)


class TorchglassCallback(TrainerCallback):
    """Record the Trainer's logs under `train/`, `eval/` and `test/`, phases, layers, profiler windows and devices.

    Steps are the Trainer's `global_step`. Nothing that the callback does raises into training. After training the run
    stays open for an evaluation that follows, until the program ends, the next training or `callback.run.finish()`; a
    program that an exception ends leaves it failed, with the text.

    Args:
        run: name; default is `run_name` of the arguments, else the model's class.
        config: added to the arguments and the model's config.
        store, devices, mode: as for `torchglass.start`.
        every, histograms, profile, include, exclude: as for `torchglass.attach`.
    """

    def __init__(
        self,
        run: str | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        config: Mapping[str, Any] | None = None,
        every: Steps = DEFAULT_NORMS,
        histograms: Steps = DEFAULT_HISTOGRAMS,
        profile: Steps = DEFAULT_PROFILE,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        devices: bool = True,
        mode: Any = None,
    ) -> None:
        self._wanted = run
        self._config = dict(config or {})
        self._options: dict[str, Any] = {"store": store, "devices": devices, "mode": mode}
        self._cadences = Cadences(every, histograms, profile, include, exclude)
        self._guard = Guard(tell)
        self._run: Run | None = None
        self._told: Any = None

    @property
    def run(self) -> Run | None:
        """The run of the current or last training; None before the first."""
        return self._run

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin a run and watch the model and its optimizer."""
        self._guard.call(self._begin, args, state, given)

    def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The batch is there."""
        self._tell("loader_ends")

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """The step is over."""
        self._tell("loader_begins")

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **given: Any) -> None:
        """Record the numbers that the Trainer logs."""
        self._tell("loader_begins")  # what it did since the step's end was not waiting for data
        if logs and state.is_world_process_zero:
            self._guard.call(self._log, logs, int(state.global_step))

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """A checkpoint was written."""
        self._tell("loader_begins")

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Let go of the model and wait until all is stored."""
        self._told = None
        if self._run is not None:
            self._guard.call_anyway(unwatch, self._run)
            self._guard.call(self._run.flush)

    def _begin(self, args: Any, state: Any, given: Mapping[str, Any]) -> None:
        model = given["model"]
        self._finish_last()
        name = self._wanted or getattr(args, "run_name", None) or type(model).__name__
        self._run = start(name, config=_config(args, model) | self._config, **self._options)
        if getattr(args, "logging_nan_inf_filter", False):
            Notices(self._run).say("nan_filter", NAN_FILTER)
        optimizer = _plain(given.get("optimizer"))
        self._told = watch(self._run, model, optimizer, self._cadences, first_step=int(state.global_step) + 1)

    def _finish_last(self) -> None:
        if self._run is not None and self._told is not None:
            self._run.finish("failed", "training ended before its end")
        elif self._run is not None:
            self._run.finish()

    def _log(self, logs: Mapping[str, Any], step: int) -> None:
        numbers = {_grouped(name): value for name, value in logs.items() if isinstance(value, int | float)}
        if self._run is not None and numbers:
            self._run.log(numbers, step=step)

    def _tell(self, moment: Moment) -> None:
        if self._told is not None:
            self._told(moment)


def _grouped(name: str) -> str:
    for prefix, group in _PREFIXES.items():
        if name.startswith(prefix):
            return group + name.removeprefix(prefix)
    return f"train/{name}"


def _plain(optimizer: Any) -> torch.optim.Optimizer | None:
    """The optimizer that accelerate wraps, whose step the hooks see."""
    inner = getattr(optimizer, "optimizer", optimizer)
    return inner if isinstance(inner, torch.optim.Optimizer) else None


def _config(args: Any, model: Any) -> dict[str, Any]:
    config: dict[str, Any] = dict(args.to_sanitized_dict())  # tokens are masked
    own: Any = getattr(model, "config", None)
    if hasattr(own, "to_dict"):
        config["model_config"] = own.to_dict()
    return config

"""What the Lightning bridge does, apart from the base classes: those come from whichever name Lightning has."""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed
from torch.utils.hooks import RemovableHandle

from torchglass.bridges.tracker_config import to_mapping
from torchglass.instrumentation import Run
from torchglass.instrumentation.front_door import start_rank
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.identity import Identity
from torchglass.instrumentation.options import DEFAULT_HISTOGRAMS, DEFAULT_NORMS, DEFAULT_PROFILE, Steps
from torchglass.instrumentation.watching import Cadences, Moment, unwatch, watch

Store = str | os.PathLike[str] | None


def end_with(run: Run, error: BaseException | None) -> None:
    """Finish a run as the exception says, if there is one."""
    run.__exit__(type(error) if error is not None else None, error, None)


def rank_of(rank: int, launch_id: str) -> Identity:
    """This process as a rank of a fit; Lightning's launchers set no variables that say so to all of them."""
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    world_size = torch.distributed.get_world_size() if together else 1
    return Identity(platform.node(), os.getpid(), rank, world_size, launch_id)


class LoggerParts:
    """Metrics and hyper-parameters of rank 0 into one run, which begins when somebody first asks for it."""

    def __init__(
        self,
        name: str | None = None,
        *,
        store: Store = None,
        config: Mapping[str, Any] | None = None,
        prefix: str = "",
        devices: bool = True,
        mode: Any = None,
    ) -> None:
        super().__init__()
        self._name = name
        self._options: dict[str, Any] = {"store": store, "config": config, "devices": devices, "mode": mode}
        self._prefix = prefix
        self.launch_id = uuid.uuid4().hex  # by which the callback's other ranks join the run
        self._run: Run | None = None
        self._guard = Guard(self._failed)

    @property
    def run(self) -> Run:
        """The run; it begins with the first call."""
        if self._run is None:
            self._run = start_rank(self._name or "lightning", rank_of(0, self.launch_id), **self._options)
        return self._run

    @property
    def name(self) -> str | None:
        """Name of the run, as stored once it began."""
        return self._run.name if self._run is not None else self._name

    @property
    def version(self) -> int | None:
        """The run's id in the store, once it began: names the folder of Lightning's checkpoints."""
        return self._run.id if self._run is not None else None

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record metrics of a step."""
        if self._is_first_rank():
            self._guard.call(self._log, metrics, step)

    def log_hyperparams(self, params: Any = None, *_arguments: Any, **_options: Any) -> None:
        """Add hyper-parameters, a mapping or a namespace, to the run's configuration."""
        if self._is_first_rank():
            self._guard.call(self._add, params)

    def save(self) -> None:
        """Do nothing: the run's writer needs no reminder."""

    def finalize(self, status: str) -> None:
        """Close the run if training failed or was interrupted; after success wait until all is stored.

        The run then stays open for a `test` that follows, until the program ends or `logger.run.finish()`; but not in
        a process that was made for this fit alone, and may end without further notice.
        """
        if self._run is None or not self._is_first_rank():
            return
        if status == "success" and multiprocessing.parent_process() is None:
            self._guard.call(self._run.flush)
        elif status == "success":
            self._guard.call_anyway(self._run.finish)
        else:
            error = sys.exc_info()[1]
            self._guard.call_anyway(end_with, self._run, error or RuntimeError(f"training ended as {status!r}"))

    def _is_first_rank(self) -> bool:
        raise NotImplementedError

    def _log(self, metrics: Mapping[str, float], step: int | None) -> None:
        self.run.log({f"{self._prefix}{name}": value for name, value in metrics.items()}, step=step)

    def _add(self, params: Any) -> None:
        self.run.configure(to_mapping(params))

    def _failed(self, reason: str) -> None:
        if self._run is not None:
            self._run.state("warnings/lightning", reason)


class CallbackParts:
    """Tells a run the moments of each step, on every rank; the trainer names them, so the model carries no hooks.

    Gradients are read after unscaling and before clipping. The first optimizer counts the steps.
    """

    def __init__(
        self,
        run: str | None = None,
        *,
        store: Store = None,
        config: Mapping[str, Any] | None = None,
        every: Steps = DEFAULT_NORMS,
        histograms: Steps = DEFAULT_HISTOGRAMS,
        profile: Steps = DEFAULT_PROFILE,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        devices: bool = True,
        mode: Any = None,
    ) -> None:
        super().__init__()
        self._wanted = run
        self._options: dict[str, Any] = {"store": store, "config": config, "devices": devices, "mode": mode}
        self._cadences = Cadences(every, histograms, profile, include, exclude)
        self._guard = Guard(self._failed)
        self._run: Run | None = None
        self._own = False
        self._optimizer: torch.optim.Optimizer | None = None
        self._after_step: RemovableHandle | None = None
        self._told: Any = None

    @property
    def run(self) -> Run | None:
        """The run of the current or last fit; None before the first."""
        return self._run

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin a run, or join that of a `TorchglassLogger` of this trainer."""
        self._guard.call(self._begin, trainer, pl_module)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Watch the model from here on; a fit that was resumed goes on with its own number of steps."""
        self._guard.call(self._watch, trainer, pl_module)

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Let go of the model; finish the run unless it is the logger's."""
        self._guard.call_anyway(self._end, None)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Let go of the model; the run reads as failed with the exception's text, or as interrupted."""
        self._guard.call_anyway(self._end, exception)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The batch is there."""
        self._tell("loader_ends", "forward_begins")

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: Any) -> None:
        """The loss is computed."""
        self._tell("forward_ends", "backward_begins")

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """Gradients are accumulated."""
        self._tell("backward_ends")

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Gradients are unscaled, not clipped yet."""
        if optimizer is self._optimizer:
            self._tell("optimizer_begins")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """The next batch is asked for."""
        self._tell("loader_begins")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Validation begins."""
        self._tell("evaluation_begins")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Validation ended."""
        self._tell("evaluation_ends")

    def _begin(self, trainer: Any, module: Any) -> None:
        logger = next((each for each in trainer.loggers if isinstance(each, LoggerParts)), None)
        launch_id = uuid.uuid4().hex if logger is None else logger.launch_id
        launch_id = trainer.strategy.broadcast(launch_id)  # before anything that may fail in one rank alone
        self._own = logger is None or not trainer.is_global_zero
        self._run = logger.run if logger is not None and not self._own else self._start(module, trainer, launch_id)
        optimizers = list(trainer.optimizers)
        if len(optimizers) > 1:
            kinds = [type(each).__name__ for each in optimizers]
            self._run.state("warnings/optimizers", f"of the optimizers {kinds} the first counts the steps")
        self._optimizer = optimizers[0] if optimizers else None

    def _watch(self, trainer: Any, module: Any) -> None:
        if self._run is None:
            return
        done = trainer.global_step // max(len(trainer.optimizers), 1)
        self._told = watch(self._run, module, self._optimizer, self._cadences, first_step=done, hooks=False)
        if self._optimizer is not None:
            self._after_step = self._optimizer.register_step_post_hook(self._stepped)

    def _start(self, module: Any, trainer: Any, launch_id: str) -> Run:
        config = to_mapping(getattr(module, "hparams", None)) | dict(self._options["config"] or {})
        name = self._wanted or type(module).__name__
        return start_rank(name, rank_of(trainer.global_rank, launch_id), **(self._options | {"config": config}))

    def _end(self, error: BaseException | None) -> None:
        if self._after_step is not None:
            self._after_step.remove()
        self._told, self._optimizer, self._after_step = None, None, None
        if self._run is not None:
            unwatch(self._run)
            if self._own:
                end_with(self._run, error)

    def _stepped(self, *_ignored: Any) -> None:
        self._tell("optimizer_ends")

    def _tell(self, *moments: Moment) -> None:
        if self._told is not None:
            for moment in moments:
                self._told(moment)

    def _failed(self, reason: str) -> None:
        if self._run is None:
            tell(reason)
        else:
            self._run.state("warnings/lightning", reason)

    def __getstate__(self) -> dict[str, Any]:
        # A copy, as Lightning makes for spawned processes, watches nothing.
        nothing: dict[str, Any] = {"_told": None, "_optimizer": None, "_after_step": None}
        return vars(self) | nothing

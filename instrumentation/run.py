"""What the user holds: a run that is being recorded."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from torchglass.errors import MissingExtraError, OptionError, StoreError
from torchglass.instrumentation.batches import Batch, Batches
from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.clock import WallClock
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.hooks import Hooks
from torchglass.instrumentation.live import begun, ended, ending
from torchglass.instrumentation.monitor import DeviceMonitor
from torchglass.instrumentation.options import DEFAULT_PROFILE, Options
from torchglass.instrumentation.probing import Looks, ProbeTurns
from torchglass.instrumentation.profiling.windows import ProfilerWindows
from torchglass.instrumentation.recorder import Recorder
from torchglass.instrumentation.transfer import Transfer, is_capturing
from torchglass.instrumentation.watched import Watched
from torchglass.instrumentation.watcher import StepWatcher
from torchglass.instrumentation.writer import Writer
from torchglass.store import Fact, RunStatus, Series, Store, open_store
from torchglass.store import Run as StoredRun

FINISH_SECONDS = 10.0  # how long `finish` may wait for the store before it says what was lost
CLOSING_SECONDS = 1.0  # of that, for each of its own last two transactions
MAX_ASKED_STEPS = 100  # of one window: some ten thousand events a step stay in memory until it is over


class Run(Recorder):
    """A run in progress, made by `torchglass.attach` or `torchglass.start`; a context manager that finishes it.

    Left by an exception the run reads as failed with its text, by Ctrl-C as interrupted. Without `with`, call `finish`;
    a process that ends without it finishes the run at exit.
    """

    def __init__(
        self,
        store: Store,
        stored: StoredRun,
        rank: int,
        *,
        buffer: Buffer,
        clock: WallClock,
        guard: Guard,
        transfer: Transfer,
        watcher: StepWatcher,
        writer: Writer,
        monitor: DeviceMonitor | None,
    ) -> None:
        super().__init__(stored, rank, buffer=buffer, clock=clock, guard=guard, transfer=transfer, watcher=watcher)
        self._store = store
        self._hooks = Hooks(None, (), watcher, guard)
        self._writer = writer
        self._monitor = monitor
        self._attached: weakref.ref[nn.Module] | None = None  # by attach: without that model nothing is left to record
        self._requests_seen = store.profile_request(stored.id).number
        writer.call_each_second(self._look_for_requests)
        begun(self)

    @property
    def id(self) -> int:
        """Id in the store."""
        return self._stored.id

    @property
    def uid(self) -> str:
        """What the run is known by everywhere: another name, another store change nothing of it."""
        return self._stored.uid

    @property
    def store_path(self) -> Path:
        """The store's file; a store in a database has none."""
        return self._store.path

    @property
    def store_address(self) -> str:
        """The text by which another process opens the store: a database's may hold a password, never print it."""
        return self._store.location.address

    @property
    def folder(self) -> Path:
        """Where files that belong to the run are kept: beside the store, or in the working folder for a database."""
        return self._store.location.folder

    @property
    def summary(self) -> Mapping[str, Series]:
        """Smallest, largest, last and mean value of each series of this rank so far, by key, as the store has them.

        Waits until what was logged is stored, so ask for it after an epoch rather than in every step.
        """
        if self._open:
            self.flush()
        try:
            return {series.key: series for series in self._store.series_of(self.id, rank=self._rank)}
        except StoreError as failure:
            tell(f"torchglass cannot read the summary of {self.name!r} now: {failure}")
            return {}

    def batches(self, loader: Iterable[Batch], device: torch.device | str | None = None) -> Batches[Batch]:
        """Iterate over a loader so that the time spent waiting for it is named.

        With a `device` the batches arrive there, and moving them is a phase of its own; else nothing else changes.
        """
        return Batches(loader, self._guard, self._watcher, None if device is None else torch.device(device))

    @contextmanager
    def to_device(self) -> Iterator[None]:
        """Name the time in which the loop moves a batch to the device itself: `with run.to_device(): x = x.cuda()`."""
        self._guard.moment(self._watcher.named_step_begins)
        yield
        self._guard.moment(self._watcher.batch_is_on_device)

    @contextmanager
    def step(self) -> Iterator[int]:
        """Name a step in a loop that has no optimizer for torchglass to watch; yields its number."""
        self._guard.moment(self._watcher.named_step_begins)
        yield self._watcher.step
        self._guard.moment(self._watcher.named_step_ends)

    def profile_now(self, steps: int = DEFAULT_PROFILE.steps) -> None:
        """Open a profiler window over the next so many steps, whatever its cadence; of any thread.

        Raises:
            OptionError: the run watches no model, or `steps` is no number of steps from 1 to 100.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MAX_ASKED_STEPS:
            raise OptionError(f"profile_now({steps!r}): give a number of steps from 1 to {MAX_ASKED_STEPS}")
        if self._watcher.watched is None:
            raise OptionError("profile_now() needs steps to profile: attach the model and its optimizer")
        self._watcher.watched.profiler.ask(steps)

    def record_memory(self, steps: int = 3) -> None:
        """Record every allocation of the next so many steps, with its stack, and keep what was alive at their peak.

        For CUDA; elsewhere the run says why there is nothing to record. The recording costs some microseconds an
        allocation and always ends: after its steps, or with the run.

        Raises:
            OptionError: the run watches no model, or `steps` is no number of steps from 1 to 100.
        """
        if self._watcher.watched is None:
            raise OptionError("record_memory() needs steps to record: attach the model and its optimizer")
        self._watcher.watched.meters.memory_history.begin(steps, self.current_step, self._clock())

    def _look_for_requests(self) -> None:
        """Open a window that the page has asked for since we last looked; on the writer's thread."""
        watched = self._watcher.watched
        if watched is None:
            return
        request = self._store.profile_request(self.id)
        if request.number != self._requests_seen:
            self._requests_seen = request.number
            watched.profiler.ask(min(request.steps, MAX_ASKED_STEPS))

    def _trace_path(self, step: int) -> Path:
        return (
            self.folder / "torchglass-traces" / f"{self._stored.uid[:8]}-step{step}-rank{self._rank}.pt.trace.json.gz"
        )

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until everything recorded so far is in the store; False if that took longer or it was lost.

        What is still on its way from a device is waited for, too: call it from the thread that trains.
        """
        if self._open and not is_capturing():
            self._guard.call(self._transfer.drain)
        return self._writer.flush(timeout_seconds)

    def report(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Path | None:
        """Write what is recorded so far into one HTML file and return its path; training waits for it, a second or two.

        Without a `path` it is named after the run and lies beside the store. `options` are those of
        `torchglass.export_report`. Rank 0 alone writes one. None where that failed, with a warning: training goes on.

        Raises:
            OptionError: an option has a value that it cannot take.
            MissingExtraError: plotly or jinja2 is not installed.
        """
        from torchglass import export_report

        signature(export_report).bind(None, self.id, path, **options)  # a word that it does not know raises here
        if self._rank != 0:
            return None
        if self._open:
            self.flush()
        try:
            # A connection of its own: this one may be waited for by the thread that writes.
            with open_store(self.store_address, read_only=True) as store:
                return export_report(store, self.id, self.folder if path is None else path, **options)
        except (OptionError, MissingExtraError):
            raise
        except Exception as failure:
            tell(f"torchglass could not write a report of {self.name!r}: {failure}")
            return None

    def finish(self, status: RunStatus = "finished", error: str | None = None) -> None:
        """Detach from the model, write what waits, and close the run; calling it again does nothing.

        Waits at most 10 s for the store, and warns with the number of records lost if that was not enough.
        """
        if not self._open:
            return
        self._open = False
        ended(self)
        self._hooks.remove()
        if status == "finished":
            self._guard.call(self._watcher.look_finally)
        self._guard.call_anyway(self._watcher.finish)
        if self._monitor is not None:
            self._monitor.stop()
        lost = self._writer.stop(FINISH_SECONDS - 2 * CLOSING_SECONDS) + self._buffer.dropped
        try:
            self._store.limit_waiting(CLOSING_SECONDS)
            self._tell_lost(lost)
            self._store.end_run(self.id, status, error)
        except StoreError as failure:
            tell(f"torchglass could not close the run {self.name!r}: {failure}")
        if not self._writer.is_alive():  # one that still waits for the store keeps its connection
            self._store.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.finish(*ending(error))

    def __reduce__(self) -> tuple[type[Run], tuple[dict[str, Any]]]:
        # A trainer or a model that holds its run can be copied and pickled; the copy records nothing.
        from torchglass.instrumentation.disabled import DisabledRun

        return DisabledRun, (dict(self.config),)

    def _begin_watching(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        options: Options,
        *,
        hooks: bool = True,
        looks: Looks | None = None,
    ) -> None:
        """Hook a model and its optimizers, unless somebody else tells the moments; the last one counts the steps."""
        profiler = ProfilerWindows(
            options.profile,
            self._rank,
            self._buffer.put,
            self._clock,
            model=weakref.ref(model),
            trace_path=self._trace_path,
        )
        turns = None
        # One rank explains: the weights of all are the same.
        if options.probes is not None and looks is not None and self._rank == 0:
            turns = ProbeTurns(options.probes, looks, self._rank, self._buffer.put, self._clock)
        self._watcher.watch(
            Watched(
                model,
                optimizers,
                options,
                profiler,
                transfer=self._transfer,
                buffer=self._buffer,
                rank=self._rank,
                clock=self._clock,
                probes=turns,
            )
        )
        self._hooks.remove()
        if hooks:
            self._hooks = Hooks(model, optimizers, self._watcher, self._guard)
        self._follows_log = False
        self.state("model", {"class": type(model).__name__, "parameters": _count(model)})

    def _disown(self) -> None:
        """Become silent: this is a copy in a forked child (a DataLoader worker), the run is the parent's."""
        self._guard.armed = False
        self._open = False
        self._warned_closed = True

    def _tell_lost(self, lost: int) -> None:
        if lost:
            text = f"{lost} records could not be saved"
            tell(f"torchglass: {text}")
            self._store.state_facts(self.id, [Fact(self._rank, "warnings/lost", text, self._clock())])


def _count(model: nn.Module) -> int | None:
    """Elements of all parameters; None while a lazy module does not know its shapes."""
    parameters = list(model.parameters())
    if any(nn.parameter.is_lazy(parameter) for parameter in parameters):
        return None
    return sum(parameter.numel() for parameter in parameters)

"""What the user holds: a run that is being recorded."""

from __future__ import annotations

import atexit
import math
import operator
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, SupportsIndex, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from torchglass.errors import OptionError, StoreError
from torchglass.instrumentation.buffer import Buffer, ScalarRow
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.histograms import count_values, to_histogram
from torchglass.instrumentation.hooks import Hooks
from torchglass.instrumentation.monitor import DeviceMonitor
from torchglass.instrumentation.transfer import Transfer, is_capturing
from torchglass.instrumentation.watcher import StepWatcher
from torchglass.instrumentation.writer import Writer
from torchglass.store import ArtifactBlock, Fact, HistogramBlock, RunStatus, Store
from torchglass.store import Run as StoredRun

FINISH_SECONDS = 10.0  # how long `finish` may wait for the store before it says what was lost
CLOSING_SECONDS = 1.0  # of that, for each of its own last two transactions

Batch = TypeVar("Batch")
_live: set[Run] = set()  # strong: a caller who drops what attach returned still gets the run closed at exit


class WallClock:
    """Seconds since the epoch that never run backwards: the wall clock once, the monotonic one from there on."""

    def __init__(self) -> None:
        self._base = time.time() - time.perf_counter()

    def __call__(self) -> float:
        return self._base + time.perf_counter()


class Batches(Generic[Batch]):
    """A loader whose waits are named; as long as the loader itself."""

    def __init__(self, loader: Iterable[Batch], guard: Guard, watcher: StepWatcher) -> None:
        self._loader = loader
        self._guard = guard
        self._watcher = watcher

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        self._guard.call(self._watcher.loader_begins)
        iterator = iter(self._loader)  # a loader with workers starts them here
        while True:
            self._guard.call(self._watcher.loader_begins)
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._guard.call(self._watcher.loader_ends)
            yield batch


class Run:
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
        hooks: Hooks,
        writer: Writer,
        monitor: DeviceMonitor | None,
        follows_log: bool = False,
    ) -> None:
        self._store = store
        self._stored = stored
        self._rank = rank
        self._buffer = buffer
        self._clock = clock
        self._guard = guard
        self._transfer = transfer
        self._watcher = watcher
        self._hooks = hooks
        self._writer = writer
        self._monitor = monitor
        self._follows_log = follows_log  # nothing else counts the steps
        self._open = True
        self._warned_closed = False
        _live.add(self)

    @property
    def name(self) -> str:
        """Name in the store; `-2` and so on were added if the wanted one was taken."""
        return self._stored.name

    @property
    def id(self) -> int:
        """Id in the store."""
        return self._stored.id

    @property
    def store_path(self) -> Path:
        """The store's file."""
        return self._store.path

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration given to attach, as stored."""
        return self._stored.config

    @property
    def current_step(self) -> int:
        """The step that `log` records to: the running one, or the last one until the next begins."""
        return self._watcher.step

    def log(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        step: SupportsIndex | None = None,
        time: float | None = None,
        **named: Any,
    ) -> None:
        """Record numbers under names: `run.log(loss=loss)` or `run.log({"test/accuracy": 0.98}, step=7)`.

        `time` is when, in seconds since the epoch; now if left out. Values named "step" or "time" go in the mapping.

        A value is a number or a tensor of one element; a tensor on a GPU is copied asynchronously and nothing waits
        for it. Nested mappings become names with slashes. NaN and infinities are kept. Any order of steps is accepted;
        of several values for one name and step the last counts.

        Raises:
            OptionError: a value is not a number, a name is not text, the step is not a whole number or the time none.
        """
        at = self._watcher.step if step is None else _whole_number(step)
        when = self._clock() if time is None else _moment(time)
        numbers: dict[str, float] = {}
        tensors: dict[str, torch.Tensor] = {}
        for given in (values, named):
            if given is not None:
                _sort_out(given, "", numbers, tensors)
        if not self._accepts():
            return
        if self._follows_log:
            self._watcher.step = at
        if numbers:
            self._buffer.put(ScalarRow(at, when, numbers))
        if tensors:
            self._guard.call(self._send, tensors, at, when)

    def log_histogram(self, name: str, values: Any, step: SupportsIndex | None = None) -> None:
        """Count a tensor's or an array's values into the store's bins; NaN and infinities are counted apart.

        A tensor on a GPU is counted there and nothing waits for it. Of no values nothing is recorded.

        Raises:
            OptionError: the values are not numbers, the name is not text, or the step is not a whole number.
        """
        _check_name(name)
        at = self._watcher.step if step is None else _whole_number(step)
        tensor = _as_tensor(name, values)
        if self._accepts() and tensor.numel():
            self._guard.call(self._send_histogram, name, tensor, at, self._clock())

    def batches(self, loader: Iterable[Batch]) -> Batches[Batch]:
        """Iterate over a loader so that the time spent waiting for it is named; nothing else changes."""
        return Batches(loader, self._guard, self._watcher)

    @contextmanager
    def step(self) -> Iterator[int]:
        """Name a step in a loop that has no optimizer for torchglass to watch; yields its number."""
        self._guard.call(self._watcher.named_step_begins)
        yield self._watcher.step
        self._guard.call(self._watcher.named_step_ends)

    def save_arrays(
        self,
        kind: str,
        key: str,
        arrays: Mapping[str, npt.NDArray[Any]],
        meta: Mapping[str, Any],
        step: SupportsIndex | None = None,
    ) -> None:
        """Keep named arrays with the run (a checkpoint, a gallery of samples); stored by the writer, without pickle.

        Raises:
            OptionError: an array holds Python objects.
        """
        copies = {name: np.array(array) for name, array in arrays.items()}
        objects = [name for name, array in copies.items() if array.dtype.hasobject]
        if objects:
            raise OptionError(f"array {objects[0]!r} holds Python objects: only numbers, booleans and text are stored")
        if self._accepts():
            at = self._watcher.step if step is None else _whole_number(step)
            self._buffer.put(ArtifactBlock(kind, key, at, self._clock(), dict(meta), copies))

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until everything recorded so far is in the store; False if that took longer or it was lost.

        What is still on its way from a device is waited for, too: call it from the thread that trains.
        """
        if self._open and not is_capturing():
            self._guard.call(self._transfer.drain)
        return self._writer.flush(timeout_seconds)

    def finish(self, status: RunStatus = "finished", error: str | None = None) -> None:
        """Detach from the model, write what waits, and close the run; calling it again does nothing.

        Waits at most 10 s for the store, and warns with the number of records lost if that was not enough.
        """
        if not self._open:
            return
        self._open = False
        _live.discard(self)
        self._hooks.remove()
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
        self.finish(*_ending(error))

    def __reduce__(self) -> tuple[type[Run], tuple[dict[str, Any]]]:
        # A trainer or a model that holds its run can be copied and pickled; the copy records nothing.
        return DisabledRun, (dict(self.config),)

    def _send(self, tensors: Mapping[str, torch.Tensor], step: int, when: float) -> None:
        """Pack the tensors of a device into one and send that: one small copy instead of many."""
        by_device: dict[torch.device, list[str]] = {}
        for key, tensor in tensors.items():
            by_device.setdefault(tensor.device, []).append(key)
        for device, keys in by_device.items():
            if not self._transfer.accepts(device):
                continue
            # MPS has no float64; elsewhere it keeps every value exactly.
            dtype = torch.float32 if device.type == "mps" else torch.float64
            packed = torch.stack([tensors[key].detach().reshape(()).to(dtype) for key in keys])
            self._transfer.submit(packed, self._delivery(keys, step, when))

    def _send_histogram(self, name: str, tensor: torch.Tensor, step: int, when: float) -> None:
        def deliver(counted: npt.NDArray[Any]) -> None:
            self._buffer.put(HistogramBlock(name, to_histogram(counted, step, when)))

        if self._transfer.accepts(tensor.device):
            with torch.no_grad():
                self._transfer.submit(count_values(tensor), deliver)

    def _delivery(self, keys: list[str], step: int, when: float) -> Any:
        def deliver(array: npt.NDArray[Any]) -> None:
            self._buffer.put(ScalarRow(step, when, dict(zip(keys, array.tolist(), strict=True))))

        return deliver

    def _accepts(self) -> bool:
        if not self._open and not self._warned_closed:
            self._warned_closed = True
            tell(f"the run {self.name!r} is finished: what is logged now is not kept")
        return self._open

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


class DisabledRun(Run):
    """What `attach(mode="disabled")` returns: everything may be called and nothing happens."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    name = "disabled"
    id = 0
    store_path = Path()
    current_step = 0

    @property
    def config(self) -> Mapping[str, Any]:
        return self._config

    def log(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        step: SupportsIndex | None = None,
        time: float | None = None,
        **named: Any,
    ) -> None:
        """Do nothing."""

    def log_histogram(self, name: str, values: Any, step: SupportsIndex | None = None) -> None:
        """Do nothing."""

    def batches(self, loader: Iterable[Batch]) -> Any:
        """Return the loader itself."""
        return loader

    @contextmanager
    def step(self) -> Iterator[int]:
        yield 0

    def save_arrays(self, *_arguments: Any, **_options: Any) -> None:
        """Do nothing."""

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Do nothing: all that is recorded, nothing, is stored."""
        return True

    def finish(self, status: RunStatus = "finished", error: str | None = None) -> None:
        """Do nothing."""


def _whole_number(step: SupportsIndex) -> int:
    try:
        at = operator.index(step)
    except TypeError:
        raise OptionError(f"step={step!r}: give a whole number") from None
    if not -(2**63) <= at < 2**63:
        raise OptionError(f"step={at}: give a whole number that fits 64 bits")
    return at


def _moment(time: float) -> float:
    if isinstance(time, int | float | np.integer | np.floating) and math.isfinite(time):
        return float(time)
    raise OptionError(f"time={time!r}: give seconds since the epoch, or None for now; a value goes in the mapping")


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _is_storable(name):
        raise OptionError(f"log got {name!r} as a name: give text")


def _as_tensor(name: str, values: Any) -> torch.Tensor:
    if isinstance(values, torch.Tensor) and not values.is_meta:
        return values.detach()
    array = np.asarray(values) if not isinstance(values, torch.Tensor) else np.empty(0, object)
    if array.dtype.kind not in "biuf":
        raise OptionError(f"log_histogram({name!r}) got {_described(values)}: give an array or a tensor of numbers")
    return torch.from_numpy(np.ascontiguousarray(array, np.float32 if array.dtype == np.float32 else np.float64))


def _sort_out(
    given: Mapping[str, Any], prefix: str, numbers: dict[str, float], tensors: dict[str, torch.Tensor]
) -> None:
    if not isinstance(given, Mapping):
        raise OptionError(f"log got a {type(given).__name__}: give names and numbers, such as log(loss=loss)")
    for name, value in given.items():
        _check_name(name)
        if type(value) is float:
            numbers[prefix + name] = value
        elif isinstance(value, Mapping):
            _sort_out(value, f"{prefix}{name}/", numbers, tensors)
        elif isinstance(value, torch.Tensor) and value.device.type not in ("cpu", "meta") and value.numel() == 1:
            tensors[prefix + name] = value
        else:
            numbers[prefix + name] = _number(prefix + name, value)


def _is_storable(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in the name of a file that is not UTF-8
        return False
    return True


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex() and not value.is_meta:
            return float(value.detach())
        if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf":
            return float(value.reshape(()))
        if isinstance(value, int | float | np.bool_ | np.integer | np.floating):
            return float(value)
        reason = ""
    except OverflowError as error:
        reason = f" ({error})"
    raise OptionError(f"log({name!r}) got {_described(value)}{reason}: give a number or a tensor of one element")


def _described(value: Any) -> str:
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return f"a {type(value).__name__}{shape}"


def _ending(error: BaseException | None) -> tuple[RunStatus, str | None]:
    if error is None or (isinstance(error, SystemExit) and not error.code):
        return "finished", None
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", None
    return "failed", f"{type(error).__name__}: {error}"


def _disown_all() -> None:
    for run in list(_live):
        run._disown()
    _live.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)


@atexit.register
def _finish_at_exit() -> None:
    """Close what the program left open; an exception that ended the program ends its runs as failed."""
    for run in list(_live):
        run.finish(*_ending(getattr(sys, "last_value", None)))

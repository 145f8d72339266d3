"""The verbs that record: what they are given is checked at the call, and waits in the buffer for the writer."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
import torch

from torchglass.errors import OptionError
from torchglass.instrumentation.buffer import Buffer, Deferred
from torchglass.instrumentation.clock import WallClock
from torchglass.instrumentation.guard import Guard, tell
from torchglass.instrumentation.histograms.sample import count_values, to_histogram
from torchglass.instrumentation.rows import Layouts
from torchglass.instrumentation.transfer import Transfer
from torchglass.instrumentation.values import as_tensor, check_name, moment, plain_numbers, sort_out, whole_number
from torchglass.instrumentation.watcher import StepWatcher
from torchglass.store import ArtifactBlock, Fact, HistogramBlock
from torchglass.store import Run as StoredRun


class Recorder:
    """What a run can be told."""

    def __init__(
        self,
        stored: StoredRun,
        rank: int,
        *,
        buffer: Buffer,
        clock: WallClock,
        guard: Guard,
        transfer: Transfer,
        watcher: StepWatcher,
    ) -> None:
        self._stored = stored
        self._rank = rank
        self._buffer = buffer
        self._clock = clock
        self._guard = guard
        self._transfer = transfer
        self._watcher = watcher
        self._follows_log = True  # until a model is watched nothing counts steps: the current one is the last logged to
        self._layouts = Layouts()
        self._configured: dict[str, Any] = {}
        self._open = True
        self._warned_closed = False

    @property
    def name(self) -> str:
        """Name in the store; `-2` and so on were added if the wanted one was taken."""
        return self._stored.name

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration: what attach was given, as stored, and what `configure` added."""
        return {**self._stored.config, **self._configured}

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

        A value is a number or a tensor of one element; a tensor on a GPU is copied asynchronously and nothing waits
        for it. Nested mappings become names with slashes. NaN and infinities are kept. Any order of steps is accepted;
        of several values for one name and step the last counts. `time` is when, in seconds since the epoch; now if
        left out. Values that are themselves named "step" or "time" go in the mapping.

        Raises:
            OptionError: a value is not a number, a name is not text, the step is not a whole number or the time none.
        """
        # The short way, of a microsecond: a dictionary of numbers, under names that were checked in an earlier call.
        given = named if values is None else values
        if type(given) is dict and self._open and time is None and (given is named or not named):
            layout = self._layouts.find_scalars(tuple(given))
            if layout is not None:
                numbers: Any = given.values()
                at = self._watcher.step if step is None else step
                try:
                    if list(map(type, numbers)) != layout.floats:
                        numbers = plain_numbers(numbers)
                    packed = layout.pack(at, self._clock.base + perf_counter(), *numbers)
                except (struct.error, OverflowError):
                    pass  # no step, or no number: told below
                else:
                    self._buffer.add((layout.text, packed), layout.row_bytes)
                    if self._follows_log and step is not None:
                        self._watcher.step = step.__index__()
                    return
        self._log(values, named, step, time)

    def log_histogram(
        self, name: str, values: Any, step: SupportsIndex | None = None, time: float | None = None
    ) -> None:
        """Count a tensor's or an array's values into the store's bins; NaN and infinities are counted apart.

        A tensor on a GPU is counted there and nothing waits for it. Of no values nothing is recorded.

        Raises:
            OptionError: the values are not numbers, the name is not text, the step is not a whole number or the time
                none.
        """
        check_name(name)
        at, when = self._step_and_time(step, time)
        tensor = as_tensor(name, values)
        if self._accepts() and tensor.numel():
            self._guard.call(self._send_histogram, name, tensor, at, when)

    def save_arrays(
        self,
        kind: str,
        key: str,
        arrays: Mapping[str, npt.NDArray[Any]],
        meta: Mapping[str, Any],
        step: SupportsIndex | None = None,
        time: float | None = None,
    ) -> None:
        """Keep named arrays with the run (a checkpoint, a gallery of samples); stored by the writer, without pickle.

        Raises:
            OptionError: an array holds Python objects, the step is not a whole number or the time none.
        """
        copies = {name: np.array(array) for name, array in arrays.items()}
        objects = [name for name, array in copies.items() if array.dtype.hasobject]
        if objects:
            raise OptionError(f"array {objects[0]!r} holds Python objects: only numbers, booleans and text are stored")
        at, when = self._step_and_time(step, time)
        if self._accepts():
            self._buffer.put(ArtifactBlock(kind, key, at, when, dict(meta), copies))

    def state(self, key: str, value: Any) -> None:
        """State a fact about the run; a later one of the same key replaces it. What JSON lacks is kept as text."""
        check_name(key)
        if self._accepts():
            self._buffer.put(Fact(self._rank, key, value, self._clock()))

    def configure(self, values: Mapping[str, Any]) -> None:
        """Add hyper-parameters that became known after the run began; a later value of a name replaces the earlier."""
        known = self.config
        news = {str(name): value for name, value in values.items() if not _is_same(known.get(name), value)}
        if news and self._accepts():
            self._configured = {**self._configured, **news}
            self._buffer.put(Deferred(lambda batch: batch.config.update(news)))

    def _log(
        self, values: Mapping[str, Any] | None, named: Mapping[str, Any], step: SupportsIndex | None, time: float | None
    ) -> None:
        """Record whatever `log` may be given."""
        if time is not None and not values and not named:
            raise OptionError("log got a time and no values: give a value of that name as log({'time': ...})")
        at, when = self._step_and_time(step, time)
        numbers: dict[str, float] = {}
        tensors: dict[str, torch.Tensor] = {}
        for given in (values, named):
            if given is not None:
                sort_out(given, "", numbers, tensors)
        if not self._accepts():
            return
        if self._follows_log:
            self._watcher.step = at
        if numbers:
            self._put_row(numbers, numbers.values(), at, when)
        if tensors:
            self._guard.call(self._send, tensors, at, when)
            self._guard.call(self._transfer.poll)  # a loop that nothing watches may have no other moment for it

    def _step_and_time(self, step: SupportsIndex | None, time: float | None) -> tuple[int, float]:
        return (
            self._watcher.step if step is None else whole_number(step),
            self._clock() if time is None else moment(time),
        )

    def _put_row(self, keys: Iterable[str], numbers: Iterable[float], step: int, when: float) -> None:
        layout = self._layouts.of(tuple(keys))
        # Where each row has names of its own, each keeps its layout's text.
        self._buffer.add((layout.text, layout.pack(step, when, *numbers)), layout.row_bytes + len(layout.text))

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

    def _delivery(self, keys: list[str], step: int, when: float) -> Any:
        def deliver(array: npt.NDArray[Any]) -> None:
            self._put_row(keys, array.tolist(), step, when)

        return deliver

    def _send_histogram(self, name: str, tensor: torch.Tensor, step: int, when: float) -> None:
        def deliver(counted: npt.NDArray[Any]) -> None:
            self._buffer.put(HistogramBlock(name, to_histogram(counted, step, when)))

        if self._transfer.accepts(tensor.device):
            with torch.no_grad():
                self._transfer.submit(count_values(tensor), deliver)

    def _accepts(self) -> bool:
        if not self._open and not self._warned_closed:
            self._warned_closed = True
            tell(f"the run {self.name!r} is finished: what is logged now is not kept")
        return self._open


def _is_same(kept: Any, value: Any) -> bool:
    return type(kept) is type(value) and isinstance(value, bool | int | float | str) and kept == value

"""On demand: a few steps under torch's recording of every allocation, and what was alive at their peak."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from torchglass.errors import OptionError
from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.guard import tell
from torchglass.instrumentation.memory.meter import Attached
from torchglass.instrumentation.memory.peak import Peak, peak_of
from torchglass.instrumentation.memory.split import storages
from torchglass.instrumentation.transfer import is_capturing
from torchglass.store import ArtifactBlock, Batch, Fact

KIND = "memory_peak"
MAX_STEPS = 100
MAX_EVENTS = 100_000  # allocations and frees that are kept, the latest: several kilobytes each, with its stack
_NO_CUDA = "torch records the history of allocations on CUDA devices alone; this model trains on {device}"
_FOREIGN = "torch's memory history is already being recorded by the program: it was left alone"
_FAILURES = (RuntimeError, AttributeError, TypeError, KeyError, IndexError)  # torch's own interface is private


class Recording(Protocol):
    """What can be asked of torch's recording of allocations."""

    def is_on(self) -> bool:
        """Tell whether somebody records."""

    def start(self) -> None:
        """Begin to record."""

    def snapshot(self) -> Mapping[str, Any]:
        """Return what was recorded so far, and what is allocated."""

    def stop(self) -> None:
        """Record no more, and forget what was recorded."""


class CudaRecording:
    """Torch's own: stacks of Python frames at allocations alone, in a ring of bounded length."""

    def is_on(self) -> bool:
        """Tell whether somebody records."""
        asked = getattr(torch._C, "_cuda_isHistoryEnabled", None)
        return bool(asked is not None and asked())

    def start(self) -> None:
        """Begin to record. Frames of C++ besides would make a snapshot take minutes instead of seconds."""
        torch.cuda.memory._record_memory_history("all", context="alloc", stacks="python", max_entries=MAX_EVENTS)

    def snapshot(self) -> Mapping[str, Any]:
        """Return what was recorded so far, and what is allocated."""
        found: Mapping[str, Any] = torch.cuda.memory._snapshot()
        return found

    def stop(self) -> None:
        """Record no more, and forget what was recorded."""
        torch.cuda.memory._record_memory_history(None)


class MemoryHistory:
    """Records the steps that it is asked for, stores their peak as an artifact, and always switches the recording off.

    An end before its time, by an exception or `close`, stores what there is: after an allocation that failed, that is
    what filled the device. A recording of the program's own is left alone. All of it on the training thread.
    """

    def __init__(
        self,
        attached: Attached,
        put: Callable[[Record], None],
        rank: int,
        *,
        recording: Recording | None = None,
        now_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._attached = attached
        self._put = put
        self._rank = rank
        self._recording: Recording = recording or CudaRecording()
        self._now_ns = now_ns
        self._device = torch.device("cpu")
        self._first_step = self._last_step = 0
        self._asked = self._seen = 0
        self.is_recording = False

    def begin(self, steps: int, step: int, when: float) -> None:
        """Record from now on until so many steps have ended; `step` is the running or the next one, `when` is now.

        Where nothing can be recorded a fact says why, and training goes on.

        Raises:
            OptionError: the number of steps is none, or none that is kept.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MAX_STEPS:
            raise OptionError(f"record_memory(steps={steps!r}): give a number of steps from 1 to {MAX_STEPS}")
        if self.is_recording:
            tell("torchglass: record_memory was called during a recording, which goes on as it was")
            return
        self._device = self._attached.device
        reason = self._obstacle()
        if reason is None:
            reason = self._try(self._recording.start)
        if reason is not None:
            self._miss(reason, when)
            return
        self._asked, self._seen = steps, 0
        self._first_step = self._last_step = step
        self.is_recording = True

    def step_ended(self, step: int, when: float) -> None:
        """Count a step; the last one ends the recording."""
        if not self.is_recording:
            return
        self._seen += 1
        self._last_step = step
        if self._seen >= self._asked and not is_capturing():
            self._end(when)

    def close(self, when: float) -> None:
        """End a recording that is under way, and keep what it saw."""
        if self.is_recording:
            self._end(when)

    def _obstacle(self) -> str | None:
        if self._device.type != "cuda":
            return _NO_CUDA.format(device=self._device)
        if is_capturing():
            return "a CUDA graph is being captured: ask before or after it"
        return _FOREIGN if self._recording.is_on() else None

    def _end(self, when: float) -> None:
        began = self._now_ns()
        self.is_recording = False
        taken: list[Mapping[str, Any]] = []
        parts: dict[int, str] = {}
        try:
            reason = self._try(lambda: taken.append(self._recording.snapshot()))
            if reason is None:
                reason = self._try(lambda: parts.update(storages(self._attached.model, self._attached.optimizers)))
        finally:
            stopped = self._try(self._recording.stop)
        if stopped is not None:
            self._miss(f"the recording could not be switched off: {stopped}", when)
        if reason is not None or not taken:
            self._miss(reason or "torch gave no snapshot", when)
            return
        index = self._device.index if self._device.index is not None else torch.cuda.current_device()
        meta = {
            "device": f"cuda:{index}",
            "first_step": self._first_step,
            "steps": self._seen,
            "asked_steps": self._asked,
            "snapshot_seconds": (self._now_ns() - began) / 1e9,
        }
        step = self._last_step

        def add_to(batch: Batch) -> None:
            try:
                batch.artifacts.append(to_artifact(peak_of(taken[0], index, parts), meta, step, when))
            except _FAILURES as error:
                text = f"torch's snapshot has a form that is not known here: {type(error).__name__}: {error}"
                batch.facts.append(Fact(self._rank, f"missing/{KIND}", text, when))

        # Counted as nothing: it is gone at the next flush, and rows that wait meanwhile should not be dropped for it.
        self._put(Deferred(add_to))

    def _try(self, act: Callable[[], object]) -> str | None:
        """Do something with torch's private interface; returns what it says if it fails."""
        try:
            act()
        except _FAILURES as error:
            return f"{type(error).__name__}: {error}"
        return None

    def _miss(self, reason: str, when: float) -> None:
        text = reason.splitlines()[0]
        tell(f"torchglass recorded no memory history: {text}")
        self._put(Fact(self._rank, f"missing/{KIND}", text, when))


def to_artifact(peak: Peak, meta: Mapping[str, Any], step: int, when: float) -> ArtifactBlock:
    """Pack a peak: the arrays are columns of its groups, (k,) each."""
    groups = peak.groups
    arrays = {
        "parts": np.array([group.part for group in groups], np.str_),
        "stacks": np.array([group.stack for group in groups], np.str_),
        "bytes": np.array([group.size_bytes for group in groups], np.int64),
        "counts": np.array([group.allocations for group in groups], np.int64),
        "largest_bytes": np.array([group.largest_bytes for group in groups], np.int64),
    }
    said = {
        "peak_bytes": peak.peak_bytes,
        "end_bytes": peak.end_bytes,
        "rest_bytes": peak.rest_bytes,
        "rest_count": peak.rest_count,
        "part_bytes": dict(peak.part_bytes),
        "events": peak.event_count,
        "is_cut": peak.event_count >= MAX_EVENTS,
        "refused_bytes": peak.refused_bytes,
        "free_bytes": peak.free_bytes,
    }
    return ArtifactBlock(KIND, str(meta["device"]), step, when, {**meta, **said}, arrays)

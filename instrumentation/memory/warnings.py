"""Warnings before memory runs out, in sentences with the numbers that they rest on."""

from __future__ import annotations

from collections.abc import Callable

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.memory.outlook import STRETCH, Outlook
from torchglass.store import Batch, Fact

ALARM_SHARE = 0.9
KEY = "warnings/memory"
RETRIES_KEY = "warnings/memory retries"
_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_REMEDY = "a smaller batch, gradient accumulation or checkpointed activations need less"


class MemoryWarnings:
    """Notes what is taken at each step; says once that it is nearly all there is, and once that it grows towards it.

    A reading costs the training thread an append; the outlook is computed by the writer.
    """

    def __init__(self, limit_bytes: int, where: str, rank: int, put: Callable[[Record], None]) -> None:
        self._limit_bytes = limit_bytes
        self._where = where
        self._rank = rank
        self._put = put
        self._alarm_bytes = ALARM_SHARE * limit_bytes
        self._is_full = self._grows = self._has_retried = False
        self._outlook = Outlook(limit_bytes)
        self._steps: list[int] = []
        self._used: list[float] = []

    def note(self, step: int, when: float, used_bytes: int, taken_bytes: int) -> None:
        """Note a reading: bytes in use, and those that are not to be had by others, which may be more."""
        if taken_bytes > self._alarm_bytes and not self._is_full:
            self._is_full = True
            self._put(Fact(self._rank, KEY, self._full(step, used_bytes, taken_bytes), when))
        self._steps.append(step)
        self._used.append(used_bytes)
        if len(self._steps) == STRETCH:
            steps, used, self._steps, self._used = self._steps, self._used, [], []
            self._put(Deferred(lambda batch: self._look(batch, steps, used, taken_bytes, when), 16 * STRETCH))

    def note_retries(self, step: int, when: float, retries: int, failures: int) -> None:
        """Say once that the allocator found no room at first."""
        if self._has_retried:
            return
        self._has_retried = True
        text = (
            f"at step {step} {self._where} had no room until torch gave its cache back, which waits for the device "
            f"({retries} times so far, {failures} times in vain): {_REMEDY}; so may "
            "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, where much is reserved and little of it allocated"
        )
        self._put(Fact(self._rank, RETRIES_KEY, text, when))

    def _look(self, batch: Batch, steps: list[int], used: list[float], taken_bytes: int, when: float) -> None:
        if self._grows:
            return
        growth = self._outlook.look(steps, used, taken_bytes)
        if growth is None:
            return
        self._grows = True
        text = (
            f"memory of {self._where} grows by {in_units(growth.bytes_per_step)} a step (over the last "
            f"{growth.observed_steps} steps, up to step {steps[-1]}): {in_units(taken_bytes)} of "
            f"{in_units(self._limit_bytes)} are taken, and in about {growth.steps_left:.0f} steps nothing is left. "
            "Something is kept from step to step, such as a loss with its graph: keep loss.detach() or loss.item()"
        )
        batch.facts.append(Fact(self._rank, KEY, text, when))

    def _full(self, step: int, used_bytes: int, taken_bytes: int) -> str:
        share = 100 * taken_bytes / self._limit_bytes
        cached = f", {in_units(used_bytes)} of it in tensors" if used_bytes != taken_bytes else ""
        return (
            f"at step {step} this process took {in_units(taken_bytes)}, {share:.0f} % of the "
            f"{in_units(self._limit_bytes)} of {self._where}{cached}: little is left, and {_REMEDY}"
        )


def in_units(size_bytes: float) -> str:
    """A number of bytes as a person writes it: "9.53 GB"."""
    for unit, factor in _UNITS:
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes:.0f} B"

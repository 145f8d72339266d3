"""What is kept of a step: one row of its phases, the learning rates as it used them, and what we cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

from torchglass.instrumentation.buffer import Buffer, ScalarRow
from torchglass.instrumentation.phases import PHASES, Passed
from torchglass.instrumentation.rows import Layout, Row
from torchglass.instrumentation.transfer import Transfer
from torchglass.instrumentation.watched import Watched
from torchglass.store import Column

STEP_BYTES = 800  # about what waits of a step: a dictionary of seconds, a list of rates and three tuples
_PHASE_COLUMNS = tuple(Column(f"phase/{name}", "phase", "s") for name in ("step", *PHASES))
_DEVICE_STEP = Layout([*_PHASE_COLUMNS, Column("work/host_bound_percent", "work", "%")])
_MICRO_STEPS_COLUMN = Column("work/micro_steps", "work")
_OWN_COST_COLUMN = Column("torchglass/hook_seconds", "self", "s")


class StepRows:
    """Notes each step in few calls; the writer's thread does the sums."""

    def __init__(self, buffer: Buffer, transfer: Transfer) -> None:
        self._buffer = buffer
        self._transfer = transfer
        self._layouts: dict[tuple[bool, tuple[int, ...]], Layout] = {}

    def note(
        self, step: int, when: float, passed: Passed | None, watched: Watched | None, micro_steps: int, spent_ns: int
    ) -> None:
        """Note a step that ended; its phases are None where a device delivers them later."""
        groups, rates = self._learning_rates(watched, step, when) if watched is not None else (None, [])
        self._buffer.add((self._to_row, (step, when, passed, groups, rates, micro_steps, spent_ns)), STEP_BYTES)

    def put_phases(self, step: int, when: float, seconds: Mapping[str, float], host_bound_percent: float) -> None:
        """Record the phases of a step that a device has delivered."""
        packed = _DEVICE_STEP.pack(step, when, *_with_sum(list(seconds.values())), host_bound_percent)
        self._buffer.add((_DEVICE_STEP.text, packed), _DEVICE_STEP.row_bytes)

    def send_skipped(self, step: int, when: float, found_inf: Any) -> None:
        """Say of a fused step on a device, once that is known, that it moved nothing."""
        if not isinstance(found_inf, torch.Tensor) or not self._transfer.accepts(found_inf.device):
            return

        def deliver(found: np.ndarray) -> None:
            if found.any():
                self._buffer.put(ScalarRow(step, when, {"skipped_step": 1.0}))

        self._transfer.submit(found_inf.detach().clone(), deliver)

    def _to_row(
        self,
        step: int,
        when: float,
        passed: Passed | None,
        groups: tuple[int, ...] | None,
        rates: Sequence[float],
        micro_steps: int,
        spent_ns: int,
    ) -> Row:
        """Pack what was noted of a step."""
        groups = tuple(range(len(rates))) if groups is None else groups
        layout = self._layouts.get((passed is not None, groups)) or self._make_layout(passed is not None, groups)
        seconds = passed.seconds() if passed is not None else []
        return layout.text, layout.pack(step, when, *_with_sum(seconds), *rates, micro_steps, spent_ns / 1e9)

    def _learning_rates(self, watched: Watched, step: int, when: float) -> tuple[tuple[int, ...] | None, list[float]]:
        """Indices (None for all) of the parameter groups whose rate is a plain number, and these; tensors are sent."""
        rates, groups = [], watched.groups()
        for group in groups:
            rate = group.get("lr")
            if type(rate) is not float:
                return self._mixed_rates([group.get("lr") for group in groups], step, when)
            rates.append(rate)
        return None, rates

    def _mixed_rates(self, rates: Sequence[Any], step: int, when: float) -> tuple[tuple[int, ...], list[float]]:
        for index, rate in enumerate(rates):
            if isinstance(rate, torch.Tensor):
                self._send_learning_rate(_rate_key(index), rate, step, when)
        plain = {index: float(rate) for index, rate in enumerate(rates) if isinstance(rate, Real)}
        return tuple(plain), list(plain.values())

    def _send_learning_rate(self, key: str, rate: torch.Tensor, step: int, when: float) -> None:
        if not self._transfer.accepts(rate.device):
            return

        def deliver(array: np.ndarray) -> None:
            self._buffer.put(ScalarRow(step, when, {key: float(array)}))

        # Cloned on its device: a scheduler writes the next rate into the same tensor.
        self._transfer.submit(rate.detach().clone(), deliver)

    def _make_layout(self, with_phases: bool, groups: tuple[int, ...]) -> Layout:
        phases = _PHASE_COLUMNS if with_phases else ()
        layout = Layout(
            [*phases, *(Column(_rate_key(index)) for index in groups), _MICRO_STEPS_COLUMN, _OWN_COST_COLUMN]
        )
        self._layouts[with_phases, groups] = layout
        return layout


def _with_sum(seconds: Sequence[float]) -> Sequence[float]:
    return [sum(seconds), *seconds] if seconds else seconds


def _rate_key(group: int) -> str:
    return "learning_rate" if group == 0 else f"learning_rate/group{group}"

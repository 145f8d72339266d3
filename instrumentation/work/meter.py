"""The work done in each step: floating-point operations, samples a second, and the share of the device's peak (MFU).

The training thread notes which shapes a step was called with and when it ended. The writer's thread counts each new
shape once, on a copy of the model without values, and does the sums.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_modules

from torchglass.errors import OptionError
from torchglass.instrumentation.buffer import Buffer
from torchglass.instrumentation.rows import Layout, Row
from torchglass.instrumentation.work.call_shapes import first_tensor, key_of, plan_of
from torchglass.instrumentation.work.facts import Counted, describe_call, formats_of, work_fact
from torchglass.instrumentation.work.flops import count_work
from torchglass.instrumentation.work.meta_copies import bare, meta_copy
from torchglass.instrumentation.work.peaks import Peak, find_peak
from torchglass.instrumentation.work.repeatable import refuse_unrepeatable
from torchglass.store import Column, Fact

MAX_SHAPES = 8  # counted of a run: each costs the writer's thread a moment
MAX_KNOWN = 1000  # remembered, so that a text of ever new length fills no memory
LOOK_AGAIN = 200  # steps of a shape after which we look whether parameters were frozen or thawed
STEP_BYTES = 300  # about what waits of a step: a list, two numbers and two tuples
_COLUMNS = {
    "flops": Column("work/flops_per_step", "work", "FLOP"),
    "rate": Column("work/samples_per_second", "work", "1/s"),
    "share": Column("work/mfu_percent", "work", "%"),
}

any_autocast = torch._C._is_any_autocast_enabled
trace_at_work = torch._C._get_tracing_state


def device_name(device: torch.device) -> str:
    """What the driver calls a device; asks nothing of the device itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@dataclass(slots=True, eq=False)
class _Shape:
    """One way in which a model is called; `plan` is None where that is not counted, for the reason given."""

    samples: int | None
    model: Callable[[], nn.Module | None]
    device: torch.device
    plan: tuple[tuple[Any, ...], Mapping[str, Any]] | None = None
    autocast: torch.dtype | None = None
    training: Mapping[str, bool] = field(default_factory=dict)
    trained: Mapping[str, bool] = field(default_factory=dict)
    counted: Counted | None = None
    reason: str | None = None
    uses: int = 0


class WorkMeter:
    """Notes the calls of a step in few instructions; a step's row is made, and its shapes counted, where rows are."""

    def __init__(
        self,
        buffer: Buffer,
        rank: int,
        clock: Callable[[], float],
        *,
        name_of: Callable[[torch.device], str] = device_name,
    ) -> None:
        self._buffer = buffer
        self._rank = rank
        self._clock = clock
        self._name_of = name_of
        self._shapes: dict[Any, _Shape] = {}
        self._planned = 0
        self._in_step: list[_Shape] = []
        self._ended: float | None = None
        self._device_type = "cpu"
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._counted: list[Counted] = []
        self._told: set[tuple[str, str]] = set()

    def forward_began(self, model: nn.Module, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> None:
        """Note a training forward and what it was called with."""
        if trace_at_work() is not None:
            return  # what we ask of a tensor's shape would become a part of torch.jit.trace's graph
        autocast = _autocast_on(self._device_type) if any_autocast() else None
        key = id(model), autocast, key_of(arguments), key_of(keywords) if keywords else None
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._meet(model, arguments, keywords)
            if len(self._shapes) < MAX_KNOWN:
                self._shapes[key] = shape
        self._in_step.append(shape)

    def step_ended(self, step: int, when: float) -> None:
        """Record the step that ended at `when` (seconds of any clock that does not jump)."""
        seconds = when - self._ended if self._ended is not None else None
        self._ended = when
        if self._in_step:
            shapes, self._in_step = self._in_step, []
            self._buffer.add((self._to_row, (step, when, seconds, shapes)), STEP_BYTES)

    def close(self) -> None:
        """The steps are over: forget the forwards of one that did not end."""
        self._in_step = []

    def _meet(self, model: nn.Module, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> _Shape:
        """Take down all that a count depends on: the training thread may change it before the count."""
        tensor = first_tensor((arguments, keywords))
        samples = int(tensor.shape[0]) if tensor is not None and tensor.ndim else None
        parameter = next(model.parameters(), tensor)
        device = parameter.device if parameter is not None else torch.device("cpu")
        if torch.amp.is_autocast_available(device.type):
            self._device_type = device.type
        shape = _Shape(samples, weakref.ref(model), device)
        try:
            if self._planned >= MAX_SHAPES:
                raise OptionError(f"only the first {MAX_SHAPES} shapes of a run are counted")
            shape.plan = plan_of(tuple(arguments)), plan_of(dict(keywords))
            self._planned += 1
            shape.autocast = _autocast_on(device.type)
            shape.training = {_plain(name): module.training for name, module in bare(model).named_modules()}
            shape.trained = _trained(model)
        except Exception as error:
            shape.reason = _reason(error)
        return shape

    # On the writer's thread

    def _to_row(self, step: int, when: float, seconds: float | None, shapes: Sequence[_Shape]) -> Row:
        """Count what is new, and pack what is known of a step."""
        counted = [found for shape in shapes if (found := self._count(shape)) is not None]
        values: dict[str, float] = {}
        if len(counted) == len(shapes):
            values["flops"] = sum(each.flops for each in counted)
        if seconds:
            samples = [shape.samples for shape in shapes if shape.samples is not None]
            if len(samples) == len(shapes):
                values["rate"] = sum(samples) / seconds
            at_peak = [least for each in counted if (least := each.seconds_at_peak) is not None]
            if len(at_peak) == len(shapes):
                values["share"] = 100 * sum(at_peak) / seconds
        layout = self._layouts.get(tuple(values))
        if layout is None:
            layout = self._layouts[tuple(values)] = Layout([_COLUMNS[name] for name in values])
        return layout.text, layout.pack(step, when, *values.values())

    def _count(self, shape: _Shape) -> Counted | None:
        shape.uses += 1
        if shape.counted is not None and shape.uses % LOOK_AGAIN == 0:
            self._look_again(shape)
        if shape.counted is None and shape.reason is None:
            try:
                shape.counted = self._counted_anew(shape)
            except Exception as error:
                shape.reason = _reason(error)
        if shape.reason is not None:
            self._tell_once("missing/work/flops", shape.reason)
        return shape.counted

    def _look_again(self, shape: _Shape) -> None:
        """Count anew once parameters were frozen or thawed: of those, a backward pass does less or more."""
        model = shape.model()
        if model is not None and (trained := _trained(model)) != shape.trained:
            shape.trained, shape.counted = trained, None

    def _counted_anew(self, shape: _Shape) -> Counted:
        called = shape.model()
        if called is None or shape.plan is None:
            raise OptionError("the model was gone before its work was counted")
        if torch_modules._global_forward_hooks or torch_modules._global_forward_pre_hooks:
            raise OptionError("hooks on all modules of the process would see the count")
        model = bare(called)
        refuse_unrepeatable(model)
        duplicate = meta_copy(model)
        for name, module in duplicate.named_modules():
            module.training = shape.training.get(name, module.training)
        for name, parameter in duplicate.named_parameters():
            if parameter.is_floating_point():
                parameter.requires_grad_(shape.trained.get(name, parameter.requires_grad))
        work = count_work(duplicate, *shape.plan, device=shape.device, autocast=shape.autocast)
        counted = Counted(
            call=describe_call(shape.plan),
            samples=shape.samples,
            work=work,
            formats=formats_of(work, shape.device.type),
            device_name=self._name_of(shape.device),
            device_count=_device_count(called),
            peak=_peak_of(shape.device, self._name_of),
        )
        self._counted.append(counted)
        fact = work_fact(self._counted, duplicate, shape.plan, shape.device.type)
        self._buffer.put(Fact(self._rank, "work", fact, self._clock()))
        if counted.why_no_mfu is not None:
            self._tell_once("missing/work/mfu_percent", counted.why_no_mfu)
        return counted

    def _tell_once(self, key: str, reason: str) -> None:
        if (key, reason) not in self._told:
            self._told.add((key, reason))
            self._buffer.put(Fact(self._rank, key, reason, self._clock()))


def _autocast_on(device_type: str) -> torch.dtype | None:
    return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else None


def _peak_of(device: torch.device, name_of: Callable[[torch.device], str]) -> Peak | str:
    if device.type != "cuda":
        return f"the peak of a {device.type.upper()} is not known: a share of it is told for GPUs only"
    return find_peak(name_of(device))


def _device_count(model: nn.Module) -> int:
    ids = getattr(model, "device_ids", None) if type(model).__name__ == "DataParallel" else None
    return len(ids) if ids else max(1, len({parameter.device for parameter in model.parameters()}))


def _trained(model: nn.Module) -> dict[str, bool]:
    return {_plain(name): parameter.requires_grad for name, parameter in bare(model).named_parameters()}


def _plain(name: str) -> str:
    """The name of a module or parameter as it would be without torch.compile."""
    return name.replace("_orig_mod.", "").removesuffix("_orig_mod").removesuffix(".")


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, OptionError) else f"{type(error).__name__}: {error}"

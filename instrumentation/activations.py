"""What modules return in a sampled step: units that are zero for the whole batch, the share of zeros, mean and spread.

A unit is a channel of a convolution's result or a feature of a linear layer's. Hooks are on the modules in the forward
passes of sampled steps alone; what they compute stays on the device, and the writer reads it later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

from torchglass.instrumentation.buffer import Record, ScalarRow
from torchglass.instrumentation.cadence import Cadence
from torchglass.instrumentation.guard import tell
from torchglass.instrumentation.transfer import Transfer, is_capturing
from torchglass.store import Fact

MAX_MODULES = 256  # of a model with more the first: each costs some small kernels and four series
UNITS = {"dead_percent": "%", "zero_percent": "%", "activation_mean": "", "activation_std": ""}

_CHANNELS_SECOND = (_ConvNd, _BatchNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)
_ZERO_BY_CHANCE = (nn.modules.dropout._DropoutNd, nn.Identity)
_NUMBERS = 3  # of a call: share of zeros, mean, variance


@dataclass
class _Seen:
    """One module, called for the n-th time in its forward pass, over the passes of a step."""

    alive: torch.Tensor  # (units,) bool
    sizes: list[int] = field(default_factory=list)
    numbers: list[torch.Tensor] = field(default_factory=list)  # (3,) of each call


class ActivationReader:
    """Reads the modules of one model when that is due; steps before `wakes_at` need no call.

    A module within what is compiled carries no hook, which would become part of its graph: that is told once.
    """

    def __init__(
        self,
        cadence: Cadence,
        transfer: Transfer,
        put: Callable[[Record], None],
        rank: int,
        clock: Callable[[], float],
    ) -> None:
        self._interval = cadence.interval or 0
        self._transfer = transfer
        self._put = put
        self._rank = rank
        self._clock = clock
        self.wakes_at: float = 0 if self._interval else float("inf")
        self._handles: list[RemovableHandle] = []
        self._seen: dict[str, _Seen] = {}
        self._calls: dict[str, int] = {}
        self._channels_second: bool | None = None  # what the last module with weights said
        self._told: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether modules carry hooks now."""
        return bool(self._handles)

    def forward_begins(self, step: int, model: nn.Module, called: nn.Module) -> None:
        """Hook the modules of `model` if it is this step's turn; `called` is what the loop calls, it or around it."""
        if step % self._interval or is_capturing() or torch._C._get_tracing_state() is not None:
            return
        self.forward_ends()  # a pass that raised where nobody saw it
        self._calls, self._channels_second = {}, None
        found = [] if _is_compiled(called) else list(leaves(model))
        if not found:
            self._tell("activations of a compiled model are not recorded: attach it as it is, or compile a part of it")
        if len(found) > MAX_MODULES:
            self._tell(f"activations are those of the first {MAX_MODULES} of {len(found)} modules")
        self._handles = [
            module.register_forward_hook(partial(self._read, name)) for name, module in found[:MAX_MODULES]
        ]

    def forward_ends(self) -> None:
        """Take all hooks off again."""
        while self._handles:
            self._handles.pop().remove()

    def step_ended(self, step: int) -> None:
        """Send what was seen in the step on its way."""
        self.forward_ends()
        self.wakes_at = (step // self._interval + 1) * self._interval
        seen, self._seen = self._seen, {}
        when = self._clock()
        for device in {each.alive.device for each in seen.values()}:
            there = {name: each for name, each in seen.items() if each.alive.device == device}
            if self._transfer.accepts(device):
                self._transfer.submit(_packed(list(there.values())), partial(self._deliver, there, step, when))

    def close(self) -> None:
        """Read nothing any more, and keep nothing."""
        self.wakes_at = float("inf")
        self.forward_ends()
        self._seen.clear()

    def _read(self, name: str, module: nn.Module, _arguments: Any, output: Any) -> None:
        """A forward hook; nothing that it raises reaches the model."""
        try:
            if not torch.compiler.is_compiling():
                with torch.no_grad():
                    self._look_at(name, module, output)
        except Exception as error:
            self.close()
            self._tell(f"activations are recorded no more: {type(error).__name__}: {error}")

    def _look_at(self, name: str, module: nn.Module, output: Any) -> None:
        if next(module.parameters(recurse=False), None) is not None:
            self._channels_second = isinstance(module, _CHANNELS_SECOND)
        first = output[0] if isinstance(output, tuple | list) and output else output
        if not _is_readable(first) or isinstance(module, _ZERO_BY_CHANCE):
            return
        values = first.detach()
        number = self._calls[name] = self._calls.get(name, 0) + 1
        key = name if number == 1 else f"{name}:{number}"
        alive = _alive(values, self._channels_second)
        known = self._seen.get(key)
        if known is None or known.alive.shape != alive.shape or known.alive.device != alive.device:
            known = self._seen[key] = _Seen(alive)
        else:
            known.alive = known.alive | alive
        variance, mean = torch.var_mean(values.float(), correction=0)
        zero = (values == 0).float().mean()
        known.sizes.append(values.numel())
        known.numbers.append(torch.stack([zero, mean, variance]))

    def _deliver(self, seen: dict[str, _Seen], step: int, when: float, arrived: npt.NDArray[Any]) -> None:
        values: dict[str, float] = {}
        place = 0
        for name, each in seen.items():
            calls = len(each.sizes)
            dead = float(arrived[place])
            numbers = arrived[place + 1 : place + 1 + _NUMBERS * calls].reshape(calls, _NUMBERS).astype(np.float64)
            place += 1 + _NUMBERS * calls
            zero, mean, deviation = _together(numbers, each.sizes)
            quantities = zip(UNITS, (100 * dead, 100 * zero, mean, deviation), strict=True)
            values |= {f"layers/{name}/{quantity}": value for quantity, value in quantities}
        units = {key: UNITS[key.rpartition("/")[2]] for key in values}
        self._put(ScalarRow(step, when, values, "layer", units))

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            tell(f"torchglass: {text}")
            self._put(Fact(self._rank, "warnings/activations", text, self._clock()))


def leaves(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules without modules of their own, each once, by name, in the model's order; none within what is compiled."""
    taken: set[int] = set()

    def below(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        if id(module) in taken or _is_compiled(module) or isinstance(module, torch.jit.ScriptModule):
            return
        taken.add(id(module))
        # What makes a weight, such as weight norm, returns no activations.
        children = [(own, child) for own, child in module.named_children() if own != "parametrizations"]
        if not children:
            yield name or type(module).__name__, module
        for own, child in children:
            yield from below(f"{name}.{own}" if name else own, child)

    for name, module in below("", model):
        yield name.removeprefix("module."), module


def _is_compiled(module: nn.Module) -> bool:
    return hasattr(module, "_orig_mod") or module._compiled_call_impl is not None


def _is_readable(output: Any) -> bool:
    plain = type(output) in (torch.Tensor, nn.Parameter) and output.layout is torch.strided
    return plain and output.is_floating_point() and output.ndim > 0 and output.numel() > 0


def _alive(values: torch.Tensor, channels_second: bool | None) -> torch.Tensor:
    """Which units (U,) differ from zero anywhere in the batch.

    Before any module with weights has spoken, a tensor of four axes or more is taken for pictures.
    """
    second = values.ndim > 3 if channels_second is None else channels_second
    axis = 1 if second and values.ndim > 1 else values.ndim - 1
    others = tuple(place for place in range(values.ndim) if place != axis)
    differs = values != 0
    return differs.any(dim=others) if others else differs


def _packed(seen: Sequence[_Seen]) -> torch.Tensor:
    """Of each the share of units that were alive nowhere, and the numbers of its calls, one after the other."""
    parts = [part for each in seen for part in (1 - each.alive.float().mean().reshape(1), *each.numbers)]
    return torch.cat(parts)


def _together(numbers: npt.NDArray[np.float64], sizes: Sequence[int]) -> tuple[float, float, float]:
    """Share of zeros, mean and standard deviation of several calls (calls, 3) as of one."""
    weights = np.array(sizes, np.float64) / sum(sizes)
    zero, mean = float(weights @ numbers[:, 0]), float(weights @ numbers[:, 1])
    variance = float(weights @ (numbers[:, 2] + (numbers[:, 1] - mean) ** 2))
    return zero, mean, float(np.sqrt(variance))

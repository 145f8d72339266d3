"""Count what one forward and backward pass of a model costs, on a copy without values.

Not by torch's `FlopCounterMode`: it hooks every module of the process and, as FakeTensorMode does, sets flags that all
threads share, by which a torch.compile at work in the training thread would recompile or give up. What is done here is
seen by the calling thread alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from torchglass.errors import OptionError
from torchglass.instrumentation.outputs import tensors_with_gradient
from torchglass.instrumentation.work.call_shapes import TensorShape, carry_out
from torchglass.instrumentation.work.checkpoints import keep_random_numbers_of
from torchglass.instrumentation.work.flop_calls import Call, Pass, with_attention_named
from torchglass.instrumentation.work.flop_tally import META, Tally
from torchglass.instrumentation.work.pretended_device import PretendedDevice, autocast_to

PAUSE_SECONDS = 1e-4  # after each operator: without it the training thread would wait 5 ms for each turn at Python


class Operation(NamedTuple):
    """What the calls of one operator from one module sum up to; `dtype` is that of its factors, "" unless counted.

    `bytes` are those of its inputs and results: what it moves at least, if no cache holds them.
    """

    name: str
    carried_out_in: Pass
    module: str
    dtype: str
    calls: int
    flops: int
    bytes: int


@dataclass(frozen=True)
class Work:
    """What a forward and backward pass costs.

    `left_out` are calls of operators that count nothing by definition, `unsupported` of those that may do arithmetic
    but have no formula. `outputs` are shapes of the first tensor that each module returned, by its name.
    """

    operations: tuple[Operation, ...]
    left_out: Mapping[str, int]
    unsupported: Mapping[str, int]
    has_backward: bool
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def flops(self, carried_out_in: Pass | None = None) -> int:
        """Operations of one pass; None stands for forward and backward, without what is computed again."""
        wanted = (carried_out_in,) if carried_out_in else ("forward", "backward")
        return sum(each.flops for each in self.operations if each.carried_out_in in wanted)


def count_work(
    duplicate: nn.Module,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    device: torch.device,
    autocast: torch.dtype | None = None,
    pause_seconds: float = PAUSE_SECONDS,
) -> Work:
    """Run a copy that `meta_copy` made, forward and backward, as it would run on `device`.

    Args:
        arguments: plan of the positional arguments, as `plan_of` returns it.
        keywords: the same of the others.
        autocast: what autocast lowers products to there, None where it is off.

    Raises:
        OptionError: what the model does depends on values, or cannot be done without them.
    """
    tally = Tally(pause_seconds)
    try:
        with tally.watching(duplicate), PretendedDevice(device, tally), torch.enable_grad():
            with autocast_to(autocast, device.type):
                output = duplicate(*carry_out(list(arguments), _make), **carry_out(dict(keywords), _make))
            entries = tensors_with_gradient(output)
            keep_random_numbers_of(entries)
            tally.is_backward = True
            if entries:  # in which checkpoints run the model's code again
                _backward(entries)
    except OptionError:
        raise
    except Exception as error:
        sentence = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise OptionError(f"the model cannot run without values: {type(error).__name__}: {sentence}") from error
    operations = _summed(with_attention_named(tally.calls))
    return Work(
        operations, dict(tally.left_out), dict(tally.unsupported), has_backward=bool(entries), outputs=tally.outputs
    )


def _backward(entries: Sequence[torch.Tensor]) -> None:
    """What `torch.autograd.backward` does; through that, `PretendedDevice` would be off while it runs."""
    gradients = tuple(torch.empty_like(each) for each in entries)
    engine: Any = torch.autograd.Variable._execution_engine
    engine.run_backward(tuple(entries), gradients, False, False, (), allow_unreachable=True, accumulate_grad=True)


def _make(tensor: TensorShape) -> torch.Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=META).requires_grad_(tensor.requires_grad)


def _summed(calls: Sequence[Call]) -> tuple[Operation, ...]:
    """By operator, pass, module and format; what neither counts nor moves anything is left out."""
    sums: dict[tuple[str, Pass, str, str], list[int]] = {}
    for call in calls:
        entry = sums.setdefault((call.name, call.carried_out_in, call.module, call.dtype), [0, 0, 0])
        for place, value in enumerate((1, call.flops, call.bytes)):
            entry[place] += value
    return tuple(Operation(*key, *entry) for key, entry in sums.items() if entry[1] or entry[2])

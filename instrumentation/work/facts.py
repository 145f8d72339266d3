"""What a run says of the work in its steps: operations by operator and by module, and what they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import torch
from torch import nn

from torchglass.instrumentation.work.call_shapes import tensors_of
from torchglass.instrumentation.work.flop_calls import Pass
from torchglass.instrumentation.work.flop_formulas import DEFINITION
from torchglass.instrumentation.work.flops import Work
from torchglass.instrumentation.work.peaks import Peak
from torchglass.instrumentation.work.precision import format_of

MAX_OPERATORS = 200  # told, of one shape; the largest
MAX_MODULES = 500
_PASSES: tuple[Pass, ...] = ("forward", "backward", "recomputed")


@dataclass(frozen=True)
class Counted:
    """The work of one shape of call, on `device_count` devices of a kind whose peak is known, or the reason why not.

    `formats` are operations of forward and backward by the number format that they run in.
    """

    call: str
    samples: int | None
    work: Work
    formats: Mapping[str, int]
    device_name: str
    device_count: int
    peak: Peak | str

    @property
    def flops(self) -> int:
        """Operations of forward and backward."""
        return self.work.flops()

    @property
    def seconds_at_peak(self) -> float | None:
        """How long they take at the least; None where a peak is unknown."""
        if isinstance(self.peak, str):
            return None
        peaks = [self.peak.of(number_format) for number_format in self.formats]
        if not peaks or not all(peaks):
            return None
        seconds = [flops / peak for flops, peak in zip(self.formats.values(), peaks, strict=True) if peak]
        return sum(seconds) / self.device_count

    @property
    def why_no_mfu(self) -> str | None:
        """The reason why nothing can be said about the share of the peak."""
        if isinstance(self.peak, str):
            return self.peak
        unknown = [number_format for number_format in self.formats if not self.peak.of(number_format)]
        if unknown:
            return f"no peak is known for {' and '.join(unknown)} on {self.peak.device}"
        return None if self.formats else "the model does nothing that is counted"


def formats_of(work: Work, device_type: str) -> dict[str, int]:
    """Operations of forward and backward by number format."""
    found: dict[str, int] = {}
    for each in work.operations:
        if each.flops and each.carried_out_in != "recomputed":
            number_format = format_of(each.name, each.dtype, device_type)
            found[number_format] = found.get(number_format, 0) + each.flops
    return found


def describe_call(plan: Any) -> str:
    """The tensors of a call: "(32, 3, 224, 224) float32"."""
    return ", ".join(f"{tuple(each.shape)} {str(each.dtype).removeprefix('torch.')}" for each in tensors_of(plan))


def work_fact(shapes: list[Counted], model: nn.Module, plan: Any, device_type: str) -> dict[str, Any]:
    """Everything about the shapes counted so far, operators and modules of the last of them."""
    last = shapes[-1]
    peak = last.peak
    return {
        "definition": DEFINITION,
        "device": last.device_name,
        "device_count": last.device_count,
        "peak": None if isinstance(peak, str) else {**peak._asdict(), "flops_per_second": dict(peak.flops_per_second)},
        "formats": dict(last.formats),
        "parameters": sum(each.numel() for each in model.parameters()),
        "trainable_parameters": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "shapes": [
            {"call": each.call, "samples": each.samples, **{f"{name}_flops": each.work.flops(name) for name in _PASSES}}
            for each in shapes
        ],
        "operators": list(_operators(last.work, device_type))[:MAX_OPERATORS],
        "modules": list(_modules(last.work, model))[:MAX_MODULES],
        "outputs": {name: list(shape) for name, shape in islice(last.work.outputs.items(), MAX_MODULES)},
        "left_out": dict(last.work.left_out),
        "unsupported": dict(last.work.unsupported),
        "cross_check": _cross_check(last, model, plan),
        "warnings": list(_warnings(last.work)),
    }


def _operators(work: Work, device_type: str) -> Iterator[dict[str, Any]]:
    sums: dict[tuple[str, str, str], list[int]] = {}
    for each in work.operations:
        number_format = format_of(each.name, each.dtype, device_type) if each.dtype else ""
        entry = sums.setdefault((each.name, each.carried_out_in, number_format), [0, 0, 0])
        for place, value in enumerate((each.calls, each.flops, each.bytes)):
            entry[place] += value
    largest_first = sorted(sums.items(), key=lambda item: (-item[1][1], -item[1][2], item[0]))
    for (name, carried_out_in, number_format), (calls, flops, moved) in largest_first:
        yield {
            "name": name,
            "pass": carried_out_in,
            "format": number_format,
            "calls": calls,
            "flops": flops,
            "bytes": moved,
        }


def _modules(work: Work, model: nn.Module) -> Iterator[dict[str, Any]]:
    """Modules with what they and those within them do, the largest first."""
    sums: dict[str, dict[Pass, int]] = {}
    for each in work.operations:
        parts = each.module.split(".") if each.module else []
        for depth in range(len(parts) + 1):
            entry = sums.setdefault(".".join(parts[:depth]), dict.fromkeys(_PASSES, 0))
            entry[each.carried_out_in] += each.flops
    known = dict(model.named_modules())
    for name, entry in sorted(sums.items(), key=lambda item: -sum(item[1].values())):
        module = known.get(name)
        if module is not None and any(entry.values()):
            yield {
                "name": name,
                "kind": type(module).__name__,
                "parameters": sum(each.numel() for each in module.parameters()),
                **{f"{carried_out_in}_flops": flops for carried_out_in, flops in entry.items()},
            }


def _cross_check(counted: Counted, model: nn.Module, plan: Any) -> dict[str, Any] | None:
    """Compare with the rule of thumb for language models, 6 · parameters · tokens, where tokens are what is given.

    Parameters are those that multiply: of an embedding only a table is looked up.
    """
    tokens = next((each for each in tensors_of(plan) if not each.dtype.is_floating_point), None)
    if tokens is None or len(tokens.shape) != 2 or tokens.dtype is torch.bool or not counted.work.has_backward:
        return None
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    multiplying = {id(each) for module in model.modules() if isinstance(module, nn.Linear) for each in (module.weight,)}
    size = sum(each.numel() for each in model.parameters() if id(each) not in tables - multiplying)
    estimate = 6 * size * prod(tokens.shape)
    return {
        "rule": "6 · parameters · tokens",
        "flops": estimate,
        "ratio": counted.flops / estimate if estimate else None,
    }


def _warnings(work: Work) -> Iterator[str]:
    if work.unsupported:
        names = ", ".join(sorted(work.unsupported))
        yield f"not counted, for want of a formula: {names}"
    attention = sum(each.flops for each in work.operations if "scaled_dot_product" in each.name)
    if attention:
        share = 100 * attention / max(1, sum(each.flops for each in work.operations))
        yield f"attention, {share:.0f} % of the operations, counts in full: under a causal mask half of it is not done"
    if not work.has_backward:
        yield "no result of the model needs a gradient: nothing is counted of a backward pass"
    if again := work.flops("recomputed"):
        yield f"{again:,} operations are done again in the backward pass (checkpoints), which MFU leaves out"

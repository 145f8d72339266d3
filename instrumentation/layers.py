"""Statistics of each parameter around an optimizer step: norms, update ratio, histograms."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from torchglass.instrumentation.buffer import Deferred, Record, ScalarRow
from torchglass.instrumentation.histograms import count_values, to_histogram
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Batch, HistogramBlock

_COARSE = (torch.float16, torch.bfloat16)


def select_parameters(
    model: nn.Module, include: Sequence[str] | None, exclude: Sequence[str]
) -> dict[str, nn.Parameter]:
    """Parameters that train, by name, whose names match a pattern of `include` (all) and none of `exclude`.

    A parameter shared by several modules appears once. Wrappers' prefixes (`module.`, `_orig_mod.`) are left out.
    """
    selected = {}
    for name, parameter in model.named_parameters():
        plain = name.replace("_orig_mod.", "").removeprefix("module.")
        wanted = include is None or any(fnmatch.fnmatchcase(plain, pattern) for pattern in include)
        if wanted and parameter.requires_grad and not any(fnmatch.fnmatchcase(plain, each) for each in exclude):
            selected[plain] = parameter
    return selected


class LayerStatistics:
    """Reads gradients before an optimizer step and weights after it; results reach the buffer through `Transfer`.

    Norms are Euclidean. The update ratio is |w after - w before| / |w before|: 0.001 is a healthy order of magnitude.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], transfer: Transfer, put: Callable[[Record], None]
    ) -> None:
        self._parameters = parameters
        self._transfer = transfer
        self._put = put
        self._before: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def read_gradients(
        self, step: int, time: float, *, norms: bool, histograms: bool, scale: torch.Tensor | None = None
    ) -> None:
        """Read what only exists between backward and the update: gradients, divided by `scale` where there is one."""
        gradients = {
            name: parameter.grad if scale is None else parameter.grad / scale.to(parameter.grad.device)
            for name, parameter in self._parameters.items()
            if parameter.grad is not None and parameter.grad.layout == torch.strided
        }
        if norms:
            self._send_norms("gradient_norm", gradients, step, time)
            self._before = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        if histograms:
            self._send_histograms("gradients", gradients, step, time)

    @torch.no_grad()
    def read_weights(self, step: int, time: float, *, norms: bool, histograms: bool) -> None:
        """Read the weights after the update, and how far it moved them."""
        weights = {name: parameter.detach() for name, parameter in self._parameters.items()}
        if norms:
            self._send_norms("weight_norm", weights, step, time)
            before, self._before = self._before, {}  # let go of whatever comes: it is as large as the model
            moved = {name: weights[name] - was for name, was in before.items()}
            self._send_update_ratios(moved, before, step, time)
        if histograms:
            self._send_histograms("weights", weights, step, time)

    def _send_norms(self, what: str, tensors: Mapping[str, torch.Tensor], step: int, time: float) -> None:
        for names, group in _by_device(tensors):
            self._send_row([f"layers/{name}/{what}" for name in names], _norms(group), step, time)

    def _send_update_ratios(
        self, moved: Mapping[str, torch.Tensor], before: Mapping[str, torch.Tensor], step: int, time: float
    ) -> None:
        for names, group in _by_device(moved):
            norms = torch.stack([_norms(group), _norms([before[name] for name in names])])
            self._transfer.submit(norms, partial(self._deliver_update_ratios, names, step, time))

    def _deliver_update_ratios(self, names: Sequence[str], step: int, time: float, norms: np.ndarray) -> None:
        # A parameter that was all zeros has no ratio: missing, not infinite.
        values = {
            f"layers/{name}/update_ratio": float(moved / before)
            for name, moved, before in zip(names, *norms, strict=True)
            if before != 0
        }
        self._put(ScalarRow(step, time, values, "layer"))

    def _send_row(self, keys: Sequence[str], values: torch.Tensor, step: int, time: float) -> None:
        def deliver(array: np.ndarray) -> None:
            self._put(ScalarRow(step, time, dict(zip(keys, array.tolist(), strict=True)), "layer"))

        self._transfer.submit(values, deliver)

    def _send_histograms(self, what: str, tensors: Mapping[str, torch.Tensor], step: int, time: float) -> None:
        for name, tensor in tensors.items():
            if tensor.numel():
                deliver = partial(self._deliver_histogram, f"{what}/{name}", step, time)
                self._transfer.submit(count_values(tensor), deliver)

    def _deliver_histogram(self, key: str, step: int, time: float, counted: np.ndarray) -> None:
        def add_to(batch: Batch) -> None:
            batch.histograms.append(HistogramBlock(key, to_histogram(counted, step, time)))

        self._put(Deferred(add_to, counted.nbytes))


def _by_device(tensors: Mapping[str, torch.Tensor]) -> list[tuple[list[str], list[torch.Tensor]]]:
    groups: dict[torch.device, list[str]] = {}
    for name, tensor in tensors.items():
        groups.setdefault(tensor.device, []).append(name)
    return [(names, [tensors[name] for name in names]) for names in groups.values()]


def _norms(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Euclidean norms (n,), float64 if a tensor is so and float32 else; one fused call unless some are of 16 bits."""
    if any(tensor.dtype in _COARSE for tensor in tensors):
        # Their own precision is two or three digits, and float16 overflows at 65504.
        norms = [torch.linalg.vector_norm(t, dtype=torch.float32 if t.dtype in _COARSE else None) for t in tensors]
    else:
        norms = list(torch._foreach_norm(tensors))
    wide = any(norm.dtype == torch.float64 for norm in norms)
    return torch.stack([norm.to(torch.float64 if wide else torch.float32) for norm in norms])

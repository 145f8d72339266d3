"""Tensors' values, counted exactly in the store's fixed bins, on the tensors' own device and without waiting."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from torchglass.instrumentation.buffer import Deferred, Record
from torchglass.instrumentation.histograms.counting import count_where_they_are, packs_of, way
from torchglass.instrumentation.histograms.rows import MAX_ROW_VALUES, NARROW, Rows, to_histograms, widen
from torchglass.instrumentation.layers.copies import CopyAllowance, Pool
from torchglass.instrumentation.transfer import Transfer
from torchglass.store import Batch, Histogram, HistogramBlock
from torchglass.store.bins import BIN_COUNT, MAX_FLOAT32, SHIFT

_ZERO, _NEGATIVE_ZERO = 0, -(2**31)
_INFINITY, _NEGATIVE_INFINITY = 0x7F800000, 0xFF800000 - 2**32
_SINGLED_OUT = (_ZERO, _NEGATIVE_ZERO, _INFINITY, _NEGATIVE_INFINITY)

Keyed = Mapping[str, torch.Tensor]


class Histograms:
    """Counts many tensors at a time; the records reach the buffer through `Transfer`, made by the writer's thread.

    On the host small tensors are only copied here and counted by the writer, large ones are counted here. On a GPU one
    kernel counts all; without Triton each tensor takes a dozen small kernels. `ways` says which, by device type.
    """

    def __init__(self, transfer: Transfer, put: Callable[[Record], None], pool: Pool | None = None) -> None:
        self._transfer = transfer
        self._put = put
        self._pool = pool or Pool()
        self._why_not_fused = "" if importlib.util.find_spec("triton") else "Triton is not installed"
        self.ways: dict[str, str] = {}

    @torch.no_grad()
    def send(self, tensors: Keyed, step: int, time: float) -> None:
        """Count tensors by key; empty ones are left out."""
        by_device: dict[torch.device, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            if tensor.numel():
                by_device.setdefault(tensor.device, {})[key] = tensor
        for device, members in by_device.items():
            if device.type == "cuda":
                self._send_from_gpu(device, members, step, time)
            else:
                on_host = members if device.type == "cpu" else {key: each.cpu() for key, each in members.items()}
                self._send_from_host(on_host, step, time)

    def _send_from_host(self, tensors: Keyed, step: int, time: float) -> None:
        self.ways["cpu"] = way()
        small, large, wide = _sort_out(tensors)
        parts: list[_Part] = []
        for members in small:
            keys = iter(members)
            for pack in packs_of(list(members.values()), self._pool):
                parts.append(_Part([next(keys) for _ in pack.starts], pack.count, pack.values.nbytes, pack.values))
        if large:
            parts.append(_counted(list(large), count_where_they_are([_flat(tensor) for tensor in large.values()])))
        parts += [_counted([key], count_by_torch(tensor).numpy()[None]) for key, tensor in wide.items()]
        self._put_later(parts, step, time)

    def _send_from_gpu(self, device: torch.device, tensors: Keyed, step: int, time: float) -> None:
        if not self._transfer.accepts(device):
            return
        narrow = {
            key: tensor
            for key, tensor in tensors.items()
            if tensor.dtype in NARROW and tensor.numel() <= MAX_ROW_VALUES
        }
        rows = self._count_fused(device, list(narrow.values()))
        if rows is not None:
            self._submit(list(narrow), rows, step, time)
        others = {key: tensor for key, tensor in tensors.items() if rows is None or key not in narrow}
        if others:
            self._submit(list(others), torch.stack([count_by_torch(each) for each in others.values()]), step, time)
        why_not = self._why_not_fused
        self.ways["cuda"] = f"torch, tensor by tensor ({why_not})" if why_not else "one Triton kernel"

    def _count_fused(self, device: torch.device, tensors: Sequence[torch.Tensor]) -> torch.Tensor | None:
        if self._why_not_fused or not tensors:
            return None
        try:
            from torchglass.instrumentation.histograms.cuda import count_fused

            with torch.cuda.device(device):
                return count_fused(tensors)
        except Exception as error:  # Triton compiles when first called, and may lack what it needs for that
            self._why_not_fused = f"Triton failed: {type(error).__name__}: {error}"
            return None

    def _submit(self, keys: list[str], rows: torch.Tensor, step: int, time: float) -> None:
        def deliver(array: npt.NDArray[np.int32] | npt.NDArray[np.float64]) -> None:
            self._put_later([_counted(keys, array)], step, time)

        self._transfer.submit(rows, deliver)

    def _put_later(self, parts: Sequence[_Part], step: int, time: float) -> None:
        made: list[HistogramBlock] = []

        def add_to(batch: Batch) -> None:
            if not made:  # a batch that the store refuses is put together again
                found = [zip(part.keys, to_histograms(part.rows(), step, time), strict=True) for part in parts]
                made.extend(HistogramBlock(key, histogram) for pairs in found for key, histogram in pairs)
                for part in parts:
                    if part.copy is not None:
                        self._pool.give_back(part.copy)
            batch.histograms += made

        self._put(Deferred(add_to, sum(part.held_bytes for part in parts)))


@dataclass(frozen=True)
class _Part:
    """Some of the tensors: their keys (n,), how to get their rows (n, 2054), and the memory and copy held till then."""

    keys: list[str]
    rows: Callable[[], Rows]
    held_bytes: int
    copy: torch.Tensor | None = None


def _counted(keys: list[str], rows: Rows) -> _Part:
    return _Part(keys, lambda: rows, rows.nbytes)


def _sort_out(tensors: Keyed) -> tuple[list[dict[str, torch.Tensor]], Keyed, Keyed]:
    """Small tensors by type, large ones, and those that int32 rows would not hold exactly."""
    small: dict[torch.dtype, dict[str, torch.Tensor]] = {}
    large: dict[str, torch.Tensor] = {}
    wide: dict[str, torch.Tensor] = {}
    allowance = CopyAllowance()
    for key, tensor in tensors.items():
        dtype, size = tensor.dtype, tensor.numel()
        if dtype not in NARROW or size > MAX_ROW_VALUES:
            wide[key] = tensor
        elif allowance.covers(size):
            small.setdefault(dtype, {})[key] = tensor
        else:
            large[key] = tensor
    return list(small.values()), large, wide


def _flat(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    """Values in the order in which they lie in memory, where they lie unless they must be converted."""
    if tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    array: npt.NDArray[np.float32] = tensor.detach().to(torch.float32).reshape(-1).numpy()
    return array


def count_values(tensor: torch.Tensor) -> torch.Tensor:
    """Count the values of a tensor (n,) of any shape, n > 0; wider and narrower types are counted as float32.

    A finite float64 beyond float32's range counts in the outermost bin, one too small for it as zero; of a complex
    number both parts are counted.
    Returns float64 (2054,) on the tensor's device: a row as `histogram_rows` has it, the two extremes as they are.
    """
    if tensor.device.type == "cpu" and tensor.dtype in NARROW and tensor.numel() <= MAX_ROW_VALUES:
        return torch.from_numpy(widen(count_where_they_are([_flat(tensor)]))[0])
    return count_by_torch(tensor)


def count_by_torch(tensor: torch.Tensor) -> torch.Tensor:
    """Count as `count_values` does, on any device and of any type, in a dozen calls that wait for nothing."""
    given = tensor.detach()
    if given.device.type not in ("cpu", "cuda"):
        given = given.cpu()  # MPS, for one, knows neither float64 nor all of the calls below
    if given.is_complex():
        given = torch.view_as_real(given.resolve_conj())
    if given.itemsize > 2 and not given.is_floating_point():
        given = given.to(torch.float64)  # as float32 its extremes would be rounded
    elif given.itemsize == 1:
        given = given.to(torch.float32)  # of floats of eight bits torch knows little more than how to convert them
    given = given.reshape(-1)
    finite = torch.isfinite(given)
    inside = torch.where(finite, given.clamp(-MAX_FLOAT32, MAX_FLOAT32), given) if given.itemsize > 4 else given
    values = inside.to(torch.float32).contiguous()
    bits = values.view(torch.int32)
    bins = (bits >> SHIFT) & (BIN_COUNT - 1)
    return torch.cat(
        [
            _count(bins).to(torch.float64),
            torch.stack([(bits == pattern).sum() for pattern in _SINGLED_OUT]).to(torch.float64),
            torch.stack(
                [
                    torch.where(finite, given, torch.inf).amin(),
                    torch.where(finite, given, -torch.inf).amax(),
                ]
            ).to(torch.float64),
        ]
    )


def _count(bins: torch.Tensor) -> torch.Tensor:
    if bins.device.type == "cpu":
        return torch.bincount(bins, minlength=BIN_COUNT)
    # bincount on CUDA waits for the device to learn the largest bin; adding up ones does not.
    counts = torch.zeros(BIN_COUNT, dtype=torch.int64, device=bins.device)
    return counts.scatter_add_(0, bins.long(), torch.ones_like(bins, dtype=torch.int64))


def to_histogram(counted: npt.NDArray[np.float64], step: int, time: float) -> Histogram:
    """Turn what `count_values` returned into a record."""
    return to_histograms(counted[None], step, time)[0]

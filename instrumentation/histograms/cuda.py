"""Counting on a GPU: one kernel for all tensors of a type, which reads each value once and waits for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import triton  # type: ignore[import-not-found, import-untyped, unused-ignore]
import triton.language as tl  # type: ignore[import-not-found, import-untyped, unused-ignore]

from torchglass.instrumentation.histograms.rows import (
    INFINITY_KEY,
    LARGEST,
    NEGATIVE_INFINITIES,
    NEGATIVE_INFINITY_KEY,
    NEGATIVE_ZEROS,
    POSITIVE_INFINITIES,
    POSITIVE_ZEROS,
    ROW_SIZE,
    SMALLEST,
)
from torchglass.store.bins import BIN_COUNT, SHIFT

BLOCK_VALUES = 4096  # counted in shared memory at a time
WARPS = 8
PROGRAM_VALUES = 16 * BLOCK_VALUES  # for each of which the bins that hold something go to the row once
KINDS = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


@triton.jit  # type: ignore[untyped-decorator]
def count(  # type: ignore[no-untyped-def]
    addresses, sizes, rows_of, firsts, rows, KIND: tl.constexpr, BLOCK: tl.constexpr, PROGRAM: tl.constexpr
):
    """Count PROGRAM values of one tensor, BLOCK at a time, and add what was found to the tensor's row."""
    row = tl.load(rows_of + tl.program_id(0))
    first = tl.load(firsts + tl.program_id(0))
    size = tl.load(sizes + row)
    values = tl.load(addresses + row).to(tl.pointer_type(KIND))
    counts = tl.zeros([BINS], tl.int32)
    zeros = tl.zeros([BLOCK], tl.int32)
    negative_zeros = tl.zeros([BLOCK], tl.int32)
    infinities = tl.zeros([BLOCK], tl.int32)
    negative_infinities = tl.zeros([BLOCK], tl.int32)
    smallest = tl.full([BLOCK], INFINITY, tl.int32)
    largest = tl.full([BLOCK], NEGATIVE_INFINITY, tl.int32)
    bins = tl.arange(0, BINS)
    for start in range(0, PROGRAM, BLOCK):
        offsets = first + start + tl.arange(0, BLOCK)
        inside = offsets < size
        bits = tl.load(values + offsets, mask=inside, other=0.0).to(tl.float32).to(tl.int32, bitcast=True)
        # What lies past the end was read as +0 and is taken out of that bin again.
        past = tl.sum((offsets >= size).to(tl.int32), 0)
        counts += tl.histogram((bits >> BIN_SHIFT) & (BINS - 1), BINS) - tl.where(bins == 0, past, 0)
        magnitude = bits & 0x7FFFFFFF
        keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)
        finite = inside & (magnitude < INFINITY)
        zeros += (inside & (bits == 0)).to(tl.int32)
        negative_zeros += ((magnitude == 0) & (bits != 0)).to(tl.int32)
        infinities += (bits == INFINITY).to(tl.int32)
        negative_infinities += (keys == NEGATIVE_INFINITY).to(tl.int32)
        smallest = tl.minimum(smallest, tl.where(finite, keys, INFINITY))
        largest = tl.maximum(largest, tl.where(finite, keys, NEGATIVE_INFINITY))
    out = rows + row.to(tl.int64) * SIZE
    tl.atomic_add(out + bins, counts, mask=counts > 0)
    tl.atomic_add(out + AT_ZEROS, tl.sum(zeros, 0))
    tl.atomic_add(out + AT_NEGATIVE_ZEROS, tl.sum(negative_zeros, 0))
    tl.atomic_add(out + AT_INFINITIES, tl.sum(infinities, 0))
    tl.atomic_add(out + AT_NEGATIVE_INFINITIES, tl.sum(negative_infinities, 0))
    tl.atomic_min(out + AT_SMALLEST, tl.min(smallest, 0))
    tl.atomic_max(out + AT_LARGEST, tl.max(largest, 0))


# A kernel sees constants alone, and by their own names.
BINS: tl.constexpr = tl.constexpr(BIN_COUNT)
BIN_SHIFT: tl.constexpr = tl.constexpr(SHIFT)
SIZE: tl.constexpr = tl.constexpr(ROW_SIZE)
INFINITY: tl.constexpr = tl.constexpr(INFINITY_KEY)
NEGATIVE_INFINITY: tl.constexpr = tl.constexpr(NEGATIVE_INFINITY_KEY)
AT_ZEROS: tl.constexpr = tl.constexpr(POSITIVE_ZEROS)
AT_NEGATIVE_ZEROS: tl.constexpr = tl.constexpr(NEGATIVE_ZEROS)
AT_INFINITIES: tl.constexpr = tl.constexpr(POSITIVE_INFINITIES)
AT_NEGATIVE_INFINITIES: tl.constexpr = tl.constexpr(NEGATIVE_INFINITIES)
AT_SMALLEST: tl.constexpr = tl.constexpr(SMALLEST)
AT_LARGEST: tl.constexpr = tl.constexpr(LARGEST)


def count_fused(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Count tensors of one device, none empty, each of float32, bfloat16 or float16: rows (n, 2054) of int32, there."""
    device = tensors[0].device
    rows = torch.zeros((len(tensors), ROW_SIZE), dtype=torch.int32, device=device)
    rows[:, SMALLEST] = INFINITY_KEY
    rows[:, LARGEST] = NEGATIVE_INFINITY_KEY
    # Held until the kernel is in the stream: what is freed and handed out again after that is written after that.
    flat = [tensor.detach().contiguous() for tensor in tensors]
    addresses = _sent([tensor.data_ptr() for tensor in flat], device)
    sizes = tuple(tensor.numel() for tensor in flat)
    for dtype, kind in KINDS.items():
        members = tuple(index for index, tensor in enumerate(flat) if tensor.dtype == dtype)
        if members:
            sizes_there, rows_of, firsts = _programs(sizes, members, device)
            count[(len(rows_of),)](
                addresses,
                sizes_there,
                rows_of,
                firsts,
                rows,
                KIND=kind,
                BLOCK=BLOCK_VALUES,
                PROGRAM=PROGRAM_VALUES,
                num_warps=WARPS,
            )
    return rows


@lru_cache(maxsize=64)
def _programs(
    sizes: tuple[int, ...], members: tuple[int, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sizes (n,), and by program its row and the first value that it reads; a model's are the same at every sample."""
    firsts = [np.arange(0, sizes[index], PROGRAM_VALUES) for index in members]
    rows_of = np.repeat(members, [len(each) for each in firsts])
    return _sent(sizes, device), _sent(rows_of.tolist(), device), _sent(np.concatenate(firsts).tolist(), device)


def _sent(numbers: Sequence[int], device: torch.device) -> torch.Tensor:
    # From pinned memory: any other would make the copy wait for the device.
    host = torch.tensor(numbers, dtype=torch.int64)
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)

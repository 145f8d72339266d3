"""One tensor's values, counted exactly in the store's fixed bins, on the tensor's own device and without waiting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from torchglass.store import Histogram
from torchglass.store.bins import BIN_COUNT, MAX_FLOAT32, NONFINITE_BIN, SHIFT, SIGN_BIN

_ZERO, _NEGATIVE_ZERO = 0, -(2**31)
_INFINITY, _NEGATIVE_INFINITY = 0x7F800000, 0xFF800000 - 2**32
_SINGLED_OUT = (_ZERO, _NEGATIVE_ZERO, _INFINITY, _NEGATIVE_INFINITY)


def count_values(tensor: torch.Tensor) -> torch.Tensor:
    """Count the values of a tensor (n,) of any shape, n > 0; wider and narrower types are counted as float32.

    A finite float64 beyond float32's range counts in the outermost bin; of a complex number both parts are counted.
    Returns float64 (2054,) on the tensor's device: counts by bin, then of +0, -0, +Inf and -Inf, then the smallest and
    largest finite value (infinite where there is none).
    """
    given = tensor.detach()
    if given.device.type not in ("cpu", "cuda"):
        given = given.cpu()  # MPS, for one, knows neither float64 nor all of the calls below
    if given.is_complex():
        given = torch.view_as_real(given.resolve_conj())
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
    counts = torch.zeros(BIN_COUNT, dtype=torch.int32, device=bins.device)
    return counts.scatter_add_(0, bins.long(), torch.ones_like(bins))


def to_histogram(counted: npt.NDArray[np.float64], step: int, time: float) -> Histogram:
    """Turn what `count_values` returned into a record."""
    counts = counted[:BIN_COUNT].astype(np.int64)
    zeros, negative_zeros, infinities, negative_infinities = counted[BIN_COUNT : BIN_COUNT + 4].astype(np.int64)
    smallest, largest = counted[BIN_COUNT + 4 :]
    nonfinite = np.arange(BIN_COUNT) % SIGN_BIN >= NONFINITE_BIN
    nan_count = counts[nonfinite].sum() - infinities - negative_infinities
    counts[nonfinite] = 0
    counts[0] -= zeros
    counts[SIGN_BIN] -= negative_zeros
    occupied = np.flatnonzero(counts)
    return Histogram(
        step=step,
        time=time,
        bins=occupied.astype(np.int64),
        counts=counts[occupied],
        zero_count=int(zeros + negative_zeros),
        nan_count=int(nan_count),
        positive_infinity_count=int(infinities),
        negative_infinity_count=int(negative_infinities),
        minimum=float(smallest) if np.isfinite(smallest) else None,
        maximum=float(largest) if np.isfinite(largest) else None,
    )

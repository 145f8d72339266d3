"""Norms of gradients and weights around an optimizer's step, and how far it moved each weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchglass.instrumentation.layers.copies import Pool
from torchglass.instrumentation.layers.shards import local
from torchglass.store import Column, RowBlock
from torchglass.store.records import Floats

_COARSE = (torch.float16, torch.bfloat16)
_SAFE_SQUARES = (1e-30, 1e37)  # a sum of squares out of this range may have under- or overflowed float32 on the way


@dataclass(frozen=True)
class Norms:
    """Euclidean norms by parameter, float64: of the gradients (k,) of those that have one, of the weights (n,) before
    and after the step, and of their difference (n,).
    """

    names: tuple[str, ...]
    with_gradient: npt.NDArray[np.intp]
    gradient: Floats
    before: Floats
    after: Floats
    moved: Floats


class CopiedSample:
    """A sample of small tensors on the host, only copied by the training thread: whoever asks for norms computes."""

    def __init__(
        self,
        names: tuple[str, ...],
        parameters: Sequence[nn.Parameter],
        scale: torch.Tensor | None = None,
        pool: Pool | None = None,
    ) -> None:
        self._names = names
        self._parameters = parameters
        self._pool = pool or Pool()
        self._scale = 1.0 if scale is None else float(scale)
        self._with_gradient, gradients = _gradients_of(parameters)
        self._gradients = self._pool.copy_end_to_end(gradients) if gradients else torch.empty(0)
        self._before = self._after = self._pool.copy_end_to_end(local(parameters))

    @property
    def held_bytes(self) -> int:
        """Memory that the copies take."""
        return self._gradients.nbytes + self._before.nbytes + self._after.nbytes

    def end(self) -> None:
        """Copy the weights again."""
        self._after = self._pool.copy_end_to_end(local(self._parameters))

    def norms(self) -> Norms:
        """Compute them from the copies; changes nothing, so that it may be asked again."""
        numbers = 2 if self._before.is_complex() else 1
        sizes = np.array([numbers * each.numel() for each in local(self._parameters)], np.intp)
        before, after = _plain(self._before), _plain(self._after)
        return Norms(
            self._names,
            self._with_gradient,
            segment_norms(_plain(self._gradients), sizes[self._with_gradient]) / self._scale,
            segment_norms(before, sizes),
            segment_norms(after, sizes),
            segment_norms(after - before, sizes),
        )

    def release(self) -> None:
        """Let the copies' memory be used again: no more norms will be asked for."""
        for copy in {id(each): each for each in (self._gradients, self._before, self._after)}.values():
            self._pool.give_back(copy)


class FusedSample:
    """A sample whose norms are computed where the tensors are, by one fused call for all of them; nothing waits."""

    def __init__(
        self, names: tuple[str, ...], parameters: Sequence[nn.Parameter], scale: torch.Tensor | None = None
    ) -> None:
        self._names = names
        self._parameters = parameters
        self._with_gradient, gradients = _gradients_of(parameters)
        self._gradient = [fused_norms(gradients)] if gradients else []
        if scale is not None:
            self._gradient = [norms / scale.to(norms.device) for norms in self._gradient]
        self._before = torch._foreach_mul(local(parameters), 1)  # copies, in one call

    @property
    def size(self) -> int:
        """Number of norms that `end` returns."""
        return 3 * len(self._names) + len(self._with_gradient)

    def end(self) -> torch.Tensor:
        """Measure the weights again, and let go of the copies; returns all norms (size,) on their device."""
        now = local(self._parameters)
        before, after = fused_norms(self._before), fused_norms(now)
        torch._foreach_sub_(self._before, now)
        moved, self._before = fused_norms(self._before), ()
        return torch.cat([before, after, moved, *self._gradient])

    def norms(self, arrived: npt.NDArray[np.floating]) -> Norms:
        """Take apart what `end` returned."""
        count = len(self._names)
        before, after, moved, gradient = np.split(arrived.astype(np.float64), [count, 2 * count, 3 * count])
        return Norms(self._names, self._with_gradient, gradient, before, after, moved)


def _gradients_of(parameters: Sequence[nn.Parameter]) -> tuple[npt.NDArray[np.intp], list[torch.Tensor]]:
    """Which parameters have a gradient that is not sparse, and those gradients, all of one type."""
    gradients = [parameter.grad for parameter in parameters]
    usable = [index for index, each in enumerate(gradients) if each is not None and each.layout is torch.strided]
    found = local([each for index in usable if (each := gradients[index]) is not None])
    types = {each.dtype for each in found}
    if len(types) > 1:
        found = [each.to(reduce(torch.promote_types, types)) for each in found]
    return np.array(usable, np.intp), found


def row_of(parts: Sequence[Norms], step: int, time: float) -> RowBlock:
    """One row of everything that there is: a parameter that was all zeros has no update ratio, not an infinite one."""
    names = tuple(name for part in parts for name in part.names)
    firsts = np.cumsum([0, *(len(part.names) for part in parts)])
    with_gradient = np.concatenate([part.with_gradient + first for part, first in zip(parts, firsts, strict=False)])
    before = np.concatenate([part.before for part in parts])
    with_ratio = np.flatnonzero(before != 0)
    ratios = np.concatenate([part.moved for part in parts])[with_ratio] / before[with_ratio]
    values = [
        *(part.gradient for part in parts),
        *(part.after for part in parts),
        ratios.astype(np.float32),  # seven digits are more than it means, and take half the room
    ]
    return RowBlock(
        _columns(names, with_gradient.tobytes(), with_ratio.tobytes()),
        np.array([step], np.int64),
        np.array([time]),
        np.concatenate(values, dtype=np.float64)[None],
    )


@lru_cache(maxsize=16)
def _columns(names: tuple[str, ...], with_gradient: bytes, with_ratio: bytes) -> tuple[Column, ...]:
    chosen = [
        *(f"{names[index]}/gradient_norm" for index in np.frombuffer(with_gradient, np.intp)),
        *(f"{name}/weight_norm" for name in names),
        *(f"{names[index]}/update_ratio" for index in np.frombuffer(with_ratio, np.intp)),
    ]
    return tuple(Column(f"layers/{key}", "layer") for key in chosen)


def fused_norms(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Euclidean norms (n,) of tensors of one type: float64 if that is float64 or complex128, float32 else."""
    # The precision of sixteen bits is two or three digits, and float16 overflows at 65504.
    dtype = torch.float32 if tensors[0].dtype in _COARSE else None
    return torch.stack(torch._foreach_norm(list(tensors), 2, dtype=dtype))


def segment_norms(values: npt.NDArray[np.floating], sizes: npt.NDArray[np.intp]) -> Floats:
    """Euclidean norms (n,) of consecutive segments of the values, none of them empty."""
    if not sizes.size:
        return np.empty(0)
    starts = np.cumsum(sizes) - sizes
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        sums = np.add.reduceat(values * values, starts)
        if not ((sums > _SAFE_SQUARES[0]) & (sums < _SAFE_SQUARES[1])).all():
            sums = np.add.reduceat(np.square(values, dtype=np.float64), starts)
        norms: Floats = np.sqrt(sums).astype(np.float64)
    return norms


def _plain(values: torch.Tensor) -> npt.NDArray[np.floating]:
    """Copies as numpy reads them."""
    given = torch.view_as_real(values).reshape(-1) if values.is_complex() else values
    array: npt.NDArray[np.floating] = (given.float() if given.dtype in _COARSE else given).numpy()
    return array

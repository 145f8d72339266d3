"""What a model and its optimizers hold in memory: every storage counted once, by device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from torchglass.instrumentation.layers.shards import is_sharded, local

_ORDINARY = (torch.Tensor, nn.Parameter)
_MAX_DEPTH = 4  # an optimizer's state is a mapping, in which some keep lists, and few keep mappings
_INNER = ("optim", "optimizer")  # what wrappers call the optimizer that holds the state
_COMPRESSED = {
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}


class Split(NamedTuple):
    """Bytes of the storages of each part; one that belongs to several counts for the first of them."""

    parameters: int
    buffers: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


class Held(NamedTuple):
    """A storage: what identifies it, its device, its size and where it begins (None where it has no address)."""

    key: int
    device: torch.device
    size_bytes: int
    address: int | None


def split_by_device(model: nn.Module | None, optimizers: Sequence[torch.optim.Optimizer]) -> dict[torch.device, Split]:
    """Measure parameters (those of the optimizers' groups too), buffers, gradients and the optimizers' state.

    Tied weights, views and gradients that lie in one bucket share a storage, which counts once and whole. Of a tensor
    that is spread over processes the part of this one counts; of sparse tensors their indices and values; of quantised
    and other wrapped ones what they wrap. Meta tensors take no memory. Nothing is computed, and nothing waits.
    """
    seen: set[int] = set()
    sums: dict[torch.device, list[int]] = {}
    last: torch.device | None = None
    mine: list[int] = []
    for place, tensors in enumerate(_parts(model, optimizers)):
        for tensor in tensors:
            # The short way, for nearly all of them: a model of thousands of tensors is scanned on the training thread.
            if type(tensor) in _ORDINARY and tensor.layout is torch.strided:
                storage = tensor.untyped_storage()
                if storage._cdata not in seen:
                    seen.add(storage._cdata)
                    device = tensor.device
                    if device != last:
                        last, mine = device, _sums_of(sums, device)
                    mine[place] += storage.nbytes()
                continue
            for held in storages_of(tensor):
                if held.key not in seen:
                    seen.add(held.key)
                    _sums_of(sums, held.device)[place] += held.size_bytes
    return {device: Split(*parts) for device, parts in sums.items() if device.type != "meta"}


def storages(model: nn.Module | None, optimizers: Sequence[torch.optim.Optimizer]) -> dict[int, str]:
    """Which part each storage belongs to, by the address at which it begins."""
    parts: dict[int, str] = {}
    for name, tensors in zip(Split._fields, _parts(model, optimizers), strict=True):
        for tensor in tensors:
            for held in storages_of(tensor):
                if held.address:
                    parts.setdefault(held.address, name)
    return parts


def storages_of(tensor: torch.Tensor) -> Iterator[Held]:
    """The storages in which a tensor of whatever kind keeps its values."""
    inner = _wrapped(tensor)
    if inner is not None:
        for each in inner:
            yield from storages_of(each)
    elif tensor.layout is torch.strided:
        storage = tensor.untyped_storage()
        has_address = tensor.device.type != "meta" and type(tensor) in _ORDINARY
        yield Held(storage._cdata, tensor.device, storage.nbytes(), storage.data_ptr() if has_address else None)
    else:  # a layout of a library, which shows no storage
        yield Held(id(tensor), tensor.device, tensor.numel() * tensor.element_size(), None)


def _wrapped(tensor: torch.Tensor) -> list[torch.Tensor] | None:
    """The tensors that a tensor is made of; None for one that has values of its own."""
    if type(tensor) not in _ORDINARY:
        if nn.parameter.is_lazy(tensor):
            return []
        if hasattr(tensor, "__tensor_flatten__"):
            names, _ = tensor.__tensor_flatten__()
            inner = [getattr(tensor, name) for name in names]
            return [each for each in inner if isinstance(each, torch.Tensor)]  # a DTensor names its mesh too
        if is_sharded(tensor):
            return local([tensor])
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout in _COMPRESSED:
        indices = [getattr(tensor, name)() for name in _COMPRESSED[tensor.layout]]
        return [*indices, tensor.detach().values()]
    return None


def _parts(model: nn.Module | None, optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[Iterable[torch.Tensor]]:
    """Parameters, buffers, gradients and optimizer state, in the order of `Split`."""
    parameters, buffers = _own_tensors(model)
    grouped = [each for optimizer in optimizers for group in optimizer.param_groups for each in group["params"]]
    every = {id(each): each for each in (*parameters, *grouped)}.values()
    yield every
    yield buffers
    yield [gradient for each in every if each.is_leaf and (gradient := each.grad) is not None]
    yield [tensor for optimizer in optimizers for tensor in _state_of(optimizer)]


def _own_tensors(model: nn.Module | None) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Parameters and buffers. `model.parameters()` and `model.buffers()` would each build the name of every one."""
    parameters: list[torch.Tensor] = []
    buffers: list[torch.Tensor] = []
    waiting = [model] if model is not None else []
    met = {id(model)}
    while waiting:
        module = waiting.pop()
        parameters += [each for each in module._parameters.values() if each is not None]
        buffers += [each for each in module._buffers.values() if each is not None]
        for child in module._modules.values():
            if child is not None and id(child) not in met:
                met.add(id(child))
                waiting.append(child)
    return parameters, buffers


def _state_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Tensors in an optimizer's state, and in that of one which it wraps; what else it remembers is passed over."""
    inner = [found for name in _INNER if isinstance(found := getattr(optimizer, name, None), torch.optim.Optimizer)]
    tensors: list[torch.Tensor] = []
    for each in (optimizer, *inner):
        for state in each.state.values():
            for value in state.values() if isinstance(state, Mapping) else (state,):
                if type(value) is torch.Tensor:
                    tensors.append(value)
                else:
                    tensors.extend(_tensors_in(value))
    return tensors


def _tensors_in(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif depth <= _MAX_DEPTH and isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors_in(each, depth + 1)


def _sums_of(sums: dict[torch.device, list[int]], device: torch.device) -> list[int]:
    found = sums.get(device)
    if found is None:
        found = sums[device] = [0] * len(Split._fields)
    return found

"""What a model is called with, without its values: a key to know a call again by, and a plan to repeat it from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch

from torchglass.errors import OptionError

_Tensor = torch.Tensor  # looked up once
_PLAIN = (int, bool, str, bytes, type(None), torch.dtype, torch.device, type(...))


class TensorShape(NamedTuple):
    """A tensor of a call, without its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    requires_grad: bool


def key_of(value: Any) -> Any:
    """Return what calls of equal shape have in common, for use as a key; runs at every forward.

    Numbers with a fraction count by type alone: a model that is given an annealed temperature has one shape, not many.
    """
    kind = type(value)
    if kind is _Tensor:
        return value.shape, value.dtype, value.requires_grad
    if kind is tuple or kind is list:  # tensors among the parts are keyed in place: a call costs as much as all of it
        return kind, *[
            (each.shape, each.dtype, each.requires_grad) if type(each) is _Tensor else key_of(each) for each in value
        ]
    if kind is dict:
        return kind, *[
            (name, each.shape, each.dtype, each.requires_grad) if type(each) is _Tensor else (name, key_of(each))
            for name, each in value.items()
        ]
    return _key_of_other(kind, value)


def _key_of_other(kind: type, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return kind, value.shape, value.dtype, value.requires_grad
    if isinstance(value, _PLAIN):
        return kind, value
    if isinstance(value, Mapping):
        return kind, *[(name, key_of(each)) for name, each in value.items()]
    return (kind, *map(key_of, value)) if isinstance(value, tuple | list) else kind


def plan_of(value: Any) -> Any:
    """Return the same structure with a `TensorShape` in each tensor's place.

    Raises:
        OptionError: it holds a tensor that is no plain one, or an object that may hide some.
    """
    if isinstance(value, torch.Tensor):
        if not is_plain(value):
            raise OptionError(f"the model is called with a {kind_of(value)}, which is no plain tensor")
        return TensorShape(tuple(value.shape), value.dtype, value.requires_grad)
    if isinstance(value, Mapping):
        return {name: plan_of(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return _like(value, [plan_of(each) for each in value])
    if isinstance(value, (*_PLAIN, float, complex)):
        return value
    raise OptionError(f"the model is called with a {type(value).__name__}, whose tensors cannot be found")


def carry_out(plan: Any, make: Callable[[TensorShape], torch.Tensor]) -> Any:
    """Return the arguments of a call again, with tensors that `make` makes."""
    if isinstance(plan, TensorShape):
        return make(plan)
    if isinstance(plan, dict):
        return {name: carry_out(each, make) for name, each in plan.items()}
    if isinstance(plan, tuple | list):
        return _like(plan, [carry_out(each, make) for each in plan])
    return plan


def tensors_of(plan: Any) -> Iterator[TensorShape]:
    """The tensors of a plan, in order."""
    if isinstance(plan, TensorShape):
        yield plan
    elif isinstance(plan, dict):
        for each in plan.values():
            yield from tensors_of(each)
    elif isinstance(plan, tuple | list):
        for each in plan:
            yield from tensors_of(each)


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first tensor among the arguments of a call; None where there is none."""
    if isinstance(value, torch.Tensor):
        return value
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return next((found for each in parts if (found := first_tensor(each)) is not None), None)


def is_plain(tensor: torch.Tensor) -> bool:
    """Tell whether shape and dtype say all about a tensor: no subclass, nothing sparse, nested or quantized."""
    known = type(tensor) in (torch.Tensor, torch.nn.Parameter)
    return known and tensor.layout is torch.strided and not (tensor.is_quantized or tensor.is_nested)


def kind_of(tensor: torch.Tensor) -> str:
    """What to call a tensor that is not plain."""
    name = type(tensor).__name__
    if name not in ("Tensor", "Parameter"):
        return name
    return "quantized tensor" if tensor.is_quantized else f"{str(tensor.layout).removeprefix('torch.')} tensor"


def _like(value: Any, parts: list[Any]) -> Any:
    if hasattr(value, "_fields"):  # a named tuple
        return type(value)(*parts)
    return tuple(parts) if isinstance(value, tuple) else parts

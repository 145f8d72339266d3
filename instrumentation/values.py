"""What a caller records, checked at the call and in the caller's words: names, numbers, steps and times."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, SupportsIndex

import numpy as np
import torch

from torchglass.errors import OptionError

_NUMBERS = frozenset({bool, int, np.float64, np.float32, np.int64})


def whole_number(step: SupportsIndex) -> int:
    """Return a step that the store can hold, or raise OptionError."""
    try:
        at = operator.index(step)
    except TypeError:
        raise OptionError(f"step={step!r}: give a whole number") from None
    if not -(2**63) <= at < 2**63:
        raise OptionError(f"step={at}: give a whole number that fits 64 bits")
    return at


def moment(time: float) -> float:
    """Return a time in seconds since the epoch, or raise OptionError."""
    if isinstance(time, int | float | np.integer | np.floating) and math.isfinite(time):
        return float(time)
    raise OptionError(f"time={time!r}: give seconds since the epoch, or None for now; a value goes in the mapping")


def check_name(name: str) -> None:
    """Raise OptionError for a name that is not text or cannot be stored."""
    if not isinstance(name, str) or not _is_storable(name):
        raise OptionError(f"log got {name!r} as a name: give text")


def as_tensor(name: str, values: Any) -> torch.Tensor:
    """Return the values of a tensor, an array or a list of numbers as a tensor, or raise OptionError."""
    if isinstance(values, torch.Tensor) and _is_dense(values):
        return values.detach().resolve_neg()
    try:
        array = np.asarray(values if not isinstance(values, torch.Tensor) else None)
    except ValueError:  # lists of several lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf":
        wanted = "an array or a tensor of numbers, of a sparse one its values"
        raise OptionError(f"log_histogram({name!r}) got {_described(values)}: give {wanted}")
    return torch.from_numpy(np.ascontiguousarray(array, np.float32 if array.dtype == np.float32 else np.float64))


def plain_numbers(values: Iterable[Any]) -> list[float]:
    """Read numbers and tensors on the host, which costs nothing; an empty list where one is anything else.

    Raises:
        OverflowError: a whole number that no float can hold.
    """
    numbers = []
    for value in values:
        kind = type(value)
        if kind is float:
            numbers.append(value)
        elif kind is torch.Tensor and value.is_cpu and value.numel() == 1:
            number = value.item()
            if type(number) is complex:
                return []
            numbers.append(number)
        elif kind in _NUMBERS:
            numbers.append(float(value))
        else:
            return []
    return numbers


def sort_out(
    given: Mapping[str, Any], prefix: str, numbers: dict[str, float], tensors: dict[str, torch.Tensor]
) -> None:
    """Add what is given, under names with slashes, to the numbers or, where reading would wait, to the tensors.

    Raises:
        OptionError: a value is not a number, or a name is not text.
    """
    if not isinstance(given, Mapping):
        raise OptionError(f"log got a {type(given).__name__}: give names and numbers, such as log(loss=loss)")
    for name, value in given.items():
        check_name(name)
        if type(value) is float:
            numbers[prefix + name] = value
        elif isinstance(value, Mapping):
            sort_out(value, f"{prefix}{name}/", numbers, tensors)
        elif isinstance(value, torch.Tensor) and value.device.type not in ("cpu", "meta") and value.numel() == 1:
            tensors[prefix + name] = value
        else:
            numbers[prefix + name] = _number(prefix + name, value)


def _is_dense(tensor: torch.Tensor) -> bool:
    strange = tensor.is_meta or tensor.is_quantized or tensor.is_nested
    return tensor.layout is torch.strided and not strange


def _is_storable(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in the name of a file that is not UTF-8
        return False
    return True


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex() and not value.is_meta:
            return float(value.detach())
        if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf":
            return float(value.reshape(()))
        if isinstance(value, int | float | np.bool_ | np.integer | np.floating):
            return float(value)
        reason = ""
    except OverflowError as error:
        reason = f" ({error})"
    raise OptionError(f"log({name!r}) got {_described(value)}{reason}: give a number or a tensor of one element")


def _described(value: Any) -> str:
    has_shape = not getattr(value, "is_nested", False) and hasattr(value, "shape")
    shape = f" of shape {tuple(value.shape)}" if has_shape else ""
    return f"a {type(value).__name__}{shape}"

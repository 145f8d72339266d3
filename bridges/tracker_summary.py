"""One value for each name at any time: the last logged, or as `define_metric` asks; and what the script sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from torchglass.errors import OptionError

OPERATIONS = ("min", "max", "mean", "first", "last", "best", "none", "copy")

Path = tuple[str, ...]


@dataclass
class _Kept:
    """What has been seen under one name; a tensor stays on its device until somebody reads."""

    first: Any = None
    last: Any = None
    smallest: Any = None
    largest: Any = None
    total: Any = 0.0
    count: int = 0


class Summary(Mapping[str, Any]):
    """`summary["loss"]`: reading waits for a GPU's value, noting one does not. NaN never counts as the smallest."""

    def __init__(self, state: Callable[[Mapping[str, Any]], None]) -> None:
        object.__setattr__(self, "_state", state)
        object.__setattr__(self, "_operations", {})
        object.__setattr__(self, "_kept", {})
        object.__setattr__(self, "_set", {})
        object.__setattr__(self, "_plain", {})  # last values of names that nothing was asked of

    def define(self, name: str, operations: Sequence[str], goal: str | None = None) -> None:
        """Say what to keep of a name, or of all that begin as it does where it ends with `*`.

        Raises:
            OptionError: an operation is unknown.
        """
        unknown = [each for each in operations if each not in OPERATIONS]
        if unknown:
            raise OptionError(f"summary={unknown[0]!r}: choose among {', '.join(OPERATIONS)}")
        best = "max" if goal == "maximize" else "min"
        self._operations[name] = tuple((best if each == "best" else each, each) for each in operations)

    def note_numbers(self, numbers: Mapping[str, float]) -> None:
        """Take notice of logged Python numbers; the short way unless something is asked of some name."""
        if not self._operations and not self._set:
            self._plain.update(numbers)
            return
        for name, value in numbers.items():
            self.note((name,), value)

    def note(self, path: Path, value: Any) -> None:
        """Take notice of a logged number or tensor of one element."""
        if isinstance(value, torch.Tensor):
            value = value.detach().reshape(()).clone() if value.device.type != "cpu" else value.item()
        self._set.pop(path, None)
        self._plain.pop(path[0], None)
        operations = self._operations_of("/".join(path))
        if operations and operations[0][1] == "none":
            return
        kept = self._kept.setdefault(path, _Kept())
        kept.last = value
        if operations and isinstance(value, int | float | torch.Tensor):
            _accumulate(kept, value)

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the summary has no {name!r}") from None

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        self._plain.pop(name, None)
        for held in (self._set, self._kept):
            for path in [path for path in held if path[0] == name]:
                del held[path]

    def __repr__(self) -> str:
        return repr(self.as_dict())

    def update(self, d: Mapping[str, Any]) -> None:
        """Set values; they are stored with the run as the fact "summary"."""
        if not isinstance(d, Mapping):
            raise OptionError(f"summary.update got a {type(d).__name__}: give a mapping from names to values")
        self._set.update({(str(name),): value for name, value in d.items()})
        self._state({"/".join(path): _plain(value) for path, value in self._set.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain, nested dictionaries of Python numbers."""
        whole: dict[str, Any] = {}
        for path, kept in self._kept.items():
            operations = self._operations_of("/".join(path))
            asked = {said: _plain(_result(kept, meant)) for meant, said in operations}
            _put(whole, path, asked or _plain(kept.last))
        whole.update(self._plain)
        for path, value in self._set.items():
            _put(whole, path, _plain(value))
        return whole

    def _operations_of(self, name: str) -> tuple[tuple[str, str], ...]:
        exact: tuple[tuple[str, str], ...] | None = self._operations.get(name)
        if exact is not None:
            return exact
        patterns = [each for each in self._operations if each.endswith("*") and name.startswith(each[:-1])]
        return self._operations[max(patterns, key=len)] if patterns else ()


def _accumulate(kept: _Kept, value: Any) -> None:
    if kept.count == 0:
        kept.first, kept.smallest, kept.largest = value, value, value
    else:
        kept.smallest, kept.largest = _smaller(kept.smallest, value), _larger(kept.largest, value)
    kept.total = kept.total + value
    kept.count += 1


def _smaller(kept: Any, value: Any) -> Any:
    if isinstance(kept, torch.Tensor) or isinstance(value, torch.Tensor):
        return torch.fmin(*_alike(kept, value))
    return kept if math.isnan(value) or value > kept else value


def _larger(kept: Any, value: Any) -> Any:
    if isinstance(kept, torch.Tensor) or isinstance(value, torch.Tensor):
        return torch.fmax(*_alike(kept, value))
    return kept if math.isnan(value) or value < kept else value


def _alike(kept: Any, value: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Make two tensors of a tensor and a number, without waiting for the tensor's device."""
    if not isinstance(kept, torch.Tensor):
        return torch.full_like(value, kept, dtype=torch.float32), value
    if not isinstance(value, torch.Tensor):
        return kept, torch.full_like(kept, value, dtype=torch.float32)
    return kept, value


def _result(kept: _Kept, operation: str) -> Any:
    match operation:
        case "min":
            return kept.smallest
        case "max":
            return kept.largest
        case "mean":
            return kept.total / kept.count
        case "first":
            return kept.first
        case _:
            return kept.last


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return value


def _put(whole: dict[str, Any], path: Path, value: Any) -> None:
    inner = whole
    for name in path[:-1]:
        deeper = inner.get(name)
        if not isinstance(deeper, dict):
            deeper = inner[name] = {}
        inner = deeper
    inner[path[-1]] = value

"""The tensors in what a model returns, whatever they are wrapped in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch

MAX_TENSORS = 32  # of one result: a hook on each costs a microsecond
MAX_DEPTH = 6  # of wrappings: a result may refer to itself


def tensors_with_gradient(output: Any) -> list[torch.Tensor]:
    """The first tensors through which a backward pass may enter, in order."""
    if isinstance(output, torch.Tensor):  # nearly always
        return [output] if output.requires_grad else []
    return list(islice(_walk(output, MAX_DEPTH), MAX_TENSORS))


def _walk(output: Any, depth: int) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        if output.requires_grad:
            yield output
    elif depth:
        for part in _parts(output):
            yield from _walk(part, depth - 1)


def _parts(output: Any) -> Iterator[Any]:
    if isinstance(output, Mapping):
        yield from output.values()
    elif isinstance(output, list | tuple):
        yield from output
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for field in dataclasses.fields(output):
            yield getattr(output, field.name, None)
    elif not isinstance(output, type | torch.nn.Module | str | bytes):
        yield from list(getattr(output, "__dict__", {}).values())

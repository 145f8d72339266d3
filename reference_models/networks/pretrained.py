"""Begin with weights that somebody published: a local file of tensors by name, and perhaps a head of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from torchglass.errors import DataError, MissingExtraError

NAMES_SHOWN = 5


def load_pretrained(network: nn.Module, path: Path, *, head: str, new_head: bool = False) -> None:
    """Load a file of torch (`.pt`, `.pth`) or of safetensors into a network; nothing but tensors is read.

    `head` names the linear layer that gives one number per class. Where the file was trained for other classes,
    `new_head` keeps the network's own head, fresh, and loads all else: transfer learning. A file that does not fit
    leaves the network as it was.

    Raises:
        DataError: when the file is missing or damaged, or its names or shapes are not the network's.
        MissingExtraError: when it is a safetensors file and safetensors is not installed.
    """
    found, own = read_tensors(path), network.state_dict()
    # Files from before torch 0.4.1 lack the counters of batch norm, which only a cumulative average would read.
    counters = {name: own[name] for name in own.keys() - found.keys() if name.endswith(".num_batches_tracked")}
    given = {**found, **counters}
    if new_head:
        given |= {name: own[name] for name in _of(head, own)}
    else:
        _check_head(given, own, head, path)
    wrong = sorted(name for name in own.keys() | given.keys() if _shape(own, name) != _shape(given, name))
    if wrong:
        shown = ", ".join(wrong[:NAMES_SHOWN]) + (
            f" and {len(wrong) - NAMES_SHOWN} more" if wrong[NAMES_SHOWN:] else ""
        )
        raise DataError(
            f"{path} holds weights of another architecture than {type(network).__name__}: {shown} do not fit"
        )
    network.load_state_dict(given)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors by name, to the CPU.

    Raises:
        DataError: when the file is missing, damaged, or holds something else.
        MissingExtraError: when it is a safetensors file and safetensors is not installed.
    """
    if not path.is_file():
        raise DataError(f"there is no file of weights at {path}")
    try:
        found = _read_safetensors(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except MissingExtraError:
        raise
    except Exception as error:  # zipfile, pickle, safetensors and torch's C++ reader each raise classes of their own
        raise DataError(f"{path} cannot be read as weights ({type(error).__name__}): fetch it again") from error
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise DataError(f"{path} does not hold tensors by name: save a model's state_dict, not the model")
    return dict(found)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError("safetensors", "models") from error
    return load_file(path)


def _check_head(given: Mapping[str, Tensor], own: Mapping[str, Tensor], head: str, path: Path) -> None:
    name = f"{head}.weight"
    if name in given and given[name].ndim == 2 and len(given[name]) != len(own[name]):
        raise DataError(
            f"{path} tells {len(given[name])} classes apart and the data has {len(own[name])}: "
            "load it with a new head to train it on"
        )


def _of(head: str, state: Mapping[str, Tensor]) -> list[str]:
    return [name for name in state if name.startswith(f"{head}.")]


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None

"""Weights, on disk and from a store: written whole or not at all, read as tensors only, refused unless they fit."""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import DataError, TorchglassError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.form import DataForm

WEIGHTS_FOLDER = "torchglass-weights"
MAX_NAME_CHARACTERS = 200  # file systems allow 255 bytes


def file_stem(run_name: str) -> str:
    """Return a file name for a run: characters that it should not hold become underscores."""
    return re.sub(r"[^\w.-]", "_", run_name)[:MAX_NAME_CHARACTERS].lstrip(".") or "_"


def weights_path(folder: Path, run_name: str) -> Path:
    """Return where a run's weights lie in the folder of its files: `torchglass-weights/<run name>.pt`."""
    return folder / WEIGHTS_FOLDER / f"{file_stem(run_name)}.pt"


def save_weights(model: nn.Module, path: Path) -> None:
    """Save a model's state to `path`, creating its folder; a reader sees the old file or the new one, never a part.

    Raises:
        DataError: when the file cannot be written.
    """
    write_whole(path, {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()})


def write_whole(path: Path, content: object) -> None:
    """Write what `torch.save` takes, whole or not at all.

    Raises:
        DataError: when the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:100]}.", suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(content, file)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"the weights could not be written to {path}: {error}") from error


def load_weights(path: Path, model: nn.Module) -> None:
    """Load weights into a model of the same architecture; a file that does not fit leaves the model as it was.

    Only tensors are read (`weights_only=True`): a file cannot run code.

    Raises:
        DataError: when the file is missing, damaged or of another architecture.
    """
    if not path.is_file():
        raise DataError(f"no weights at {path}: train the model first")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, pickle and torch's C++ reader each raise classes of their own
        raise DataError(f"{path} cannot be read as weights ({type(error).__name__}): train the model again") from error
    _load_state(model, state, str(path))


def state_arrays(model: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Copy a model's state into arrays, by the names that `state_dict` gives them; waits for the device."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in model.state_dict().items()}


def model_from_checkpoint(arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> nn.Module:
    """Rebuild the model of a checkpoint in eval mode on the CPU: its notes say which, and for what data.

    torch's random state is as it was before.

    Raises:
        DataError: when the arrays are not that model's weights, or `meta` names no model.
        OptionError: when the model is not in the catalogue.
    """
    model = blank_model(meta)
    try:
        state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the checkpoint holds arrays that are not of numbers ({error}): train the model again"
        ) from error
    _load_state(model, state, "the checkpoint")
    return model.eval()


def blank_model(meta: Mapping[str, Any]) -> nn.Module:
    """Build the model that a checkpoint's notes name, with fresh weights; torch's random state is as it was before.

    Raises:
        DataError: when `meta` names no model, or not for what data, or for data that it cannot be built for.
        OptionError: when the model is not in the catalogue.
    """
    if not isinstance(meta.get("model"), str):
        raise DataError(f"the checkpoint does not name its model (its notes: {dict(meta)!r}): train the model again")
    exhibit = get(meta["model"])
    path = Path(str(meta.get("model_path"))) if exhibit.needs_path else None
    try:
        with torch.random.fork_rng(devices=[]):
            return exhibit.build(DataForm.from_json(meta.get("form")), meta.get("dropout"), path)
    except TorchglassError:
        raise
    except Exception as error:  # whatever a builder makes of a size, a name or a rate that is none
        raise DataError(
            f"the checkpoint's notes build no {exhibit.name} ({type(error).__name__}: {error}): train the model again"
        ) from error


def _load_state(model: nn.Module, state: object, origin: str) -> None:
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"{origin} does not hold a state dict of tensors")
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if found != expected:
        wrong = sorted(str(name) for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise DataError(f"{origin} holds weights of another architecture: {', '.join(wrong[:5])} do not fit")
    model.load_state_dict(dict(state))

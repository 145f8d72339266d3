"""Go on where a run stopped: after each epoch all that the next one depends on lies in a file beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from torchglass.errors import DataError
from torchglass.reference_models.weights import WEIGHTS_FOLDER, write_whole


def resume_path(folder: Path, uid: str) -> Path:
    """Return where a run's state lies in the folder of its files: `torchglass-weights/<beginning of its uid>.resume`.

    Not by its name, which another store in the folder, or a later one, may give to another run.
    """
    return folder / WEIGHTS_FOLDER / f"{uid[:8]}.resume"


def save_resume(path: Path, state: dict[str, Any], *, epoch: int, step: int, config: dict[str, Any]) -> None:
    """Write the state after an epoch; a reader sees the old file or the new one, never a part.

    Raises:
        DataError: when the file cannot be written.
    """
    write_whole(path, {"state": state, "epoch": epoch, "step": step, "config": config})


def load_resume(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Read what `save_resume` wrote for a run of the same configuration: state, epoch and step.

    Only tensors and plain values are read (`weights_only=True`): a file cannot run code.

    Raises:
        DataError: when there is none, it is damaged, or it belongs to a training with other switches.
    """
    if not path.is_file():
        raise DataError(
            f"there is nothing to resume: the run completed no epoch, or {path} is gone; train again without --resume"
        )
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # zipfile, pickle and torch's C++ reader each raise classes of their own
        raise DataError(f"{path} cannot be read ({type(error).__name__}): train again without --resume") from error
    if not _is_whole(found):
        raise DataError(f"{path} does not hold the state of a training: train again without --resume")
    before = found["config"]
    other = sorted(name for name in config.keys() | before.keys() if config.get(name) != before.get(name))
    if other:
        told = ", ".join(f"{name} was {before.get(name)!r} and is {config.get(name)!r}" for name in other[:3])
        raise DataError(f"{path.name} belongs to a training with other switches ({told}): give the same ones")
    return found


def _is_whole(found: object) -> bool:
    """Tell whether this is what `save_resume` writes; whether the state fits, the lesson tells."""
    if not isinstance(found, Mapping) or not all(isinstance(found.get(name), dict) for name in ("state", "config")):
        return False
    counts = found.get("epoch"), found.get("step")
    return all(isinstance(count, int) and count >= 0 for count in counts)

"""Turn what the caller gave into checked tensors, or say in one sentence what is wrong with it."""

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers.scored_model import ScoredModel, scores

Pictures: TypeAlias = Tensor | npt.NDArray[Any]
Target: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | npt.NDArray[np.integer[Any]] | Tensor | None


def checked_model(model: object) -> nn.Module:
    """Accept an nn.Module that has values and can be taken apart."""
    if not isinstance(model, nn.Module):
        raise ExplainError(f"model is a {type(model).__name__}: give a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise ExplainError("model is a ScriptModule, whose parts cannot be copied and hooked: give the original module")
    if device_of(model).type == "meta":
        raise ExplainError("model is on the device 'meta', where weights have no values: load it onto a real device")
    return model


def device_of(model: nn.Module) -> torch.device:
    """Name the device of the model's first parameter or buffer; the CPU where it has neither."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def checked_pictures(inputs: object, device: torch.device) -> Tensor:
    """Copy a batch of pictures (N, C, H, W) to the device as float32."""
    pictures = _float_tensor(inputs, "inputs", device)
    if pictures.ndim != 4:
        hint = "add the batch axis, inputs[None]" if pictures.ndim == 3 else "give a batch of pictures"
        raise ExplainError(f"inputs have shape {tuple(pictures.shape)}, wanted (N, C, H, W): {hint}")
    if pictures.numel() == 0:
        raise ExplainError(f"inputs have shape {tuple(pictures.shape)}: give at least one picture with pixels")
    _refuse_non_finite(pictures, "inputs")
    return pictures


def checked_background(background: object, pictures: Tensor) -> tuple[Tensor, str]:
    """Bring reference pictures to (B, C, H, W) and name them; None is one picture of zeros, a number one of that value.

    Zero is black where pixels run from 0 to 1 and the mean picture where they were normalised.
    """
    shape = tuple(pictures.shape[1:])
    if background is None or isinstance(background, int | float):
        value = float(background or 0)
        if not np.isfinite(value):
            raise ExplainError(f"background is {value}: give a finite number or pictures")
        return torch.full((1, *shape), value, device=pictures.device), f"constant {value:g}"
    given = _float_tensor(background, "background", pictures.device)
    if given.ndim == 3:
        given = given[None]
    if given.ndim != 4 or tuple(given.shape[1:]) != shape or len(given) == 0:
        raise ExplainError(f"background has shape {tuple(given.shape)}, wanted (B, *{shape}) like the inputs")
    _refuse_non_finite(given, "background")
    return given, f"{len(given)} given"


def checked_scores(model: ScoredModel, pictures: Tensor) -> Tensor:
    """Run the model on the pictures: (N, K), all finite."""
    try:
        table = scores(model, pictures)
    except ExplainError:
        raise
    except Exception as error:
        raise ExplainError(
            f"the model cannot run on inputs of shape {tuple(pictures.shape)}: {first_line(error)}"
        ) from error
    bad = _bad_rows(table)
    if bad:
        raise ExplainError(f"the model's scores are not finite for pictures {bad}: there is no score to explain")
    return table


def checked_targets(target: object, table: Tensor) -> Tensor:
    """Bring targets to (N,) class indices; None is each picture's highest score."""
    pictures, classes = table.shape
    if target is None:
        return table.argmax(dim=1)
    asked = np.asarray(target.detach().cpu() if isinstance(target, Tensor) else target)
    if asked.dtype.kind not in "iu" or asked.ndim > 1:
        raise ExplainError(f"target is {target!r}: give a class index, one index per picture, or None")
    if asked.ndim == 1 and len(asked) != pictures:
        raise ExplainError(f"target names {len(asked)} classes for {pictures} pictures: give one per picture")
    outside = sorted({int(c) for c in np.atleast_1d(asked) if not 0 <= c < classes})
    if outside:
        raise ExplainError(f"target class {outside[0]} is out of range: the model has classes 0 to {classes - 1}")
    return torch.as_tensor(np.broadcast_to(asked, (pictures,)).astype(np.int64), device=table.device)


def first_line(error: Exception) -> str:
    """Quote another library's error within a sentence."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _float_tensor(values: object, name: str, device: torch.device) -> Tensor:
    if not isinstance(values, Tensor | np.ndarray):
        raise ExplainError(f"{name} is a {type(values).__name__}: give a float tensor or numpy array")
    tensor = torch.from_numpy(np.ascontiguousarray(values)) if isinstance(values, np.ndarray) else values.detach()
    if not tensor.is_floating_point():
        raise ExplainError(f"{name} hold {tensor.dtype}: convert to float and scale them as the model was trained")
    return tensor.to(device=device, dtype=torch.float32, copy=True)


def _refuse_non_finite(pictures: Tensor, name: str) -> None:
    bad = _bad_rows(pictures.flatten(1))
    if bad:
        raise ExplainError(f"{name} hold NaN or infinity in pictures {bad}: clean or drop them")


def _bad_rows(table: Tensor) -> list[int]:
    return [int(i) for i in (~torch.isfinite(table).all(dim=1)).nonzero()[:5]]

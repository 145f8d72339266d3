"""Turn the inputs and their background into checked tensors of one of three kinds, or say what is wrong with them."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.errors import ExplainError
from torchglass.explainers.checking.checks import bad_rows
from torchglass.explainers.kinds import KINDS, NAMES, RANKS, SHAPES, Kind

Inputs: TypeAlias = Tensor | npt.NDArray[Any]

HIDDEN_WORD = 1
"""The token id that stands for a word that is hidden: 1 is "unknown" in the reference models' vocabularies."""


def kind_of(inputs: object, asked: str | None) -> Kind:
    """Tell the kind of inputs by their type and rank: integers (N, T) are text, floats (N, F) rows, else pictures."""
    if asked is not None and asked not in KINDS:
        raise ExplainError(f"kind is {asked!r}: choose one of {', '.join(KINDS)}")
    if not isinstance(inputs, Tensor | np.ndarray):
        raise ExplainError(f"inputs is a {type(inputs).__name__}: give a tensor or numpy array")
    for kind in KINDS:
        if kind == asked:
            return kind
    if inputs.ndim != 2:
        return "pictures"
    return "table" if _tensor(inputs).is_floating_point() else "text"


def checked_inputs(inputs: Inputs, kind: Kind, padding: int, device: torch.device) -> Tensor:
    """Copy a batch to the device: pictures (N, C, H, W) and rows (N, F) as float32, token ids (N, T) as int64."""
    batch = _converted(_tensor(inputs), kind, "inputs").to(device, copy=True)
    if batch.ndim != RANKS[kind]:
        hint = "add the batch axis, inputs[None]" if batch.ndim == RANKS[kind] - 1 else f"give a batch of {NAMES[kind]}"
        raise ExplainError(f"inputs have shape {tuple(batch.shape)}, wanted {SHAPES[kind]}: {hint}")
    if batch.numel() == 0:
        raise ExplainError(f"inputs have shape {tuple(batch.shape)}: there is nothing to explain in {NAMES[kind]}")
    if kind == "text":
        empty = (batch == padding).all(dim=1).nonzero()[:5, 0].tolist()
        if empty:
            raise ExplainError(f"texts {empty} hold nothing but padding (id {padding}): drop the empty ones")
        if bool((batch < 0).any()):
            raise ExplainError(f"inputs hold the token id {int(batch.min())}: ids count from 0")
    else:
        _refuse_non_finite(batch, "inputs")
    return batch


def checked_background(background: object, inputs: Tensor, kind: Kind) -> tuple[Tensor, str]:
    """Bring the reference inputs to (B, ...) and name them; None and a number stand for one constant input.

    For text it is one text made of the token id that stands where a word is hidden. For the others None is zero: black
    where pixels run from 0 to 1, the mean where inputs were normalised.
    """
    shape = tuple(inputs.shape[1:])
    if kind == "text":
        hidden = HIDDEN_WORD if background is None else background
        if not isinstance(hidden, int) or isinstance(hidden, bool) or hidden < 0:
            raise ExplainError(f"background is {background!r}: for text give the token id that hides a word")
        return torch.full((1, *shape), hidden, dtype=torch.int64, device=inputs.device), f"token id {hidden}"
    if background is None or isinstance(background, int | float):
        value = float(background or 0)
        if not np.isfinite(value):
            raise ExplainError(f"background is {value}: give a finite number or {NAMES[kind]}")
        return torch.full((1, *shape), value, dtype=inputs.dtype, device=inputs.device), f"constant {value:g}"
    if not isinstance(background, Tensor | np.ndarray):
        raise ExplainError(f"background is a {type(background).__name__}: give a float tensor or numpy array")
    given = _converted(_tensor(background), kind, "background").to(inputs.device, copy=True)
    if given.ndim == RANKS[kind] - 1:
        given = given[None]
    if given.ndim != RANKS[kind] or tuple(given.shape[1:]) != shape or len(given) == 0:
        wanted = ", ".join(map(str, ("B", *shape)))
        raise ExplainError(f"background has shape {tuple(given.shape)}, wanted ({wanted}) like the inputs")
    _refuse_non_finite(given, "background")
    return given, f"{len(given)} given"


def _tensor(values: Inputs) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    try:
        # A copy, because torch takes neither negative strides nor the other byte order.
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), order="C", copy=True))
    except TypeError as error:
        raise ExplainError(f"inputs hold {values.dtype}: give numbers") from error


def _converted(values: Tensor, kind: Kind, name: str) -> Tensor:
    if kind == "text":
        if values.is_floating_point() or values.is_complex() or values.dtype is torch.bool:
            raise ExplainError(f"{name} hold {values.dtype}: text is given as integer token ids")
        return values.long()
    if not values.is_floating_point():
        raise ExplainError(f"{name} hold {values.dtype}: convert to float and scale them as the model was trained")
    return values.float()


def _refuse_non_finite(batch: Tensor, name: str) -> None:
    bad = bad_rows(batch.flatten(1))
    if bad:
        of = "pictures" if batch.ndim == RANKS["pictures"] else "rows"
        raise ExplainError(f"{name} hold NaN or infinity in {of} {bad}: clean or drop them")

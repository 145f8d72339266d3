"""What a technique is: how it makes a predictor or a learner of a model, and what it makes them from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

Mode = Literal["train", "infer"]
Forward = Callable[[Tensor], Tensor]

WEIGHTS_FILE = "weights.pt"


@dataclass(frozen=True, eq=False)
class Subject:
    """What a technique works on.

    `model` is a private copy on `device`, in the mode that is asked for: the technique may change it as it likes.
    `images` (N, C, H, W) is a batch of the size that will be measured, on the device; `calibration` are training
    images on the CPU for techniques that must see data.
    """

    model: nn.Module
    device: torch.device
    images: Tensor
    calibration: Tensor


@dataclass(frozen=True, eq=False)
class Predictor:
    """A model made ready to answer: `forward` takes images on the device to logits (N, classes), also there.

    `save` writes into a folder what would be shipped. `notes` are sentences about this very model.
    """

    forward: Forward
    save: Callable[[Path], None]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Learner:
    """A model made ready to be trained.

    `parameters` are what an optimizer changes, in the order of the original model's; `scaler` scales the loss where
    the number format needs it and passes it through elsewhere.
    """

    forward: Forward
    parameters: tuple[nn.Parameter, ...]
    scaler: torch.amp.GradScaler
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """A technique: what it makes of a subject, None where it has no meaning, and then `one_sided` says why.

    `summary` says what it does and what to expect of it. Both functions may raise: the message is then the reason
    why the technique cannot run here.
    """

    name: str
    summary: str
    predictor: Callable[[Subject], Predictor] | None
    learner: Callable[[Subject], Learner] | None
    one_sided: str = ""


def saved_weights(model: nn.Module) -> Callable[[Path], None]:
    """Return what writes a model's state, as one ships it when the code that builds the model is at the other end."""
    return partial(_save_state, model)


def plain_learner(model: nn.Module, forward: Forward, device: torch.device) -> Learner:
    """Return a learner of a model whose parameters are the original's, without a scaled loss."""
    return Learner(forward, tuple(model.parameters()), torch.amp.GradScaler(device.type, enabled=False))


def _save_state(model: nn.Module, folder: Path) -> None:
    torch.save(model.state_dict(), folder / WEIGHTS_FILE)

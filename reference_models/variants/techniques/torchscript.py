"""TorchScript: the model traced into a graph that runs without Python."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from torchglass.reference_models.variants.technique import Forward, Predictor, Subject, Variant

FILE = "model.ts"


def predictor(subject: Subject) -> Predictor:
    """Trace the model on the batch and freeze it; torch's word on its deprecation is passed on."""
    with torch.no_grad():
        traced = torch.jit.trace(subject.model, subject.images)  # type: ignore[no-untyped-call]
        frozen = torch.jit.freeze(traced)

    def save(folder: Path) -> None:
        torch.jit.save(frozen, folder / FILE)

    return Predictor(cast("Forward", frozen), save)


VARIANT = Variant(
    "torchscript",
    "torch.jit.trace and freeze: one file that C++ reads, weights and graph; deprecated since torch 2.10.",
    predictor,
    None,
    one_sided="a frozen trace holds its weights as constants, which cannot be trained",
)

"""The samples that a run keeps, so that a page can show and explain them without the data set and without torch."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.own_input import packed_words
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.lesson import Gallery
from torchglass.reference_models.recorder import Recorder

MAX_SAMPLES = 200
MAX_BYTES = 4_000_000  # of pictures as they lie in memory: a large picture means fewer of them
BACKGROUND = 64  # training samples that SHAP averages over: as many as keep one picture under a second


def gallery_of(split: Split, seed: int) -> Gallery:
    """Choose the first test samples and training samples at random by the seed."""
    test, train = split.test, split.train
    each = max(1, test.inputs[0].numel() * test.inputs.element_size())
    shown = min(MAX_SAMPLES, max(16, MAX_BYTES // each))
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[: min(BACKGROUND, shown)]
    return Gallery(test[:shown], train.inputs[chosen], split.vocabulary, split.scale)


def save_gallery(run: Recorder, gallery: Gallery, form: DataForm, notes: dict[str, Any]) -> None:
    """Keep the gallery with the run; `notes` say which model and data set it belongs to."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "inputs": compact(gallery.samples.inputs),
        "targets": gallery.samples.targets.numpy(),
        "background": compact(gallery.background),
    }
    if gallery.samples.truth is not None:
        arrays["truth"] = gallery.samples.truth.numpy()
    if form.kind == "text" and gallery.vocabulary:
        arrays["words"] = np.array(gallery.vocabulary)[gallery.samples.inputs.numpy()]
        arrays["vocabulary"] = packed_words(gallery.vocabulary)
    meta = {
        "form": form.to_json(),
        "class_names": list(form.class_names),
        "feature_names": list(form.feature_names),
        "scale": None if gallery.scale is None else asdict(gallery.scale),
        **notes,
    }
    run.save_arrays("samples", "test", arrays, meta)


def compact(inputs: Tensor) -> npt.NDArray[Any]:
    """Return pictures in 0..1 as bytes 0..255 where that loses nothing, and anything else as it is."""
    if inputs.ndim == 4 and inputs.is_floating_point():
        bytes_ = inputs.mul(255).round()
        if bool((bytes_.div(255) == inputs).all()):
            return bytes_.to(torch.uint8).numpy()
    return inputs.numpy()

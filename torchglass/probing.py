"""The probes that `torchglass train` explains on the way: the one place where training and explainers meet."""

from __future__ import annotations

import numpy as np

from torchglass.errors import TorchglassError
from torchglass.explainers import Probes
from torchglass.explainers.kinds import Kind
from torchglass.instrumentation.guard import tell
from torchglass.reference_models import ReferenceModel
from torchglass.reference_models.data.samples import Samples
from torchglass.reference_models.lesson import Lesson
from torchglass.reference_models.recipe import Recipe

CHEAP = ("gradcam", "integrated_gradients", "gradient_x_input")  # some passes each, where others take a thousand
SAMPLES = 4  # the first of the test set, as the page shows them
STEPS = {"steps": 64}  # of a path: what misses its sum then is told, and a frame that waits is not seen at all
EVERY = 50  # steps; LeNet-5 takes 920 on the digits


def reference_probes(exhibit: ReferenceModel, lesson: Lesson, recipe: Recipe) -> Probes | None:
    """Choose a few test samples of a classifier and a cheap method that suits it; None where there is no such.

    Checkpointing replaces the model's forward, which no copy of it can follow: then there are none.
    """
    method = next((name for name in exhibit.explain.methods if name in CHEAP), None)
    form = lesson.form
    if method is None or form.task != "classification" or exhibit.explain.scorer is not None or recipe.checkpointing:
        return None
    gallery = lesson.gallery()
    chosen = gallery.samples[:SAMPLES]
    kind: Kind = "table" if form.kind == "observations" else form.kind
    try:
        return Probes(
            chosen.inputs,
            targets=chosen.targets,
            methods={method: STEPS if method == "integrated_gradients" else {}},
            every=EVERY,
            truth=chosen.truth,
            kind=kind,
            layer=exhibit.explain.layer if method == "gradcam" else None,
            background=int(exhibit.explain.baseline) or None if kind == "text" else gallery.background,
            class_names=form.class_names,
            names=_words(chosen, gallery.vocabulary) if kind == "text" else form.feature_names,
        )
    except TorchglassError as error:  # of a user's file, which may have more columns than a picture has room for
        tell(f"torchglass: no probes are explained while this trains: {error}")
        return None


def _words(texts: Samples, vocabulary: tuple[str, ...]) -> list[list[str]]:
    if not vocabulary:
        return []
    ids = texts.inputs.numpy()
    return np.where(ids == 0, "", np.array(vocabulary, dtype=object)[ids]).tolist()  # type: ignore[no-any-return]

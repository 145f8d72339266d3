"""Runs of every kind with fresh weights, their samples, and explanations as the command line would have stored them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.own_input import packed_words
from torchglass.reference_models.data.words import SPECIAL_WORDS
from torchglass.store import ArtifactBlock, Run, Store

Arrays = dict[str, npt.NDArray[Any]]

WORDS = (*SPECIAL_WORDS, "dull", "great", "film", "the", "was")
FORMS = {
    "simple_cnn": DataForm("pictures", "classification", (3, 16, 16), ("ring", "star", "cross")),
    "linear": DataForm("table", "classification", (3,), ("no", "yes"), ("age", "size", "height")),
    "bilstm": DataForm("text", "classification", (6,), ("bad", "good"), vocabulary_size=len(WORDS)),
}
METHODS = {"simple_cnn": ("gradcam", "shap"), "linear": ("shap", "lime"), "bilstm": ("shap", "occlusion")}
SCALE = {"means": [40.0, 7.0, 170.0], "deviations": [10.0, 2.0, 8.0]}


def samples_of(form: DataForm) -> Arrays:
    draw = np.random.default_rng(0)
    targets = np.arange(6) % len(form.class_names)
    if form.kind == "text":
        inputs = draw.integers(3, len(WORDS), (6, 6))
        words = np.array(WORDS)[inputs]
        return {"inputs": inputs, "targets": targets, "words": words, "vocabulary": packed_words(WORDS)}
    if form.kind == "pictures":
        inputs = draw.integers(0, 256, (6, *form.shape)).astype(np.uint8)
    else:
        inputs = draw.normal(size=(6, *form.shape)).astype(np.float32)
    return {"inputs": inputs, "targets": targets, "background": inputs}


def record_run(store: Store, name: str, *, weights: bool = False, explained: Sequence[str] = ()) -> Run:
    """A run of a model of `FORMS`; with `explained` inputs, each explained at the checkpoints of steps 5 and 10.

    Maps of step 10 are twice those of step 5. Without `weights` its checkpoints are empty: no job can use them.
    """
    form, run = FORMS[name], store.start_run(name, {"model": name}, host="here", pid=1)
    notes = {"model": name, "dataset": "drawn", "seed": 0, "form": form.to_json(), "dropout": None}
    for step in (5, 10):
        state = _weights(name, step) if weights else {}
        store.add_artifact(run.id, ArtifactBlock("checkpoint", "weights", step, 0.0, notes, state))
    meta = notes | {
        "class_names": list(form.class_names),
        "feature_names": list(form.feature_names),
        "scale": SCALE if form.kind == "table" else None,
    }
    arrays = samples_of(form)
    store.add_artifact(run.id, ArtifactBlock("samples", "test", 10, 0.0, meta, arrays))
    for step in (5, 10):
        for key in explained:
            for method in METHODS[name]:
                store.add_artifact(run.id, explanation(name, arrays, key, step, method))
    store.end_run(run.id, "finished")
    return store.run(run.id)


def explanation(name: str, arrays: Arrays, key: str, step: int, method: str, **changed: Any) -> ArtifactBlock:
    form, place = FORMS[name], int(key.rpartition("/")[2])
    one = arrays["inputs"][place : place + 1]
    shape = (1, 4, 4) if form.kind == "pictures" else (1, *form.shape)
    values = (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + place) * (step // 5)
    meta = {
        "method": method,
        "kind": form.kind,
        "task": form.task,
        "model": name,
        "target": 1,
        "label": 0,
        "predicted": 1,
        "probability": 0.75,
        "class_names": list(form.class_names),
        "scores": {"deletion": 0.2},
        "baselines": {"random": {"deletion": 0.5}},
        **changed,
    }
    if form.kind == "text":
        meta["names"] = arrays["words"][place].tolist()
    if form.kind == "table":
        meta |= {"names": list(form.feature_names), "values": [1.0, 2.0, 3.0]}
    inputs = one / np.float32(255) if form.kind == "pictures" else one
    found = {"attributions": values, "inputs": inputs, "outputs": np.array([1.5], np.float32)}
    return ArtifactBlock("explanation", key, step, 0.0, meta, found)


def _weights(name: str, seed: int) -> Arrays:
    import torch

    from torchglass.reference_models import get
    from torchglass.reference_models.weights import state_arrays

    torch.manual_seed(seed)
    return state_arrays(get(name).build(FORMS[name]))

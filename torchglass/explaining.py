"""Explain test images with a run's trained model: the one place where reference models and explainers meet."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from torchglass.errors import OptionError, RunNotFoundError
from torchglass.explainers import Explanation, explain, method_names
from torchglass.reference_models import ReferenceModel, Split, available, get, load_weights, model_from_checkpoint
from torchglass.store import Artifact, ArtifactBlock, Run, Store, open_store

BACKGROUND_PICTURES = 64  # training pictures that SHAP averages over: as many as keep one picture under a second


@dataclass(frozen=True)
class Request:
    """What to explain: test images by index, methods by name, one class for all (None: the predicted one of each)."""

    run: str
    samples: tuple[int, ...]
    methods: tuple[str, ...]
    target: int | None = None
    layer: str | None = None
    seed: int = 0
    weights: Path | None = None


@dataclass(frozen=True)
class _Exhibit:
    """A trained reference model, its data, and where it came from."""

    model: nn.Module
    spec: ReferenceModel
    split: Split
    dataset: str
    run: Run
    checkpoint: Artifact


def explain_run(location: str | os.PathLike[str] | None, request: Request) -> Iterator[str]:
    """Explain each sample with each method, store each explanation as it is done, and yield a line about it.

    Raises:
        OptionError: an unknown method, or a sample or class out of range.
        RunNotFoundError: no such run, or it kept no checkpoint of a reference model.
    """
    unknown = [name for name in request.methods if name not in method_names()]
    if unknown or not request.methods:
        raise OptionError(f"unknown method {', '.join(unknown)!r}: choose among {', '.join(method_names())}")
    with open_store(location) as store:
        exhibit = _load(store, request)
        _check_range("sample", request.samples, len(exhibit.split.test_labels))
        _check_range("target", () if request.target is None else (request.target,), len(exhibit.spec.class_names))
        for sample in request.samples:
            for method in request.methods:
                explanation = _explain(exhibit, request, sample, method)
                store.add_artifact(exhibit.run.id, _to_block(exhibit, explanation, sample))
                yield _describe(exhibit, explanation, sample)


def _load(store: Store, request: Request) -> _Exhibit:
    run, checkpoint = _find_checkpoint(store, request.run)
    spec = get(str(checkpoint.meta["model"]))
    if request.weights is None:
        model = model_from_checkpoint(store.arrays(checkpoint.id), checkpoint.meta)
    else:
        model = spec.build().eval()
        load_weights(request.weights, model)
    dataset = str(checkpoint.meta["dataset"])
    split = spec.load_data(dataset, int(checkpoint.meta["seed"]))
    return _Exhibit(model, spec, split, dataset, run, checkpoint)


def _find_checkpoint(store: Store, name: str) -> tuple[Run, Artifact]:
    """The last checkpoint of the run of that name, or of the newest run of the reference model of that name."""
    try:
        runs = [store.run(name)]
    except RunNotFoundError:
        if name not in {model.name for model in available()}:
            raise
        runs = [run for run in store.runs() if run.config.get("model") == name]
    for run in runs:
        checkpoints = store.artifacts(run.id, kind="checkpoint")
        if checkpoints:
            return run, checkpoints[-1]
    raise RunNotFoundError(
        f"{name!r} has no checkpoint of a reference model in {store.location}: train one with `torchglass train lenet5`"
    )


def _check_range(what: str, given: tuple[int, ...], size: int) -> None:
    for value in given:
        if not 0 <= value < size:
            raise OptionError(f"{what} {value} is out of range: give a number from 0 to {size - 1}")


def _explain(exhibit: _Exhibit, request: Request, sample: int, method: str) -> Explanation:
    picture = exhibit.split.test_images[sample : sample + 1]
    chosen: dict[str, Any] = {}
    if method == "gradcam":
        chosen["layer"] = request.layer or exhibit.spec.explain_layer
    elif method == "shap":
        chosen["background"] = exhibit.split.train_images[:BACKGROUND_PICTURES]
    return explain(exhibit.model, picture, request.target, method, seed=request.seed, **chosen)


@torch.no_grad()
def _prediction(exhibit: _Exhibit, sample: int) -> tuple[int, float]:
    scores = exhibit.model(exhibit.split.test_images[sample : sample + 1]).softmax(dim=1)[0]
    return int(scores.argmax()), float(scores.max())


def _to_block(exhibit: _Exhibit, explanation: Explanation, sample: int) -> ArtifactBlock:
    arrays, meta = explanation.to_arrays()
    predicted, probability = _prediction(exhibit, sample)
    meta |= {
        "sample": sample,
        "label": int(exhibit.split.test_labels[sample]),
        "target": int(explanation.targets[0]),
        "predicted": predicted,
        "probability": probability,
        "class_names": list(exhibit.spec.class_names),
        "model": exhibit.spec.name,
        "dataset": exhibit.dataset,
        "checkpoint_step": exhibit.checkpoint.step,
        "torch": torch.__version__,
    }
    return ArtifactBlock("explanation", f"test/{sample}", exhibit.checkpoint.step, time.time(), meta, arrays)


def _describe(exhibit: _Exhibit, explanation: Explanation, sample: int) -> str:
    name = exhibit.spec.class_names[int(explanation.targets[0])]
    checks = ", ".join(f"{key} {value:.2g}" for key, value in explanation.checks.items())
    return (
        f"test image {sample}, class {name}: {explanation.method} by {explanation.implementation} "
        f"in {explanation.seconds:.2f} s" + (f" ({checks})" if checks else "")
    )

"""Explain test samples with a run's trained model: the one place where reference models and explainers meet.

Everything is read from the store: the weights, and the samples that the run kept. No data set is loaded again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import Explanation, explain, method_names
from torchglass.explainers.kinds import NAMES, Kind
from torchglass.judging import Checks, judged
from torchglass.own_inputs import next_key, with_own_input
from torchglass.store import ArtifactBlock, Store, open_store
from torchglass.trained_runs import Trained, at_checkpoints, load_trained

_CALLED: dict[Kind, str] = {"pictures": "image", "text": "text", "table": "row"}


@dataclass(frozen=True)
class Request:
    """What to explain: test samples by index, methods by name (none: those that suit the model), one class for all
    (None: the predicted one of each). `checks` says how thoroughly each is judged: "none", "quick", which takes a few
    large batches, or "full", which explains again, too. `checkpoints` of the run's are explained, evenly spaced, the
    last one among them; None is all. Where there are several the class is the one that the last predicts, and only the
    last one's explanations are judged. `input` is a file of the user's own in the place of the samples: a text, a row,
    or a picture, whose dark and light `invert` exchanges.
    """

    run: str
    samples: tuple[int, ...]
    methods: tuple[str, ...] = ()
    target: int | None = None
    layer: str | None = None
    seed: int = 0
    weights: Path | None = None
    checks: Checks = "quick"
    checkpoints: int | None = 1
    input: Path | None = None
    invert: bool = False


def explain_run(location: str | os.PathLike[str] | None, request: Request) -> Iterator[str]:
    """Explain each sample with each method, store each explanation as it is done, and yield a line about it.

    Raises:
        OptionError: a method that there is not or not for this model, a sample or class out of range, or weights of a
            file together with several checkpoints.
        NoStoreError: there is no store.
        RunNotFoundError: no such run, or it kept no checkpoint of a reference model, or no samples.
        DataError: the file of the user's own is not such an input.
    """
    if request.weights is not None and request.checkpoints != 1:
        raise OptionError("weights of a file are given and several checkpoints are asked for: choose one of them")
    with open_store(location, read_only=True):
        pass  # of a mistyped address no store is made
    with open_store(location) as store:
        trained = load_trained(store, request.run, request.weights)
        methods = request.methods or trained.exhibit.explain.methods
        _check_methods(methods, trained.kind)
        asked, told = replace(request, methods=methods), None
        if request.input is not None:
            trained, told = with_own_input(trained, request.input, invert=request.invert)
            asked = replace(asked, samples=(0,))
        _check_range("sample", asked.samples, len(trained.arrays["inputs"]))
        keys = [f"test/{sample}" if told is None else next_key(store, trained.run.id) for sample in asked.samples]
        notes = [{"sample": sample} if told is None else {"own": told} for sample in asked.samples]
        if request.checkpoints == 1:
            for sample, key, facts in zip(asked.samples, keys, notes, strict=True):
                yield from _explain_sample(store, trained, asked, sample, key, facts)
            return
        targets = {sample: _target(trained, request, sample) for sample in asked.samples}
        for then in at_checkpoints(store, trained, request.checkpoints):
            earlier = replace(asked, checks="none") if then is not trained else asked
            for sample, key, facts in zip(asked.samples, keys, notes, strict=True):
                of_last = replace(earlier, target=targets[sample])
                lines = _explain_sample(store, then, of_last, sample, key, facts)
                yield from (f"step {then.checkpoint.step}: {line}" for line in lines)


def _explain_sample(
    store: Store, trained: Trained, request: Request, sample: int, key: str, facts: Mapping[str, Any]
) -> Iterator[str]:
    scores = _scores(trained, sample)
    _check_range("target", () if request.target is None else (request.target,), len(scores))
    done: list[Explanation] = []
    for method in request.methods:
        given = _arguments(trained, request)
        explanation = _explain(trained, request, sample, method, given)
        trust = judged(trained, explanation, sample, given, others=done, checks=request.checks)
        block = _to_block(trained, explanation, sample, scores, {**trust, **facts})
        store.add_artifact(trained.run.id, block._replace(key=key))
        done.append(explanation)
        yield _describe(trained, explanation, key, trust)


def _target(trained: Trained, request: Request, sample: int) -> int:
    return int(_scores(trained, sample).argmax()) if request.target is None else request.target


def _check_methods(methods: tuple[str, ...], kind: Kind) -> None:
    strange = [method for method in methods if method not in method_names(kind)]
    if strange:
        why = f"does not explain {NAMES[kind]}" if strange[0] in method_names() else "is unknown"
        raise OptionError(f"method {strange[0]!r} {why}: choose among {', '.join(method_names(kind))}")


def _check_range(what: str, given: tuple[int, ...], size: int) -> None:
    for value in given:
        if not 0 <= value < size:
            raise OptionError(f"{what} {value} is out of range: give a number from 0 to {size - 1}")


def _arguments(trained: Trained, request: Request) -> dict[str, Any]:
    """What a method compares with and which layer it reads, if it does: those of the exhibit."""
    target = trained.exhibit.explain
    if trained.kind == "text":
        return {"layer": request.layer, "background": int(target.baseline) or None}
    known = trained.inputs("background", slice(None))
    if trained.kind == "table":
        return {"background": known}
    layer = request.layer or _layer(trained.model, target.layer)
    return {"layer": layer, "background": known}


def _explain(trained: Trained, request: Request, sample: int, method: str, given: Mapping[str, Any]) -> Explanation:
    picked = trained.inputs("inputs", slice(sample, sample + 1))
    return explain(trained.model, picked, request.target, method, kind=trained.kind, seed=request.seed, **given)


def _layer(model: nn.Module, name: str | None) -> str | None:
    """The name of the exhibit's layer in the model as it is explained: a scorer puts its own name before it."""
    names = [own for own, _ in model.named_modules()]
    return name if name in names else next((own for own in names if own.endswith(f".{name}")), name)


@torch.no_grad()
def _scores(trained: Trained, sample: int) -> Tensor:
    scores: Tensor = trained.model(trained.inputs("inputs", slice(sample, sample + 1)))
    return scores.reshape(-1)


def _to_block(
    trained: Trained, explanation: Explanation, sample: int, scores: Tensor, facts: Mapping[str, Any]
) -> ArtifactBlock:
    arrays, meta = explanation.to_arrays()
    if "truth" in trained.arrays:
        arrays["truth"] = trained.arrays["truth"][sample : sample + 1]
        counted = arrays["inputs"][0] != 0 if trained.kind == "text" else np.ones_like(arrays["truth"][0], dtype=bool)
        meta["checks"] |= _localisation(explanation.relevance(0), arrays["truth"][0], counted)
    meta |= {
        "task": trained.form.task,
        "target": int(explanation.targets[0]),
        "class_names": list(trained.form.class_names),
        "model": trained.exhibit.name,
        "dataset": trained.meta.get("dataset"),
        "checkpoint_step": trained.checkpoint.step,
        "torch": torch.__version__,
        **_names(trained, sample),
        **_answer(trained, sample, scores),
        **facts,
    }
    return ArtifactBlock("explanation", f"test/{sample}", trained.checkpoint.step, time.time(), meta, arrays)


def _localisation(
    relevance: npt.NDArray[np.float32], truth: npt.NDArray[Any], counted: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """Which share of what speaks for the class lies where the truth is, and which share of all places that is."""
    positive = np.clip(relevance, 0, None).astype(np.float64)
    decides = truth.astype(bool)
    if not decides.any() or not positive.any() or decides.shape != positive.shape:
        return {}
    return {
        "truth_share": float(positive[decides].sum() / positive.sum()),
        "truth_area": float(decides[counted].mean()),
    }


def _names(trained: Trained, sample: int) -> dict[str, Any]:
    """What a person calls the parts of the input, and what stands there in its own units."""
    if trained.kind == "text":
        ids = trained.arrays["inputs"][sample]
        words = trained.arrays["words"][sample] if "words" in trained.arrays else ids
        return {"names": ["" if token == 0 else str(word) for token, word in zip(ids, words, strict=True)]}
    if trained.kind == "pictures":
        return {}
    row = trained.arrays["inputs"][sample].astype(np.float64)
    scale = trained.meta.get("scale")
    if scale is not None:
        row = row * np.array(scale["deviations"]) + np.array(scale["means"])
    names = trained.form.feature_names or tuple(f"column {i}" for i in range(len(row)))
    return {"names": list(names), "values": [float(value) for value in row]}


def _answer(trained: Trained, sample: int, scores: Tensor) -> dict[str, Any]:
    """What is right and what the model says: classes, or numbers in the units of the target."""
    right = _right(trained, sample)
    if trained.form.task == "regression":
        return {**right, "predicted": float(scores[0])}
    if trained.form.task == "generation":
        return {}
    best = int(scores.argmax())
    if trained.form.task == "detection":
        return {**right, "predicted": best, "probability": float(scores[best].sigmoid())}
    return {**right, "predicted": best, "probability": float(scores.softmax(dim=0)[best])}


def _right(trained: Trained, sample: int) -> dict[str, Any]:
    """The right answer, where there is one and somebody knows it."""
    if "targets" not in trained.arrays or trained.form.task in ("generation", "control"):
        return {}
    target = trained.arrays["targets"][sample]
    if trained.form.task == "regression":
        return {"label": float(target)}
    if trained.form.task == "detection":
        return {"label": sorted({int(box[0]) for box in target if box[0] >= 0})}
    return {"label": int(target)}


def _describe(trained: Trained, explanation: Explanation, key: str, trust: Mapping[str, Any]) -> str:
    names, (group, _, number) = trained.form.class_names, key.partition("/")
    of = f", class {names[int(explanation.targets[0])]}" if names else ""
    checks = ", ".join([*(f"{key} {value:.2g}" for key, value in explanation.checks.items()), *_beside(trust)])
    return (
        f"{group} {_CALLED[trained.kind]} {number}{of}: {explanation.method} by {explanation.implementation} "
        f"in {explanation.seconds:.2f} s" + (f" ({checks})" if checks else "")
    )


def _beside(trust: Mapping[str, Any]) -> Iterator[str]:
    """The figures that say most, each beside those of maps that know nothing: "deletion 0.31 (random 0.45)"."""
    for metric in ("deletion", "insertion", "relevance_mass"):
        if metric in trust.get("scores", {}):
            known = (f"{name} {of[metric]:.2g}" for name, of in trust["baselines"].items() if metric in of)
            yield f"{metric} {trust['scores'][metric]:.2g} against {', '.join(known)}"

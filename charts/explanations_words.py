"""The words around an explanation: what was explained, what came out, and what it is called. Nothing is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.charts.text import plain_text
from torchglass.charts.units import number
from torchglass.language import clauses, listed, mark, tr
from torchglass.store.records import Artifact

_NAMES = {
    "ablationcam": "Ablation-CAM",
    "deeplift": "DeepLIFT",
    "drise": "D-RISE",
    "gradcam": "Grad-CAM",
    "gradcam_plus_plus": "Grad-CAM++",
    "gradient_x_input": mark("Gradient × input"),
    "guided_gradcam": "Guided Grad-CAM",
    "layercam": "Layer-CAM",
    "lime": "LIME",
    "lrp": "LRP",
    "rise": "RISE",
    "scorecam": "Score-CAM",
    "shap": "SHAP",
    "smoothgrad": "SmoothGrad",
}


class Explained(NamedTuple):
    """A stored explanation and its arrays."""

    artifact: Artifact
    arrays: Mapping[str, npt.NDArray[Any]]


def kind_of(artifact: Artifact) -> str:
    """What was explained: "pictures", "text" or "table"; explanations from before there were kinds are of pictures."""
    return str(artifact.meta.get("kind", "pictures"))


def method_name(method: object) -> str:
    """A method as a person writes it: "Grad-CAM", "Integrated gradients"."""
    known = str(method)
    return tr(_NAMES.get(known, "")) or plain_text(known.replace("_", " ").capitalize(), 40)


def class_name(meta: Mapping[str, Any], index: object) -> str:
    """Name of a class, or its index where the run gave no name."""
    names = meta.get("class_names")
    if isinstance(index, int) and isinstance(names, list) and 0 <= index < len(names):
        return plain_text(names[index], 40)
    return plain_text(index, 40)


def heading(artifact: Artifact) -> str:
    """Which sample, what is right and what the model says: "test/3, step 200; label 3; predicted 3 (99.0 %)"."""
    meta = artifact.meta
    said = [tr("{sample}, step {step}", sample=artifact.key, step=artifact.step)]
    label, predicted, sure = meta.get("label"), meta.get("predicted"), meta.get("probability")
    if meta.get("task") == "regression":
        said += [tr("predicted {value}", value=_rounded(predicted))] if isinstance(predicted, float | int) else []
        said += [tr("true {value}", value=_rounded(label))] if isinstance(label, float | int) else []
        return plain_text(clauses(said), 200)
    if isinstance(label, list):
        shown = listed(class_name(meta, one) for one in label)
        said.append(tr("shows {classes}", classes=shown) if shown else tr("shows nothing"))
    elif label is not None:
        said.append(tr("label {name}", name=class_name(meta, label)))
    if predicted is not None:
        sureness = f" ({100 * sure:.1f} %)" if isinstance(sure, float | int) else ""
        said.append(tr("predicted {value}", value=class_name(meta, predicted)) + sureness)
    return plain_text(clauses(said), 200)


def title(one: Explained) -> str:
    """Method, class, score and layer: "Grad-CAM for class 3, logit 11.5, layer conv2"."""
    meta, arrays = one.artifact.meta, one.arrays
    name = method_name(meta.get("method", "explanation"))
    target = int(arrays["targets"][0]) if "targets" in arrays else meta.get("target")
    space = meta.get("output_space", "score")
    is_of_class = space != "value"
    parts = [tr("{method} for class {name}", method=name, name=class_name(meta, target)) if is_of_class else name]
    if "outputs" in arrays:
        parts.append(f"{space} {_rounded(arrays['outputs'][0])}")
    if "base_values" in arrays:
        parts[-1] = tr("{told} from {base}", told=parts[-1], base=_rounded(arrays["base_values"][0]))
    if meta.get("layer"):
        parts.append(tr("layer {name}", name=meta["layer"]))
    return plain_text(listed(parts), 160)


def names_of(artifact: Artifact, count: int) -> list[str]:
    """The names of `count` words or columns, as stored; their numbers where they have none."""
    names = artifact.meta.get("names")
    if isinstance(names, list) and len(names) == count:
        return [str(name) for name in names]
    return [f"#{place}" for place in range(count)]


def _rounded(value: float | np.floating[Any]) -> str:
    return number(float(f"{float(value):.4g}"))


def answer(arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any], sample: int) -> str:
    """What is right for a stored sample: a class's name, those of what a picture shows, a number; "" where none is."""
    task = (meta.get("form") or {}).get("task", "classification")
    if task in ("generation", "control"):
        return ""
    target = (arrays["targets"] if "targets" in arrays else arrays["labels"])[sample]
    if task == "regression":
        return _rounded(target)
    if task == "detection":
        found = sorted({int(box[0]) for box in target if box[0] >= 0})
        return plain_text(listed(class_name(meta, one) for one in found), 60)
    return class_name(meta, int(target))

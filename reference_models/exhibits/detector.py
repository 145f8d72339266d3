"""A one-stage detector with anchors (Lin et al. 2017, "Focal loss for dense object detection"), small enough for a CPU.

It shows what changes when an answer is a list: the outputs are 128 anchors' boxes and class logits, the loss first
decides which anchor is to find what, and the score is mean average precision. What is explained is the highest logit
of a class over all anchors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchglass.reference_models.data.shapes_several import load_several_shapes
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import SWITCHES, Recipe

if TYPE_CHECKING:
    from torch import nn

# Jittered pictures would leave their boxes behind, and every logit has its own target, so there is nothing to smooth.
NOT_HONOURED = frozenset({"augment", "label_smoothing", "dropout"})


def build_detector(blueprint: Blueprint) -> nn.Module:
    """Build the detector: (N, 3, H, W) pictures in 0..1 to (N, anchors, 4 + classes)."""
    from torchglass.reference_models.networks.detector import Detector

    return Detector(blueprint.form.outputs)


def best_of_each_class(detector: nn.Module) -> nn.Module:
    """Wrap the detector as a classifier of what there is in a picture, wherever it is."""
    from torchglass.reference_models.networks.detector import BestOfEachClass

    return BestOfEachClass(detector)


EXHIBIT = ReferenceModel(
    name="detector",
    title="One-stage detector",
    summary="Finds and names up to four shapes in a picture: anchors, focal loss, and non-maximum suppression.",
    builder=build_detector,
    sources=(
        DataSource(
            "several_shapes",
            load_several_shapes,
            Recipe(epochs=6, batch_size=32, learning_rate=4e-3, weight_decay=0.01, cpu_threads=1),
        ),
    ),
    bar=QualityBar("test/map50", 0.8),
    explain=ExplainTarget(methods=("gradcam", "shap", "lime"), layer="backbone.5.2", scorer=best_of_each_class),
    switches=frozenset({*SWITCHES, "amp", "compile", "ddp"} - NOT_HONOURED),
)

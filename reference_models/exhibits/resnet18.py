"""ResNet-18 on shapes whose class-deciding pixels are known, with and without a shortcut, and on CIFAR-10.

Grad-CAM reads layer3, 4x4 places of a 64x64 picture: it points at the shape more often than layer1 or layer2, and the
2x2 places of layer4 cannot point at all.
networks/resnet.py describes the network and how published weights are loaded into it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torchglass.reference_models.data.cifar import load_cifar10_split
from torchglass.reference_models.data.shapes import load_shapes
from torchglass.reference_models.data.shapes_shortcut import load_shapes_shortcut
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


def build_resnet18(blueprint: Blueprint) -> nn.Module:
    """Build ResNet-18: pictures (N, C, H, W) in 0..1 to (N, classes) logits, 11,179,590 parameters for six classes."""
    from torchglass.reference_models.networks.resnet import RESNET18, resnet_for

    return resnet_for(RESNET18, blueprint.form, blueprint.path)


SHAPES_RECIPE = Recipe(epochs=5, batch_size=32, learning_rate=5e-4, weight_decay=0.05, augment=True)
CIFAR_RECIPE = replace(SHAPES_RECIPE, epochs=20, batch_size=128, learning_rate=1e-3, label_smoothing=0.1)

EXHIBIT = ReferenceModel(
    name="resnet18",
    title="ResNet-18",
    summary="Eighteen layers whose blocks add to what they are given: the network that made depth easy.",
    builder=build_resnet18,
    sources=(
        DataSource("shapes", load_shapes, SHAPES_RECIPE),
        DataSource("shapes_shortcut", load_shapes_shortcut, SHAPES_RECIPE),
        DataSource("cifar10", load_cifar10_split, CIFAR_RECIPE, needs="network"),
    ),
    bar=QualityBar("test/accuracy", 0.95),
    explain=ExplainTarget(methods=("gradcam", "integrated_gradients", "lime", "shap"), layer="layer3"),
    takes_path=True,
)

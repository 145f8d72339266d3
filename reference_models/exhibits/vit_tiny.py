"""A vision transformer small enough for two CPU cores, on shapes whose class-deciding pixels are known.

Its stem is a small convolutional network, so strictly it is a hybrid: 6,000 pictures teach a transformer on patches
alone what an edge is only after many more epochs than two cores have time for. networks/vit.py describes the network.
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


def build_vit_tiny(blueprint: Blueprint) -> nn.Module:
    """Build the transformer: pictures (N, C, H, W) in 0..1 to (N, classes) logits, 4 blocks of 64 channels.

    A picture of 64x64 pixels becomes 8x8 tokens; one of 32x32, half as far cut down, as many.
    """
    from torchglass.reference_models.networks.vit import Plan, VisionTransformer

    channels, height, width = blueprint.form.shape
    patch = 8 if min(height, width) >= 64 else 4
    plan = Plan(patch=patch, dim=64, depth=4, heads=4, hidden=2, stem="convolutions")
    return VisionTransformer(plan, (channels, height, width), blueprint.form.outputs, blueprint.dropout or 0.0)


SHAPES_RECIPE = Recipe(epochs=12, batch_size=32, learning_rate=2e-3, weight_decay=0.05, augment=True)
CIFAR_RECIPE = replace(SHAPES_RECIPE, epochs=30, batch_size=128, label_smoothing=0.1)

EXHIBIT = ReferenceModel(
    name="vit_tiny",
    title="ViT-Tiny",
    summary="A vision transformer of four blocks: patches become tokens that look at each other.",
    builder=build_vit_tiny,
    sources=(
        DataSource("shapes", load_shapes, SHAPES_RECIPE),
        DataSource("shapes_shortcut", load_shapes_shortcut, SHAPES_RECIPE),
        DataSource("cifar10", load_cifar10_split, CIFAR_RECIPE, needs="network"),
    ),
    bar=QualityBar("test/accuracy", 0.90),
    explain=ExplainTarget(
        methods=("gradcam", "attention_rollout", "integrated_gradients", "lime", "shap"), layer="maps"
    ),
    dropout=0.0,
)

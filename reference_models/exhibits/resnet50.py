"""ResNet-50: trained as ResNet-18 is, on the same data, in another network.

networks/resnet.py describes the network and how published weights are loaded into it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torchglass.reference_models.exhibit import Blueprint
from torchglass.reference_models.exhibits import resnet18

if TYPE_CHECKING:
    from torch import nn


def build_resnet50(blueprint: Blueprint) -> nn.Module:
    """Build ResNet-50: pictures (N, C, H, W) in 0..1 to (N, classes) logits, 23,520,326 parameters for six classes."""
    from torchglass.reference_models.networks.resnet import RESNET50, resnet_for

    return resnet_for(RESNET50, blueprint.form, blueprint.path)


EXHIBIT = replace(
    resnet18.EXHIBIT,
    name="resnet50",
    title="ResNet-50",
    summary="Fifty layers in bottleneck blocks: the yardstick of picture classifiers and of training machines.",
    builder=build_resnet50,
)

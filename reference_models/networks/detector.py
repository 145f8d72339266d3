"""A one-stage detector: one convolutional pass answers for every anchor of a grid (RetinaNet's idea, on one scale)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from torchglass.reference_models.tasks.anchors import ANCHOR_SIDES

# Output channels and stride of each block. The strides multiply to the anchors' stride, and the last map sees 63
# pixels, more than twice the widest shape.
BLOCKS = ((24, 2), (48, 2), (64, 1), (96, 2), (96, 1), (128, 1))
PRIOR = (
    0.01  # what the untrained model gives as probability of any class, so that empty anchors cost little (RetinaNet)
)


class Detector(nn.Module):
    """Map pictures (N, 3, H, W) in 0..1 to (N, A, 4 + classes): each anchor's box answers and class logits.

    H and W are multiples of the stride; anchors come in the order of `tasks.anchors.anchor_grid`.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        channels = [3, *(width for width, _ in BLOCKS)]
        self.backbone = nn.Sequential(
            *(block(channels[place], width, stride) for place, (width, stride) in enumerate(BLOCKS))
        )
        self.head = nn.Conv2d(channels[-1], len(ANCHOR_SIDES) * (4 + classes), kernel_size=1)
        nn.init.normal_(self.head.weight, std=0.01)
        one_anchor = torch.cat([torch.zeros(4), torch.full((classes,), math.log(PRIOR / (1 - PRIOR)))])
        self.head.bias = nn.Parameter(one_anchor.repeat(len(ANCHOR_SIDES)))

    def forward(self, pictures: Tensor) -> Tensor:
        answers: Tensor = self.head(self.backbone(2 * pictures - 1))
        return answers.permute(0, 2, 3, 1).reshape(len(pictures), -1, 4 + self.classes)


class BestOfEachClass(nn.Module):
    """Map pictures to (N, classes): the highest logit of each class over all anchors, "is there one anywhere?"."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pictures: Tensor) -> Tensor:
        answers: Tensor = self.detector(pictures)
        return answers[..., 4:].amax(dim=1)


def block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Build a 3x3 convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )

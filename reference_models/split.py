"""A data set as tensors, split into what is trained on and what is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torchglass.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W) float32 in 0..1 and labels (N,) int64, for training and for the test, on the CPU."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def __post_init__(self) -> None:
        for part, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            if len(images) != len(labels) or len(labels) == 0:
                raise DataError(
                    f"the {part} set has {len(images)} images and {len(labels)} labels: it needs as many labels as "
                    "images, and at least one"
                )

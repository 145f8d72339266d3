"""Shapes on clutter: generated pictures of one shape each, whose class is decided by pixels that are known.

docs/data.md describes the set, its truth and how hard it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split
from torchglass.reference_models.data.shapes_outlines import CLASS_NAMES
from torchglass.reference_models.data.shapes_parts import ShapesPart, ShapesSet, load_part
from torchglass.reference_models.data.shapes_scenes import Room

if TYPE_CHECKING:
    from torch import Tensor

SIDE_PIXELS = 64
TRAIN_PICTURES = 6000
TEST_PICTURES = 1200  # 200 of each class: one mistake is 0.08 points of accuracy
ONE_SHAPE = Room(side=SIDE_PIXELS, fewest=1, most=1, areas=(400.0, 900.0))  # 10 to 22 % of the picture
FORM = DataForm("pictures", "classification", (3, SIDE_PIXELS, SIDE_PIXELS), CLASS_NAMES)


def load_shapes(request: DataRequest) -> Split:
    """Load pictures (N, 3, 64, 64), their classes (N,) and as truth (N, 64, 64) the pixels of the shape."""
    return shapes_split(request, TRAIN_PICTURES, TEST_PICTURES)


def shapes_split(request: DataRequest, train: int, test: int) -> Split:
    """Load as many pictures as asked; they are the first ones of a larger set with the same seed."""
    shapes = ShapesSet("shapes", 0, ONE_SHAPE, train, test)
    return Split(
        form=FORM,
        train=one_shape_samples(load_part(shapes, "train", request)),
        test=one_shape_samples(load_part(shapes, "test", request)),
    )


def one_shape_samples(part: ShapesPart) -> Samples:
    """Return a part with one shape in each picture as samples to classify."""
    import torch

    classes = torch.from_numpy(part.boxes[:, 0, 0]).long()
    return Samples(scaled(part), classes, torch.from_numpy(part.truth))


def scaled(part: ShapesPart) -> Tensor:
    """Return a part's pictures in 0..1; times 255 each value is whole."""
    import torch

    return torch.from_numpy(part.pictures).float().div_(255)

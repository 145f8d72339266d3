"""Several shapes on clutter: one to four in a picture, to be found and named."""

from __future__ import annotations

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split
from torchglass.reference_models.data.shapes import SIDE_PIXELS, scaled
from torchglass.reference_models.data.shapes_outlines import CLASS_NAMES
from torchglass.reference_models.data.shapes_parts import ShapesPart, ShapesSet, load_part
from torchglass.reference_models.data.shapes_scenes import Room

TRAIN_PICTURES = 4000
TEST_PICTURES = 600  # about 1,500 shapes, 250 of each class
UP_TO_FOUR_SHAPES = Room(side=SIDE_PIXELS, fewest=1, most=4, areas=(90.0, 260.0))  # boxes of 10 to 29 pixels
FORM = DataForm("pictures", "detection", (3, SIDE_PIXELS, SIDE_PIXELS), CLASS_NAMES)


def load_several_shapes(request: DataRequest) -> Split:
    """Load pictures (N, 3, 64, 64), the boxes of their shapes (N, 4, 5) and as truth the pixels of all shapes."""
    return several_shapes_split(request, TRAIN_PICTURES, TEST_PICTURES)


def several_shapes_split(request: DataRequest, train: int, test: int) -> Split:
    """Load as many pictures as asked; they are the first ones of a larger set with the same seed."""
    shapes = ShapesSet("several-shapes", 1, UP_TO_FOUR_SHAPES, train, test)
    return Split(
        form=FORM,
        train=several_shapes_samples(load_part(shapes, "train", request)),
        test=several_shapes_samples(load_part(shapes, "test", request)),
    )


def several_shapes_samples(part: ShapesPart) -> Samples:
    """Return a part as samples whose targets are boxes."""
    import torch

    return Samples(scaled(part), torch.from_numpy(part.boxes), torch.from_numpy(part.truth))

"""Draw the training and the test part of a set of shapes: by the seed alone, in blocks, each from its own stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from torchglass.reference_models.data.cache import cache_folder
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.shapes_cache import Arrays, kept
from torchglass.reference_models.data.shapes_clutter import draw_clutter
from torchglass.reference_models.data.shapes_drawing import Drawn, boxes, paint
from torchglass.reference_models.data.shapes_scenes import Room, Scenes, arrange
from torchglass.reference_models.progress import Bar, bar

Part = Literal["train", "test"]

VERSION = 3  # of the drawing: a change of one pixel is a new version, so that no older file is taken for it
BLOCK = 240  # pictures drawn at once, a multiple of six classes: 12 MB of floats; whole blocks, cut at the end
PART_STREAMS: dict[Part, int] = {"train": 0, "test": 1}
SCENE_STREAM, CLUTTER_STREAM = 0, 1


@dataclass(frozen=True)
class ShapesSet:
    """A set of pictures to be drawn: its name, a number for its random streams, how pictures are filled, how many."""

    name: str
    stream: int
    room: Room
    train: int
    test: int

    def count(self, part: Part) -> int:
        """Return the number of pictures in a part."""
        return self.train if part == "train" else self.test


@dataclass(frozen=True, eq=False)
class ShapesPart:
    """`pictures` (N, 3, H, W) uint8, `boxes` (N, M, 5) float32 as in `Samples`, `truth` (N, H, W) bool: the pixels."""

    pictures: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    truth: npt.NDArray[np.bool_]


def load_part(shapes: ShapesSet, part: Part, request: DataRequest) -> ShapesPart:
    """Return a part from the cache folder `shapes`, drawn and kept there the first time."""
    count, side = shapes.count(part), shapes.room.side
    layout = {
        "pictures": ((count, 3, side, side), "|u1"),
        "boxes": ((count, shapes.room.most, 5), "<f4"),
        "truth": ((count, side, side), "|b1"),
    }
    name = f"{shapes.name}-v{VERSION}-{part}-{count}-seed{request.seed}.npz"
    path = cache_folder("shapes", request.cache) / name

    def make() -> Arrays:
        with bar(f"drawing {shapes.name}, {part}", count, "picture", show=request.progress, stays=False) as drawn:
            made = draw_part(shapes, part, request.seed, drawn)
        return {"pictures": made.pictures, "boxes": made.boxes, "truth": made.truth}

    arrays = kept(path, layout, make)
    return ShapesPart(**arrays)  # type: ignore[arg-type]  # the layout says their dtypes


def draw_part(shapes: ShapesSet, part: Part, seed: int, progress: Bar) -> ShapesPart:
    """Draw a part; picture i depends on the seed, the part and i, not on how many are drawn."""
    count = shapes.count(part)
    blocks: list[ShapesPart] = []
    for block in range(-(-count // BLOCK)):
        scenes, drawn = draw_block(shapes, part, seed, block)
        blocks.append(ShapesPart(drawn.pictures, boxes(scenes.classes, drawn.touched), np.any(drawn.touched, axis=1)))
        progress.update(min(BLOCK, count - block * BLOCK))
    return ShapesPart(
        pictures=np.concatenate([block.pictures for block in blocks])[:count],
        boxes=np.concatenate([block.boxes for block in blocks])[:count],
        truth=np.concatenate([block.truth for block in blocks])[:count],
    )


def draw_block(
    shapes: ShapesSet, part: Part, seed: int, block: int, clutter_seed: int | None = None
) -> tuple[Scenes, Drawn]:
    """Draw one block; another `clutter_seed` lays the same scenes on other backgrounds."""
    place = (shapes.stream, PART_STREAMS[part], block)
    background = seed if clutter_seed is None else clutter_seed
    scenes = arrange(stream(seed, *place, SCENE_STREAM), BLOCK, shapes.room)
    return scenes, paint(scenes, draw_clutter(stream(background, *place, CLUTTER_STREAM), BLOCK, shapes.room.side))


def stream(seed: int, *place: int) -> np.random.Generator:
    """Return the random stream of one place of a data set; streams of different places are independent."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place)))

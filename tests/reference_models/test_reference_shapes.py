"""Shapes on clutter: drawn by the seed alone, and the truth is exactly what was painted."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.data.shapes import ONE_SHAPE, shapes_split
from torchglass.reference_models.data.shapes_clutter import draw_clutter
from torchglass.reference_models.data.shapes_outlines import OUTLINES
from torchglass.reference_models.data.shapes_parts import BLOCK, VERSION, ShapesSet, draw_block
from torchglass.reference_models.data.shapes_scenes import Room, arrange
from torchglass.reference_models.data.shapes_several import several_shapes_split

SHAPES = ShapesSet("shapes", 0, ONE_SHAPE, BLOCK, BLOCK)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shapes")


@pytest.fixture(scope="module")
def split(cache: Path) -> Split:
    return shapes_split(DataRequest(seed=3, cache=cache), BLOCK, 60)


@pytest.fixture(scope="module")
def several(cache: Path) -> Split:
    return several_shapes_split(DataRequest(seed=3, cache=cache), BLOCK, 60)


def truth_of(split: Split) -> torch.Tensor:
    assert split.train.truth is not None
    return split.train.truth


def as_set(pictures: torch.Tensor) -> set[bytes]:
    return {picture.numpy().tobytes() for picture in pictures}


def test_pictures_are_floats_whose_255fold_is_whole(split: Split) -> None:
    assert split.train.inputs.shape == (BLOCK, *split.form.shape)
    assert split.train.inputs.dtype == torch.float32
    bytes_ = (split.train.inputs * 255).round().to(torch.uint8)
    assert torch.equal(bytes_.float() / 255, split.train.inputs)
    assert bytes_.min() == 0
    assert bytes_.max() == 255


def test_every_class_is_as_frequent_as_any_other(split: Split) -> None:
    assert torch.bincount(split.train.targets).tolist() == [BLOCK // 6] * 6


def test_the_same_seed_draws_the_same_pictures_bit_for_bit_and_another_seed_others(
    split: Split, tmp_path: Path
) -> None:
    again = shapes_split(DataRequest(seed=3, cache=tmp_path), BLOCK, 60)
    other = shapes_split(DataRequest(seed=4, cache=tmp_path), BLOCK, 60)
    assert torch.equal(again.train.inputs, split.train.inputs)
    assert torch.equal(again.test.targets, split.test.targets)
    assert torch.equal(truth_of(again), truth_of(split))
    assert not as_set(other.train.inputs) & as_set(split.train.inputs)
    assert not torch.equal(other.train.targets, split.train.targets)


def test_a_smaller_set_is_the_beginning_of_a_larger_one(split: Split, tmp_path: Path) -> None:
    fewer = shapes_split(DataRequest(seed=3, cache=tmp_path), 7, 5)
    assert torch.equal(fewer.train.inputs, split.train.inputs[:7])
    assert torch.equal(fewer.test.targets, split.test.targets[:5])


def test_no_picture_background_or_place_of_the_test_is_in_training(split: Split) -> None:
    assert not as_set(split.train.inputs) & as_set(split.test.inputs)
    (train_scenes, train), (test_scenes, test) = (draw_block(SHAPES, part, 3, 0) for part in ("train", "test"))
    assert not set(train_scenes.x.ravel().tolist()) & set(test_scenes.x.ravel().tolist())
    outside = ~train.touched.any(axis=1) & ~test.touched.any(axis=1)
    same = (train.pictures == test.pictures).all(axis=1)[outside].mean()
    assert same < 0.001


def test_another_background_keeps_the_class_and_every_pixel_of_the_truth() -> None:
    (scenes, drawn), (scenes_again, other) = (draw_block(SHAPES, "train", 3, 0, clutter) for clutter in (3, 99))
    assert np.array_equal(scenes.classes, scenes_again.classes)
    assert np.array_equal(drawn.touched, other.touched)
    assert (drawn.pictures != other.pictures).mean() > 0.9


def test_the_drawing_is_that_of_its_version(several: Split) -> None:
    """A change of the drawing is a new `VERSION`, or files of the old one are taken for it."""
    assert VERSION == 3
    assert several.train.targets[0, :2].int().tolist() == [[3, 13, 34, 34, 54], [3, 14, 6, 36, 31]]
    assert several.train.inputs[:20].mean().item() == pytest.approx(0.488415, abs=1e-4)


def test_pixels_outside_the_truth_are_the_background_and_most_inside_are_not() -> None:
    place = (SHAPES.stream, 0, 0, 1)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(3, spawn_key=place)))
    background = np.rint(draw_clutter(random, BLOCK, 64) * np.float32(255)).astype(np.uint8)
    _, drawn = draw_block(SHAPES, "train", 3, 0)
    changed = (drawn.pictures != background).any(axis=1)
    truth = drawn.touched.any(axis=1)
    assert not (changed & ~truth).any()
    assert changed[truth].mean() > 0.97  # a trace of an edge may round to nothing


def test_no_class_covers_more_pixels_than_another(split: Split) -> None:
    covered = truth_of(split).flatten(1).sum(dim=1).double()
    means = torch.stack([covered[split.train.targets == label].mean() for label in range(6)])
    assert means.max() / means.min() < 1.25  # by chance and by the edges: at one radius a disc covers 2.4 stars
    assert 0.08 < float(covered.mean()) / 64**2 < 0.25


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outlines_area_is_that_of_its_inside_and_its_farthest_point_is_at_radius_one(name: str) -> None:
    outline = OUTLINES[name]
    axis = (np.arange(800, dtype=np.float32) + 0.5) / 400 - 1
    x, y = (grid.astype(np.float32) for grid in np.meshgrid(axis, axis))
    inside = outline.distance(x, y) < 0
    assert inside.mean() * 4 == pytest.approx(outline.area, rel=0.005)
    assert np.hypot(x, y)[inside].max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outlines_distance_grows_by_one_per_unit_across_its_edge(name: str) -> None:
    axis = (np.arange(800, dtype=np.float32) + 0.5) / 400 - 1
    x, y = (grid.astype(np.float32) for grid in np.meshgrid(axis, axis))
    distance = OUTLINES[name].distance(x, y)
    slope = np.hypot(*np.gradient(distance, axis, axis))
    at_edge = np.abs(distance) < 0.01
    assert np.median(slope[at_edge]) == pytest.approx(1, abs=0.01)


def test_boxes_are_the_tight_frames_of_what_was_painted(several: Split) -> None:
    truth = truth_of(several)
    for picture in range(40):
        framed = torch.zeros(64, 64, dtype=torch.bool)
        for label, x0, y0, x1, y1 in several.train.targets[picture].int().tolist():
            if label < 0:
                continue
            inside = truth[picture, y0:y1, x0:x1]
            assert inside.any(dim=0)[[0, -1]].all(), "the outer columns are painted"
            assert inside.any(dim=1)[[0, -1]].all(), "the outer rows are painted"
            framed[y0:y1, x0:x1] = True
        assert not (truth[picture] & ~framed).any()


def test_pictures_hold_one_to_four_shapes_which_never_meet(several: Split) -> None:
    there = several.train.targets[..., 0] >= 0
    assert set(there.sum(dim=1).tolist()) == {1, 2, 3, 4}
    assert (several.train.targets[~there][:, 1:] == 0).all()
    scenes = arrange(np.random.default_rng(0), 500, Room(64, 4, 4, (90.0, 260.0)))
    for first in range(4):
        for second in range(first):
            apart = np.hypot(scenes.x[:, first] - scenes.x[:, second], scenes.y[:, first] - scenes.y[:, second])
            both = (scenes.classes[:, first] >= 0) & (scenes.classes[:, second] >= 0)
            assert (apart > scenes.radius[:, first] + scenes.radius[:, second])[both].all()


def test_circumscribed_circles_lie_within_the_picture() -> None:
    scenes = arrange(np.random.default_rng(0), 2000, ONE_SHAPE)
    for centre in (scenes.x, scenes.y):
        assert (centre - scenes.radius).min() >= 0.99
        assert (centre + scenes.radius).max() <= 63.01
    assert scenes.turn.max() > 0.99 * 2 * math.pi

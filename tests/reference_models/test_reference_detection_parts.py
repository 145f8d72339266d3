"""The parts of detecting: overlap, suppression, anchors, average precision; each judged by hand or by a slow twin."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from torchglass.reference_models.tasks.anchors import (
    ANCHOR_SIDES,
    BACKGROUND,
    LEFT_ALONE,
    STRIDE_PIXELS,
    anchor_grid,
    assigned,
    decoded,
)
from torchglass.reference_models.tasks.average_precision import average_precision, matched
from torchglass.reference_models.tasks.boxes import generalized_iou, intersection_over_union, not_suppressed

Box = tuple[float, float, float, float]


def random_boxes(*shape: int, seed: int = 0, extent: int = 20) -> Tensor:
    """Draw boxes with whole corners, 1 to `extent` wide, so that pixels can be counted."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 30, (*shape, 2), generator=generator)
    size = torch.randint(1, extent + 1, (*shape, 2), generator=generator)
    return torch.cat([corner, corner + size], dim=-1).float()


def pixels(box: Tensor) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = (int(each) for each in box)
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def test_iou_is_what_counting_pixels_gives() -> None:
    first, second = random_boxes(40, seed=1), random_boxes(40, seed=2)
    counted = [len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b)) for a, b in zip(first, second, strict=True)]
    assert intersection_over_union(first, second).tolist() == pytest.approx(counted)
    assert 0 < sum(each > 0 for each in counted) < 40, "boxes that meet and boxes that do not"


def test_iou_broadcasts_and_an_empty_box_overlaps_with_nothing() -> None:
    boxes = random_boxes(5)
    table = intersection_over_union(boxes[:, None], boxes[None])
    assert torch.equal(table, table.T)
    assert torch.equal(table.diagonal(), torch.ones(5))
    empty = torch.tensor([3.0, 3, 3, 3])
    assert intersection_over_union(empty, empty) == 0


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((0, 0, 4, 4), 1.0),
        ((2, 0, 6, 4), 8 / 24),  # the hull is the union
        ((2, 2, 6, 6), 4 / 28 - (36 - 28) / 36),
        ((6, 0, 10, 4), 0 - (40 - 32) / 40),
        ((96, 96, 100, 100), 0 - (10000 - 32) / 10000),
    ],
)
def test_generalized_iou_by_hand(second: Box, expected: float) -> None:
    first = torch.tensor([0.0, 0, 4, 4])
    assert generalized_iou(first, torch.tensor(second)).item() == pytest.approx(expected)


def test_generalized_iou_pulls_together_boxes_that_do_not_meet() -> None:
    box, other = torch.tensor([10.0, 10, 14, 14]), torch.tensor([0.0, 10, 4, 14])
    shift = torch.zeros(1, requires_grad=True)
    moved = box + torch.cat([shift, torch.zeros(1), shift, torch.zeros(1)])
    (towards,) = torch.autograd.grad(generalized_iou(moved, other), shift)
    assert towards < 0, "further left is better"
    assert intersection_over_union(box, other) == intersection_over_union(box + 1, other) == 0


def greedy_suppression(boxes: Tensor, classes: Tensor, threshold: float) -> list[bool]:
    """Keep a box unless a better one of its class that was kept overlaps it: one picture, one pair at a time."""
    kept: list[int] = []
    for each in range(len(boxes)):
        rivals = [other for other in kept if classes[other] == classes[each]]
        if all(intersection_over_union(boxes[other], boxes[each]) <= threshold for other in rivals):
            kept.append(each)
    return [each in kept for each in range(len(boxes))]


def test_suppression_of_a_batch_is_that_of_each_picture_and_each_pair() -> None:
    boxes = random_boxes(6, 25, seed=3)
    classes = torch.randint(0, 2, (6, 25), generator=torch.Generator().manual_seed(4))
    stays = not_suppressed(boxes, classes, 0.3)
    assert stays.tolist() == [greedy_suppression(*each, 0.3) for each in zip(boxes, classes, strict=True)]
    assert 0.2 < stays.double().mean() < 0.9


def test_a_box_that_was_removed_removes_none() -> None:
    row = torch.tensor([[[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]])  # IoU 6/14 with the next, 2/18 beyond
    one_class = torch.zeros(1, 3, dtype=torch.int64)
    assert not_suppressed(row, one_class, 0.4).tolist() == [[True, False, True]]
    assert not_suppressed(row, torch.tensor([[0, 1, 1]]), 0.4).tolist() == [[True, True, False]]


def test_anchors_lie_around_the_centres_of_cells_row_by_row() -> None:
    anchors = anchor_grid(16, 24)
    assert anchors.shape == (2 * 3 * len(ANCHOR_SIDES), 4)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    half = STRIDE_PIXELS / 2
    assert centres[:: len(ANCHOR_SIDES)].tolist() == [
        [half + column * STRIDE_PIXELS, half + row * STRIDE_PIXELS] for row in range(2) for column in range(3)
    ]
    assert (anchors[:2, 2] - anchors[:2, 0]).tolist() == list(ANCHOR_SIDES)


def test_decoding_shifts_by_sides_and_grows_by_logarithms() -> None:
    anchor = torch.tensor([[10.0, 20, 20, 40]])  # 10 wide and 20 high around (15, 30)
    assert decoded(torch.zeros(1, 4), anchor).tolist() == anchor.tolist()
    answer = torch.tensor([[0.5, -0.25, math.log(2), math.log(0.5)]])
    assert decoded(answer, anchor)[0].tolist() == pytest.approx([10, 20, 30, 30], rel=1e-5)


def test_a_wild_answer_stays_finite() -> None:
    box = decoded(torch.tensor([[0.0, 0, 1e4, 1e4]]), torch.tensor([[0.0, 0, 10, 10]]))
    assert (box[0, 2] - box[0, 0]).item() == pytest.approx(40)


def test_an_anchor_is_to_find_the_box_it_overlaps_most_or_nothing_or_is_left_alone() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [2, 0, 12, 10], [40, 40, 50, 50], [0, 0, 30, 30]])
    targets = torch.tensor([[[2.0, 1, 0, 11, 10], [-1, 0, 0, 0, 0], [4, 41, 41, 51, 51], [1, 7, 0, 17, 10]]])
    # Overlaps: anchor 0: 9/11 with box 0; 1: 8/12 with box 3 and 6/14 with box 0; 2: 9/11 with box 0; 3: 81/119 with
    # box 2; 4: 1/9 with two boxes.
    assert assigned(anchors, targets)[0].tolist() == [0, 3, 0, 2, BACKGROUND]
    between = torch.tensor([[0.0, 0, 10, 10], [4.5, 0, 14.5, 10]])  # the second: 5.5/14.5 = 0.38 of the box
    only = torch.tensor([[[0.0, 0, 0, 10, 10]]])
    assert assigned(between, only)[0].tolist() == [0, LEFT_ALONE]


def test_each_box_gets_an_anchor_however_little_they_overlap_and_no_box_gets_none() -> None:
    anchors = anchor_grid(64, 64)
    targets = torch.tensor([[[0.0, 1, 1, 4, 4], [1, 50, 50, 53, 55]], [[-1.0, 0, 0, 0, 0], [-1, 0, 0, 0, 0]]])
    found = assigned(anchors, targets)
    assert sorted(found[0][found[0] >= 0].tolist()) == [0, 1]
    assert (found[1] == BACKGROUND).all()


def findings(*rows: tuple[float, ...]) -> npt.NDArray[np.float32]:
    return np.array([rows], dtype=np.float32)


A, B, FAR = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60)


def test_a_true_box_is_found_once_and_the_better_score_has_it() -> None:
    found = findings((0, 0.9, *A), (0, 0.8, 1, 0, 11, 10), (0, 0.7, *B), (1, 0.6, *B), (-1, 0, 0, 0, 0, 0))
    true = findings((0, *B), (0, *A), (-1, 0, 0, 0, 0))
    assert matched(found, true, 0.5).tolist() == [[1, -1, 0, -1, -1]]


def test_a_finding_takes_the_next_best_box_when_its_best_is_taken() -> None:
    found = findings((0, 0.9, 0, 0, 10, 10), (0, 0.8, 1, 0, 11, 10))
    true = findings((0, 0, 0, 10, 10), (0, 4, 0, 14, 10))  # IoU with the second: 7/13
    assert matched(found, true, 0.5).tolist() == [[0, 1]]


def test_the_overlap_counts_from_the_threshold_on() -> None:
    found, true = findings((0, 0.9, 0, 0, 10, 10)), findings((0, 0, 0, 10, 20))
    assert matched(found, true, 0.5).tolist() == [[0]]
    assert matched(found, true, 0.51).tolist() == [[-1]]


def test_classes_may_be_left_aside() -> None:
    found, true = findings((3, 0.9, *A)), findings((1, *A))
    assert matched(found, true, 0.5).tolist() == [[-1]]
    assert matched(found, true, 0.5, same_class=False).tolist() == [[0]]


@pytest.mark.parametrize(
    ("right", "true_boxes", "expected"),
    [
        ([1, 1, 1], 3, 1.0),
        ([1, 0, 1], 2, (1 + 2 / 3) / 2),
        ([0, 1, 1, 0], 4, (2 / 3 + 2 / 3) / 4),  # precision 1/2 at the first hit is lifted to the 2/3 beyond it
        ([1, 0, 0, 1, 1, 0, 1], 5, (1 + 3 * 0.6) / 5 - 0.6 / 5 + (4 / 7) / 5),
        ([0, 0], 3, 0.0),
        ([], 3, 0.0),
    ],
)
def test_average_precision_by_hand(right: list[int], true_boxes: int, expected: float) -> None:
    scores = np.linspace(0.9, 0.1, len(right))
    shuffled = np.random.default_rng(0).permutation(len(right))
    value = average_precision(scores[shuffled], np.array(right, dtype=bool)[shuffled], true_boxes)
    assert value == pytest.approx(expected)


def test_a_class_that_never_occurs_has_no_average_precision() -> None:
    assert average_precision(np.array([0.5]), np.array([False]), 0) is None


def area_under_the_curve(scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], true_boxes: int) -> float:
    """Add up, hit by hit, the best precision at that recall or any higher one, over every threshold."""
    points = []
    for threshold in scores:
        chosen = scores >= threshold
        points.append((right[chosen].sum() / true_boxes, right[chosen].mean()))
    steps = sorted({recall for recall, _ in points if recall > 0})
    best = [max(precision for recall, precision in points if recall >= step) for step in steps]
    return float(sum(width * height for width, height in zip(np.diff([0.0, *steps]), best, strict=True)))


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_the_area_that_a_slow_reader_measures(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, right = random.permutation(60) / 60, random.random(60) < 0.6
    value = average_precision(scores, right, int(right.sum()) + 7)
    assert value == pytest.approx(area_under_the_curve(scores, right, int(right.sum()) + 7))

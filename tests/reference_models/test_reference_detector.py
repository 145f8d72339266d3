"""The detector: its loss, its findings, its scores, and that a short training finds shapes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_lessons import fit, lesson_of
from torch import Tensor

from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.data.shapes_several import FORM, several_shapes_split
from torchglass.reference_models.networks.detector import Detector
from torchglass.reference_models.tasks.anchors import BACKGROUND, LEFT_ALONE, anchor_grid, assigned
from torchglass.reference_models.tasks.boxes import generalized_iou, intersection_over_union
from torchglass.reference_models.tasks.choosing import task_for
from torchglass.reference_models.tasks.detection import Detection, detection_scores, focal_loss, make

CLASSES = 3
NO_BOX = [-1.0, 0, 0, 0, 0]


def task() -> Detection:
    return Detection(CLASSES, 32, 32)


def random_outputs(pictures: int, seed: int = 0) -> Tensor:
    shape = (pictures, len(task().anchors), 4 + CLASSES)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.3


def some_targets() -> Tensor:
    return torch.tensor(
        [
            [[0.0, 3, 3, 15, 16], [2, 17, 18, 31, 30]],
            [[1.0, 10, 5, 24, 20], NO_BOX],
            [NO_BOX, NO_BOX],
        ]
    )


def test_the_task_of_several_shapes_is_detection(tmp_path: Path) -> None:
    split = several_shapes_split(DataRequest(cache=tmp_path), 2, 2)
    chosen = task_for(split, get("detector").defaults)
    assert isinstance(chosen, Detection)
    assert chosen.anchors.shape == (128, 4)


def test_focal_loss_by_hand() -> None:
    logits, truth = torch.tensor([0.0, 0.0, 2.0, -3.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(3))
    expected = [
        0.25 * 0.5**2 * math.log(2),
        0.75 * 0.5**2 * math.log(2),
        0.25 * (1 - p) ** 2 * -math.log(p),
        0.75 * q**2 * -math.log(1 - q),
    ]
    assert focal_loss(logits, truth).tolist() == pytest.approx(expected)


def test_gradients_of_the_losses_are_those_of_finite_differences() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    truth = (torch.arange(15).reshape(5, 3) % 4 == 0).double()
    assert torch.autograd.gradcheck(focal_loss, (logits, truth))
    boxes = torch.tensor([[0.0, 0, 4, 5], [9, 9, 14, 12]], dtype=torch.float64, requires_grad=True)
    others = torch.tensor([[1.0, 2, 6, 6], [0, 1, 3, 4]], dtype=torch.float64)
    assert torch.autograd.gradcheck(generalized_iou, (boxes, others))


def test_the_gradient_of_the_whole_loss_is_that_of_finite_differences() -> None:
    outputs = random_outputs(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda each: task().loss(each, some_targets()), (outputs,), fast_mode=True)


def test_a_batchs_loss_is_the_mean_of_its_pictures_losses() -> None:
    outputs, targets = random_outputs(3), some_targets()
    alone = [task().loss(outputs[each, None], targets[each, None]).item() for each in range(3)]
    assert task().loss(outputs, targets).item() == pytest.approx(sum(alone) / 3)


@pytest.mark.parametrize(("fate", "counts"), [(LEFT_ALONE, False), (BACKGROUND, True)])
def test_what_an_anchor_says_that_is_left_alone_costs_nothing(fate: int, counts: bool) -> None:
    outputs, targets = random_outputs(3), some_targets()
    chosen = assigned(task().anchors, targets) == fate
    assert chosen.any()
    louder = outputs + 3.0 * chosen[..., None]
    assert torch.equal(task().loss(louder, targets), task().loss(outputs, targets)) is not counts


def test_places_without_a_box_weigh_nothing() -> None:
    outputs, targets = random_outputs(3), some_targets()
    padded = torch.cat([targets, torch.tensor(NO_BOX).expand(3, 2, 5)], dim=1)
    assert torch.equal(task().loss(outputs, padded), task().loss(outputs, targets))


def perfect_outputs(targets: Tensor) -> Tensor:
    """Answer each box exactly at the anchor whose centre is nearest, and nothing anywhere else."""
    anchors = task().anchors
    outputs = torch.zeros(len(targets), len(anchors), 4 + CLASSES)
    outputs[..., 4:] = -12.0
    centres, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    for picture, boxes in enumerate(targets):
        for label, *corners in boxes.tolist():
            if label < 0:
                continue
            box = torch.tensor(corners)
            centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
            nearest = int((centres - centre).abs().sum(dim=1).argmin())
            shift, growth = (centre - centres[nearest]) / sides[nearest], (size / sides[nearest]).log()
            outputs[picture, nearest, :4] = torch.cat([shift, growth])
            outputs[picture, nearest, 4 + int(label)] = 6.0
    return outputs


def test_findings_are_boxes_in_pixels_by_falling_score_and_then_nothing() -> None:
    found = task().findings(perfect_outputs(some_targets()))
    assert [int((each[:, 0] >= 0).sum()) for each in found] == [2, 1, 0]
    assert sorted(found[0, :2, 0].tolist()) == [0, 2]
    assert found[1, 0].tolist() == pytest.approx([1, 1 / (1 + math.exp(-6)), 10, 5, 24, 20], rel=1e-4)
    assert (found[2] == torch.tensor([-1.0, 0, 0, 0, 0, 0])).all()


def test_findings_are_cut_at_the_border_and_one_thing_is_named_once() -> None:
    outputs = perfect_outputs(some_targets())
    outputs[0, :, :4] = 0
    outputs[0, :, 4] = 3.0 + torch.arange(len(outputs[0])) / 100  # every anchor claims class 0
    found = task().findings(outputs)[0]
    boxes = found[found[:, 0] == 0][:, 2:]
    assert boxes.min() >= 0
    assert boxes.max() <= 32
    overlaps = intersection_over_union(boxes[:, None], boxes[None]).fill_diagonal_(0)
    assert overlaps.max() <= 0.45
    assert (found[1:, 1] <= found[:-1, 1]).all()


def test_perfect_answers_score_one_and_a_wrong_class_counts_in_the_confusion() -> None:
    targets = some_targets()
    tally = task().tally(torch.device("cpu"), train=False)
    tally.add(perfect_outputs(targets), targets, torch.tensor(0.5))
    scores = tally.read()
    for name in ("map50", "precision", "recall", "f1", "accuracy"):
        assert scores[name] == 1.0
    assert scores["loss"] == 0.5
    assert scores.arrays["detections"].shape == (3, 2, 6)

    named_wrongly = targets.clone()
    named_wrongly[0, 1, 0] = 1
    tally = task().tally(torch.device("cpu"), train=False)
    tally.add(perfect_outputs(named_wrongly), targets, torch.tensor(0.5))
    scores = tally.read()
    assert scores.arrays["confusion"].tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["recall"] == pytest.approx(2 / 3)
    precisions = scores.arrays["average_precision"].tolist()
    assert precisions[0] == 1.0
    assert precisions[2] == 0.0, "the box of class 2 was given to class 1"


def test_without_findings_the_scores_are_zero_and_there_is_no_calibration() -> None:
    true = some_targets().numpy()
    nothing = np.tile(np.array([-1.0, 0, 0, 0, 0, 0], dtype=np.float32), (3, 4, 1))
    scores = detection_scores(nothing, true, CLASSES)
    assert (scores["map50"], scores["recall"], scores["precision"]) == (0, 0, 0)
    assert "calibration_error" not in scores.values


def test_a_finding_of_a_low_score_has_its_rank_and_is_not_shown() -> None:
    found = np.tile(np.array([-1.0, 0, 0, 0, 0, 0], dtype=np.float32), (3, 2, 1))
    found[0] = [[0, 0.5, 3, 3, 15, 16], [2, 0.49, 17, 18, 31, 30]]
    found[2, 0] = [0, 0.4, 3, 3, 15, 16]  # where there is nothing
    scores = detection_scores(found, some_targets().numpy(), CLASSES)
    assert scores["map50"] == pytest.approx((1 + 0 + 1) / 3)
    assert (scores["precision"], scores["recall"], scores["f1"]) == pytest.approx((1, 1 / 3, 2 / (1 + 3)))
    assert scores.arrays["confusion"].sum() == 1


def test_a_class_that_does_not_occur_is_no_part_of_the_mean() -> None:
    targets = some_targets()[1:2]
    found = task().findings(perfect_outputs(targets)).numpy()
    scores = detection_scores(found, targets.numpy(), CLASSES)
    assert scores["map50"] == 1.0
    assert np.isnan(scores.arrays["average_precision"]).tolist() == [True, False, True]


def test_the_network_answers_in_the_order_of_the_anchors() -> None:
    model, maps = Detector(2).eval(), []
    model.head.register_forward_hook(lambda _module, _inputs, output: maps.append(output))
    with torch.no_grad():
        answers = model(torch.rand(3, 3, 64, 96))
    anchors = anchor_grid(64, 96)
    assert answers.shape == (3, len(anchors), 6)
    row, column, size = 5, 7, 1
    place = (row * 12 + column) * 2 + size
    assert ((anchors[place, :2] + anchors[place, 2:]) / 2).tolist() == [7 * 8 + 4, 5 * 8 + 4]
    assert torch.equal(answers[:, place], maps[0][:, 6 * size : 6 * size + 6, row, column])


def test_an_untrained_network_believes_in_nothing() -> None:
    with torch.no_grad():
        answers = Detector(6)(torch.rand(4, 3, 64, 64))
    assert answers[..., 4:].sigmoid().max() < 0.1


def test_what_is_explained_is_the_best_logit_of_each_class() -> None:
    exhibit = get("detector")
    model = exhibit.build(FORM).eval()
    assert exhibit.explain.scorer is not None
    scorer = exhibit.explain.scorer(model)
    pictures = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        table = scorer(pictures)
        assert table.shape == (3, 6)
        assert torch.equal(table[1], model(pictures)[1, :, 4:].amax(dim=0))
    assert exhibit.explain.layer in dict(model.named_modules())


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return several_shapes_split(DataRequest(cache=tmp_path_factory.mktemp("several")), 480, 120)


def test_a_short_training_lowers_the_loss_and_finds_shapes(split: Split) -> None:
    torch.manual_seed(0)
    model, task = Detector(6), make(split, get("detector").defaults)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)

    def judged() -> dict[str, float]:
        tally = task.tally(torch.device("cpu"), train=False)
        model.eval()
        with torch.no_grad():
            outputs = model(split.test.inputs)
            tally.add(outputs, split.test.targets, task.loss(outputs, split.test.targets))
        return dict(tally.read().values)

    before = judged()
    model.train()
    train = split.train
    for _ in range(3):
        for inputs, targets in zip(*(torch.split(part, 16) for part in (train.inputs, train.targets)), strict=True):
            optimizer.zero_grad()
            task.loss(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    after = judged()
    assert after["loss"] < before["loss"] / 1.5, (before, after)
    assert before["map50"] < 0.02
    assert after["map50"] > 0.08, (before, after)


def test_the_supervised_loop_trains_and_scores_it(split: Split) -> None:
    few = Split(split.form, split.train[:40], split.test[:24])
    lesson = lesson_of(lambda: Detector(6), few, optimizer="adamw", learning_rate=1e-3, epochs=1)
    (epoch,) = fit(lesson)
    assert {
        "test/loss",
        "test/map50",
        "test/precision",
        "test/recall",
        "test/f1",
        "test/accuracy",
        "train/loss",
    } <= set(epoch.scores.values)
    assert epoch.scores.arrays["detections"].shape[::2] == (24, 6)
    assert epoch.scores.arrays["confusion"].shape == (6, 6)

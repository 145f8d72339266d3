"""RISE and D-RISE: the formula by a plain loop, masks by the paper's recipe, boxes that a detector needs."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain
from torchglass.explainers.perturbation.detection import BoxScores, Proposals, intersection_over_union, read_usual
from torchglass.explainers.perturbation.moments import Moments
from torchglass.explainers.perturbation.soft_grids import SoftGridMasks, drawn_grids
from torchglass.reference_models.networks.detector import Detector
from torchglass.reference_models.tasks.anchors import anchor_grid, decoded
from torchglass.reference_models.tasks.boxes import intersection_over_union as reference_overlap


def test_a_map_is_the_papers_sum_over_masks_by_a_plain_loop(lenet: LeNet, pictures: Tensor) -> None:
    found = explain(lenet, pictures[:1], 4, "rise", masks=700, cells=5, keep_rate=0.6, stop_early=False, background=0.2)
    draw = np.random.default_rng(0)
    weighted, cover, total = np.zeros((32, 32)), np.zeros((32, 32)), 0.0
    bits, shifts = drawn_grids(700, 5, 0.6, (32, 32), draw)
    for grid, (down, across) in zip(bits, shifts, strict=True):
        # (5 + 1) cells of ceil(32 / 5) pixels, enlarged bilinearly, a part as large as the picture cut out.
        large = F.interpolate(torch.tensor(grid)[None, None].float(), size=(42, 42), mode="bilinear")[0, 0]
        mask = large[down : down + 32, across : across + 32]
        with torch.no_grad():
            score = float(lenet(mask * pictures[:1] + (1 - mask) * 0.2)[0, 4])
        weighted, cover, total = weighted + score * mask.numpy(), cover + mask.numpy(), total + score
    np.testing.assert_allclose(found.relevance(0), weighted / cover - total / 700, rtol=1e-3, atol=1e-6)
    assert found.base_values == pytest.approx([total / 700], rel=1e-4)


def test_masks_show_a_pixel_as_often_as_cells_are_kept() -> None:
    bits, shifts = drawn_grids(3000, 7, 0.7, (30, 44), np.random.default_rng(1))
    masks = SoftGridMasks(bits, shifts, np.zeros(3000, dtype=np.int64), (30, 44), torch.device("cpu")).chunk(0, 3000)
    assert masks.shape == (3000, 1, 30, 44)
    assert 0 <= float(masks.min()) < 0.01
    assert 0.99 < float(masks.max()) <= 1
    np.testing.assert_allclose(masks.mean(dim=0), 0.7, atol=0.05)
    assert (shifts < [5, 7]).all()


def test_the_errors_are_how_far_maps_scatter() -> None:
    draw = torch.Generator().manual_seed(0)
    values, errors = [], []
    for _ in range(300):
        masks = torch.rand(400, 1, 2, 3, generator=draw)
        scores = 7 + masks[:, 0, 0, 0] * 2 + torch.randn(400, generator=draw) * masks[:, 0, 1, 1]
        moments = Moments(torch.tensor([6.0]), (2, 3))
        moments.add(np.zeros(400, dtype=np.int64), masks, scores)
        gain = moments.gain(0)
        values.append(gain.values)
        errors.append(gain.errors)
    np.testing.assert_allclose(np.mean(errors, axis=0), np.std(values, axis=0), rtol=0.15)
    # Of a uniform mask: E[M f] / E[M] - E f = 2 Var(M) / E M = 1/3 where the score depends on it, else nothing.
    np.testing.assert_allclose(np.mean(values, axis=0), [[1 / 3, 0, 0], [0, 0, 0]], atol=0.01)


def test_the_spot_that_decides_is_the_peak_and_certainty_ends_the_sampling() -> None:
    head = nn.Linear(256, 2, bias=False)
    with torch.no_grad():
        head.weight.zero_()
        head.weight.reshape(2, 16, 16)[1, 9:12, 3:6] = 1.0
    model, picture = nn.Sequential(nn.Flatten(), head), torch.ones(1, 1, 16, 16)
    asked: dict[str, Any] = {"target": 1, "method": "rise", "cells": 5}
    early, whole = explain(model, picture, **asked), explain(model, picture, stop_early=False, **asked)
    peak = np.unravel_index(early.relevance(0).argmax(), (16, 16))
    assert 9 <= peak[0] < 12
    assert 3 <= peak[1] < 6
    assert early.checks["certainty"] >= 0.97
    assert early.parameters["masks"][0] * 2 <= whole.parameters["masks"][0] == 4000
    assert np.corrcoef(early.relevance(0).ravel(), whole.relevance(0).ravel())[0, 1] > 0.95


def test_a_picture_does_not_depend_on_its_neighbours_and_seeds_repeat(lenet: LeNet, pictures: Tensor) -> None:
    asked: dict[str, Any] = {"target": 1, "method": "rise", "masks": 400, "background": torch.rand(3, 1, 32, 32)}
    together, again = (explain(lenet, pictures, **asked).attributions for _ in range(2))
    np.testing.assert_array_equal(together, again)
    np.testing.assert_allclose(explain(lenet, pictures[2:], **asked).attributions[0], together[2], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize(
    ("option", "value"), [("masks", 0), ("masks", 1), ("cells", 1), ("cells", 33), ("keep_rate", 0.0)]
)
def test_options_out_of_range_are_refused(lenet: LeNet, pictures: Tensor, option: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{option} is {value}"):
        explain(lenet, pictures, method="rise", **{option: value})


class Spots(nn.Module):
    """Proposes two boxes in 24 x 24 pixels, each as sure as the mean of the pixels in it; classes 0 and 1."""

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        boxes = torch.tensor([[2.0, 2.0, 8.0, 8.0], [14.0, 12.0, 22.0, 20.0]]).expand(len(pictures), 2, 4)
        sure = torch.stack([pictures[:, 0, 2:8, 2:8].mean((1, 2)), pictures[:, 0, 12:20, 14:22].mean((1, 2))], dim=1)
        return boxes, sure, torch.tensor([[1.0, 0.0], [0.6, 0.8]]).expand(len(pictures), 2, 2)


def test_each_box_is_explained_by_its_own_pixels() -> None:
    boxes = torch.tensor([[2.0, 2.0, 8.0, 8.0], [14.0, 12.0, 22.0, 20.0]])
    found = explain(Spots(), torch.ones(2, 1, 24, 24), method="drise", boxes=boxes, labels=[0, 1], masks=1500, cells=6)
    np.testing.assert_array_equal(found.targets, [0, 1])
    np.testing.assert_allclose(found.outputs, [1.0, 0.8], rtol=1e-5)
    assert found.output_space == "value"
    for i, (left, top, right, bottom) in enumerate(boxes.int().tolist()):
        down, across = np.unravel_index(found.relevance(i).argmax(), (24, 24))
        assert top <= down < bottom
        assert left <= across < right
        inside = found.relevance(i)[top:bottom, left:right].mean()
        assert inside > 4 * abs(found.relevance(i).mean())


def test_similarity_is_overlap_times_cosine_times_objectness_and_the_best_proposal_counts() -> None:
    made = Proposals(
        torch.tensor([[[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 8.0], [9.0, 9.0, 9.0, 12.0]]]),
        torch.tensor([[0.5, 0.9, 1.0]]),
        torch.tensor([[[0.3, 0.4], [1.0, 0.0], [1.0, 1.0]]]),
    )
    scores = BoxScores(
        nn.Identity(), torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 4.0, 4.0, 8.0]]), torch.tensor([1, 0]), lambda _: made
    )
    # 1 * 0.4 / 0.5 * 0.5; and of the second, half overlapped: 0.5 * 1 * 0.9.
    np.testing.assert_allclose(scores(torch.zeros(1, 1, 9, 9)), [[0.4, 0.45]], rtol=1e-6)


def test_overlaps_are_those_of_the_reference_detector() -> None:
    corners = torch.rand(2, 40, 2, generator=torch.Generator().manual_seed(0)) * 10
    first, second = (torch.cat([c, c + torch.rand(40, 2) * 5], dim=1) for c in corners)
    torch.testing.assert_close(
        intersection_over_union(first[:, None], second), reference_overlap(first[:, None], second)
    )


def test_the_reference_detector_is_explained_through_its_anchors() -> None:
    detector, pictures = Detector(6).eval(), torch.rand(2, 3, 32, 32)
    anchors = anchor_grid(32, 32)

    def proposals(answers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        chances = answers[..., 4:].sigmoid()
        return decoded(answers[..., :4], anchors), chances.amax(dim=2), chances

    boxes = anchors[[5, 20]]
    found = explain(
        detector, pictures, method="drise", boxes=boxes, labels=[2, 3], proposals=proposals, masks=300, stop_early=False
    )
    with torch.no_grad():
        made = Proposals(*proposals(detector(pictures)))
    cosines = made.classes / made.classes.norm(dim=2, keepdim=True)
    for i, label in enumerate((2, 3)):
        overlaps = reference_overlap(boxes[i], made.boxes[i])
        wanted = float((overlaps * cosines[i, :, label] * made.objectness[i]).max())
        assert found.outputs[i] == pytest.approx(wanted, rel=1e-4)
    assert found.attributions.shape == (2, 1, 32, 32)
    assert found.attributions.any()


def test_torchvisions_findings_are_read_and_a_picture_without_any_scores_nothing() -> None:
    findings = [
        {"boxes": torch.tensor([[0.0, 0.0, 4.0, 4.0]]), "labels": torch.tensor([2]), "scores": torch.tensor([0.7])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)},
    ]
    scores = BoxScores(
        nn.Identity(), torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([2]), lambda _: read_usual(findings)
    )
    assert scores(torch.zeros(2, 1, 5, 5)).tolist() == [[pytest.approx(0.7)], [0.0]]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r"boxes have shape nothing: give one box a picture, \(2, 4\)"),
        ({"boxes": torch.zeros(1, 4)}, r"boxes have shape \(1, 4\)"),
        ({"boxes": torch.ones(2, 4), "labels": [0, 0]}, "boxes hold one without area"),
        ({"boxes": torch.tensor([[0, 0, 5, 5]] * 2)}, "labels have shape nothing"),
        ({"boxes": torch.tensor([[0, 0, 5, 5]] * 2), "labels": [0, -1]}, "labels hold -1"),
        ({"boxes": torch.tensor([[0, 0, 5, 5]] * 2), "labels": [0, 7]}, "label 7 is out of range"),
        ({"boxes": torch.tensor([[0, 0, 5, 5]] * 2), "labels": [0, 1], "target": 1}, "target is 1"),
    ],
    ids=["nothing", "one box", "no area", "no labels", "negative", "too high", "target"],
)
def test_what_a_box_lacks_is_said(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((OptionError, ExplainError), match=sentence):
        explain(Spots(), torch.ones(2, 1, 24, 24), method="drise", **options)


def test_a_classifier_is_no_detector() -> None:
    with pytest.raises(ExplainError, match="the detector returns Tensor: give proposals="):
        explain(LeNet(), torch.rand(1, 1, 32, 32), method="drise", boxes=[[0, 0, 5, 5]], labels=[0])

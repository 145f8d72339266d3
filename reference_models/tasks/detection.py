"""Detect: find boxes and their classes with anchors, score each finding, count them by average precision.

Outputs are (N, A, 4 + classes): for every anchor where its box lies and a logit for each class. There is no class for
"nothing": all logits are low there. Targets are (N, M, 5): class, x0, y0, x1, y1, class -1 where there is no box.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.recipe import Recipe
from torchglass.reference_models.tasks.anchors import LEFT_ALONE, anchor_grid, assigned, decoded
from torchglass.reference_models.tasks.average_precision import average_precision, matched
from torchglass.reference_models.tasks.boxes import generalized_iou, not_suppressed
from torchglass.reference_models.tasks.classification import (
    CALIBRATION_BINS,
    calibration_table,
    expected_calibration_error,
)
from torchglass.reference_models.tasks.scores import Scores, Tally

FOCUS, POSITIVE_SHARE = 2.0, 0.25  # gamma and alpha of the focal loss, as Lin et al. 2017 found them best
BOX_WEIGHT = 1.0  # of the box loss beside the class loss
MOST_FINDINGS = 40  # in a picture before suppression: ten for each shape that there can be
LEAST_SCORE = 0.02  # findings below it are not listed; they would only lengthen the tail of the precision-recall curve
SAME_THING = 0.45  # IoU of two findings of one class above which the worse is dropped
LEAST_OVERLAP = 0.5  # IoU that counts as found: mAP@0.5
SHOWN_SCORE = 0.5  # what a page would draw: precision, recall and confusion count findings from here on
KEPT_PICTURES = 200  # as many as a run's gallery shows at most


def make(split: Split, recipe: Recipe) -> Detection:
    """Make the task for a data set's classes and picture size."""
    return Detection(split.form.outputs, split.form.shape[1], split.form.shape[2])


class Detection:
    """Boxes of `classes` classes in pictures of `height` x `width` pixels."""

    def __init__(self, classes: int, height: int, width: int) -> None:
        self.classes = classes
        self.height, self.width = height, width
        self.anchors = anchor_grid(height, width)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over the pictures: focal loss of all logits and 1 - GIoU of the boxes to be found.

        Each picture's sums are divided by how many anchors are to find something in it, one at least. A batch's loss
        is thereby the mean of its pictures' losses, however they are put together.
        """
        anchors = self._anchors_on(outputs.device)
        found = assigned(anchors, targets)
        is_box = found >= 0
        boxes_of_anchors = targets.gather(1, found.clamp(min=0)[..., None].expand(-1, -1, 5))
        is_class = boxes_of_anchors[..., :1] == torch.arange(self.classes, device=outputs.device)
        truth = (is_class & is_box[..., None]).to(outputs.dtype)
        class_losses = focal_loss(outputs[..., 4:], truth).sum(dim=2) * (found != LEFT_ALONE)
        box_losses = 1 - generalized_iou(decoded(outputs[..., :4], anchors), boxes_of_anchors[..., 1:])
        of_pictures = (class_losses + BOX_WEIGHT * box_losses * is_box).sum(dim=1) / is_box.sum(dim=1).clamp(min=1)
        return of_pictures.mean()

    def tally(self, device: torch.device, *, train: bool) -> Tally:
        """Begin to count; of the training set the loss alone, because findings cost more than a small model's step."""
        return LossTally(device) if train else FindingsTally(self, device)

    def findings(self, outputs: Tensor) -> Tensor:
        """Return what the outputs claim, (N, D, 6): class, score 0..1, x0, y0, x1, y1, by falling score.

        Class -1 and zeros stand where there is nothing more. Boxes are cut at the picture's border.
        """
        boxes = decoded(outputs[..., :4].float(), self._anchors_on(outputs.device))
        scores = outputs[..., 4:].float().sigmoid().flatten(1)
        best, places = scores.topk(min(MOST_FINDINGS, scores.shape[1]), dim=1)
        classes = places % self.classes
        best_boxes = boxes.gather(1, (places // self.classes)[..., None].expand(-1, -1, 4))
        across, down = best_boxes[..., 0::2].clamp(0, self.width), best_boxes[..., 1::2].clamp(0, self.height)
        best_boxes = torch.stack([across, down], dim=-1).flatten(2)
        stays = not_suppressed(best_boxes, classes, SAME_THING) & (best >= LEAST_SCORE)
        claims = torch.cat([classes[..., None].float(), best[..., None], best_boxes], dim=2)
        claims = claims * stays[..., None]
        claims[..., 0] = torch.where(stays, claims[..., 0], -1.0)
        by_score = claims[..., 1].argsort(dim=1, descending=True, stable=True)
        return claims.gather(1, by_score[..., None].expand(-1, -1, 6))

    def _anchors_on(self, device: torch.device) -> Tensor:
        if self.anchors.device != device:
            self.anchors = self.anchors.to(device)  # they stay there: a copy in every step would wait for the device
        return self.anchors


def focal_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return the focal loss of each logit (Lin et al. 2017, equation 5); `truth` is 0 or 1.

    It is cross entropy times (1 - probability of the truth) ** gamma: the thousands of anchors that plainly hold
    nothing weigh next to nothing.
    """
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    miss = torch.sigmoid(torch.where(truth > 0, -logits, logits))
    share = torch.where(truth > 0, POSITIVE_SHARE, 1 - POSITIVE_SHARE)
    return share * miss**FOCUS * cross_entropy


class LossTally:
    """Adds up the loss on the device."""

    def __init__(self, device: torch.device) -> None:
        self._loss_sum = torch.zeros((), device=device)
        self._pictures = 0

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Add a batch of pictures and the mean loss over it (0-d)."""
        self._loss_sum += loss.detach() * len(targets)
        self._pictures += len(targets)

    def read(self) -> Scores:
        """Wait for the device and return the mean loss over all pictures, at least one."""
        return Scores({"loss": self._loss_sum.item() / self._pictures})


class FindingsTally:
    """Keeps what was found and what was there, on the device until it is read."""

    def __init__(self, task: Detection, device: torch.device) -> None:
        self._task = task
        self._loss = LossTally(device)
        self._found: list[Tensor] = []
        self._true: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Add a batch: outputs (N, A, 4 + classes), targets (N, M, 5) and the mean loss over the batch (0-d)."""
        self._loss.add(outputs, targets, loss)
        self._found.append(self._task.findings(outputs.detach()))
        self._true.append(targets)

    def read(self) -> Scores:
        """Wait for the device and score all pictures, at least one.

        Beside the numbers of `detection_scores` the arrays hold the "detections" (N, D, 6) of the first pictures.
        """
        found, true = torch.cat(self._found).cpu().numpy(), torch.cat(self._true).cpu().numpy()
        scores = detection_scores(found, true, self._task.classes)
        shown = found[:KEPT_PICTURES]
        longest = max(1, int((shown[:, :, 0] >= 0).sum(axis=1).max()))
        values = {**self._loss.read().values, **scores.values}
        return Scores(values, {**scores.arrays, "detections": shown[:, :longest]})


def detection_scores(found: npt.NDArray[np.float32], true: npt.NDArray[np.float32], classes: int) -> Scores:
    """Score findings (N, D, 6) against true boxes (N, M, 5); the numbers are shares, 0..1.

    "map50" is the mean over the classes that occur of their average precision at IoU 0.5, and the array
    "average_precision" (classes,) holds each, NaN for a class that does not occur. At scores of `SHOWN_SCORE` and more,
    "precision" is the share of findings that are right, "recall" the share of true boxes found, "f1" their harmonic
    mean, and "confusion" (classes, classes) counts the classes given (columns) to true boxes (rows) that were found,
    whatever the class; "accuracy" is its diagonal's share. "calibration" is that of all findings; without any there is
    no "calibration_error".
    """
    right = matched(found, true, LEAST_OVERLAP) >= 0
    of_classes = [
        average_precision(found[..., 1][found[..., 0] == label], right[found[..., 0] == label], int(count))
        for label, count in enumerate(_occurrences(true, classes))
    ]
    precisions = np.array([np.nan if each is None else each for each in of_classes])
    is_shown = (found[..., 0] >= 0) & (found[..., 1] >= SHOWN_SCORE)
    hits, claims, there = int((right & is_shown).sum()), int(is_shown.sum()), int((true[..., 0] >= 0).sum())
    confusion = _confusion(np.where(is_shown[..., None], found, -1.0), true, classes)
    is_finding = found[..., 0] >= 0
    bins = _calibration_sums(found[..., 1][is_finding], right[is_finding])
    values = {
        "map50": float(np.nanmean(precisions)) if there else 0.0,
        "precision": hits / max(1, claims),
        "recall": hits / max(1, there),
        "f1": 2 * hits / max(1, claims + there),
        "accuracy": float(np.trace(confusion) / max(1, confusion.sum())),
    }
    if is_finding.any():
        values["calibration_error"] = expected_calibration_error(bins)
    arrays = {"average_precision": precisions, "confusion": confusion, "calibration": calibration_table(bins)}
    return Scores(values, arrays)


def _occurrences(true: npt.NDArray[np.float32], classes: int) -> npt.NDArray[np.int64]:
    return np.bincount(true[..., 0][true[..., 0] >= 0].astype(np.int64), minlength=classes)


def _confusion(shown: npt.NDArray[np.floating], true: npt.NDArray[np.float32], classes: int) -> npt.NDArray[np.int64]:
    hits = matched(shown, true, LEAST_OVERLAP, same_class=False)
    picture, rank = np.nonzero(hits >= 0)
    given = shown[picture, rank, 0].astype(np.int64)
    actual = true[picture, hits[picture, rank], 0].astype(np.int64)
    return np.bincount(actual * classes + given, minlength=classes * classes).reshape(classes, classes)


def _calibration_sums(scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    bins = np.clip((scores * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    rows = (np.ones_like(scores), scores, right)
    return np.stack([np.bincount(bins, weights=row, minlength=CALIBRATION_BINS) for row in rows], axis=1)

"""Turn a detector into a model of scores: how well its proposals answer for given boxes, one score for each box."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchglass.errors import ExplainError


@dataclass(frozen=True, eq=False)
class Proposals:
    """What a detector proposes in M pictures, A proposals each."""

    boxes: Tensor
    """(M, A, 4): x0, y0, x1, y1 in pixels"""
    objectness: Tensor
    """(M, A), 0..1; ones where the detector has no such output"""
    classes: Tensor
    """(M, A, K), 0..1, the probability of each class"""


ReadProposals = Callable[[Any], Proposals | tuple[Tensor, Tensor, Tensor]]


class BoxScores(nn.Module):
    """Map pictures (M, C, H, W) to (M, B): the similarity, 0..1, of the best proposal to each of B wanted boxes.

    s(t, p) = IoU of the boxes * cosine of the class vectors * objectness of p, the largest over the proposals; the
    class vector of a wanted box is one at its label (Petsiuk et al. 2021, arXiv 2006.03204, equations 1 to 4).
    """

    boxes: Tensor
    labels: Tensor

    def __init__(self, detector: nn.Module, boxes: Tensor, labels: Tensor, read: ReadProposals) -> None:
        """Take boxes (B, 4) in pixels, labels (B,) and how to read what the detector returns."""
        super().__init__()
        self.detector = detector
        self._read = read
        self.register_buffer("boxes", boxes)
        self.register_buffer("labels", labels)

    def forward(self, pictures: Tensor) -> Tensor:
        found = self._read(self.detector(pictures))
        made = found if isinstance(found, Proposals) else Proposals(*found)
        if not made.boxes.shape[1]:
            return pictures.new_zeros(len(pictures), len(self.boxes))
        highest, classes = int(self.labels.max()), made.classes.shape[2]
        if highest >= classes:
            raise ExplainError(f"label {highest} is out of range: the detector has classes 0 to {classes - 1}")
        lengths = made.classes.float().norm(dim=2, keepdim=True).clamp(min=1e-12)
        cosines = (made.classes / lengths)[:, :, self.labels]  # (M, A, B)
        overlaps = intersection_over_union(made.boxes[:, :, None].float(), self.boxes)
        best: Tensor = (overlaps * cosines * made.objectness[:, :, None]).amax(dim=1)
        return best


def intersection_over_union(first: Tensor, second: Tensor) -> Tensor:
    """Overlap boxes (..., 4) whose leading axes broadcast, 0..1; boxes without area overlap with nothing."""
    corner = torch.maximum(first[..., :2], second[..., :2])
    shared = (torch.minimum(first[..., 2:], second[..., 2:]) - corner).clamp(min=0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1) for boxes in (first, second)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-9)


def read_usual(output: Any) -> Proposals:
    """Read boxes (M, A, 4), objectness (M, A) and class probabilities (M, A, K), or torchvision's list of findings.

    Of the latter each is a dictionary of boxes (n, 4), labels (n,) and scores (n,), the score being its objectness.

    Raises:
        ExplainError: it is neither.
    """
    if isinstance(output, Sequence) and output and all(isinstance(one, dict) for one in output):
        return _padded(output)
    shapes = [tuple(part.shape) for part in output if isinstance(part, Tensor)] if isinstance(output, tuple) else []
    if len(shapes) == 3 and [len(shape) for shape in shapes] == [3, 2, 3] and shapes[0][-1] == 4:
        return Proposals(*output)
    raise ExplainError(
        f"the detector returns {type(output).__name__}: give proposals=, a function from it to boxes (M, A, 4), "
        "objectness (M, A) and class probabilities (M, A, K)"
    )


def _padded(findings: Sequence[dict[str, Tensor]]) -> Proposals:
    most = max(len(one["boxes"]) for one in findings)
    classes = 1 + max((int(one["labels"].max()) for one in findings if len(one["labels"])), default=0)
    like = findings[0]["boxes"]
    boxes, objectness = like.new_zeros(len(findings), most, 4), like.new_zeros(len(findings), most)
    chances = like.new_zeros(len(findings), most, classes)
    for i, one in enumerate(findings):
        count = len(one["boxes"])
        boxes[i, :count], objectness[i, :count] = one["boxes"], one["scores"]
        chances[i, torch.arange(count, device=like.device), one["labels"]] = 1.0
    return Proposals(boxes, objectness, chances)

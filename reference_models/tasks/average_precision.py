"""Average precision: how good a ranked list of found boxes is, from the best score to the worst."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

SMALLEST_AREA = 1e-9  # square pixels; keeps the quotient of two empty boxes finite


def matched(found: Floats, true: Floats, least_overlap: float, *, same_class: bool = True) -> npt.NDArray[np.int64]:
    """Return which true box each found one hits, (N, D) int64, -1 for none.

    `found` (N, D, 6) is class, score, x0, y0, x1, y1, by falling score in each picture; `true` (N, M, 5) is class and
    box; class -1 means that there is none. A found box takes, of the true boxes that none before it took, the one that
    it overlaps most, if their IoU is `least_overlap` or more (COCO's rule; VOC's does not look beyond the one that it
    overlaps most). `same_class` false: whatever the classes are.
    """
    overlaps = _overlaps(found[:, :, None, 2:], true[:, None, :, 1:])
    possible = (found[:, :, None, 0] >= 0) & (true[:, None, :, 0] >= 0)
    if same_class:
        possible &= found[:, :, None, 0] == true[:, None, :, 0]
    overlaps = np.where(possible, overlaps, -1.0)
    hits = np.full(found.shape[:2], -1, dtype=np.int64)
    each = np.arange(len(found))
    for rank in range(found.shape[1]):
        best = overlaps[:, rank].argmax(axis=1)
        is_hit = overlaps[each, rank, best] >= least_overlap
        hits[is_hit, rank] = best[is_hit]
        overlaps[each[is_hit], :, best[is_hit]] = -1.0
    return hits


def average_precision(scores: Floats, right: npt.NDArray[np.bool_], true_boxes: int) -> float | None:
    """Return the area under the precision-recall curve of one class, 0..1; None where the class never occurs.

    `scores` (D,) and `right` (D,) are of all found boxes of the class. Precision at a recall is the best one at that
    recall or beyond, and every point of the curve counts (PASCAL VOC from 2010 on).
    """
    if true_boxes == 0:
        return None
    ranked = right[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(ranked)
    precision = hits / np.arange(1, len(ranked) + 1)
    best_beyond = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_beyond[ranked].sum() / true_boxes)


def _overlaps(first: Floats, second: Floats) -> npt.NDArray[np.float64]:
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1, dtype=np.float64)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1, dtype=np.float64) for boxes in (first, second)]
    overlaps: npt.NDArray[np.float64] = shared / np.maximum(areas[0] + areas[1] - shared, SMALLEST_AREA)
    return overlaps

"""D-RISE: which pixels a detector needs in order to find a given box of a given class."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers.checking.checks import device_of
from torchglass.explainers.own import own_implementation
from torchglass.explainers.perturbation.detection import BoxScores, ReadProposals, read_usual
from torchglass.explainers.pictures.rise import as_attribution, check_masks, gains
from torchglass.explainers.problem import Attribution, Problem


def framed(
    network: nn.Module,
    pictures: int,
    *,
    boxes: Any = None,
    labels: Any = None,
    proposals: ReadProposals = read_usual,
    **_: Any,
) -> nn.Module:
    """Make a detector a model of scores, (M, N): how well its proposals answer for each of N boxes, one a picture.

    Raises:
        OptionError: boxes or labels are missing or have another shape.
    """
    device = device_of(network)
    wanted, named = _tensor(boxes, torch.float32, device), _tensor(labels, torch.int64, device)
    if wanted is None or tuple(wanted.shape) != (pictures, 4):
        raise OptionError(f"boxes have shape {_shape(wanted)}: give one box a picture, ({pictures}, 4) in pixels")
    if named is None or tuple(named.shape) != (pictures,):
        raise OptionError(f"labels have shape {_shape(named)}: give the class of each box, ({pictures},)")
    if not bool((wanted[:, 2:] > wanted[:, :2]).all()):
        raise OptionError("boxes hold one without area: give x0, y0, x1, y1 with x1 > x0 and y1 > y0")
    if int(named.min()) < 0:
        raise OptionError(f"labels hold {int(named.min())}: classes count from 0")
    return BoxScores(network, wanted, named, proposals)


def attribute(
    problem: Problem,
    *,
    boxes: Any = None,
    labels: Any = None,
    proposals: ReadProposals = read_usual,
    masks: int = 4000,
    cells: int = 16,
    keep_rate: float = 0.7,
    stop_early: bool = True,
) -> Attribution:
    """Give each pixel what showing it adds, on average, to how well the detector's best proposal answers for the box.

    The model is the detector itself, as it proposes before any are thrown away. The score explained is the largest
    IoU * cosine of the class vectors * objectness over its proposals, 0..1; masks are RISE's, and so are values
    (N, 1, H, W), base value, errors and checks. The explanation's targets are the labels.

    Args:
        boxes: (N, 4), one box a picture: x0, y0, x1, y1 in pixels.
        labels: (N,), the class of each box.
        proposals: reads what the detector returns as boxes (M, A, 4), objectness (M, A), ones where it has none, and
            class probabilities (M, A, K); by default it returns just that, or torchvision's list of findings.
        masks: masked pictures per picture at most.
        cells: of the masks' grid along each side, at most the pixels of the shorter one.
        keep_rate: chance that a cell is shown.
        stop_early: end a picture's sampling once `certainty` is 0.98.

    Raises:
        OptionError: boxes or labels are missing, or a number is out of its range.

    Source: Petsiuk et al. 2021, Black-box explanation of object detectors via saliency maps (arXiv 2006.03204).
    """
    cells = min(cells, *problem.inputs.shape[2:])
    check_masks(masks, cells, keep_rate, min(problem.inputs.shape[2:]))
    found, taken = gains(problem, masks, cells, keep_rate, stop_early)
    named = _tensor(labels, torch.int64, torch.device("cpu"))
    where = _tensor(boxes, torch.float32, torch.device("cpu"))
    parameters = {
        "masks": taken,
        "most_masks": masks,
        "cells": cells,
        "keep_rate": keep_rate,
        "background": problem.background_name,
        "boxes": [] if where is None else where.tolist(),
    }
    targets = None if named is None else np.asarray(named.numpy())
    return as_attribution(found, own_implementation("D-RISE"), parameters, targets)


def _tensor(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    return None if values is None else torch.as_tensor(values).to(device, dtype)


def _shape(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else str(tuple(tensor.shape))

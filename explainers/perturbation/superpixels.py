"""Cut pictures into segments, which are shown or hidden as a whole; a picture that was cut before is not cut again."""

import hashlib
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
import torch
from skimage.segmentation import slic
from torch import Tensor

from torchglass.errors import OptionError

FEWEST_SEGMENTS = 8
"""Below this a picture of segments says nothing; SLIC that finds fewer is replaced by a grid."""
COMPACTNESS = 0.3
"""How much SLIC weighs distance against colour, both over 0..1. Its default of 10 is meant for Lab colours of 0..100,
and makes squares here: on pictures of shapes LIME then points right in 93 of 100, with 0.3 in 97."""
SEGMENTATIONS = ("slic", "grid")
MOST_REMEMBERED = 512
"""Pictures whose segments are kept: 2 MB at 64 x 64 pixels, 50 MB at 224 x 224."""

Segments = npt.NDArray[np.int64]

_remembered: OrderedDict[bytes, npt.NDArray[np.uint16]] = OrderedDict()


def superpixels(picture: Tensor, segments: int, segmentation: str) -> Tensor:
    """Cut a picture (C, H, W) into about so many segments, numbered 0, 1, ...: (1, H, W), on its device."""
    image = np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy())
    key = hashlib.blake2b(
        image.tobytes(), digest_size=16, key=f"{image.shape} {segments} {segmentation}".encode()
    ).digest()
    if key not in _remembered:
        _remembered[key] = segment(image, segments, segmentation).astype(np.uint16)
        if len(_remembered) > MOST_REMEMBERED:
            _remembered.popitem(last=False)
    return torch.as_tensor(_remembered[key].astype(np.int64), device=picture.device)[None]


def segment(image: npt.NDArray[np.float32], segments: int, segmentation: str) -> Segments:
    """Cut a picture (H, W, C) into about so many segments, numbered 0, 1, ...: (H, W).

    "slic" follows edges, "grid" is even squares.
    """
    if segmentation == "slic":
        span = float(np.ptp(image)) or 1.0
        # Colours are whatever the model was trained on, so they are spread over 0..1 and not taken for RGB.
        found = slic(
            (image - image.min()) / span, n_segments=segments, start_label=0, convert2lab=False, compactness=COMPACTNESS
        )
        numbered: Segments = np.unique(found, return_inverse=True)[1].reshape(found.shape)
        if numbered.max() + 1 >= FEWEST_SEGMENTS:
            return numbered
    return grid(image.shape[0], image.shape[1], segments)


def grid(height: int, width: int, segments: int) -> Segments:
    """Cut into rows and columns of nearly equal cells, about so many in all: (H, W)."""
    rows = min(height, max(1, round((segments * height / width) ** 0.5)))
    columns = min(width, max(1, round(segments / rows)))
    row = np.arange(height) * rows // height
    column = np.arange(width) * columns // width
    cells: Segments = row[:, None] * columns + column[None, :]
    return cells


def check_segments(segments: int, segmentation: str) -> None:
    """Refuse too few segments and unknown ways to cut.

    Raises:
        OptionError: one of them.
    """
    if segments < FEWEST_SEGMENTS:
        raise OptionError(f"segments is {segments}: give at least {FEWEST_SEGMENTS}")
    if segmentation not in SEGMENTATIONS:
        raise OptionError(f"segmentation is {segmentation!r}: choose 'slic' or 'grid'")

"""Encoded pictures <-> pixels (N, H, W, C), uint8, the form in which the store keeps an artifact of kind "image"."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 1 << 26  # a small file may decode to any size
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by number of channels


def decode(data: bytes) -> Pixels | None:
    """Return the frames of a PNG, JPEG or GIF, one unless it moves; None for what is no picture, or one too large."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height * getattr(picture, "n_frames", 1) > MAX_PIXELS:
                return None
            mode = picture.mode if picture.mode in _MODES.values() else "RGB"
            frames = [np.asarray(frame.convert(mode), np.uint8) for frame in ImageSequence.Iterator(picture)]
    except (OSError, ValueError, SyntaxError):  # Pillow reports a damaged PNG as a SyntaxError
        return None
    return np.stack([frame.reshape(*frame.shape[:2], -1) for frame in frames])


def encode(pixels: Pixels) -> Iterator[bytes]:
    """Yield each picture of (N, H, W, C) as a PNG; those whose channels make no picture are passed over."""
    mode = _MODES.get(pixels.shape[-1])
    for picture in pixels if mode else ():
        buffer = io.BytesIO()
        Image.fromarray(picture.squeeze(-1) if mode == "L" else picture, mode).save(buffer, "PNG")
        yield buffer.getvalue()

"""Arrays as pictures: model inputs as RGB, and RGB as a PNG inside the page."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.charts.theme import Picture


def rgb(image: npt.NDArray[Any]) -> Picture:
    """An image (C, H, W), uint8 or in 0..1, as (H, W, 3): other ranges are stretched, C other than 3 becomes grey."""
    values = image / 255 if image.dtype == np.uint8 else np.nan_to_num(image.astype(np.float64))
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > 1:
        values = (values - low) / (high - low)
    if len(values) != 3:
        values = values.mean(axis=0, keepdims=True).repeat(3, axis=0)
    return np.asarray((values.transpose(1, 2, 0) * 255).round(), np.uint8)


def resized(values: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """The array (h, w, ...) at another size, each pixel from its nearest: nothing is invented between them."""
    rows = (np.arange(height) + 0.5) * values.shape[0] / height
    columns = (np.arange(width) + 0.5) * values.shape[1] / width
    return np.asarray(values[rows.astype(int)][:, columns.astype(int)])


def png_data_uri(picture: Picture) -> str:
    """The picture (H, W, 3) as `data:image/png;base64,…` (PNG specification, 8-bit truecolour, no filter)."""
    height, width = picture.shape[:2]
    lines = np.insert(picture.reshape(height, width * 3), 0, 0, axis=1).tobytes()
    body = (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(lines, 9))
        + _chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode("ascii")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

"""How series travel to the browser: a JSON header, then float64 columns, so that no digit of a value is lost."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torchglass.store import Points

MEDIA_TYPE = "application/octet-stream"
_ALIGNMENT = 8  # a Float64Array may only begin at a multiple of its element size


def encode(header: Mapping[str, Any], columns: Sequence[Points]) -> bytes:
    """Pack a header and, for each series, its steps, times and values as little-endian float64.

    Layout: length of the header as uint32, the header in UTF-8 padded with spaces so that what follows is aligned, then
    three columns a series, in the order of the header's "series". Steps below 2**53 are exact.
    """
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(struct.calcsize("<I") + len(text)) % _ALIGNMENT)
    parts = [struct.pack("<I", len(text)), text]
    for points in columns:
        columns_of_one = (points.steps, points.times, points.values)
        parts += [np.ascontiguousarray(column, "<f8").tobytes() for column in columns_of_one]
    return b"".join(parts)

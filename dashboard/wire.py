"""How numbers travel to the browser: a JSON header, then typed columns, so that no digit of a value is lost."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.store import Points

MEDIA_TYPE = "application/octet-stream"
_ALIGNMENT = 8  # a Float64Array may only begin at a multiple of its element size


def encode(header: Mapping[str, Any], columns: Sequence[Points]) -> bytes:
    """Pack a header and, for each series, its steps, times and values as little-endian float64.

    Layout: length of the header as uint32, the header in UTF-8 padded with spaces so that what follows is aligned, then
    three columns a series, in the order of the header's "series". Steps below 2**53 are exact.
    """
    parts = [_head(header)]
    for points in columns:
        columns_of_one = (points.steps, points.times, points.values)
        parts += [np.ascontiguousarray(column, "<f8").tobytes() for column in columns_of_one]
    return b"".join(parts)


def encode_columns(header: Mapping[str, Any], columns: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Pack a header and columns of whatever type, each beginning at a multiple of 8 bytes.

    The header gains "columns": name, type ("f8", "i4", "i1", "u1"; little-endian) and length of each.
    """
    told = [[name, column.dtype.str[1:], len(column)] for name, column in columns.items()]
    parts = [_head({**header, "columns": told})]
    for column in columns.values():
        payload = np.ascontiguousarray(column, column.dtype.newbyteorder("<")).tobytes()
        parts.append(payload + b"\0" * (-len(payload) % _ALIGNMENT))
    return b"".join(parts)


def _head(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(struct.calcsize("<I") + len(text)) % _ALIGNMENT)
    return struct.pack("<I", len(text)) + text

"""How numbers travel to the browser: a JSON header, then typed columns, so that no digit of a value is lost."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

MEDIA_TYPE = "application/octet-stream"
_ALIGNMENT = 8  # a Float64Array may only begin at a multiple of its element size


def encode(header: Mapping[str, Any], columns: Iterable[npt.NDArray[Any]]) -> bytes:
    """Pack a header and columns of numbers as little-endian float64, one after the other.

    Layout: length of the header as uint32, the header in UTF-8 padded with spaces so that what follows is aligned, then
    the columns; how many there are and how long is for the header to say. Steps below 2**53 are exact.
    """
    return b"".join([_head(header), *(np.ascontiguousarray(column, "<f8").tobytes() for column in columns)])


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
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-(struct.calcsize("<I") + len(text)) % _ALIGNMENT)
    return struct.pack("<I", len(text)) + text

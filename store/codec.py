"""Bytes of a chunk and of an artifact; `docs/schema.md` describes them for readers without torchglass.

Chunk: a 32-byte little-endian header `<BBBBIqqd` (version, value width 4|8, steps 0 = arithmetic 1 = listed,
body 0 = plain 1 = zlib, count, first step, stride, first time), then the columns: step differences as int64 when
listed, time differences as int64 microseconds, values as float32 or float64. Each column is byte-shuffled (all lowest
bytes first), which is what lets zlib see that neighbours are alike.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.errors import StoreError
from torchglass.store.records import Floats, Integers

_HEADER = struct.Struct("<BBBBIqqd")
_VERSION = 1
_NO_DIFFERENCE = bytes(8)


def encode_chunk(steps: Integers, times: Floats, values: Floats) -> bytes:
    """Pack points (n,), n > 0; values that all fit float32 exactly are kept as such."""
    differences = np.diff(steps)
    stride = int(differences[0]) if differences.size else 1
    listed = bool((differences != stride).any())
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
    # Compared as bits: a NaN's payload and the sign of a zero count too.
    fits = bool((narrow.astype(np.float64).view(np.int64) == values.view(np.int64)).all())
    microseconds = np.round((times - times[0]) * 1e6).astype(np.int64)
    columns = [np.diff(microseconds, prepend=0), narrow if fits else values]
    if listed:
        columns.insert(0, np.diff(steps, prepend=steps[0]))
    plain = b"".join(_shuffle(column) for column in columns)
    packed = zlib.compress(plain, 1)
    smaller = len(packed) < len(plain)
    header = _HEADER.pack(
        _VERSION, 4 if fits else 8, int(listed), int(smaller), len(values), int(steps[0]), stride, float(times[0])
    )
    return header + (packed if smaller else plain)


def encode_point(step: int, time: float, value: float) -> bytes:
    """Pack one point, the plain way: for a chunk of one, compression has nothing to gain."""
    wide = struct.pack("<d", value)
    try:
        narrow = struct.pack("<f", value)
        fits = struct.pack("<d", *struct.unpack("<f", narrow)) == wide
    except OverflowError:
        fits = False
    header = _HEADER.pack(_VERSION, 4 if fits else 8, 0, 0, 1, step, 1, time)
    return header + _NO_DIFFERENCE + (narrow if fits else wide)


def decode_chunk(payload: bytes) -> tuple[Integers, Floats, Floats]:
    """Steps (n,), times (n,) to the microsecond, values (n,) bit for bit."""
    version, width, listed, compressed, count, first_step, stride, first_time = _HEADER.unpack_from(payload)
    if version != _VERSION:
        raise StoreError(f"chunk of format {version}; this torchglass reads format {_VERSION}: upgrade torchglass")
    body = payload[_HEADER.size :]
    if count == 1 and not listed and not compressed:
        (value,) = struct.unpack_from("<f" if width == 4 else "<d", body, 8)
        return np.array([first_step]), np.array([first_time]), np.array([value])
    if compressed:
        body = zlib.decompress(body)
    widths = ([8] if listed else []) + [8, width]
    columns = []
    for column_width in widths:
        columns.append(_unshuffle(body[: count * column_width], column_width))
        body = body[count * column_width :]
    steps = (
        first_step + np.cumsum(columns[0].view("<i8"))
        if listed
        else first_step + stride * np.arange(count, dtype=np.int64)
    )
    times = first_time + np.cumsum(columns[-2].view("<i8")) / 1e6
    values = columns[-1].view("<f4" if width == 4 else "<f8").astype(np.float64)
    return steps.astype(np.int64), times, values


def _shuffle(column: npt.NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(len(column), -1).T.tobytes()


def _unshuffle(data: bytes, width: int) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(width, -1).T).reshape(-1)


def encode_counts(bins: Integers, counts: Integers) -> bytes:
    """Occupied bins as uint16, then their counts as uint64."""
    return zlib.compress(bins.astype("<u2").tobytes() + counts.astype("<u8").tobytes(), 1)


def decode_counts(payload: bytes) -> tuple[Integers, Integers]:
    """Inverse of `encode_counts`."""
    body = zlib.decompress(payload)
    size = len(body) // 10
    bins = np.frombuffer(body, "<u2", size).astype(np.int64)
    return bins, np.frombuffer(body, "<u8", size, 2 * size).astype(np.int64)


def encode_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A compressed `.npz` in which no array may need pickle."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise StoreError(
                f"array {name!r} has dtype {array.dtype}: only numbers, booleans and plain text are stored"
            )
    buffer = io.BytesIO()
    # Not np.savez: there an array called "file" clashes with a parameter of numpy's own.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def decode_arrays(payload: bytes) -> dict[str, npt.NDArray[Any]]:
    """Inverse of `encode_arrays`.

    Raises:
        StoreError: the payload would need pickle, or is damaged.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"damaged, or not arrays alone: {error}") from error
    return arrays

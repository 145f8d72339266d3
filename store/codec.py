"""Bytes of a chunk, of an arrival and of a histogram; `docs/schema.md` describes them for readers without torchglass.

Chunk: a 36-byte little-endian header `<BBBxIqqdI` (version, bytes per value 4|8, flags, count, first step, stride,
first time, size of the axis), then the axis (step differences as int64 when listed, time differences as int32 or int64
microseconds), then the values. An axis or values that zlib makes smaller are byte-shuffled first (all lowest
bytes together), which is what lets zlib see that neighbours are alike.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.errors import StoreError
from torchglass.store.records import Floats, Integers

_HEADER = struct.Struct("<BBBxIqqdI")
_VERSION = 2
_STEPS_LISTED, _TIMES_WIDE, _AXIS_PACKED, _VALUES_PACKED = 1, 2, 4, 8
_ARRIVAL = struct.Struct("<II")


@contextmanager
def _whole(what: str) -> Iterator[None]:
    """Raise StoreError for bytes that are not what was once written."""
    try:
        yield
    except (struct.error, zlib.error, ValueError) as error:
        raise StoreError(f"{what} in the store is damaged: {error}") from error


class Axis(NamedTuple):
    """Steps and times of a chunk, encoded: series recorded together share them."""

    flags: int
    point_count: int
    first_step: int
    stride: int
    first_time: float
    body: bytes
    pack: bool


class Arrived(NamedTuple):
    """Rows as they arrived: series `ids` (k,), `steps` (n,), `times` (n,), `values` (n, k)."""

    ids: Integers
    steps: Integers
    times: Floats
    values: Floats


def encode_axis(steps: Integers, times: Floats, *, pack: bool) -> Axis:
    """Encode the steps (n,) and times (n,) of a chunk, n > 0; to pack them is worth it once no point is to follow."""
    differences = np.diff(steps)
    stride = int(differences[0]) if differences.size else 1
    flags = 0
    columns: list[npt.NDArray[Any]] = []
    if bool((differences != stride).any()):
        flags |= _STEPS_LISTED
        columns.append(np.diff(steps, prepend=steps[0]))
    ticks = np.diff(np.round((times - times[0]) * 1e6).astype(np.int64), prepend=0)
    if bool((ticks == ticks.astype(np.int32)).all()):
        ticks = ticks.astype(np.int32)
    else:
        flags |= _TIMES_WIDE
    columns.append(ticks)
    body, is_packed = _encode(columns, pack=pack)
    if is_packed:
        flags |= _AXIS_PACKED
    return Axis(flags, len(steps), int(steps[0]), stride, float(times[0]), body, pack)


def encode_values(axis: Axis, values: npt.NDArray[np.float64] | npt.NDArray[np.float32]) -> bytes:
    """Make a chunk of an axis and its values (n,): float32 where that is exact for all of them (see `narrowed`)."""
    body, is_packed = _encode([values], pack=axis.pack)
    flags = axis.flags | (_VALUES_PACKED if is_packed else 0)
    beginning = (axis.point_count, axis.first_step, axis.stride, axis.first_time)
    header = _HEADER.pack(_VERSION, values.itemsize, flags, *beginning, len(axis.body))
    return b"".join((header, axis.body, body))


def narrowed(values: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Values (n, k) as float32, and which columns (k,) that loses nothing of: every bit counts, of a NaN too."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = values.astype(np.float32)
    exact = narrow.astype(np.float64).view(np.int64) == np.ascontiguousarray(values).view(np.int64)
    return narrow, exact.all(axis=0)


@_whole("a chunk of a series")
def decode_chunk(payload: bytes) -> tuple[Integers, Floats, Floats]:
    """Steps (n,), times (n,) to the microsecond, values (n,) bit for bit."""
    version, width, flags, count, first_step, stride, first_time, axis_size = _HEADER.unpack_from(payload)
    if version != _VERSION:
        raise StoreError(f"chunk of format {version}; this torchglass reads format {_VERSION}: upgrade torchglass")
    axis_end = _HEADER.size + axis_size
    widths = [8] * bool(flags & _STEPS_LISTED) + [8 if flags & _TIMES_WIDE else 4]
    axis = _unpack(payload[_HEADER.size : axis_end], widths, count, is_packed=bool(flags & _AXIS_PACKED))
    (values,) = _unpack(payload[axis_end:], [width], count, is_packed=bool(flags & _VALUES_PACKED))
    if flags & _STEPS_LISTED:
        steps = first_step + np.cumsum(axis[0].view("<i8"))
    else:
        steps = first_step + stride * np.arange(count, dtype=np.int64)
    ticks = np.cumsum(axis[-1].view("<i8" if flags & _TIMES_WIDE else "<i4"), dtype=np.int64)
    return steps, first_time + ticks / 1e6, values.view("<f4" if width == 4 else "<f8").astype(np.float64)


def _encode(columns: list[npt.NDArray[Any]], *, pack: bool) -> tuple[bytes, bool]:
    little = [np.ascontiguousarray(column, column.dtype.newbyteorder("<")) for column in columns]
    plain = b"".join(column.tobytes() for column in little)
    if not pack:
        return plain, False
    shuffled = b"".join(column.view(np.uint8).reshape(len(column), -1).T.tobytes() for column in little)
    packed = zlib.compress(shuffled, 1)
    return (packed, True) if len(packed) < len(plain) else (plain, False)


def _unpack(body: bytes, widths: list[int], count: int, *, is_packed: bool) -> list[npt.NDArray[np.uint8]]:
    """Bytes of each column, in the order of the values again."""
    plain = np.frombuffer(zlib.decompress(body) if is_packed else body, np.uint8)
    columns, at = [], 0
    for width in widths:
        column = plain[at : at + count * width]
        columns.append(np.ascontiguousarray(column.reshape(width, -1).T).reshape(-1) if is_packed else column)
        at += count * width
    return columns


def encode_arrival(rows: list[Arrived]) -> bytes:
    """Blocks one after the other: `<II` (n, k), series ids, steps as int64, times, values row by row as float64."""
    return b"".join(
        part
        for block in rows
        for part in (
            _ARRIVAL.pack(*block.values.shape),
            block.ids.astype("<i8").tobytes(),
            block.steps.astype("<i8").tobytes(),
            block.times.astype("<f8").tobytes(),
            block.values.astype("<f8").tobytes(),
        )
    )


@_whole("an arrival")
def decode_arrival(payload: bytes) -> list[Arrived]:
    """Inverse of `encode_arrival`; the arrays are views of the payload."""
    blocks, at = [], 0
    while at < len(payload):
        rows, columns = _ARRIVAL.unpack_from(payload, at)
        at += _ARRIVAL.size
        parts = []
        for dtype, size in (("<i8", columns), ("<i8", rows), ("<f8", rows), ("<f8", rows * columns)):
            parts.append(np.frombuffer(payload, dtype, size, at))
            at += 8 * size
        blocks.append(Arrived(parts[0], parts[1], parts[2], parts[3].reshape(rows, columns)))
    return blocks


def encode_counts(bins: Integers, counts: Integers) -> bytes:
    """Occupied bins as uint16, then their counts as uint64."""
    return zlib.compress(bins.astype("<u2").tobytes() + counts.astype("<u8").tobytes(), 1)


@_whole("a histogram")
def decode_counts(payload: bytes) -> tuple[Integers, Integers]:
    """Inverse of `encode_counts`."""
    body = zlib.decompress(payload)
    size = len(body) // 10
    bins = np.frombuffer(body, "<u2", size).astype(np.int64)
    return bins, np.frombuffer(body, "<u8", size, 2 * size).astype(np.int64)

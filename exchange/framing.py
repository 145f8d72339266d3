"""The frame around each record of an event file: its length, a checksum of the length, the record, its checksum.

Little-endian `<uint64 length> <uint32 masked CRC32C of the length> <data> <uint32 masked CRC32C of the data>`, as
TensorFlow's `lib/io/record_writer.h` describes it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import google_crc32c

from torchglass.errors import DataError

_HEADER = struct.Struct("<QI")
_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_AROUND = _HEADER.size + _CHECKSUM.size
_MASK_DELTA = 0xA282EAD8
_READ_AHEAD_BYTES = 1 << 20

Ending = Literal["whole", "torn", "damaged"]


def masked_checksum(data: bytes) -> int:
    """CRC32C of the data, rotated and shifted: a checksum of data that holds checksums is weak unless masked."""
    checksum: int = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + _MASK_DELTA) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """Return the record in its frame."""
    length = _LENGTH.pack(len(data))
    return b"".join(
        (length, _CHECKSUM.pack(masked_checksum(length)), data, _CHECKSUM.pack(masked_checksum(data))),
    )


class RecordFile:
    """The records of one file, one after another, and what became of those that could not be read.

    `position` counts the bytes read so far. A record whose checksum fails is left out and counted in `damaged_count`;
    where a length fails its own, no later record can be found: reading ends there, and `ending` is "damaged". It is
    "torn" where the file ends within a record, as after a crash or while it is being written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self.damaged_count = 0
        self.ending: Ending = "whole"

    def __iter__(self) -> Iterator[bytes]:
        """Yield each intact record.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            with self.path.open("rb", buffering=_READ_AHEAD_BYTES) as file:
                size = os.fstat(file.fileno()).st_size
                read, unpack_header, unpack_checksum = file.read, _HEADER.unpack, _CHECKSUM.unpack_from
                while len(header := read(_HEADER.size)) == _HEADER.size:
                    length, length_checksum = unpack_header(header)
                    # Looked at first: a length that makes no sense must not be asked for.
                    likely = length < _READ_AHEAD_BYTES or masked_checksum(header[: _LENGTH.size]) == length_checksum
                    body = read(length + _CHECKSUM.size) if likely and length < size else b""
                    whole = len(body) == length + _CHECKSUM.size
                    if whole and masked_checksum(body[:length]) == unpack_checksum(body, length)[0]:
                        self.position += _AROUND + length
                        yield body[:length]
                    # Only now: a record that is intact had a length that is right.
                    elif masked_checksum(header[: _LENGTH.size]) != length_checksum:
                        self.ending = "damaged"
                        return
                    elif whole:
                        self.damaged_count += 1
                        self.position += _AROUND + length
                    else:
                        self.ending = "torn"
                        return
                if header:
                    self.ending = "torn"
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror}") from error

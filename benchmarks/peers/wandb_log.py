"""The file that an offline wandb run leaves: LevelDB's log format, blocks of 32 KiB after a header of seven bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

BLOCK_BYTES = 32_768
_FRAGMENT = struct.Struct("<IHB")  # checksum, length, type
_LAST_FRAGMENTS = (1, 4)  # a whole record, or the last of several pieces


def payloads(log: bytes) -> Iterator[bytes]:
    """Each record's bytes, in order."""
    at, payload = _FRAGMENT.size, b""
    while at + _FRAGMENT.size <= len(log):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < _FRAGMENT.size:
            at += left
            continue
        _checksum, length, fragment = _FRAGMENT.unpack_from(log, at)
        at += _FRAGMENT.size
        payload += log[at : at + length]
        at += length
        if fragment in _LAST_FRAGMENTS:
            yield payload
            payload = b""

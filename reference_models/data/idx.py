"""MNIST's file format, IDX: two zero bytes, element type, number of dimensions, big-endian sizes, elements."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from torchglass.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08  # the only element type that image and label files use
MAX_ELEMENTS = 1 << 28  # 256 MiB: five times MNIST's largest file; a damaged header must not ask for more


class Readable(Protocol):
    """A binary file, plain or unzipped on the way."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""
        ...


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or plain, that must have that many dimensions.

    Raises:
        DataError: when the file is missing, truncated, too long or not what its header says.
    """
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == GZIP_MAGIC
        with gzip.open(path, "rb") if compressed else path.open("rb") as stream:
            return _parse(stream, path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}; remove it and fetch it again") from error


def _parse(stream: Readable, path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    shape = _read_shape(stream, path, dimensions)
    promised = math.prod(shape)
    if promised > MAX_ELEMENTS:
        raise DataError(f"{path} promises {promised} bytes of data, more than the {MAX_ELEMENTS} that are read at most")
    elements = stream.read(promised + 1)  # one more than promised: a longer file shows itself, an endless one ends
    if len(elements) != promised:
        found = f"{len(elements)}" if len(elements) < promised else f"more than {promised}"
        raise DataError(f"{path} promises {promised} bytes of data for shape {shape} and holds {found}: fetch it again")
    return np.frombuffer(elements, dtype=np.uint8).reshape(shape)


def _read_shape(stream: Readable, path: Path, dimensions: int) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\x00\x00":
        raise DataError(f"{path} is not an IDX file: it begins with {magic.hex() or 'nothing'}, not with 0000")
    if magic[2] != UNSIGNED_BYTE:
        raise DataError(f"{path} holds elements of type 0x{magic[2]:02x}: only unsigned bytes (0x08) are read")
    if magic[3] != dimensions:
        raise DataError(f"{path} has {magic[3]} dimensions, not {dimensions}: is it another file under this name?")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(f"{path} ends inside its header: fetch it again")
    return struct.unpack(f">{dimensions}I", sizes)

"""Write small IDX files and MNIST folders for tests."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from torchglass.reference_models.data.mnist import OFFICIAL_FILES, MnistFile, MnistFiles

TRAIN_COUNT, TEST_COUNT = 12, 7


def idx_bytes(array: npt.NDArray[np.uint8]) -> bytes:
    """Encode an array of bytes as the IDX format says."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def small_arrays() -> tuple[npt.NDArray[np.uint8], ...]:
    """Random pictures and labels, in the order of `MnistFiles`."""
    random = np.random.default_rng(5)
    return (
        random.integers(0, 256, (TRAIN_COUNT, 28, 28), dtype=np.uint8),
        random.integers(0, 10, TRAIN_COUNT, dtype=np.uint8),
        random.integers(0, 256, (TEST_COUNT, 28, 28), dtype=np.uint8),
        random.integers(0, 10, TEST_COUNT, dtype=np.uint8),
    )


def small_archives() -> dict[str, bytes]:
    """The gzipped small files by name, such as `train-images-idx3-ubyte.gz`."""
    return {
        file.archive: gzip.compress(idx_bytes(array), mtime=0)
        for file, array in zip(OFFICIAL_FILES, small_arrays(), strict=True)
    }


def described(archives: dict[str, bytes]) -> MnistFiles:
    """Describe archives as the official ones are described: by name and MD5 sum."""
    sums = {name.removesuffix(".gz"): hashlib.md5(data).hexdigest() for name, data in archives.items()}
    return MnistFiles(*(MnistFile(file.name, sums[file.name]) for file in OFFICIAL_FILES))


def write_plain(folder: Path) -> None:
    """Put the small files into a folder, unzipped."""
    for file, array in zip(OFFICIAL_FILES, small_arrays(), strict=True):
        (folder / file.name).write_bytes(idx_bytes(array))

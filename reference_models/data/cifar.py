"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test pictures of ten things, 32x32 pixels in colour.

The binary version is read: files of 3,073-byte records, a label 0..9 and then 1,024 red, green and blue values row by
row. They come in one archive, which is downloaded once into a cache folder and checked against its published MD5 sum;
on a machine without a network the archive, or the files in it, are put there by hand.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from torchglass.errors import DataError
from torchglass.reference_models.data.cache import cache_folder
from torchglass.reference_models.data.download import download, md5_of
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split

if TYPE_CHECKING:
    from typing import IO

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE_PIXELS = 32
RECORD_BYTES = 1 + 3 * SIDE_PIXELS**2
CIFAR10_FORM = DataForm("pictures", "classification", (3, SIDE_PIXELS, SIDE_PIXELS), NAMES)


@dataclass(frozen=True)
class CifarArchive:
    """An archive: its name and MD5 sum, the folder and files in it, and how many records each file has."""

    name: str
    md5: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    records: int

    @property
    def files(self) -> tuple[str, ...]:
        """Return all files, those for training first."""
        return self.train + self.test


OFFICIAL_ARCHIVE = CifarArchive(
    name="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test=("test_batch.bin",),
    records=10_000,
)


def load_cifar10_split(
    request: DataRequest, *, archive: CifarArchive = OFFICIAL_ARCHIVE, mirrors: Sequence[str] = MIRRORS
) -> Split:
    """Load CIFAR-10 as (N, 3, 32, 32) in 0..1, in the official split; the seed changes nothing.

    The cache is the folder of the archive or of its files, by default `$TORCHGLASS_CACHE/cifar10` or
    `~/.cache/torchglass/cifar10`; `mirrors` are the URLs to which the archive's name is added.

    Raises:
        DataError: when a file is damaged, or missing and not to be had; the message says what to put where.
    """
    folder = cache_folder("cifar10", request.cache)
    contents = dict(_unpacked(folder, archive) or _packed(_obtain(folder, archive, mirrors, request.progress), archive))
    return Split(
        CIFAR10_FORM,
        train=_samples([contents[name] for name in archive.train]),
        test=_samples([contents[name] for name in archive.test]),
    )


def _unpacked(folder: Path, archive: CifarArchive) -> dict[str, bytes] | None:
    for place in (folder, folder / archive.folder):
        if all((place / name).is_file() for name in archive.files):
            return {name: _read_file(place / name, archive.records) for name in archive.files}
    return None


def _read_file(path: Path, records: int) -> bytes:
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, records, str(path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _obtain(folder: Path, archive: CifarArchive, mirrors: Sequence[str], progress: bool) -> Path:
    path = folder / archive.name
    if path.is_file():
        found = md5_of(path)
        if found != archive.md5:
            raise DataError(
                f"{path} has MD5 {found}, not {archive.md5} as published: remove it and it is fetched again"
            )
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download([mirror + archive.name for mirror in mirrors], path, archive.md5, progress=progress)
    except (OSError, DataError) as error:
        raise DataError(f"{error}; without a network put it (or the .bin files in it) into {folder}") from error
    return path


def _packed(path: Path, archive: CifarArchive) -> Iterator[tuple[str, bytes]]:
    # Nothing is unpacked to disk: a member is a name to recognise and bytes to read, never a path to write to.
    wanted = {f"{archive.folder}/{name}": name for name in archive.files}
    try:
        with tarfile.open(path, "r:gz") as members:
            for member in members:
                name = wanted.get(member.name)
                if name is None or not member.isfile():
                    continue
                del wanted[member.name]
                yield name, _read(cast("IO[bytes]", members.extractfile(member)), member.size, archive.records, name)
                if not wanted:
                    return
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"cannot read {path}: {error}; remove it and fetch it again") from error
    raise DataError(f"{path} lacks {', '.join(wanted)}: remove it and fetch it again")


def _read(file: IO[bytes], size: int, records: int, origin: str) -> bytes:
    if size != records * RECORD_BYTES:
        raise DataError(
            f"{origin} has {size} bytes, not the {records * RECORD_BYTES} of {records} records of {RECORD_BYTES}: "
            "fetch it again (the binary version)"
        )
    content = file.read(size)
    largest = max(content[::RECORD_BYTES], default=0)
    if largest >= len(NAMES):
        raise DataError(f"{origin} holds the label {largest}: CIFAR-10's labels are 0 to {len(NAMES) - 1}")
    return content


def _samples(files: Sequence[bytes]) -> Samples:
    import torch

    records = np.concatenate([np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES) for content in files])
    pictures = torch.tensor(records[:, 1:].reshape(-1, 3, SIDE_PIXELS, SIDE_PIXELS), dtype=torch.float32)
    return Samples(pictures.div_(255.0), torch.tensor(records[:, 0], dtype=torch.int64))

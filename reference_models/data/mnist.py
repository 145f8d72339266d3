"""MNIST (LeCun, Cortes, Burges 1998): 60,000 training and 10,000 test pictures of handwritten digits, 28x28 pixels.

The four official files are downloaded once into a cache folder; on a machine without a network they are put there by
hand, gzipped or plain. Gzipped files are checked against the published MD5 sums, all files against their own headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torchglass.errors import DataError
from torchglass.reference_models.data.cache import cache_folder
from torchglass.reference_models.data.digits import DIGITS_FORM
from torchglass.reference_models.data.download import download, md5_of
from torchglass.reference_models.data.idx import read_idx
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split

if TYPE_CHECKING:
    from torch import Tensor

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SIDE_PIXELS = 28
MARGIN_PIXELS = 2  # LeNet-5 reads 32x32: strokes near the border then still pass through a kernel's centre
CLASSES = 10


@dataclass(frozen=True)
class MnistFile:
    """One official file: its name without `.gz` and the MD5 sum of the gzipped file."""

    name: str
    md5: str

    @property
    def archive(self) -> str:
        """Return the name of the gzipped file."""
        return f"{self.name}.gz"


@dataclass(frozen=True)
class MnistFiles:
    """The four files of the data set."""

    train_images: MnistFile
    train_labels: MnistFile
    test_images: MnistFile
    test_labels: MnistFile

    def __iter__(self) -> Iterator[MnistFile]:
        return iter((self.train_images, self.train_labels, self.test_images, self.test_labels))


OFFICIAL_FILES = MnistFiles(
    train_images=MnistFile("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    train_labels=MnistFile("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432"),
    test_images=MnistFile("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3"),
    test_labels=MnistFile("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c"),
)


def load_mnist_split(
    request: DataRequest, *, files: MnistFiles = OFFICIAL_FILES, mirrors: Sequence[str] | None = None
) -> Split:
    """Load MNIST as (N, 1, 32, 32) in 0..1, padded with black, in the official split; the seed changes nothing.

    The cache is the folder of the four files, by default `$TORCHGLASS_CACHE/mnist` or `~/.cache/torchglass/mnist`;
    `mirrors` are the URLs to which a file's name is added, by default `MIRRORS`.

    Raises:
        DataError: when a file is damaged, or missing and not to be had; the message says what to put where.
    """
    folder = cache_folder("mnist", request.cache)
    sources = MIRRORS if mirrors is None else mirrors
    paths = {file: _obtain(file, folder, sources, files, request.progress) for file in files}
    train_images, train_labels = _read_pair(paths[files.train_images], paths[files.train_labels])
    test_images, test_labels = _read_pair(paths[files.test_images], paths[files.test_labels])
    return Split(DIGITS_FORM, Samples(train_images, train_labels), Samples(test_images, test_labels))


def _obtain(file: MnistFile, folder: Path, mirrors: Sequence[str], files: MnistFiles, progress: bool) -> Path:
    plain, archive = folder / file.name, folder / file.archive
    if plain.is_file():
        return plain
    if archive.is_file():
        _check_sum(archive, file.md5)
        return archive
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download([mirror + file.archive for mirror in mirrors], archive, file.md5, progress=progress)
    except (OSError, DataError) as error:
        wanted = ", ".join(each.archive for each in files)
        raise DataError(f"{error}; without a network put {wanted} (or the unzipped files) into {folder}") from error
    return archive


def _check_sum(archive: Path, md5: str) -> None:
    found = md5_of(archive)
    if found != md5:
        raise DataError(f"{archive} has MD5 {found}, not {md5} as published: remove it and it is fetched again")


def _read_pair(images_path: Path, labels_path: Path) -> tuple[Tensor, Tensor]:
    import torch

    images, labels = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if images.shape[1:] != (SIDE_PIXELS, SIDE_PIXELS):
        raise DataError(f"{images_path} holds pictures of {images.shape[1]}x{images.shape[2]} pixels, not 28x28")
    if len(labels) and labels.max() >= CLASSES:
        raise DataError(f"{labels_path} holds the label {labels.max()}: MNIST's labels are 0 to 9")
    scaled = torch.tensor(images, dtype=torch.float32).unsqueeze(1).div_(255.0)
    return torch.nn.functional.pad(scaled, [MARGIN_PIXELS] * 4), torch.tensor(labels, dtype=torch.int64)

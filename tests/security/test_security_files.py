"""Files from outside run nothing and take no more memory than they are worth: weights, archives, pictures, texts."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile import CORPUS, MEGABYTE

from torchglass.errors import DataError, TorchglassError
from torchglass.explainers import Explanation
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.own_input import (
    MAX_FILE_BYTES,
    OwnInput,
    picture_input,
    read_own_input,
    row_input,
    text_input,
)
from torchglass.reference_models.data.words import Vocabulary
from torchglass.reference_models.networks.pretrained import load_pretrained, read_tensors
from torchglass.reference_models.resuming import load_resume
from torchglass.reference_models.weights import load_weights

PICTURES = DataForm("pictures", "classification", (1, 28, 28), ("a", "b"))
TEXT = DataForm("text", "classification", (16,), ("a", "b"), vocabulary_size=4)
MOST_BYTES = 40_000_000


class Bomb:
    """An object whose unpickling leaves a trace."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def plain_pickle(bomb: Bomb, path: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": bomb}))


def saved_by_torch(bomb: Bomb, path: Path) -> None:
    torch.save({"weight": torch.zeros(2), "more": bomb}, path)


def old_format(bomb: Bomb, path: Path) -> None:
    torch.save({"weight": bomb}, path, _use_new_zipfile_serialization=False)


def whole_model(bomb: Bomb, path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    model.bomb = bomb  # type: ignore[assignment]
    torch.save(model, path)


READERS: dict[str, Callable[[Path], object]] = {
    "weights": lambda path: load_weights(path, torch.nn.Linear(2, 2)),
    "resuming": lambda path: load_resume(path, {}),
    "pretrained": lambda path: load_pretrained(torch.nn.Linear(2, 2), path, head=""),
    "explanation": Explanation.load,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("write", [plain_pickle, saved_by_torch, old_format, whole_model])
@pytest.mark.parametrize("ending", [".pt", ".safetensors", ".npz"])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(
    write: Callable[[Bomb, Path], None], reader: str, ending: str, tmp_path: Path
) -> None:
    mark, path = tmp_path / "owned", tmp_path / f"checkpoint{ending}"
    write(Bomb(mark), path)
    with pytest.raises(TorchglassError):
        READERS[reader](path)
    assert not mark.exists()
    bomb = path.rename(tmp_path / "bomb.pt")
    pickle.loads(bomb.read_bytes()) if write is plain_pickle else torch.load(bomb, weights_only=False)
    assert mark.exists()  # it is one


def test_a_safetensors_file_whose_header_promises_too_much_is_refused(tmp_path: Path) -> None:
    for size, header in ((2**62, b"{}"), (64, b'{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}')):
        path = tmp_path / "model.safetensors"
        path.write_bytes(struct.pack("<Q", size) + header.ljust(64) + b"\0" * 8)
        with pytest.raises(DataError, match="cannot be read as weights"):
            read_tensors(path)


def png(width: int, height: int) -> bytes:
    """A picture of one bit a pixel, all black, that says it is so large, with all of its rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packed = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def npz(rows: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(rows))
        archive.writestr("../../outside.npy", b"x")
    return stream.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "picture of 900 megapixels": lambda: png(30_000, 30_000),
    "archive": lambda: npz(100_000_000),
    "array that says it is large": lambda: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000), }".ljust(117)
        + b"\n"
    ),
    "array of objects": lambda: (
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
        + b"\ncos\nsystem\n(S'true'\ntR."
    ),
    "vector picture": lambda: b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
    "page": lambda: b"<script>alert(1)</script>",
    "nothing": bytes,
}


@pytest.mark.parametrize("name", BOMBS)
def test_an_upload_that_is_no_picture_or_too_large_costs_next_to_nothing(name: str) -> None:
    content = BOMBS[name]()
    assert len(content) < 8_000_000  # the server would let it in
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            picture_input(content, PICTURES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES


def test_a_file_beyond_the_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)  # a hole, which takes no room
    with pytest.raises(DataError, match="at most 20,000,000"):
        read_own_input(path, PICTURES)


@pytest.mark.parametrize("name", [*CORPUS, "a megabyte"])
def test_any_text_is_explained_or_refused_in_a_sentence(name: str) -> None:
    text = CORPUS.get(name, MEGABYTE)
    form = DataForm("table", "classification", (1,), ("a", "b"), feature_names=(text,))
    for take in (
        lambda: text_input(text, TEXT, Vocabulary(("press", "red", "script"))),
        lambda: row_input({text: 1.0}, form, None),
        lambda: row_input({"x": text}, form, None),
        lambda: picture_input(text.encode(errors="replace"), PICTURES),
    ):
        assert is_explained_or_refused(take)


def is_explained_or_refused(take: Callable[[], OwnInput]) -> bool:
    try:
        return bool(np.isfinite(take().values).all())
    except DataError as refusal:
        return len(str(refusal)) < 1000

"""What would be shipped, on disk."""

from __future__ import annotations

import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

from torchglass.reference_models.variants.results import Size
from torchglass.reference_models.variants.technique import Predictor

CHUNK_BYTES = 1 << 20


def shipped_size(predictor: Predictor) -> Size:
    """Write what a predictor would ship into a folder that is removed again, and weigh it."""
    with TemporaryDirectory(prefix="torchglass-size-") as name:
        folder = Path(name)
        predictor.save(folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return Size(sum(path.stat().st_size for path in files), sum(_deflated(path) for path in files))


def _deflated(path: Path) -> int:
    squeeze = zlib.compressobj()
    count = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            count += len(squeeze.compress(chunk))
    return count + len(squeeze.flush())

"""A file that is still being fetched: one process writes it, and what was received outlives the process."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SILENT_SECONDS = 120.0  # twice what a download waits for a byte and a connection: then its process is gone


@contextmanager
def unfinished(target: Path, mark: str) -> Iterator[Path]:
    """Lend a file of this process's own beside `target`, holding what an earlier try received under the same `mark`.

    Whoever renames it to `target` has finished. Otherwise what it holds is kept for the next try, which takes it over
    by renaming it, so two processes never write one file. After a kill nobody keeps anything: the file is taken over
    once it has been silent for two minutes.
    """
    stem = f".{target.name}.{mark}"
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f"{stem}.", suffix=".partial")
    os.close(handle)
    own, kept = Path(name), target.parent / f"{stem}.partial"
    left = _largest_left(own, kept, stem)
    if left is not None:
        with suppress(FileNotFoundError):  # another process was faster
            os.replace(left, own)
    try:
        yield own
    finally:
        if _size(own) > _size(kept):
            os.replace(own, kept)
        else:
            own.unlink(missing_ok=True)


def _largest_left(own: Path, kept: Path, stem: str) -> Path | None:
    silent_since = time.time() - SILENT_SECONDS
    others = (path for path in own.parent.iterdir() if path.name.startswith(f"{stem}.") and path.suffix == ".partial")
    left = [path for path in others if path != own and (path == kept or _written_at(path) < silent_since)]
    return max(left, key=_size, default=None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()

"""Which runs a folder of logs holds: each folder with event files is one, as in TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from torchglass.errors import DataError, OptionError

MARK = "tfevents"  # what TensorBoard looks for in a file's name


class LoggedRun(NamedTuple):
    """A run's name, and its event files in the order of their names, which begin with the time they were opened."""

    name: str
    files: tuple[Path, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files, now."""
        return sum(path.stat().st_size for path in self.files)


def find_runs(logdir: Path, name: str | None = None) -> list[LoggedRun]:
    """Return the runs under `logdir`, or of one event file, in the order of their names.

    A run is called by its path below `logdir`; one in `logdir` itself by that folder's name. With `name` the first
    part of every name is that instead.

    Raises:
        OptionError: `logdir` does not exist.
        DataError: there is no event file in it.
    """
    if not logdir.exists():
        raise OptionError(f"{logdir} does not exist: give a folder of TensorBoard logs")
    root = logdir.resolve()
    if root.is_file():
        return [LoggedRun(name or root.parent.name, (root,))]
    found = {folder.relative_to(root): files for folder, files in _event_files(root)}
    if not found:
        raise DataError(f"no event files (*{MARK}*) in {logdir} or below: give a folder of TensorBoard logs")
    alone = len(found) == 1 and name is not None
    return [
        LoggedRun(name if alone and name else _name(folder, root, name), files)
        for folder, files in sorted(found.items(), key=lambda each: each[0].parts)
    ]


def _name(folder: Path, root: Path, prefix: str | None) -> str:
    if not folder.parts:
        return prefix or root.name or "run"
    return "/".join((prefix, *folder.parts) if prefix else folder.parts)


def _event_files(root: Path) -> Iterator[tuple[Path, tuple[Path, ...]]]:
    """Each folder with event files; links to folders are followed, as people put chosen runs side by side with them."""
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()  # a link that leads back up
            continue
        seen.add(real)
        files = tuple(Path(folder, each) for each in sorted(names) if MARK in each)
        if files := tuple(path for path in files if path.is_file()):
            yield Path(folder), files

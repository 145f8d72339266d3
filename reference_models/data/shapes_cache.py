"""Keep generated arrays in a file, so that they are drawn once; a file that is damaged or foreign is drawn again."""

from __future__ import annotations

import os
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[np.generic]]
Layout = Mapping[str, tuple[tuple[int, ...], str]]  # of each array its shape and dtype

# What numpy and zipfile raise on a file that is cut, overwritten (a RuntimeError: "encrypted") or no archive of arrays
# (a TypeError: a single array); the archive's CRC-32 of each array finds the single flipped bit.
DAMAGE = (OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


def kept(path: Path, layout: Layout, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays in the file at `path`, or make and write them where it holds none of that layout.

    The file appears under its name complete or not at all. Where it cannot be written a warning says so and the
    arrays are returned all the same: they are drawn again next time.
    """
    found = _read(path, layout)
    if found is not None:
        return found
    made = make()
    try:
        _write(path, made)
    except OSError as error:
        warnings.warn(f"{path} cannot be written ({error}): the data are generated again next time", stacklevel=2)
    return made


def _read(path: Path, layout: Layout) -> Arrays | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in layout}  # what is no array is read as bytes
    except DAMAGE:
        return None
    as_expected = all((arrays[name].shape, arrays[name].dtype.str) == layout[name] for name in layout)
    return arrays if as_expected else None


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)

"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchglass.errors import OptionError, TorchglassError


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a path beside the target to write to; it takes the target's place in one move when the block ends well.

    Raises:
        TorchglassError: the file cannot be written.
    """
    part = target.with_name(f".{uuid.uuid4().hex}.part")  # same folder: a move across file systems is not atomic
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise TorchglassError(f"cannot write {target}: {error.strerror or error}; give another path") from error
    finally:
        part.unlink(missing_ok=True)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse what can be refused before any work is done.

    Raises:
        OptionError: the target's folder does not exist, it is a folder, a pipe or a device, or it exists and may not be
            replaced.
    """
    if not target.parent.is_dir():
        raise OptionError(f"the folder {target.parent} does not exist: create it, or give another path")
    if target.is_dir():
        raise OptionError(f"{target} is a folder: give the path of a file")
    if target.exists() and not target.is_file():  # the move would put a file in the place of /dev/null
        raise OptionError(f"{target} is no ordinary file: give another path")
    if target.exists() and not overwrite:
        raise OptionError(f"{target} exists: give another path, or allow it to be overwritten")

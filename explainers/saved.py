"""Keep arrays and facts in one .npz file that no pickle can enter, and take only what this file wrote."""

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.errors import ExplainError

FORMAT = "torchglass explanation 1"
_FACTS = "facts"
_UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, OverflowError, MemoryError, RecursionError,
    NotImplementedError, TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What numpy, zipfile and json raise on files that are torn, foreign, hold objects or claim to be huge."""


def write_npz(path: Path, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]) -> Path:
    """Write arrays and JSON-able facts; the file appears whole or not at all.

    Raises:
        ExplainError: the file cannot be written.
    """
    written = np.array(json.dumps({"format": FORMAT, "facts": facts}))
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            stored: dict[str, Any] = {**arrays, _FACTS: written}
            np.savez_compressed(file, **stored)
        beside.replace(path)
    except OSError as error:
        raise ExplainError(f"{path} cannot be written ({error.strerror}): give a file in a folder of yours") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def read_npz(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Read back the arrays and facts that `write_npz` wrote.

    Raises:
        ExplainError: there is no such file, it is torn, or something else wrote it.
    """
    if not path.is_file():
        raise ExplainError(f"{path} is no file: give one that Explanation.save wrote")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        written = json.loads(str(arrays.pop(_FACTS)))
        if written["format"] != FORMAT:
            raise ValueError(f"its format is {written['format']!r}")
        return arrays, dict(written["facts"])
    except _UNREADABLE as error:
        raise ExplainError(
            f"{path} holds no explanation that can be read (torn, or of another hand): explain again to replace it"
        ) from error


def jsonable(value: Any) -> Any:
    """Bring settings to what JSON holds, so that a stored explanation equals the one that was stored.

    Tuples, arrays and tensors become lists, numpy's numbers Python's; what JSON has no word for becomes its text.
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(one) for one in value]
    if callable(getattr(value, "tolist", None)):
        return jsonable(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)

"""Bytes of an artifact: a compressed `.npz` in which nothing needs pickle."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.errors import StoreError


def encode_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A compressed `.npz` in which no array may need pickle."""
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise StoreError(
                f"array {name!r} has dtype {array.dtype}: only numbers, booleans and plain text are stored"
            )
    buffer = io.BytesIO()
    # Not np.savez: there an array called "file" clashes with a parameter of numpy's own.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def decode_arrays(payload: bytes) -> dict[str, npt.NDArray[Any]]:
    """Inverse of `encode_arrays`.

    Raises:
        StoreError: the payload would need pickle, or is damaged.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
    except (ValueError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"damaged, or not arrays alone: {error}") from error
    return arrays

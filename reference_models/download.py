"""Fetch one file of known checksum: it appears under its name complete and checked, or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, cast
from urllib.request import urlopen

from torchglass.errors import DataError
from torchglass.reference_models.progress import Bar, bar

TIMEOUT_SECONDS = 30.0  # for a connection and for each read: a server that falls silent is a failure, not a wait
CHUNK_BYTES = 1 << 16
MAX_BYTES = 1 << 28  # the data sets here are below 16 MiB; a server must not fill the disk


def download(urls: Sequence[str], target: Path, md5: str, *, progress: bool) -> None:
    """Download `target` from the first URL that delivers bytes of that MD5 sum (hexadecimal).

    The bytes go to a temporary file in the same folder, which is renamed once the sum is right.

    Raises:
        DataError: when no URL delivers; the message says how each of them failed.
    """
    failures: list[str] = []
    for url in urls:
        try:
            _download_from(url, target, md5, progress)
            return
        except (OSError, HTTPException, DataError) as error:
            failures.append(f"{url}: {str(error) or type(error).__name__}")
    raise DataError(f"{target.name} could not be downloaded ({'; '.join(failures)})")


def md5_of(path: Path) -> str:
    """Return the MD5 sum of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, _new_md5).hexdigest()


def _new_md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)  # the published sums are MD5: they name the bytes, they sign nothing


def _download_from(url: str, target: Path, md5: str, progress: bool) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, cast("HTTPResponse", urlopen(url, timeout=TIMEOUT_SECONDS)) as response:
            promised = response.length
            with bar(target.name, promised, "B", show=progress, stays=False) as drawn:
                received, found = _copy(response, file, drawn)
        if promised is not None and received != promised:
            raise DataError(f"the connection ended after {received} of {promised} bytes")
        if found != md5:
            raise DataError(f"the {received} bytes received have MD5 {found}, not {md5}")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _copy(response: IO[bytes], file: IO[bytes], drawn: Bar) -> tuple[int, str]:
    digest, received = _new_md5(), 0
    while chunk := response.read(CHUNK_BYTES):
        received += len(chunk)
        if received > MAX_BYTES:
            raise DataError(f"the server sent more than {MAX_BYTES} bytes")
        file.write(chunk)
        digest.update(chunk)
        drawn.update(len(chunk))
    return received, digest.hexdigest()

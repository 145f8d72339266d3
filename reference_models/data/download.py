"""Fetch one file of known checksum: it appears under its name complete and checked, or not at all."""

import hashlib
import os
import re
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from torchglass.errors import DataError
from torchglass.reference_models.data.partial import unfinished
from torchglass.reference_models.progress import Bar, bar

TIMEOUT_SECONDS = 30.0  # for a connection and for each read: a server that falls silent is a failure, not a wait
CHUNK_BYTES = 1 << 16
MAX_BYTES = 1 << 28  # the largest data set here has 170 MB; a server must not fill the disk
MAX_CONNECTIONS = 10  # to one server, as long as each of them brings something
PART = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def download(urls: Sequence[str], target: Path, md5: str, *, progress: bool) -> None:
    """Download `target` from the first URL that delivers bytes of that MD5 sum (hexadecimal).

    What a broken connection delivered is kept, and the next try, of this URL, of the next one or of a later process,
    asks for the rest alone (RFC 9110, section 14). A server that sends the whole instead is taken at its word. That the
    parts belong together is for the sum to say: where it does not, the file is fetched once more from its beginning.

    Raises:
        DataError: when no URL delivers; the message says how each of them failed.
    """
    failures: list[str] = []
    with unfinished(target, md5[:8]) as partial:
        for url in urls:
            try:
                _complete(url, partial, md5, target.name, progress)
                os.replace(partial, target)
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


def _complete(url: str, partial: Path, md5: str, title: str, progress: bool) -> None:
    for connection in range(1, MAX_CONNECTIONS + 1):
        held = partial.stat().st_size
        if held and md5_of(partial) == md5:
            return
        try:
            whole = _receive(url, partial, title, progress)
        except (OSError, HTTPException):
            if partial.stat().st_size <= held or connection == MAX_CONNECTIONS:
                raise
            continue
        found = md5_of(partial)
        if found == md5:
            return
        received = partial.stat().st_size
        os.truncate(partial, 0)
        if whole:
            raise DataError(f"the {received} bytes received have MD5 {found}, not {md5}")
    raise DataError(f"{MAX_CONNECTIONS} connections brought no file of MD5 {md5}")


def _receive(url: str, partial: Path, title: str, progress: bool) -> bool:
    """Add what is missing, or write all anew; tell whether all of it came over this connection."""
    held = partial.stat().st_size
    with _ask(url, held) as response, partial.open("r+b") as file:
        kept = held if _goes_on(response, held) else 0
        file.truncate(kept)
        file.seek(kept)
        promised = None if response.length is None else kept + response.length
        with bar(title, promised, "B", show=progress, stays=False) as drawn:
            drawn.update(kept)
            received = kept + _copy(response, file, drawn, at_most=MAX_BYTES - kept)
    if promised is not None and received != promised:
        raise ConnectionError(f"the connection ended after {received} of {promised} bytes")
    return kept == 0


def _ask(url: str, held: int) -> HTTPResponse:
    if not held:
        return _open(Request(url))
    try:
        return _open(Request(url, headers={"Range": f"bytes={held}-"}))
    except HTTPError as error:
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        return _open(Request(url))  # what is held is longer than the file: it was another one


def _open(request: Request) -> HTTPResponse:
    return cast("HTTPResponse", urlopen(request, timeout=TIMEOUT_SECONDS))


def _goes_on(response: HTTPResponse, held: int) -> bool:
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return False
    part = PART.fullmatch(response.headers.get("Content-Range", ""))
    if part is None or int(part[1]) != held:
        raise DataError(f"the server sent {response.headers.get('Content-Range')!r}, not what follows byte {held}")
    return True


def _copy(response: IO[bytes], file: IO[bytes], drawn: Bar, *, at_most: int) -> int:
    received = 0
    while chunk := response.read(CHUNK_BYTES):
        received += len(chunk)
        if received > at_most:
            raise DataError(f"the server sent more than {MAX_BYTES} bytes")
        file.write(chunk)
        drawn.update(len(chunk))
    return received

"""The text of a trace file a block at a time, gzipped or not, with bounds on what a small file may swell to."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from torchglass.errors import DataError, OptionError

BLOCK_BYTES = 1 << 20
# Traces shrink 15 to 30 times, the most repetitive ones 100 times; gzip of a single byte does so 1,000 times.
LARGEST_EXPANSION = 300
EXPANSION_COUNTS_FROM_BYTES = 256 << 20

Advance = Callable[[int], object]  # told how many more bytes of the file were read


class Text:
    """An open trace file: iterate for its text, in blocks of about a mebibyte.

    Bytes that are no UTF-8 become U+FFFD, for old profilers wrote names as they found them.
    """

    def __init__(self, path: Path, advance: Advance = lambda amount: None) -> None:
        self.path = path
        self._advance = advance
        try:
            self._file = path.open("rb")
            zipped = self._file.read(2) == b"\x1f\x8b"
            self._file.seek(0)
            self._size = path.stat().st_size
        except IsADirectoryError as error:
            raise OptionError(f"{path} is a folder: give the trace files in it, such as {path}/*.json.gz") from error
        except OSError as error:
            raise OptionError(f"cannot open {path}: {error.strerror or error}; give a trace file") from error
        self._unzipped: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=self._file) if zipped else self._file

    def __enter__(self) -> Text:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        reached = given = 0
        while block := self._block(given):
            given += len(block)
            self._advance(self._file.tell() - reached)
            reached = self._file.tell()
            self._check_expansion(given)
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)

    def _block(self, given: int) -> bytes:
        try:
            return self._unzipped.read(BLOCK_BYTES)
        except EOFError as error:
            raise DataError(
                f"{self.path.name} is truncated: its gzip data ends early, {given:,} bytes into the trace; "
                "copy or record it again"
            ) from error
        except (OSError, zlib.error) as error:
            raise DataError(
                f"{self.path.name} cannot be read on, {given:,} bytes into the trace ({error}); copy it again"
            ) from error

    def _check_expansion(self, given: int) -> None:
        if given > max(EXPANSION_COUNTS_FROM_BYTES, LARGEST_EXPANSION * self._size):
            raise DataError(
                f"{self.path.name} swells to more than {LARGEST_EXPANSION} times its {self._size:,} bytes: that is no "
                "trace; gunzip it first if you trust it"
            )

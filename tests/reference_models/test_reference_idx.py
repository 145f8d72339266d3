"""The IDX parser: reads what the format says and refuses everything else by name."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx_bytes

from torchglass.errors import DataError
from torchglass.reference_models.data.idx import read_idx

PICTURES = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_pictures_come_back_as_they_were_written(path: Path, pack: type[bytes]) -> None:
    path.write_bytes(pack(idx_bytes(PICTURES)))
    np.testing.assert_array_equal(read_idx(path, dimensions=3), PICTURES)


def test_sizes_are_big_endian(path: Path) -> None:
    path.write_bytes(b"\x00\x00\x08\x01" + b"\x00\x00\x01\x02" + bytes(258))
    assert read_idx(path, dimensions=1).shape == (258,)


WHOLE = idx_bytes(PICTURES)
DAMAGED = {
    "empty": (b"", "begins with nothing"),
    "not IDX": (b"<html>not found</html>", "begins with 3c68746d"),
    "first bytes": (b"\x01" + WHOLE[1:], "not an IDX file"),
    "floats": (WHOLE[:2] + b"\x0d" + WHOLE[3:], "type 0x0d"),
    "labels for pictures": (idx_bytes(PICTURES.reshape(-1)), "1 dimensions, not 3"),
    "ends in the header": (WHOLE[:9], "inside its header"),
    "one byte short": (WHOLE[:-1], r"promises 30 bytes.*holds 29"),
    "one byte long": (WHOLE + b"\x00", r"promises 30 bytes.*more than 30"),
    "absurd sizes": (WHOLE[:4] + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1), "read at most"),
    "gzip cut short": (gzip.compress(WHOLE)[:-9], "cannot read"),
    "gzip bit flipped": (gzip.compress(WHOLE)[:-8] + bytes(8), "cannot read"),
    "gzip of nothing": (b"\x1f\x8b", "cannot read"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_refused_with_what_is_wrong(path: Path, damage: str) -> None:
    data, complaint = DAMAGED[damage]
    path.write_bytes(data)
    with pytest.raises(DataError, match=complaint):
        read_idx(path, dimensions=3)


def test_a_missing_file_is_a_data_error(path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_idx(path, dimensions=3)

"""CIFAR-10's binary files: packed or not, downloaded or put there by hand, and everything else refused by name."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from breaking_server import Offer, serving

from torchglass.errors import DataError
from torchglass.reference_models import DataRequest
from torchglass.reference_models.data.cifar import OFFICIAL_ARCHIVE, CifarArchive, load_cifar10_split

RECORDS = 3
NOWHERE = "http://127.0.0.1:9/"


def small_files() -> dict[str, bytes]:
    """Random records by file name, three a file."""
    random = np.random.default_rng(4)
    return {name: records(random).tobytes() for name in OFFICIAL_ARCHIVE.files}


def records(random: np.random.Generator) -> npt.NDArray[np.uint8]:
    labels = random.integers(0, 10, (RECORDS, 1), dtype=np.uint8)
    return np.concatenate([labels, random.integers(0, 256, (RECORDS, 3072), dtype=np.uint8)], axis=1)


def packed(files: Mapping[str, bytes]) -> bytes:
    """Pack files as the official archive does, with a note among them."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in {"batches.meta.txt": b"airplane\n", **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def described(content: bytes) -> CifarArchive:
    return replace(OFFICIAL_ARCHIVE, md5=hashlib.md5(content).hexdigest(), records=RECORDS)


def write_unpacked(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def files() -> dict[str, bytes]:
    return small_files()


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(packed(files)) as offer:
        yield offer


SMALL = replace(OFFICIAL_ARCHIVE, records=RECORDS)


def test_the_official_archive_is_described_as_published() -> None:
    assert OFFICIAL_ARCHIVE.md5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert OFFICIAL_ARCHIVE.train == tuple(f"data_batch_{number}.bin" for number in (1, 2, 3, 4, 5))
    assert len(OFFICIAL_ARCHIVE.train) * OFFICIAL_ARCHIVE.records == 50_000
    assert len(OFFICIAL_ARCHIVE.test) * OFFICIAL_ARCHIVE.records == 10_000


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_a_record_is_a_label_and_then_red_green_and_blue_row_by_row(
    files: dict[str, bytes], tmp_path: Path, inside: str
) -> None:
    write_unpacked(tmp_path / inside, files)
    split = load_cifar10_split(DataRequest(cache=tmp_path), archive=SMALL, mirrors=[NOWHERE])
    assert split.train.inputs.shape == (5 * RECORDS, 3, 32, 32)
    assert split.test.inputs.shape == (RECORDS, 3, 32, 32)
    assert split.form.shape == (3, 32, 32)
    assert split.form.class_names[3] == "cat"
    record = files["data_batch_2.bin"][3073 : 2 * 3073]  # the fifth of all: three in the first file, one before it
    assert split.train.targets[4] == record[0]
    red, green, blue = (record[1 + place] / 255 for place in (5 * 32 + 7, 1024 + 5 * 32 + 7, 2048 + 5 * 32 + 7))
    assert split.train.inputs[4, :, 5, 7].tolist() == pytest.approx([red, green, blue])
    assert split.train.inputs.dtype == torch.float32
    assert split.train.targets.dtype == torch.int64


def test_the_archive_is_downloaded_once_and_gives_what_its_files_give(
    files: dict[str, bytes], server: Offer, tmp_path: Path
) -> None:
    mirror = server.url.removesuffix("set.tar.gz")
    archive, packed_cache = described(server.content), tmp_path / "new" / "packed"
    server.at_most = len(server.content) // 2
    first = load_cifar10_split(DataRequest(cache=packed_cache), archive=archive, mirrors=[mirror])
    again = load_cifar10_split(DataRequest(cache=packed_cache), archive=archive, mirrors=[NOWHERE])
    assert len(server.asked) == 3  # two halves and the odd byte
    write_unpacked(tmp_path / "unpacked", files)
    unpacked = load_cifar10_split(DataRequest(cache=tmp_path / "unpacked"), archive=SMALL, mirrors=[NOWHERE])
    for split in (again, unpacked):
        assert torch.equal(split.train.inputs, first.train.inputs)
        assert torch.equal(split.test.targets, first.test.targets)
    assert [path.name for path in packed_cache.iterdir()] == ["cifar-10-binary.tar.gz"]  # nothing is unpacked to disk


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "one byte short": (lambda content: content[:-1], r"9218 bytes, not the 9219 of 3 records of 3073"),
    "one byte long": (lambda content: content + bytes(1), r"9220 bytes, not the 9219"),
    "a record short": (lambda content: content[:-3073], r"6146 bytes, not the 9219"),
    "empty": (lambda content: content[:0], r"0 bytes, not the 9219"),
    "label ten": (lambda content: b"\x0a" + content[1:], r"label 10: CIFAR-10's labels are 0 to 9"),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("form", ["packed", "unpacked"])
def test_a_damaged_file_is_refused_by_name(files: dict[str, bytes], tmp_path: Path, damage: str, form: str) -> None:
    spoil, complaint = DAMAGED[damage]
    files["data_batch_4.bin"] = spoil(files["data_batch_4.bin"])
    archive = SMALL
    if form == "packed":
        (tmp_path / SMALL.name).write_bytes(packed(files))
        archive = described(packed(files))
    else:
        write_unpacked(tmp_path, files)
    with pytest.raises(DataError, match=rf"data_batch_4\.bin.*{complaint}"):
        load_cifar10_split(DataRequest(cache=tmp_path), archive=archive, mirrors=[NOWHERE])


def load_archive(folder: Path, content: bytes) -> None:
    (folder / SMALL.name).write_bytes(content)
    load_cifar10_split(DataRequest(cache=folder), archive=described(content), mirrors=[NOWHERE])


def test_an_archive_that_lacks_a_file_is_refused_with_the_file_s_name(files: dict[str, bytes], tmp_path: Path) -> None:
    del files["test_batch.bin"]
    with pytest.raises(DataError, match=r"lacks cifar-10-batches-bin/test_batch\.bin"):
        load_archive(tmp_path, packed(files))


UNREADABLE = {
    "empty": b"",
    "text": b"not an archive",
    "torn": packed(small_files())[:-900],
    "packed zeros": gzip.compress(b"\0" * 700),
}


# Named, because gzip writes the time into what it packs: two workers would collect tests of different names.
@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_an_archive_that_cannot_be_read_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz"):
        load_archive(tmp_path, content)


def test_links_and_paths_that_lead_out_of_the_archive_are_not_followed(files: dict[str, bytes], tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(files["test_batch.bin"])
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            if name == "test_batch.bin":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, str(outside), 0
            archive.addfile(member, io.BytesIO(content))
        stray = tarfile.TarInfo("../stray.bin")
        archive.addfile(stray, io.BytesIO(b""))
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(DataError, match=r"lacks cifar-10-batches-bin/test_batch\.bin"):
        load_archive(cache, stream.getvalue())
    assert not (tmp_path / "stray.bin").exists()


def test_an_archive_of_another_sum_is_refused_and_stays(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / SMALL.name).write_bytes(packed(files))
    with pytest.raises(DataError, match=rf"not {OFFICIAL_ARCHIVE.md5} as published: remove it"):
        load_cifar10_split(DataRequest(cache=tmp_path), archive=SMALL, mirrors=[NOWHERE])
    assert (tmp_path / SMALL.name).exists()


def test_without_a_network_the_error_says_what_goes_where(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cifar-10-binary\.tar\.gz could not be downloaded .*without a network put"
    ) as raised:
        load_cifar10_split(DataRequest(cache=tmp_path), mirrors=[NOWHERE])
    assert str(tmp_path) in str(raised.value)


def test_the_cache_is_the_environment_s_unless_a_folder_is_named(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHGLASS_CACHE", str(tmp_path))
    write_unpacked(tmp_path / "cifar10", files)
    assert len(load_cifar10_split(DataRequest(), archive=SMALL, mirrors=[NOWHERE]).test) == RECORDS

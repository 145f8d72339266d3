"""Drawn sets are kept in a file; a file that cannot be what was drawn is drawn again."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.shapes import load_shapes, shapes_split
from torchglass.reference_models.data.shapes_cache import Arrays, kept

LAYOUT = {"numbers": ((3,), "<i8")}
NUMBERS = np.array([7, 8, 9])


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"numbers": NUMBERS}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip_a_bit_of_the_numbers(path: Path) -> None:
    data = bytearray(path.read_bytes())
    place = data.index(NUMBERS.tobytes())
    data[place + 8] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_the_bit_that_says_encrypted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] ^= 1
    path.write_bytes(data)


def write_a_single_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, NUMBERS)


def write_an_archive_of_texts(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("numbers", "7 8 9")


def write_a_text(path: Path) -> None:
    path.write_text("no archive\n" * 20)


def write_other_numbers(path: Path) -> None:
    np.savez(path, numbers=np.zeros(4))


def write_other_names(path: Path) -> None:
    np.savez(path, others=NUMBERS)


def write_objects(path: Path) -> None:
    np.savez(path, numbers=np.array([object()] * 3))


def test_a_second_load_makes_nothing(tmp_path: Path) -> None:
    make = Maker()
    for _ in range(2):
        assert kept(tmp_path / "new" / "a.npz", LAYOUT, make)["numbers"].tolist() == [7, 8, 9]
    assert make.calls == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flip_a_bit_of_the_numbers,
        flip_the_bit_that_says_encrypted,
        empty,
        write_a_single_array,
        write_an_archive_of_texts,
        write_a_text,
        write_other_numbers,
        write_other_names,
        write_objects,
    ],
)
def test_a_damaged_or_foreign_file_is_made_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    make, path = Maker(), tmp_path / "a.npz"
    kept(path, LAYOUT, make)
    damage(path)
    assert kept(path, LAYOUT, make)["numbers"].tolist() == [7, 8, 9]
    assert make.calls == 2
    kept(path, LAYOUT, make)
    assert make.calls == 2, "the repaired file is read"


def test_a_folder_that_cannot_be_written_is_a_warning_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"a\.npz cannot be written"):
        found = kept(tmp_path / "folder" / "a.npz", LAYOUT, Maker())
    assert found["numbers"].tolist() == [7, 8, 9]


def test_a_failure_while_drawing_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> Arrays:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(tmp_path / "a.npz", LAYOUT, fail)
    assert list(tmp_path.iterdir()) == []


def test_shapes_come_from_the_cache_and_a_damaged_one_is_drawn_again(tmp_path: Path) -> None:
    request = DataRequest(cache=tmp_path)
    first = shapes_split(request, 20, 10)
    files = sorted(tmp_path.iterdir())
    assert [file.name.split("-")[2:] for file in files] == [["test", "10", "seed0.npz"], ["train", "20", "seed0.npz"]]
    written = [file.stat().st_mtime_ns for file in files]
    again = shapes_split(request, 20, 10)
    assert [file.stat().st_mtime_ns for file in files] == written
    assert torch.equal(again.train.inputs, first.train.inputs)
    data = bytearray(files[1].read_bytes())
    data[len(data) // 3] ^= 0xFF
    files[1].write_bytes(data)
    assert torch.equal(shapes_split(request, 20, 10).train.inputs, first.train.inputs)
    assert files[1].read_bytes() != data


def test_the_usual_cache_is_the_projects_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHGLASS_CACHE", str(tmp_path))
    shapes_split(DataRequest(), 2, 2)
    assert len(list((tmp_path / "shapes").glob("*.npz"))) == 2
    assert load_shapes.__module__ == "torchglass.reference_models.data.shapes"

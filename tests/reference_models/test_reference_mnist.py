"""MNIST: files put there by hand or downloaded from a real server on this machine, checked, padded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from idx_files import TEST_COUNT, TRAIN_COUNT, described, idx_bytes, small_archives, small_arrays, write_plain

from torchglass.errors import DataError
from torchglass.reference_models import DataRequest, get
from torchglass.reference_models.data.cache import cache_folder
from torchglass.reference_models.data.mnist import OFFICIAL_FILES, load_mnist_split

NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens, the connection is refused at once


@dataclass
class Mirror:
    """What the server offers, by name, and what was asked of it; `cut` bytes are promised and not sent."""

    url: str
    files: dict[str, bytes]
    cut: int = 0
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    offered = Mirror("", small_archives())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            offered.asked.append(name)
            if name not in offered.files:
                self.send_error(404)
                return
            data = offered.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) - offered.cut])

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    offered.url = f"http://127.0.0.1:{server.server_port}/"
    yield offered
    server.shutdown()
    server.server_close()


def test_downloaded_pictures_are_padded_to_32_and_scaled_to_1(mirror: Mirror, tmp_path: Path) -> None:
    split = load_mnist_split(DataRequest(cache=tmp_path), files=described(mirror.files), mirrors=[mirror.url])
    pictures, labels, _, test_labels = small_arrays()
    assert split.train.inputs.shape == (TRAIN_COUNT, 1, 32, 32)
    assert split.test.inputs.shape == (TEST_COUNT, 1, 32, 32)
    np.testing.assert_array_equal((split.train.inputs[:, 0, 2:30, 2:30] * 255).round().byte().numpy(), pictures)
    inside = split.train.inputs[:, :, 2:30, 2:30].sum(dtype=torch.float64)
    assert split.train.inputs.sum(dtype=torch.float64) == inside  # the margin is black
    assert split.train.targets.tolist() == labels.tolist()
    assert split.test.targets.tolist() == test_labels.tolist()


def test_a_second_load_reads_the_cache_and_asks_nobody(mirror: Mirror, tmp_path: Path) -> None:
    files = described(mirror.files)
    load_mnist_split(DataRequest(cache=tmp_path / "new" / "folder"), files=files, mirrors=[mirror.url])
    assert len(mirror.asked) == 4
    load_mnist_split(DataRequest(cache=tmp_path / "new" / "folder"), files=files, mirrors=[NOWHERE])
    assert len(mirror.asked) == 4


def test_wrong_bytes_are_refused_and_leave_no_file(mirror: Mirror, tmp_path: Path) -> None:
    files = described(mirror.files)
    mirror.files = {name: data[:-1] + b"!" for name, data in mirror.files.items()}
    with pytest.raises(DataError, match=f"not {files.train_images.md5}"):
        load_mnist_split(DataRequest(cache=tmp_path), files=files, mirrors=[mirror.url])
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_ends_early_is_refused_and_what_came_waits_for_the_next_try(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.cut = 3
    size = len(mirror.files[OFFICIAL_FILES.train_images.archive])
    with pytest.raises(DataError, match=f"ended after {size - 3} of {size} bytes"):
        load_mnist_split(DataRequest(cache=tmp_path), files=described(mirror.files), mirrors=[mirror.url])
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]
    mirror.cut = 0
    load_mnist_split(DataRequest(cache=tmp_path), files=described(mirror.files), mirrors=[mirror.url])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(mirror.files)


def test_the_next_mirror_is_asked_when_one_refuses(mirror: Mirror, tmp_path: Path) -> None:
    mirrors = [NOWHERE, mirror.url + "moved/", mirror.url]
    split = load_mnist_split(DataRequest(cache=tmp_path), files=described(mirror.files), mirrors=mirrors)
    assert len(split.train.targets) == TRAIN_COUNT
    assert "moved/train-images-idx3-ubyte.gz" in mirror.asked


@pytest.mark.usefixtures("mirror")
def test_without_a_network_the_error_says_which_files_go_where(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_mnist_split(DataRequest(cache=tmp_path), mirrors=[NOWHERE])
    message = str(raised.value)
    assert NOWHERE in message
    assert str(tmp_path) in message
    assert all(file.archive in message for file in OFFICIAL_FILES)


def test_a_cached_archive_with_another_sum_is_refused_by_name(mirror: Mirror, tmp_path: Path) -> None:
    damaged = tmp_path / OFFICIAL_FILES.test_labels.archive
    damaged.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"t10k-labels.*remove it"):
        load_mnist_split(DataRequest(cache=tmp_path), files=described(mirror.files), mirrors=[mirror.url])
    assert damaged.read_bytes() == b"something else"


def test_unzipped_files_put_there_by_hand_need_no_network(tmp_path: Path) -> None:
    write_plain(tmp_path)
    split = get("lenet5").load_data("mnist", DataRequest(cache=tmp_path))
    assert (len(split.train.targets), len(split.test.targets)) == (TRAIN_COUNT, TEST_COUNT)


def test_pictures_of_another_size_and_labels_above_9_are_refused(tmp_path: Path) -> None:
    write_plain(tmp_path)
    (tmp_path / OFFICIAL_FILES.train_labels.name).write_bytes(idx_bytes(np.full(TRAIN_COUNT, 10, dtype=np.uint8)))
    with pytest.raises(DataError, match="label 10"):
        load_mnist_split(DataRequest(cache=tmp_path))
    (tmp_path / OFFICIAL_FILES.train_images.name).write_bytes(idx_bytes(np.zeros((TRAIN_COUNT, 27, 28), np.uint8)))
    with pytest.raises(DataError, match="27x28"):
        load_mnist_split(DataRequest(cache=tmp_path))


def test_more_pictures_than_labels_are_refused(tmp_path: Path) -> None:
    write_plain(tmp_path)
    (tmp_path / OFFICIAL_FILES.test_labels.name).write_bytes(idx_bytes(np.zeros(TEST_COUNT - 1, dtype=np.uint8)))
    with pytest.raises(DataError, match="7 samples and 6 labels"):
        load_mnist_split(DataRequest(cache=tmp_path))


def test_the_cache_folder_is_the_environment_s_or_the_home_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHGLASS_CACHE", str(tmp_path / "kept"))
    assert cache_folder("mnist").parent == tmp_path / "kept"
    (tmp_path / "kept" / "mnist").mkdir(parents=True)
    write_plain(tmp_path / "kept" / "mnist")
    assert len(load_mnist_split(DataRequest()).test.targets) == TEST_COUNT
    monkeypatch.delenv("TORCHGLASS_CACHE")
    assert cache_folder("mnist").parent == Path.home() / ".cache" / "torchglass"

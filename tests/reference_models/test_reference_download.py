"""Downloads from a real server that breaks off in the middle: they go on where they stopped, and the sum decides."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from breaking_server import Offer, serving

from torchglass.errors import DataError
from torchglass.reference_models.data.download import MAX_CONNECTIONS, download, md5_of
from torchglass.reference_models.data.partial import SILENT_SECONDS, unfinished

CONTENT = random.Random(7).randbytes(200_000)  # three reads and a bit
SUM = hashlib.md5(CONTENT).hexdigest()
NOWHERE = "http://127.0.0.1:9/"  # the discard port: nothing listens


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(CONTENT) as offer:
        yield offer


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "set.tar.gz"


def fetch(target: Path, *urls: str) -> None:
    download(urls, target, SUM, progress=False)


def partials(target: Path) -> list[Path]:
    return [path for path in target.parent.iterdir() if path != target]


def leave(target: Path, content: bytes) -> Path:
    """Leave what a broken download leaves."""
    path = target.parent / f".{target.name}.{SUM[:8]}.partial"
    path.write_bytes(content)
    return path


def test_a_whole_answer_becomes_the_file_and_nothing_else_stays(server: Offer, target: Path) -> None:
    fetch(target, server.url)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None]
    assert partials(target) == []


def test_a_connection_that_breaks_is_opened_again_for_the_rest_alone(server: Offer, target: Path) -> None:
    server.at_most = 70_000
    fetch(target, server.url)
    assert target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=70000-", "bytes=140000-"]
    assert server.sent == len(CONTENT)
    assert partials(target) == []


def test_the_next_server_goes_on_where_the_first_was_given_up(server: Offer, target: Path) -> None:
    leave(target, CONTENT[:50_000])
    fetch(target, NOWHERE, server.url)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=50000-"]


def test_what_was_received_waits_for_a_later_try(server: Offer, target: Path) -> None:
    server.at_most, server.ranges = 60_000, False  # each connection begins anew, so a second one brings nothing more
    with pytest.raises(DataError, match="ended after 60000 of 200000 bytes"):
        fetch(target, server.url)
    assert not target.exists()
    assert [path.read_bytes() for path in partials(target)] == [CONTENT[:60_000]]
    server.at_most, server.ranges, server.asked = None, True, []
    fetch(target, server.url)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=60000-"]
    assert partials(target) == []


def test_a_server_without_ranges_is_taken_at_its_word(server: Offer, target: Path) -> None:
    leave(target, CONTENT[:50_000])
    server.ranges = False
    fetch(target, server.url)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("length", [50_000, len(CONTENT), len(CONTENT) + 5], ids=["shorter", "as long", "longer"])
def test_a_beginning_of_another_file_is_given_up_and_all_is_fetched(server: Offer, target: Path, length: int) -> None:
    leave(target, b"?" * length)
    fetch(target, server.url)
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] is None


def test_a_file_that_only_lacked_its_name_is_not_fetched_again(server: Offer, target: Path) -> None:
    leave(target, CONTENT)
    fetch(target, server.url)
    assert target.read_bytes() == CONTENT
    assert server.asked == []


def test_bytes_of_another_sum_are_refused_and_not_kept(server: Offer, target: Path) -> None:
    server.content = CONTENT[:-1] + b"!"
    found = hashlib.md5(server.content).hexdigest()
    with pytest.raises(DataError, match=f"the 200000 bytes received have MD5 {found}, not {SUM}"):
        fetch(target, server.url)
    assert list(target.parent.iterdir()) == []


def test_a_part_that_was_not_asked_for_is_refused(server: Offer, target: Path) -> None:
    leave(target, CONTENT[:50_000])
    server.shift = 10
    with pytest.raises(DataError, match=r"'bytes 50010-199999/200000', not what follows byte 50000"):
        fetch(target, server.url)
    assert not target.exists()


def test_a_server_that_trickles_is_given_up(server: Offer, target: Path) -> None:
    server.at_most = 10
    with pytest.raises(DataError, match=f"ended after {10 * MAX_CONNECTIONS} of 200000 bytes"):
        fetch(target, server.url)
    assert len(server.asked) == MAX_CONNECTIONS


def test_every_server_that_failed_is_named_with_its_reason(server: Offer, target: Path) -> None:
    server.content = b"<html>moved</html>"
    with pytest.raises(DataError) as raised:
        fetch(target, NOWHERE, server.url)
    message = str(raised.value)
    assert message.startswith("set.tar.gz could not be downloaded")
    assert f"{NOWHERE}: " in message
    assert f"{server.url}: the 18 bytes received have MD5" in message


def test_two_processes_never_write_one_file(target: Path) -> None:
    leave(target, b"begun")
    with unfinished(target, SUM[:8]) as first, unfinished(target, SUM[:8]) as second:
        assert first != second
        assert (first.read_bytes(), second.read_bytes()) == (b"begun", b"")
        second.write_bytes(b"received more")
    assert [path.read_bytes() for path in partials(target)] == [b"received more"]


def test_what_a_killed_process_left_is_taken_over_once_it_is_silent(target: Path) -> None:
    left = target.parent / f".{target.name}.{SUM[:8]}.k1ll3d.partial"
    left.write_bytes(b"begun")
    with unfinished(target, SUM[:8]) as own:
        assert own.read_bytes() == b""  # somebody may still be writing
    assert left.exists()
    silent = left.stat().st_mtime - SILENT_SECONDS - 1
    os.utime(left, (silent, silent))
    with unfinished(target, SUM[:8]) as own:
        assert own.read_bytes() == b"begun"
        assert not left.exists()


def test_what_was_begun_of_another_version_is_left_alone(target: Path) -> None:
    leave(target, b"begun")
    with unfinished(target, "0" * 8) as own:
        assert own.read_bytes() == b""


def test_the_sum_of_a_file_is_its_md5(target: Path) -> None:
    target.write_bytes(b"abc")
    assert md5_of(target) == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, appendix A.5

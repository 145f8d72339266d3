"""Every verb with `--store postgresql://...`, and the password nowhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from postgresql import PASSWORD, Server

import torchglass
from torchglass.cli import main
from torchglass.store.location import VARIABLE, locate

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def trained_url(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the run `short`, trained from the command line."""
    folder, url = tmp_path_factory.mktemp("working"), postgresql.url()
    before = Path.cwd()
    os.chdir(folder)
    try:
        train = ["train", "lenet5", "--epochs", "1", "--run", "short", "--quiet", "--device", "cpu"]
        assert main([*train, "--store", url]) == 0
    finally:
        os.chdir(before)
    assert [path.name for path in (folder / "torchglass-weights").iterdir()] == ["short.pt"]
    assert [path.name for path in folder.iterdir()] == ["torchglass-weights"]
    return url


def reveals(text: str) -> bool:
    return PASSWORD in text or quote(PASSWORD, safe="") in text


def test_runs_show_and_explain_read_a_database(trained_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json", "--store", trained_url]) == 0
    assert [run["status"] for run in json.loads(capsys.readouterr().out)] == ["finished"]
    assert main(["show", "short", "--store", trained_url]) == 0
    assert main(["explain", "short", "--samples", "3", "--methods", "gradcam", "--store", trained_url]) == 0
    said = capsys.readouterr()
    assert "test/accuracy" in said.out
    assert "test image 3" in said.out
    assert not reveals(said.out + said.err)


def test_a_report_and_an_export_of_a_database_show_no_address(
    trained_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, trained_url)
    assert main(["report", "short", "-o", str(tmp_path / "short.html")]) == 0
    assert main(["export", "short", "--format", "csv", "-o", str(tmp_path / "short.csv")]) == 0
    said = capsys.readouterr()
    report, table = ((tmp_path / name).read_text("utf-8") for name in ("short.html", "short.csv"))
    assert table.count("\nloss,") == 23  # 1437 pictures in batches of 64
    location = locate(trained_url)
    for text in (report, table):
        assert not reveals(text)
        assert "postgresql://" not in text
    assert not reveals(said.out + said.err)
    assert location.address == trained_url


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nobody", "--store", "{url}"], "no run 'nobody' in postgresql://"),
        (["runs", "--store", "{url}x"], "no store at postgresql://"),
        (["runs", "--store", "{wrong}"], "password authentication failed"),
        (["runs", "--store", "postgresql://me:{raw}@host/db"], "%40 %3A"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_without_the_password(
    postgresql: Server,
    trained_url: str,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    filled = {"url": trained_url, "wrong": postgresql.url(password=PASSWORD + "!"), "raw": PASSWORD}
    assert main([each.format(**filled) for each in arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not reveals(said.err)


def test_an_open_store_shows_no_password_to_whoever_prints_it(trained_url: str) -> None:
    with torchglass.open_store(trained_url, read_only=True) as store:
        assert not reveals(f"{store!r} {store.location} {store.location!r} {vars(store)}")

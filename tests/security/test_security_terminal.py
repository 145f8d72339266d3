"""What a run brings along never steers the terminal: the command line prints lines and tabs, and no other control."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from hostile import Recorded

from torchglass.cli import MOST_OF_AN_ERROR, main
from torchglass.store import open_store

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
FIRST, SECOND = "FIRST", "SECOND"
COMMANDS = {
    "runs": ["runs"],
    "runs of a tag": ["runs", "--tag", "constructor", "--sort", "loss.min"],
    "runs as JSON": ["runs", "--json"],
    "show": ["show", FIRST],
    "show as JSON": ["show", FIRST, "--json"],
    "compare": ["compare", FIRST, SECOND, "--all"],
    "compare as JSON": ["compare", FIRST, SECOND, "--json"],
    "a condition": ["compare", FIRST, SECOND, "--fail-if", "loss > +5%"],
    "trace": ["trace", FIRST],
    "explain": ["explain", FIRST],
    "overview": ["overview", FIRST],
    "what-if": ["what-if", FIRST, "--noise", "0.1"],
    "shortcuts": ["shortcuts", FIRST],
    "tag": ["tag", FIRST, "\x1b[31mred"],
    "an option that is none": ["tag", FIRST, "--\x1b[31mred"],
    "a number that is none": ["explain", FIRST, "--samples", "\x1b[31m"],
    "rename": ["rename", SECOND, "\x1b]0;owned\x07"],
    "a run that is not there": ["show", "\x1b[31mred\u202e"],
    "a filter that is none": ["runs", "--filter", "\x1b[31m <"],
    "a sweep that is not there": ["sweep", "\x1b[31m", "--show"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_control_character_reaches_the_terminal(
    name: str, recorded: Recorded, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    uids = {FIRST: recorded.first, SECOND: recorded.second}
    with contextlib.suppress(SystemExit):  # argparse refuses some, in words of its own
        main([*(uids.get(word, word) for word in COMMANDS[name]), "--store", str(recorded.path)])
    told = capfd.readouterr()
    assert told.out or told.err
    assert CONTROLS.findall(told.out + told.err) == []
    assert len(told.err) < MOST_OF_AN_ERROR + 2000
    if "--json" in COMMANDS[name]:
        assert json.loads(told.out)
        assert told.out.isascii()


def test_a_name_of_a_megabyte_does_not_widen_the_table(recorded: Recorded, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--store", str(recorded.path)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) > 80
    assert max(map(len, lines)) < 1000


def test_a_name_with_a_line_break_fakes_no_line(recorded: Recorded, capfd: pytest.CaptureFixture[str]) -> None:
    with open_store(recorded.path, read_only=True) as store:
        count = len(store.runs())
    main(["runs", "--store", str(recorded.path)])
    assert len(capfd.readouterr().out.splitlines()) == 1 + count


@pytest.mark.parametrize("form", ["csv", "parquet", "tensorboard"])
def test_an_export_names_its_file_by_letters_alone(
    form: str, recorded: Recorded, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert main(["export", recorded.first, "--format", form, "--store", str(recorded.path)]) == 0
    told = capfd.readouterr()
    assert CONTROLS.findall(told.out + told.err) == []
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    (made,) = inside.iterdir()
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", made.name)

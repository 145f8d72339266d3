"""Runs at the command line: listed by condition, renamed, tagged, put away, deleted and had back, forked, destroyed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from torchglass.cli import main
from torchglass.store import Batch, RowBlock, Store

Say = Callable[..., tuple[int, list[str], str]]


def losses(count: int, offset: float = 0.0) -> Batch:
    steps = np.arange(count)
    blocks = [
        RowBlock.of_series(key, "scalar", "", steps, 1.7e9 + steps, values)
        for key, values in (("loss", offset + 1 / (1.0 + steps)), ("test/accuracy", steps / 100 - offset))
    ]
    return Batch(rows=blocks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three runs: one finished, one failed, one still running."""
    path = tmp_path / "store.db"
    with Store(path) as store:
        for index, name in enumerate(("good", "bad", "now")):
            run = store.start_run(name, {"lr": 10.0**-index, "optimizer": {"name": "adam"}}, host="here", pid=1)
            store.write(run.id, 0, losses(80 + index, float(index)))
        store.end_run(1, "finished")
        store.end_run(2, "failed", "RuntimeError: CUDA out of memory")
    return path


@pytest.fixture
def say(path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run the command line on that store; its code, its lines, and what it complained of."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = main([arguments[0], "--store", str(path), *arguments[1:]])
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err

    return run


def listed(say: Say, *options: str) -> list[str]:
    code, lines, _ = say("runs", "--json", *options)
    assert code == 0
    return [run["name"] for run in json.loads("\n".join(lines))]


def test_runs_are_filtered_and_sorted_by_what_they_recorded_and_how_they_were_configured(say: Say) -> None:
    assert listed(say) == ["now", "bad", "good"]
    assert listed(say, "--filter", "lr<0.5 and accuracy<0") == ["now", "bad"]
    assert listed(say, "--filter", "test/accuracy.max > 0.7 or status == 'failed'") == ["bad", "good"]
    assert listed(say, "--filter", "optimizer.name == 'adam' and not loss.min > 1") == ["good"]
    assert listed(say, "--sort", "loss") == ["good", "bad", "now"]
    assert listed(say, "--sort=-lr", "--filter", "steps > 80") == ["bad", "now"]


def test_the_table_tells_the_status_and_the_error_and_has_a_column_for_what_it_is_sorted_by(say: Say) -> None:
    say("tag", "good", "baseline", "keep")
    say("note", "bad", "batch of 4096\n is too much " * 9)
    _, lines, _ = say("runs", "--sort", "lr")
    assert lines[0].split() == ["RUN", "STATUS", "STARTED", "LASTED", "STEPS", "lr", "TAGS", "NOTE", "ERROR"]
    assert [line.split()[:2] for line in lines[1:]] == [["now", "running"], ["bad", "failed"], ["good", "finished"]]
    assert "batch of 4096 is too much batch" in lines[2]
    assert lines[2].endswith("RuntimeError: CUDA out of memory")
    assert lines[3].endswith("80     1     baseline, keep")
    _, lines, _ = say("runs", "--filter", "lr > 9")
    assert lines == [f"none of 3 runs in {lines[0].split(' in ')[1].split(' meets')[0]} meets that"]


def test_a_condition_that_cannot_be_read_ends_with_2_and_one_sentence(say: Say) -> None:
    for text in ("__import__('os').system('true')", "lr <", "learning_rate < 3", "accuracy > 0 and nothing.here > 0"):
        code, lines, error = say("runs", "--filter", text)
        assert (code, lines) == (2, [])
        assert error.startswith("torchglass: ")
        assert error.count("\n") == 1


def test_each_verb_says_in_a_line_what_it_did_and_undoes_it(say: Say) -> None:
    assert say("rename", "good", "better") == (0, ["good is now better"], "")
    assert say("tag", "better", "a", "b", "--remove", "c") == (0, ["better: a, b"], "")
    assert say("tag", "better", "--remove", "a", "b") == (0, ["better: no tags"], "")
    assert say("tag", "better", "x") == (0, ["better: x"], "")
    assert say("note", "better", "slow but sure") == (0, ["better: slow but sure"], "")
    assert listed(say, "--tag", "x") == ["better"]
    assert listed(say, "--filter", "'sure' in note") == ["better"]

    assert say("archive", "better", "bad") == (0, ["better: archived", "bad: archived"], "")
    assert (listed(say), listed(say, "--archived")) == (["now"], ["bad", "better"])
    assert say("archive", "--undo", "better") == (0, ["better: no longer archived"], "")
    assert listed(say) == ["now", "better"]

    code, lines, _ = say("delete", "better", "now")
    assert (code, lines[0]) == (0, "better: deleted; `torchglass delete --undo` has it back")
    assert (listed(say), listed(say, "--deleted")) == ([], ["now", "better"])
    assert say("delete", "--undo", "now") == (0, ["now: is back"], "")
    assert say("purge", "--older-than", "1") == (0, ["nothing to destroy"], "")
    code, lines, _ = say("purge")
    assert (code, len(lines)) == (0, 1)
    assert re.fullmatch(r"destroyed better; \d+\.\d MB freed", lines[0])
    assert say("delete", "--undo", "better")[0] == 2
    assert listed(say) == ["now"]


def test_what_cannot_be_done_ends_with_2_and_one_sentence(say: Say) -> None:
    say("delete", "bad")
    for words, *arguments in (
        ("there is a run 'now' already", "rename", "good", "now"),
        ("no run 'bad' in .*: it was deleted, and `torchglass delete --undo` brings it back", "show", "bad"),
        ("no run 'nobody'", "tag", "nobody", "x"),
        ("a tag is text", "tag", "good", " "),
        ("no deleted run 'good'", "delete", "--undo", "good"),
        ("was never resumed", "unwind", "good"),
    ):
        code, lines, error = say(*arguments)
        assert (code, lines, error.count("\n")) == (2, [], 1)
        assert re.search(words, error)
    for days in ("-1", "nan", "soon"):
        with pytest.raises(SystemExit) as caught:
            say("purge", f"--older-than={days}")
        assert caught.value.code == 2


def test_nothing_is_made_where_there_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", "--store", str(tmp_path / "none.db")]) == 2
    assert "no store at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_fork_and_a_resumption_are_told(say: Say, path: Path) -> None:
    assert say("fork", "good", "--step", "50") == (0, ["good-at-50: begins as good did before step 50"], "")
    assert say("fork", "good", "--step", "50", "--name", "mine") == (0, ["mine: begins as good did before step 50"], "")
    with Store(path) as store:
        uid = store.run("good").uid
        store.resume_run("bad", step=60, host="here", pid=1)
        assert store.series("mine", "loss").steps.tolist() == list(range(50))
    _, lines, _ = say("show", "mine")
    assert f"  a fork, at step 50, of {uid[:8]}" in lines
    _, lines, _ = say("show", "bad")
    (told,) = [line for line in lines if "resumed" in line]
    assert told.startswith("  resumed at step 60 on ")
    assert told.endswith(" after it failed (RuntimeError: CUDA out of memory); 42 points hidden")
    assert say("unwind", "bad") == (0, ["bad: the 42 points that step 60 hid are shown again"], "")
    _, lines, _ = say("show", "--json", "bad")
    shown = json.loads("\n".join(lines))
    assert shown["resumptions"][0]["hidden_count"] == 42
    assert {each["count"] for each in shown["series"]} == {81}


def test_a_unit_cannot_steer_the_terminal(say: Say, path: Path) -> None:
    with Store(path) as store:
        one = RowBlock.of_series("size", "scalar", "\x1b[2J", np.array([1]), np.array([1.7e9]), np.array([1.0]))
        store.write(3, 0, Batch(rows=[one]))
    code, lines, _ = say("show", "now")
    assert code == 0
    assert "\ufffd[2J" in "".join(lines)
    assert "\x1b" not in "".join(lines)


def test_what_runs_are_called_and_tagged_cannot_steer_the_terminal(say: Say) -> None:
    say("rename", "good", "a\x1b[31mred")
    say("tag", "now", "\x1b[2J")
    _, lines, _ = say("runs")
    assert "\x1b" not in "".join(lines)
    assert any(line.startswith("a\ufffd[31mred") for line in lines)

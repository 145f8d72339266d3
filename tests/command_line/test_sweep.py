"""`torchglass sweep`: processes share it, a killed one costs nothing, and the test set chooses nothing."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from postgresql import PASSWORD, Server

from torchglass.analysis.sweeps import read_sweep, read_sweeps
from torchglass.cli import main
from torchglass.store import open_store
from torchglass.store.location import locate

SHORT = ["--limit", "80", "--device", "cpu", "--switches", "learning_rate,batch_size"]
GIVE_UP_SECONDS = 240


def sweep(store: str | Path, *more: str) -> list[str]:
    return ["sweep", "lenet5", "--store", str(store), *SHORT, *more]


def begin(store: str | Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torchglass", *sweep(store, *more)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=alone)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the sweep "first" has its three trials of one epoch."""
    store = tmp_path_factory.mktemp("swept") / "runs.db"
    assert main(sweep(store, "--trials", "3", "--epochs", "1", "--name", "first", "--quiet")) == 0
    return store


def test_each_trial_is_a_run_and_the_first_is_the_recipes_own(swept: Path) -> None:
    found = read_sweep(locate(swept), "first")
    assert [trial.number for trial in found.trials] == [0, 1, 2]
    assert dict(found.trials[0].changes) == dict(found.defaults) == {"learning_rate": 0.004, "batch_size": 64}
    assert found.of_defaults is found.trials[0]
    assert found.best is not None
    with open_store(swept, read_only=True) as store:
        runs = {run.name: run for run in store.runs()}
        assert set(runs) == {"first/0", "first/1", "first/2"}
        for trial in found.trials:
            run = runs[trial.run or ""]
            assert (run.status, run.config["sweep"], run.config["trial"]) == ("finished", "first", trial.number)
            assert {name: run.config[name] for name in found.switches} == dict(trial.changes)
            assert run.config["validation"] == 0.2


def test_the_value_is_of_held_out_samples_and_not_of_the_test_set(swept: Path) -> None:
    found = read_sweep(locate(swept), "first")
    for trial in found.complete:
        assert trial.value == trial.scores["validation/accuracy"] == trial.course[-1][1]
        assert trial.value is not None
        assert (trial.value * 16) % 1 == pytest.approx(0, abs=1e-6)  # a fifth of 80 pictures
        assert "test/accuracy" in trial.scores
    assert any(trial.value != trial.scores["test/accuracy"] for trial in found.complete)


def test_the_same_command_goes_on_with_the_sweep_and_more_trials_make_it_longer(
    swept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_sweep(locate(swept), "first").trials
    again = sweep(swept, "--epochs", "1", "--name", "first", "--quiet", "--json")
    assert main([*again, "--trials", "3"]) == 0
    assert read_sweep(locate(swept), "first").trials == before
    capsys.readouterr()
    assert main([*again, "--trials", "4"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert read_sweep(locate(swept), "first").trials[:3] == before
    assert sorted(trial["number"] for trial in told["trials"]) == [0, 1, 2, 3]
    values = [trial["value"] for trial in told["trials"] if trial["value"] is not None]
    assert values == sorted(values, reverse=True)
    assert told["best"] == told["trials"][0]["number"]
    assert told["command"].startswith("torchglass train lenet5 --dataset digits --epochs 1 --learning-rate ")


def test_one_process_with_one_seed_chooses_the_same_again(tmp_path: Path, swept: Path) -> None:
    other = tmp_path / "other.db"
    assert main(sweep(other, "--trials", "3", "--epochs", "1", "--name", "again", "--quiet")) == 0
    chosen = [
        [(trial.changes, trial.value) for trial in read_sweep(locate(store), name).trials[:3]]
        for store, name in ((swept, "first"), (other, "again"))
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--name", "first", "--epochs", "2"], "the sweep 'first' was begun with epochs 1, not 2"),
        (["--switches", "learning_rat"], "no switch is called 'learning_rat'"),
        (["--switches", "epochs"], "epochs has no span to search in"),
        (["--switches", "dropout"], "lenet5 does not heed dropout"),
        (["--dataset", "cats"], "lenet5 has no data set 'cats'"),
    ],
)
def test_what_cannot_be_swept_is_one_sentence(
    swept: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(sweep(swept, "--trials", "3", *arguments)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_an_error_of_a_trial_is_told_and_the_sweep_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchglass.reference_models.front_door import train
    from torchglass.reference_models.sweeping import judging

    def sometimes(options: Any, watching: Any) -> Any:
        if options.notes["trial"] == 1:
            raise MemoryError("too large")
        return train(options, watching=watching)

    monkeypatch.setattr(judging, "train", sometimes)
    store = tmp_path / "runs.db"
    assert main(sweep(store, "--trials", "3", "--epochs", "1")) == 0
    found = read_sweep(locate(store), "lenet5-digits")
    assert [trial.state for trial in found.trials] == ["complete", "failed", "complete"]
    assert found.trials[1].reason == "MemoryError: too large"
    assert "lenet5-digits/1: failed: MemoryError: too large" in capsys.readouterr().err


def test_ctrl_c_ends_in_good_order_and_the_trial_is_begun_anew_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchglass.reference_models.sweeping import judging

    report = judging._Watcher.__call__

    def press(watcher: Any, epoch: Any) -> None:
        report(watcher, epoch)
        if watcher._trial.number == 1:
            raise KeyboardInterrupt

    store = tmp_path / "runs.db"
    with monkeypatch.context() as patched:
        patched.setattr(judging._Watcher, "__call__", press)
        assert main(sweep(store, "--trials", "2", "--epochs", "2", "--quiet")) == 130
    assert "the same command goes on with 'lenet5-digits'" in capsys.readouterr().err
    assert main(sweep(store, "--trials", "2", "--epochs", "2", "--quiet")) == 0
    found = read_sweep(locate(store), "lenet5-digits")
    assert [trial.state for trial in found.trials] == ["complete", "lost", "complete"]
    assert found.trials[2].retries == 1
    assert found.trials[2].changes == found.trials[1].changes
    assert found.counts == {"complete": 2}
    with open_store(store, read_only=True) as opened:
        assert opened.run("lenet5-digits/1").status == "interrupted"


def test_reading_a_sweep_loads_no_torch(swept: Path) -> None:
    script = (
        "import sys; from torchglass.analysis.sweeps import read_sweep; from torchglass.store.location import locate; "
        "found = read_sweep(locate(sys.argv[1]), 'first'); print(found.total, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script, str(swept)], capture_output=True, text=True, check=True)
    assert told.stdout.split()[1] == "False"


def test_a_store_without_a_sweep_says_so(trained: Path) -> None:
    assert read_sweeps(locate(trained)) == ()


@pytest.mark.slow
def test_two_processes_share_a_sweep_of_which_one_was_killed_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    same = ("--trials", "6", "--epochs", "25", "--heartbeat", "1")
    killed = begin(store, *same)
    running = (
        "SELECT t.number FROM trials t JOIN trial_intermediate_values v USING (trial_id) WHERE t.state = 'RUNNING'"
    )
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while not (in_the_middle := _rows(store, running)):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert _rows(store, running) == in_the_middle
    for process in [begin(store, *same), begin(store, *same)]:
        out, err = process.communicate(timeout=GIVE_UP_SECONDS)
        assert process.returncode == 0, err
        assert "best: trial" in out
    found = read_sweep(locate(store), "lenet5-digits")
    assert sum(found.counts.values()) == 6
    assert set(found.counts) <= {"complete", "pruned"}
    assert Counter(trial.state for trial in found.trials)["lost"] == 1
    (lost,) = [trial for trial in found.trials if trial.state == "lost"]
    (again,) = [trial for trial in found.trials if trial.retries is not None]
    assert again.retries == lost.number == in_the_middle[0][0]
    assert dict(again.changes) == dict(lost.changes)
    assert found.best is not None
    assert found.of_defaults is not None
    assert found.best.value is not None
    assert found.of_defaults.value is not None
    assert found.best.value >= found.of_defaults.value
    with open_store(store, read_only=True) as opened:
        statuses = Counter(run.status for run in opened.runs())
    assert statuses["finished"] == 6


@pytest.mark.postgresql
def test_a_sweep_lives_in_a_database_and_tells_no_password(
    postgresql: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the weights go beside the working folder
    url = postgresql.url()
    assert main(sweep(url, "--trials", "2", "--epochs", "1")) == 0
    wrong = postgresql.url(password=PASSWORD + "!")
    assert main(sweep(wrong, "--trials", "2", "--epochs", "1")) == 2
    said = capsys.readouterr()
    for text in (said.out, said.err, postgresql.log()):
        assert PASSWORD not in text
        assert quote(PASSWORD, safe="") not in text
    found = read_sweep(locate(url), "lenet5-digits")
    assert found.counts == {"complete": 2}
    schemas = postgresql.administer("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('runs', 'trials')")
    assert ("public",) not in schemas
    assert main(["runs", "--store", url]) == 0


def _rows(store: Path, query: str) -> list[Any]:
    try:
        with sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=30) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []  # neither the file nor the tables are there yet

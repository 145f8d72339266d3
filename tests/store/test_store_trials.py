"""Optuna's trials in a store: which is next, by a rule and by real processes; and the store beside them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
import pytest

from torchglass.errors import StoreError
from torchglass.store import Batch, RowBlock, Store, open_store
from torchglass.store.location import locate
from torchglass.store.schema import SQLITE, migrations_after
from torchglass.store.trial_order import MOST_LOSSES, Attempt, Fresh, Retry, next_trial
from torchglass.store.trials import open_trials

WORKER = Path(__file__).with_name("trial_worker.py")


def begin(location: str, total: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(WORKER), location, str(total), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> list[int]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return [int(line) for line in out.split()]


def trials_in(location: str) -> list[optuna.trial.FrozenTrial]:
    with open_trials(locate(location), read_only=True) as trials:
        assert trials is not None
        found: list[optuna.trial.FrozenTrial] = optuna.load_study(study_name="shared", storage=trials).trials
        return found


def test_new_trials_are_begun_until_there_are_enough_and_the_first_is_the_defaults() -> None:
    ended = [Attempt(number, is_lost=False) for number in range(5)]
    assert next_trial([], 5) == Fresh(is_first=True)
    assert next_trial(ended[:4], 5) == Fresh(is_first=False)
    assert next_trial(ended, 5) is None
    assert next_trial(ended, 6) == Fresh(is_first=False)


def test_a_lost_trial_comes_first_counts_once_and_is_begun_again_no_more_often_than_allowed() -> None:
    lost, again = Attempt(0, is_lost=True), Attempt(2, is_lost=True, retries=0)
    assert next_trial([lost, Attempt(1, is_lost=False)], 2) == Retry(0)
    assert next_trial([lost, Attempt(1, is_lost=False), Attempt(2, is_lost=False, retries=0)], 2) is None
    assert next_trial([lost, Attempt(1, is_lost=False), again], 2) == Retry(2)
    chain = [Attempt(number, is_lost=True, retries=number - 1 if number else None) for number in range(MOST_LOSSES)]
    assert next_trial(chain[:-1], 1) == Retry(MOST_LOSSES - 2)
    assert next_trial(chain, 1) is None


def test_an_interruption_does_not_speak_against_a_trial() -> None:
    chain = [Attempt(n, is_lost=True, by_hand=True, retries=n - 1 if n else None) for n in range(3 * MOST_LOSSES)]
    assert next_trial(chain, 1) == Retry(3 * MOST_LOSSES - 1)


def test_processes_that_begin_at_once_share_exactly_the_trials_ordered(location: str) -> None:
    ran = [finished(process) for process in [begin(location, 9) for _ in range(2)]]
    assert sorted(ran[0] + ran[1]) == list(range(9))
    kept = trials_in(location)
    assert [trial.state.name for trial in kept] == ["COMPLETE"] * 9
    assert kept[0].params == {"x": 0.25}
    assert len({trial.params["x"] for trial in kept}) == 9


def test_what_a_killed_process_had_begun_is_done_by_another_with_the_same_values(location: str) -> None:
    killed = begin(location, 3, "hang")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "0\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert finished(begin(location, 3)) == [1, 2, 3]
    kept = trials_in(location)
    assert Counter(trial.state.name for trial in kept) == {"FAIL": 1, "COMPLETE": 3}
    (again,) = [trial for trial in kept if "retries" in trial.user_attrs]
    assert again.user_attrs["retries"] == kept[0].number == 0
    assert again.params == kept[0].params == {"x": 0.25}


def test_the_store_takes_what_is_written_beside_trials_and_stays_a_store(location: str) -> None:
    with Store(location) as store:
        run = store.start_run("r", {}, host="h", pid=1)
        worker = begin(location, 4)
        told = threading.Event()

        def write() -> None:
            step = 0
            while not told.is_set():
                values = (np.array([step]), np.array([1e9 + step]), np.array([float(step)]))
                store.write(run.id, 0, Batch(rows=[RowBlock.of_series("loss", "scalar", "", *values)]))
                step += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert len(finished(worker)) == 4
        finally:
            told.set()
            writer.join()
    with open_store(location) as again:
        (series,) = again.series_of(again.run("r").id)
        assert again.tail(series.id, 0).values.tolist() == list(range(series.count))
    assert len(trials_in(location)) == 4


def test_optuna_and_the_store_name_no_table_alike() -> None:
    from optuna.storages._rdb import models

    ours = set(re.findall(r"CREATE TABLE (\w+)", "".join(migrations_after(0, SQLITE)))) | {"torchglass_store"}
    theirs = {*models.BaseModel.metadata.tables, "alembic_version"}
    assert len(ours) > 10
    assert "trials" in theirs
    assert not ours & theirs


def test_reading_makes_no_tables(location: str) -> None:
    with open_store(location):
        pass
    for _ in range(2):
        with open_trials(locate(location), read_only=True) as trials:
            assert trials is None


def test_a_reader_writes_nothing(location: str) -> None:
    assert finished(begin(location, 1)) == [0]

    def write() -> None:
        with open_trials(locate(location), read_only=True) as trials:
            assert trials is not None
            trials.set_study_user_attr(trials.get_study_id_from_name("shared"), "a", 1)

    with pytest.raises(StoreError, match="cannot use the trials in the store"):
        write()


def test_a_file_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"cannot use the trials in the store .*none\.db: unable to open"),
        open_trials(locate(tmp_path / "none.db")),
    ):
        pass
    assert list(tmp_path.iterdir()) == []

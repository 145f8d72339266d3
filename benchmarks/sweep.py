"""Search for a recipe of lenet5 in two processes at once, kill one in the middle of a trial, and see what came of it.

Both processes are told the same sweep, as two users would: `torchglass sweep lenet5 --trials 20`. The best recipe is
chosen by held out samples; what that choice is worth is then measured on the test set, which chose nothing, by training
both recipes on the whole training set with several seeds.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from machine import machine

from torchglass.analysis.sweeps import Sweep, read_sweep
from torchglass.reference_models import TrainingOptions, train
from torchglass.store.location import locate

RESULTS = Path(__file__).parent / "results" / "sweep-cpu.md"
MODEL, NAME = "lenet5", "searched"
KILL_AFTER = 5  # trials that have ended
HEARTBEAT_SECONDS = 2
SEEDS = (0, 1, 2)
GIVE_UP_SECONDS = 3600.0
ENDED = "SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')"
IN_A_TRIAL = """
    SELECT count(DISTINCT trial_id) FROM trials JOIN trial_intermediate_values USING (trial_id)
    WHERE state = 'RUNNING'"""


def begin(store: Path, trials: int, epochs: int) -> subprocess.Popen[bytes]:
    """Start a process that shares the sweep."""
    command = [sys.executable, "-m", "torchglass", "sweep", MODEL, "--store", str(store), "--name", NAME, "--quiet"]
    command += ["--trials", str(trials), "--epochs", str(epochs), "--heartbeat", str(HEARTBEAT_SECONDS)]
    command += ["--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})


def count(store: Path, query: str) -> int:
    """Answer of a query that counts; 0 before there are tables."""
    try:
        with sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=30) as connection:
            (found,) = connection.execute(query).fetchone()
    except sqlite3.OperationalError:
        return 0
    return int(found)


def search(store: Path, trials: int, epochs: int) -> tuple[Sweep, float]:
    """Run the sweep in two processes, of which one is killed; return it and its seconds."""
    started = time.perf_counter()
    killed, survivor = begin(store, trials, epochs), begin(store, trials, epochs)
    while count(store, ENDED) < KILL_AFTER or count(store, IN_A_TRIAL) < 2:  # each in the middle of one
        assert killed.poll() is None
        assert survivor.poll() is None
        assert time.perf_counter() - started < GIVE_UP_SECONDS
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert survivor.wait(GIVE_UP_SECONDS) == 0
    return read_sweep(locate(store), NAME), time.perf_counter() - started


def check(sweep: Sweep, trials: int) -> None:
    """Hold that no trial was lost and none was done twice.

    Raises:
        AssertionError: one was.
    """
    assert sum(sweep.counts.values()) == trials, sweep.counts
    assert set(sweep.counts) <= {"complete", "pruned"}, sweep.counts
    lost = [trial for trial in sweep.trials if trial.state == "lost"]
    repeated = {trial.retries: trial for trial in sweep.trials if trial.retries is not None}
    assert len(lost) == 1
    assert {trial.number for trial in lost} == set(repeated)
    assert all(dict(repeated[trial.number].changes) == dict(trial.changes) for trial in lost)


def tested(changes: Mapping[str, Any], epochs: int, seed: int) -> float:
    """Test accuracy, in percent, of a recipe that is trained on the whole training set."""
    options = TrainingOptions(
        model=MODEL, changes={**changes, "epochs": epochs}, seed=seed, device="cpu", progress=False, mode="disabled"
    )
    result = train(options)
    return 100 * result.epochs[-1].scores.values["test/accuracy"]


def report(sweep: Sweep, seconds: float, epochs: int) -> str:
    """What came of it, as a page."""
    best, own = sweep.best, sweep.of_defaults
    assert best is not None
    assert own is not None
    states = Counter(trial.state for trial in sweep.trials)
    recipes = {"the recipe's own": own, f"trial {best.number}, the best": best}
    rows = []
    for name, trial in recipes.items():
        assert trial.value is not None
        whole = [tested(trial.changes, epochs, seed) for seed in SEEDS]
        each = ", ".join(f"{value:.2f}" for value in whole)
        rows.append(
            f"| {name} | {100 * trial.value:.2f} % | {100 * trial.scores['test/accuracy']:.2f} % | "
            f"{statistics.mean(whole):.2f} % ({each}) |"
        )
    changes = [
        f"| {name} | {_told(own.changes[name])} | {_told(best.changes[name])} | "
        f"{f'{sweep.importances[name]:.0%}' if name in sweep.importances else 'N/A'} |"
        for name in sweep.switches
    ]
    seeds = ", ".join(map(str, SEEDS))
    lines = [
        "# A sweep in two processes, one of them killed",
        "",
        f"`torchglass sweep {MODEL} --trials {sweep.total} --epochs {epochs}` twice at once on one SQLite store; one "
        f"process was killed (SIGKILL) in the middle of a trial after {KILL_AFTER} had ended. {machine()}, "
        f"{date.today().isoformat()}, {seconds:.0f} s.",
        "",
        f"All {sweep.total} trials ended: {sweep.counts.get('complete', 0)} complete, {sweep.counts.get('pruned', 0)} "
        f"pruned. {states['lost']} attempt was lost with its process and done again with the same values; no trial was "
        "lost for good, and none was done twice.",
        "",
        "| recipe | held out fifth, which chose | test set, same weights | test set, of the whole training set, "
        f"mean of seeds {seeds} |",
        "|---|---|---|---|",
        *rows,
        "",
        f"The first column flatters the best of {sweep.total}: those very samples chose it. The last one is what the "
        "choice is worth.",
        "",
        "| switch | the recipe's own | best | importance |",
        "|---|---|---|---|",
        *changes,
    ]
    return "\n".join(lines) + "\n"


def _told(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Search, check, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sweep, seconds = search(Path(folder) / "runs.db", options.trials, options.epochs)
    check(sweep, options.trials)
    page = report(sweep, seconds, options.epochs)
    options.output.write_text(page, encoding="utf-8")
    print(page)
    assert sweep.best is not None
    assert sweep.of_defaults is not None
    assert (sweep.best.value or 0) >= (sweep.of_defaults.value or 0)


if __name__ == "__main__":
    main()

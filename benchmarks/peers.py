"""Recording ten scalars a step: torchglass and its peers side by side. `make bench BENCH=peers` runs this.

Every measurement has a fresh process, the trackers take turns round by round, and what is given is the median over
rounds. What was recorded is read back and counted by a second process. torchglass runs in the project's environment, as
its users do; the peers share one of their own, so that neither side's pins decide what the other runs with.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers_environment import make_environment, python_of_peers
from peers_page import PACED_STEPS, VALUES_PER_STEP, Peer, Result, page

RESULTS = Path(__file__).parent / "results"
MEASURE = Path(__file__).parent / "peers" / "measure.py"
LIMIT_SECONDS = 300.0  # of one process: a tracker that hangs costs its row, not the run


@dataclass(frozen=True)
class Round:
    """What one run of a tracker took; `values` are those read back."""

    version: str
    p50_us: float
    p99_us: float
    paced_p50_us: float
    paced_p99_us: float
    seconds: float
    bytes: int
    values: int = 0
    read_seconds: float = 0.0


PEERS = (
    Peer("torchglass", "`run.log`", 100_000, "`Store.points` of every series", own=True),
    Peer("tensorboard", "`SummaryWriter.add_scalar`, ten calls", 3_000, "its `EventAccumulator`"),
    Peer("wandb", "`run.log`, offline", 20_000, "a scan of its log with its own messages (it has no offline reader)"),
    Peer("trackio", "`run.log`, local", 20_000, "its `SQLiteStorage.get_logs`"),
    Peer("mlflow", "`log_metrics`, SQLite", 500, "its `get_metric_history`"),
    Peer("aim", "`Run.track` of a dictionary", 1_000, "its `Repo`, after `aim storage reindex`"),
    Peer("sqlite3", "`executemany`, a row per value, 10,000 rows at a time", 100_000, "`SELECT`", own=True),
    Peer("list", "`append`: the floor, nothing kept", 100_000, "nothing to read", own=True),
)


def environment_of(folder: Path) -> dict[str, str]:
    """Variables for one tracker: a home of its own, telemetry off, and no way out to a network."""
    closed = "http://127.0.0.1:9"  # nothing listens there: a call home fails at once, and is not waited for
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "DO_NOT_TRACK": "true",
        "HF_HUB_OFFLINE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TRACKIO_DIR": str(folder / "data" / "trackio"),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_MODE": "offline",
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), closed),
        "NO_PROXY": "127.0.0.1,localhost",
    }


def in_own_process(what: str, peer: Peer, folder: Path, steps: int) -> dict[str, Any]:
    """Record, or count what was recorded, below the folder.

    Raises:
        RuntimeError: it failed; the text is the last line that the process wrote.
    """
    python = Path(sys.executable) if peer.own else python_of_peers()
    result = folder / f"{what}.json"
    done = subprocess.run(
        [python, MEASURE, what, peer.name, folder / "data", str(PACED_STEPS if steps else 0), str(steps), result],
        cwd=folder / "home",
        env=environment_of(folder),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode or not result.exists():
        raise RuntimeError((done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1])
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def measure(peer: Peer, steps: int) -> Round:
    """Record in one process and count in a second one, below a temporary folder; without steps, only record."""
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        (folder / "home").mkdir()
        (folder / "data").mkdir()
        recorded = in_own_process("record", peer, folder, steps)
        return Round(**{**recorded, **(in_own_process("count", peer, folder, steps) if steps else {})})


def summarize(peer: Peer, steps: int, rounds: Sequence[Round], empty_bytes: int) -> Result:
    """Take the median over rounds of each figure; of the values read back, the fewest."""

    def middle(name: str) -> float:
        return statistics.median(float(getattr(each, name)) for each in rounds)

    values = min(each.values for each in rounds)
    return Result(
        peer=peer,
        version=rounds[0].version,
        steps=steps,
        p50_us=middle("p50_us"),
        p99_us=middle("p99_us"),
        paced_p50_us=middle("paced_p50_us"),
        paced_p99_us=middle("paced_p99_us"),
        values_per_second=steps * VALUES_PER_STEP / middle("seconds"),
        bytes_per_value=(middle("bytes") - empty_bytes) / ((steps + PACED_STEPS) * VALUES_PER_STEP),
        values=values,
        values_read_per_second=values / middle("read_seconds"),
    )


def main() -> None:
    """Measure every peer in turns, print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[peer.name for peer in PEERS], help="names of trackers")
    parser.add_argument("--quick", action="store_true", help="one round with a tenth of the steps; nothing is kept")
    options = parser.parse_args()
    wanted = [peer for peer in PEERS if peer.name in options.only]
    not_installed = make_environment() if any(not peer.own for peer in wanted) else {}
    missing = {peer.name: not_installed[peer.name] for peer in wanted if peer.name in not_installed}
    rounds, share = (1, 10) if options.quick else (options.rounds, 1)
    empty: dict[str, int] = {}
    found: dict[str, list[Round]] = {peer.name: [] for peer in wanted}
    for number in range(rounds + 1):
        for peer in [peer for peer in wanted if peer.name not in missing]:
            try:
                measured = measure(peer, peer.steps // share if number else 0)  # empty ones first, to warm up as well
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                missing[peer.name] = str(error)
                continue
            print(f"round {number}: {peer.name} {measured}", flush=True)
            if number:
                found[peer.name].append(measured)
            else:
                empty[peer.name] = measured.bytes
    results = [
        summarize(peer, peer.steps // share, found[peer.name], empty[peer.name])
        for peer in wanted
        if peer.name not in missing
    ]
    text = page(results, missing, rounds)
    print(text)
    if not options.quick and len(wanted) == len(PEERS):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "peers-cpu.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

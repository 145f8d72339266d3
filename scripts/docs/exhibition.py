"""The runs that the pictures of the documents show: recorded anew, by the commands that a reader would give."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HOST = "workstation"
DEMO, SLOWER, PICTURES, TABLE, SWEEP = "demo", "lower-rate", "shapes", "tumours", "tumour-recipes"
REPORT = "report.html"
LONGEST_SECONDS = 600.0  # of a command: some take a quarter of a minute on a quiet machine

# No picture names the machine that it was made on.
AS_IF_ELSEWHERE = (
    f"import platform, socket, sys; platform.node = socket.gethostname = lambda: {HOST!r}; "
    "from torchglass.cli import main; sys.exit(main(sys.argv[1:]))"
)

# Two lanes, as a laptop has cores to spare: each begins a command when the one before it has ended.
LANES: Sequence[Sequence[str]] = (
    (
        f"demo --no-ui --report {REPORT}",
        f"train lenet5 --run {SLOWER} --epochs 20 --learning-rate 0.001 --no-probes --quiet",
        f"train mlp --run {TABLE} --quiet",
        f"explain {TABLE} --samples 0,1 --methods shap,lime",
        f"overview {TABLE}",
    ),
    (
        f"sweep mlp --trials 8 --epochs 10 --name {SWEEP} --quiet",
        f"train simple_cnn --dataset shapes_shortcut --limit 800 --epochs 4 --run {PICTURES} --quiet",
        f"explain {PICTURES} --samples 0,1,2 --methods gradcam,shap,lime",
        f"what-if {PICTURES} --sample 1 --erase 0,0,8,8",
        f"shortcuts {PICTURES}",
    ),
)


def record(folder: Path) -> Path:
    """Record the runs into a fresh store in a folder, and return its path.

    Raises:
        SystemExit: a command failed; it says which, and with what words.
    """
    store = folder / "runs.db"
    with ThreadPoolExecutor(len(LANES)) as lanes:
        list(lanes.map(lambda lane: _record_lane(lane, folder, store), LANES))
    return store


def neutral_command(*arguments: str) -> list[str]:
    """The command line of torchglass on a machine of no name."""
    return [sys.executable, "-c", AS_IF_ELSEWHERE, *arguments]


def _record_lane(commands: Sequence[str], folder: Path, store: Path) -> None:
    environment = {**os.environ, "TORCHGLASS_STORE": str(store), "OMP_NUM_THREADS": "1"}
    for command in commands:
        print(f"torchglass {command}", flush=True)
        done = subprocess.run(
            neutral_command(*command.split()),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"torchglass {command} ended with {done.returncode}:\n{done.stdout[-500:]}{done.stderr[-2000:]}")

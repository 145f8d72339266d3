"""The environment that the peers live in: made once, again when the requirements or the Python change."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

FOLDER = Path(__file__).parent / ".peers-venv"
REQUIREMENTS = Path(__file__).parent / "peers-requirements.txt"
_MADE = FOLDER / "made.json"


def python_of_peers() -> Path:
    """Path of the environment's Python."""
    return FOLDER / "bin" / "python"


def make_environment() -> dict[str, str]:
    """Make the environment unless it is there; return the requirements that could not be installed, with the reason.

    What failed once is not tried again before the folder is removed, as `make clean` does.
    """
    torch_from = sysconfig.get_path("purelib")
    wanted = {"python": sys.version, "torch": torch_from, "requirements": REQUIREMENTS.read_text(encoding="utf-8")}
    made = json.loads(_MADE.read_text(encoding="utf-8")) if _MADE.exists() else {}
    if {key: made.get(key) for key in wanted} == wanted:
        missing: dict[str, str] = made["missing"]
        return missing
    print(f"Installing {REQUIREMENTS.name} into {FOLDER.name} (a minute or two) ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
    missing = _install_all()
    # Only now: pip would take the project's packages for this environment's own. They come last, so torch is found
    # there and every pinned package here.
    (_site_packages() / "project.pth").write_text(torch_from + "\n", encoding="utf-8")
    _MADE.write_text(json.dumps({**wanted, "missing": missing}), encoding="utf-8")
    return missing


def _install_all() -> dict[str, str]:
    """Install everything at once, or else one by one what can be: some peers have no wheels for a new Python."""
    if _pip_fault("-r", str(REQUIREMENTS)) is None:
        return {}
    lines = (line.strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    faults = {line.split("==")[0]: _pip_fault(line) for line in lines if line and not line.startswith("#")}
    return {name: fault for name, fault in faults.items() if fault is not None}


def _pip_fault(*arguments: str) -> str | None:
    command = [str(python_of_peers()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    faults = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or ["ERROR: pip failed"]
    return None if done.returncode == 0 else faults[-1].removeprefix("ERROR:").strip()


def _site_packages() -> Path:
    return next(FOLDER.glob("lib/python*/site-packages"))

"""A driver library for tests, compiled from instrumentation/stub_nvml.c and scripted through a text file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "instrumentation" / "stub_nvml.c"
SCRIPT_VARIABLE = "TORCHGLASS_STUB_NVML"
LIBRARY = "libnvidia-ml.so.1"

# What one healthy GPU answers, each number found in no other place.
GPU: Mapping[str, int] = {
    "utilization": 37,
    "memory_utilization": 12,
    "memory_total": 150_000_000_000,
    "memory_used": 3_000_000_001,
    "memory_reserved": 700_000_000,
    "power": 250_500,
    "power_limit": 700_000,
    "temperature_v": 58,
    "sm_clock": 1755,
    "memory_clock": 2619,
    "encoder": 21,
    "decoder": 22,
    "jpeg": 23,
    "optical_flow": 24,
    "bar1_used": 4_194_304,
    "protected_used": 65_536,
    "single_bit": 5,
    "double_bit": 6,
    "replays": 7,
    "reasons": 0,
    "mig": 0,
    "processes": 0,
    "field82": 64,
    "field83": 1_000_000,
    "field74": 0,
    "field75": 0,
    "field197": 0,
    "field198": 0,
    "field138": 0,
    "field139": 0,
}


def gpu(index: int = 0, without: str = "", **changed: int) -> str:
    """Lines for one GPU that answers as `GPU` does but for what is changed; double underscores stand for dots."""
    lacking = without.split()
    told = {**GPU, **{key.replace("__", "."): value for key, value in changed.items()}}
    return "".join(f"gpu{index}.{key} {value}\n" for key, value in told.items() if key not in lacking)


def driver(*gpus: str) -> str:
    """Lines of a driver with these GPUs."""
    return f"driver.count {len(gpus)}\n" + "".join(gpus)


def compiled(folder: Path, *without: str) -> Path:
    """Compile the library with some of its functions left out, once for a folder, under the name that bindings load."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.fail("no C compiler found: install one (Debian and Ubuntu: apt-get install gcc)")
    library = folder / "-".join(["stub", *without]) / LIBRARY
    if not library.exists():
        library.parent.mkdir(parents=True)
        flags = ["-shared", "-fPIC", "-Wall", "-Werror", f"-Wl,-soname,{LIBRARY}"]
        switches = [f"-DWITHOUT_{name}" for name in without]
        subprocess.run([compiler, *flags, *switches, str(SOURCE), "-o", str(library)], check=True)
    return library

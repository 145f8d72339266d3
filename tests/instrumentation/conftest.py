"""The real NVML bindings on a driver library that a test scripts."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import nvml_stub
import pynvml
import pytest

Script = Callable[[str], None]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile the stub with some of its functions left out."""
    folder = tmp_path_factory.mktemp("nvml")
    return lambda *without: nvml_stub.compiled(folder, *without)


@pytest.fixture
def fresh_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bindings as a new process has them, before and after."""
    for name, value in (("nvmlLib", None), ("_nvmlLib_refcount", 0), ("_nvmlGetFunctionPointer_cache", {})):
        assert hasattr(pynvml, name)
        monkeypatch.setattr(pynvml, name, value)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Say what the driver answers from now on."""
    path = tmp_path / "driver.txt"
    monkeypatch.setenv(nvml_stub.SCRIPT_VARIABLE, str(path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def write(text: str) -> None:
        path.write_text(text)

    return write


@pytest.fixture
def load(build: Callable[..., Path], fresh_bindings: None, script: Script) -> Callable[..., Script]:
    """Load the stub as the driver's library, with some of its functions left out."""

    def loaded(*without: str) -> Script:
        pynvml.nvmlLib = ctypes.CDLL(str(build(*without)))
        return script

    return loaded


@pytest.fixture
def driver(load: Callable[..., Script]) -> Script:
    """The whole stub."""
    return load()

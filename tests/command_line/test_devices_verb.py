"""`torchglass devices`: a table for people, JSON for programs, and neither needs a GPU."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nvml_stub
import pytest

from torchglass import devices
from torchglass.cli import main
from torchglass.device_table import lines_of
from torchglass.devices import in_place_of
from torchglass.instrumentation.devices import Reading

COMMAND = [sys.executable, "-m", "torchglass", "devices"]
NO_GPUS = {"gpus": [], "reason": "no NVIDIA driver answers", "order_note": None}
TWO_GPUS = {"gpus": [{"index": 0, "cuda": "cuda:0", "name": "H200"}, {"index": 1, "cuda": None, "name": None}]}
READING = Reading(
    {
        "host/cpu_utilization_percent": 12.4,
        "gpu0/power_watts": 250.6,
        "gpu0/memory_used_bytes": 3e9,
        "gpu0/throttle_software_power_cap": 1.0,
        "gpu0-mig1/memory_used_bytes": 5e6,
    },
    {"gpu0/jpeg_percent": "Not Supported", "gpu0/encoder_percent": "Not Supported", "gpu1": "GPU is lost"},
    {"gpu0/throttling": "power limit"},
)


def lines(width: int = 400, colors: bool = False) -> list[str]:
    """The example as it is printed."""
    return list(lines_of(READING, TWO_GPUS, {}, width=width, colors=colors))


def cells(names: str, row: str) -> dict[str, str]:
    """Values of a row below their columns' names, neither of which holds a blank."""
    values = row.split()[-len(names.split()) :]
    return dict(zip(names.split(), values, strict=True))


def test_a_row_for_each_device_tells_values_what_is_missing_and_what_is_yet_to_come() -> None:
    printed = lines()
    assert cells(printed[0], printed[2])["cpu"] == "12"
    first, second = cells(printed[4], printed[6]), cells(printed[4], printed[7])
    assert printed[6].startswith("gpu0 cuda:0 H200  ")
    assert (first["pwr"], first["fb"], first["jpg"], first["rxpci"]) == ("251", "3000", "N/A", "…")
    assert set(second.values()) == {"N/A"}
    assert "gpu0-mig1  fb 5 MB" in printed
    assert "gpu0  held back by: power limit" in printed
    assert "N/A  gpu0 jpg, enc: Not Supported" in printed
    assert "N/A  gpu1 everything: GPU is lost" in printed


def test_a_narrow_terminal_gets_several_tables_with_every_column_in_one_of_them() -> None:
    wide, narrow = lines(), lines(width=80)
    assert max(len(line) for line in narrow if not line.startswith("N/A")) <= 80
    names = {name for line in narrow for name in line.split()}
    assert set(wide[4].split()) <= names


def test_colors_only_where_they_are_asked_for() -> None:
    assert not [line for line in lines() if "\x1b" in line]
    assert "\x1b[31mgpu0  held back by: power limit\x1b[0m" in lines(colors=True)


def test_a_name_cannot_steer_the_terminal() -> None:
    gpus = {"gpus": [{"index": 0, "name": "H200\x1b[2J"}], "reason": "bad\x07"}
    assert not [line for line in lines_of(READING, gpus, {}, width=200, colors=False) if set("\x1b\x07") & set(line)]


def test_what_is_drawn_in_place_never_scrolls() -> None:
    text = "\n".join(["one", "x" * 25, "three", "four", "five"])
    drawn = in_place_of(text, 10, 6)
    assert "one" in drawn
    assert "3 more lines" in drawn
    assert "five" not in drawn
    assert "more lines" not in in_place_of("one\ntwo", 10, 3)


def test_without_a_gpu_the_host_is_told_and_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.time, "sleep", lambda seconds: None)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert main(["devices", "--once"]) == 0
    printed = capsys.readouterr().out
    assert "host" in printed
    assert "no GPU is read: nvidia-ml-py is not installed" in printed


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "soon", "1e9"])
def test_an_interval_that_no_driver_keeps_is_refused(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["devices", "--interval", interval])
    assert "is no interval" in capsys.readouterr().err


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A process's environment in which the stub is the driver."""
    library = nvml_stub.compiled(tmp_path)
    script = tmp_path / "driver.txt"
    script.write_text(nvml_stub.driver(nvml_stub.gpu(0), nvml_stub.gpu(1, without="power")))
    known = {"LD_LIBRARY_PATH": str(library.parent), nvml_stub.SCRIPT_VARIABLE: str(script), "TERM": "xterm"}
    return {**os.environ, **known, "CUDA_VISIBLE_DEVICES": "GPU-0000-1"}


def test_a_document_tells_value_unit_source_and_window_of_every_figure(environment: dict[str, str]) -> None:
    told = subprocess.run([*COMMAND, "--once", "--json"], env=environment, capture_output=True, text=True, check=True)
    document = json.loads(told.stdout)
    assert document["values"]["gpu0/power_watts"] == {
        "value": 250.5,
        "unit": "W",
        "source": "nvmlDeviceGetPowerUsage",
        "window": "the last second on Ampere and later but GA100, the moment before",
        "command": "nvidia-smi dmon -s p",
        "dmon": "pwr",
    }
    assert document["missing"]["gpu1/power_watts"] == "Not Supported"
    assert [gpu["cuda"] for gpu in document["gpus"]] == [None, "cuda:0"]
    assert "gpu0/pcie_received_bytes_per_second" in document["values"]  # from the second of two readings


def read_all(descriptor: int) -> Iterator[str]:
    """What appears on a terminal, until its other end is closed or nothing comes for a minute."""
    while select.select([descriptor], [], [], 60)[0]:
        try:
            part = os.read(descriptor, 65536)
        except OSError:
            return
        yield part.decode(errors="replace")


def test_on_a_terminal_the_table_is_redrawn_in_place_until_interrupted(environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--interval", "0.2"], env=environment, stdout=theirs, stderr=subprocess.PIPE, text=True
    )
    os.close(theirs)
    seen = ""
    began = time.monotonic()
    for part in read_all(ours):
        seen += part
        if seen.count("\x1b[H") >= 3:
            process.send_signal(signal.SIGINT)
            break
        assert time.monotonic() - began < 60, seen
    rest = "".join(read_all(ours))
    assert process.wait(30) == 130
    assert process.stderr is not None
    assert "interrupted" in process.stderr.read()
    process.stderr.close()
    os.close(ours)
    assert "\x1b[1m" in seen
    assert rest.endswith("\x1b[?25h")  # the cursor is back

"""A profiler window that is given away as a Chrome trace reads back with its slices, where they were."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
from profiled import gpu_window

from torchglass.exchange.chrome_trace import chrome_trace
from torchglass.traces.reading import read_trace

HOSTILE = '</script><script>alert(1)</script>\u202e"'


def test_every_slice_is_an_event_on_its_lane() -> None:
    tables = gpu_window(5).tables
    events = json.loads(gzip.decompress(chrome_trace(tables)))["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert len(slices) == len(tables["slices"]["lane"])
    assert sum(event["dur"] for event in slices) * 1e3 == tables["slices"]["duration_ns"].sum()
    exchange = [event for event in slices if event["name"].startswith("ncclDevKernel")]
    assert [(each["pid"], each["tid"], each["ts"], each["dur"], each["cat"]) for each in exchange] == [
        (1, 20, 6600.0 + 12_000 * step, 1400.0, "kernel") for step in range(3)
    ]
    lanes = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert lanes[1, 20] == "stream 20 (NCCL)"
    assert lanes[0, 4242] == "thread 4242 (training)"


def test_the_file_is_read_back_without_a_complaint(tmp_path: Path) -> None:
    tables = dict(gpu_window(5).tables)
    names = tables["slice_names"]["name"].astype(object)
    names[0] = HOSTILE
    tables["slice_names"] = {"name": names.astype(np.str_)}
    path = tmp_path / "window.json.gz"
    path.write_bytes(chrome_trace(tables))
    reading = read_trace(path)
    assert reading.faults == ()
    assert chrome_trace(tables) == path.read_bytes(), "the same window makes the same file"

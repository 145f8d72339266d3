"""The process's memory on the host: equal to what others say of it, bounded by its control groups."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from torchglass.instrumentation.memory.process import ProcessMemory, host_limit_bytes

MACHINE = psutil.virtual_memory().total


def test_the_resident_set_is_what_psutil_says() -> None:
    memory = ProcessMemory()
    held = bytearray(50_000_000)
    held[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(held[:: os.sysconf("SC_PAGE_SIZE")])
    assert memory.read() == pytest.approx(psutil.Process().memory_info().rss, rel=0.02)
    memory.close()


def test_without_statm_psutil_answers(tmp_path: Path) -> None:
    memory = ProcessMemory(str(tmp_path / "absent"))
    assert memory.read() == pytest.approx(psutil.Process().memory_info().rss, rel=0.02)


def test_a_closed_one_still_answers_and_holds_no_file() -> None:
    before = psutil.Process().num_fds()
    memory = ProcessMemory()
    memory.close()
    memory.close()
    assert psutil.Process().num_fds() == before
    assert memory.read() > 0


def groups(root: Path, text: str, files: dict[str, str]) -> Path:
    for name, content in {"proc/self/cgroup": text, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")
    return root


def test_a_containers_limit_is_the_limit(tmp_path: Path) -> None:
    root = groups(tmp_path, "0::/", {"sys/fs/cgroup/memory.max": "1000000"})
    assert host_limit_bytes(root) == 1_000_000


def test_the_tightest_of_nested_groups_counts_and_max_is_none(tmp_path: Path) -> None:
    root = groups(
        tmp_path,
        "0::/outer/inner",
        {"sys/fs/cgroup/outer/inner/memory.max": "max", "sys/fs/cgroup/outer/memory.max": "2000000"},
    )
    assert host_limit_bytes(root) == 2_000_000


def test_the_older_control_groups_are_read_as_well(tmp_path: Path) -> None:
    unlimited = str(2**63 - 4096)
    root = groups(
        tmp_path,
        "9:name=systemd:/\n4:memory:/job/1\n0::/",
        {
            "sys/fs/cgroup/memory/job/1/memory.limit_in_bytes": "3000000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited,
        },
    )
    assert host_limit_bytes(root) == 3_000_000


def test_without_control_groups_the_machine_is_the_limit(tmp_path: Path) -> None:
    assert host_limit_bytes(tmp_path) == MACHINE
    assert host_limit_bytes(groups(tmp_path, "0::/somewhere", {})) == MACHINE

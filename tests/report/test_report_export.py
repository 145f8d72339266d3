"""The file: whole or absent, self-contained, and clear about what went wrong."""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from profiled import record_profiled_run
from recorded import record_example_run

from torchglass.charts.plotly_js import Build, source
from torchglass.errors import OptionError, RunNotFoundError, TorchglassError
from torchglass.report import export_report
from torchglass.report.scripts import packed_plotly
from torchglass.store import Run, Store

BUILDS: tuple[Build, ...] = ("cartesian", "full")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    return record_example_run(store, gpu=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "reports"
    made.mkdir()
    return made


def without_plotly(text: str, carried: tuple[Build, ...] = ("cartesian",)) -> str:
    for build in BUILDS:
        packed = packed_plotly(build)
        assert text.count(packed) == (build in carried), f"the build {build}"
        assert gzip.decompress(base64.b64decode(packed)).decode("utf-8") == source(build)
        text = text.replace(packed, "")
    return text


def test_a_run_is_found_by_name_id_or_record(store: Store, run: Run, folder: Path) -> None:
    named: tuple[str | int | Run, ...] = ("example", 1, run)
    written = [export_report(store, which, folder / f"{place}.html") for place, which in enumerate(named)]
    assert len({re.sub(r"reported [^<]*", "", path.read_text("utf-8")) for path in written}) == 1


def test_a_folder_gets_a_file_named_after_the_run(store: Store, folder: Path) -> None:
    run = record_example_run(store, "../lr=0.1 <x>", steps=20)
    assert export_report(store, run, folder) == folder / "lr-0.1-x.html"
    assert os.listdir(folder) == ["lr-0.1-x.html"]


def test_the_file_holds_everything_and_leads_nowhere(store: Store, run: Run, folder: Path) -> None:
    text = export_report(store, run, folder / "a.html").read_text("utf-8")
    assert len(text.encode()) < 6_000_000
    ours = without_plotly(text)
    assert "http" not in ours.replace("http-equiv", "")
    assert "//" not in re.sub(r"base64,[^\"]*", "", ours.split('type="application/json"')[0])
    for attribute in re.findall(r'(?:src|href|action|data|srcset|poster)="([^"]*)"', ours):
        assert attribute.startswith(("#", "data:image/png;base64,"))


def test_the_policy_names_exactly_the_scripts_that_are_there(store: Store, run: Run, folder: Path) -> None:
    text = export_report(store, run, folder / "a.html").read_text("utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    named = set(re.findall(r"sha256-([^&']*)", policy.replace("&#39;", "'")))
    (own,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    scripts = (own, source("cartesian"))
    assert named == {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert len(named) == 2
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_all_of_plotly_comes_along_where_a_figure_needs_it(store: Store, folder: Path) -> None:
    text = export_report(store, record_profiled_run(store), folder / "a.html").read_text("utf-8")
    without_plotly(text, BUILDS)
    for build in BUILDS:
        digest = base64.b64encode(hashlib.sha256(source(build).encode()).digest()).decode()
        assert f"sha256-{digest}" in text


def test_the_report_names_no_machine(store: Store, run: Run, folder: Path) -> None:
    text = export_report(store, run, folder / "a.html").read_text("utf-8")
    assert run.host == "example-host"
    for private in ("example-host", "example-cpu", "4242", "GPU-0", str(store.path)):
        assert private not in without_plotly(text)


def test_a_run_with_nothing_in_it_is_reported_too(store: Store, folder: Path) -> None:
    run = store.start_run("empty", {}, host="h", pid=1)
    text = without_plotly(export_report(store, run, folder).read_text("utf-8"))
    assert text.count("Nothing recorded") == 16
    assert "data-figure" not in text.split("</main>")[0]


def test_a_failure_half_way_keeps_the_old_file_and_leaves_nothing_else(
    store: Store, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder / "a.html"
    target.write_text("old")

    def disk_full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(TorchglassError, match=r"cannot write the report to .*a\.html: No space left on device"):
        export_report(store, run, target)
    assert target.read_text() == "old"
    assert os.listdir(folder) == ["a.html"]


def test_an_interrupt_half_way_leaves_nothing(
    store: Store, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_report(store, run, folder / "a.html")
    assert os.listdir(folder) == []


def test_a_name_that_the_disk_refuses_is_one_clear_error(store: Store, run: Run, folder: Path) -> None:
    with pytest.raises(TorchglassError, match="cannot write the report to"):
        export_report(store, run, folder / f"{'x' * 300}.html")
    assert os.listdir(folder) == []


def test_an_old_report_is_kept_when_overwriting_is_off(store: Store, run: Run, folder: Path) -> None:
    export_report(store, run, folder / "a.html")
    with pytest.raises(OptionError, match="exists"):
        export_report(store, run, folder / "a.html", overwrite=False)
    export_report(store, run, folder / "a.html")


def test_a_pipe_or_device_is_not_replaced_by_a_report(store: Store, run: Run, folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OptionError, match="is no ordinary file"):
        export_report(store, run, pipe)
    assert pipe.is_fifo()


def test_a_missing_folder_is_named(store: Store, run: Run, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nowhere does not exist"):
        export_report(store, run, tmp_path / "nowhere" / "a.html")


def test_a_missing_run_is_named_and_nothing_is_written(store: Store, run: Run, folder: Path) -> None:
    with pytest.raises(RunNotFoundError, match=r"no run 'other'.*example"):
        export_report(store, "other", folder / "a.html")
    assert os.listdir(folder) == []


def test_others_may_read_the_file(store: Store, run: Run, folder: Path) -> None:
    before = os.umask(0o022)
    try:
        path = export_report(store, run, folder / "a.html")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644

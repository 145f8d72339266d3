"""A log goes into a PostgreSQL store and comes out of it as into a file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from exchanged import curve, scalar_event, write_log

from torchglass.cli import main
from torchglass.store import Store

if TYPE_CHECKING:
    from postgresql import Server


@pytest.mark.postgresql
def test_logs_go_in_and_tables_come_out_of_a_server_too(
    postgresql: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgresql.url()
    write_log(tmp_path / "log", [scalar_event("loss", 0.5 * step, step) for step in range(300)])
    assert main(["import", "tensorboard", str(tmp_path / "log"), "--store", url]) == 0
    with Store(url) as store:
        assert curve(store, "log", "loss") == [(step, 0.5 * step) for step in range(300)]
    for form in ("csv", "tensorboard"):
        assert main(["export", "log", "--format", form, "-o", str(tmp_path / form), "--store", url]) == 0
    with (tmp_path / "csv").open(newline="") as file:
        assert [float(row["value"]) for row in csv.DictReader(file)] == [0.5 * step for step in range(300)]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    assert "p@ss" not in "".join(capsys.readouterr())

"""Every chart of every page says where its numbers are, and the Python that it offers draws that very chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from driving import RUN_PAGES
from judged import record_judged
from plotly.io.json import to_json_plotly
from profiled import record_profiled_run
from recorded import record_example_run
from shown import figures, show

from torchglass.dashboard.answering.query import Query
from torchglass.dashboard.answering.tables import TABLES, to_csv
from torchglass.store import open_store

PAGES = [
    address for address in RUN_PAGES if address not in ("training", "timeline", "report")
]  # drawn by scripts alone


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "runs.db"
    with open_store(path) as store:
        record_example_run(store, "another", seed=1)
        profiled = record_profiled_run(store, "profiled")
        assert profiled is not None
        run = record_example_run(store, "example", gpu=True)
        record_judged(store, run.id)
    return path


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("name", ["example", "profiled"])
def test_a_chart_can_be_had_as_numbers_and_drawn_again_from_its_own_code(
    path: Path, address: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {key: data for key, data in figures(show(path, address, name)).items() if "figure" in data}
    for key, data in drawn.items():
        assert data["source"], f"the chart {key} names no source"
        source = data["source"]
        assert to_csv_of(path, source).count(b"\n") > 1, key
        assert data["figure"] in drawn_by(source["code"], monkeypatch), key


def to_csv_of(path: Path, source: dict[str, Any]) -> bytes:
    query = Query({name: str(value) for name, value in source["query"].items()})
    with open_store(path, read_only=True) as store:
        return to_csv(TABLES[source["table"]](store, query))


def drawn_by(code: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Figures that a piece of Python shows, as JSON."""
    shown: list[str] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(to_json_plotly(figure)))
    exec(compile(code, "copied", "exec"), {"__name__": "__main__"})
    return shown

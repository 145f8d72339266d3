"""The quiet line below a heading: what else lies at the chosen step, each value with its step where that is another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from profiled import gpu_window
from shown import settled
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.answering.query import Query
from torchglass.dashboard.answering.tables import TABLES
from torchglass.store import ArtifactBlock, Batch, Histogram, HistogramBlock, RowBlock, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.db"
    with open_store(path) as store:
        run = store.start_run("run", {}, host="here", pid=1)
        at = np.arange(0, 1000, 10)
        loss = RowBlock.of_series("loss", "scalar", "", at, at.astype(float), at / 100)
        histogram = Histogram(500, 0.0, np.array([3]), np.array([2]), 0, 3, 1, 0, 1.0, 1.0)
        seen = ArtifactBlock("explanation", "test/1", 505, 0.0, {}, {"values": np.array([1.0, 2.0])})
        batch = Batch(
            rows=[loss],
            windows=[gpu_window(500)],
            histograms=[HistogramBlock("weights/a", histogram)],
            artifacts=[seen],
        )
        store.write(run.id, 0, batch)
        store.start_run("empty", {}, host="here", pid=1)
    return path


def _page(path: str, name: str, step: int | None) -> None:
    from unittest import mock

    import streamlit as st

    from torchglass.dashboard.stepping import at_step
    from torchglass.store import open_store

    def said(address: str, label: str, **parameters: str) -> None:
        st.text(f"{address}: {label} {parameters}")

    with open_store(path, read_only=True) as store, mock.patch.object(at_step, "link", said):
        at_step.show(store, store.run(name), step)


def line(path: Path, name: str, step: int | None) -> list[str]:
    app = settled(AppTest.from_function(_page, kwargs={"path": str(path), "name": name, "step": step}).run())
    return [str(each.value) for each in (*app.caption, *app.text)]


def test_it_says_what_was_recorded_and_links_to_where_it_is_shown(path: Path) -> None:
    said, *links = line(path, "run", 501)
    assert said == "Step 501: loss 5 (at 500) · :red[4 NaN or Inf in sampled tensors]"
    assert [each.split(":")[0] for each in links] == ["kernels", "distributions", "explain"]
    for link, told in zip(links, ("Profile of steps 500 to 502", "Histograms of step 500", "of step 505"), strict=True):
        assert told in link
        assert "'run': 'run', 'step': '501'" in link


def test_it_is_silent_without_a_step_and_where_nothing_was_recorded(path: Path) -> None:
    assert line(path, "run", None) == []
    assert line(path, "empty", 5) == []
    assert line(path, "run", 800) == ["Step 800: loss 8"]


def test_windows_are_added_up_and_columns_of_artifacts_stand_side_by_side(path: Path) -> None:
    with open_store(path) as store:
        run = store.run("run")
        store.write(run.id, 0, Batch(windows=[gpu_window(700)]))
        ids = [window.id for window in store.windows(run.id)]
        arrays = {"sizes": np.array([3, 4, 5]), "names": np.array(["a", "b", "c"]), "alone": np.array([1])}
        kept = store.add_artifact(run.id, ArtifactBlock("memory_peak", "cuda:0", 1, 0.0, {}, arrays))
        asked = {"run": str(run.id), "table": "breakdown"}
        one = TABLES["windows"](store, Query({**asked, "ids": str(ids[0])}))
        both = TABLES["windows"](store, Query({**asked, "ids": ",".join(map(str, ids))}))
        columns = TABLES["artifact_columns"](store, Query({"id": str(kept)}))
    assert list(both["total_seconds"]) == pytest.approx([2 * one["total_seconds"][0]])
    assert set(columns) == {"sizes", "names"}

"""Every model, however it learns, leaves a run in which everything can be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchglass.explaining import Request, explain_run
from torchglass.reference_models import ReferenceModel, TrainingOptions, available, train
from torchglass.report.contents import read_contents
from torchglass.store import open_store

ENOUGH = 96  # samples: twelve steps of eight, so that a profiler window of three has room
LARGE = {"resnet50"}


def offline() -> list[object]:
    models = [model for model in available() if model.sources[0].needs == ""]
    return [
        pytest.param(model, id=model.name, marks=[pytest.mark.slow] if model.name in LARGE else []) for model in models
    ]


@pytest.mark.parametrize("model", offline())
def test_a_run_has_scalars_histograms_phases_operators_and_three_explanations_in_its_report(
    model: ReferenceModel, tmp_path: Path
) -> None:
    changes = {"epochs": 1, **({"batch_size": 8} if model.honours("batch_size") else {})}
    path = tmp_path / "runs.db"
    result = train(
        TrainingOptions(model=model.name, changes=changes, store=path, device="cpu", limit=ENOUGH, progress=False)
    )
    assert len(result.epochs) == 1
    list(explain_run(path, Request(result.run_name, samples=(0,), methods=model.explain.methods[:3])))
    with open_store(path) as store:
        run = store.run(result.run_name)
        assert run.status == "finished"
        kinds = {series.kind for series in store.series_of(run.id)}
        assert {"scalar", "layer", "phase", "memory", "work"} <= kinds
        assert {"phase/forward", "phase/backward", "phase/optimizer"} <= {s.key for s in store.series_of(run.id)}
        assert store.histogram_keys(run.id)
        assert any(row.kind == "operator" for window in store.windows(run.id) for row in window.rows)
        explanations = store.artifacts(run.id, kind="explanation")
        assert [artifact.meta["method"] for artifact in explanations] == list(model.explain.methods[:3])
        (sample,) = read_contents(store, run, written_at=0.0).explanations
        assert len(sample.panels) == 3

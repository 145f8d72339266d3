"""Explanations on a Ray cluster: the same numbers as in one process, from other processes, into one store.

A cluster gives up its start after half a minute, which busy cores may take: what needs one is run by make test-all.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from test_explaining_kinds import FORMS, samples_of

from torchglass.errors import MissingExtraError, OptionError, TorchglassError
from torchglass.explaining import Request, explain_run
from torchglass.reference_models import get
from torchglass.reference_models.weights import state_arrays
from torchglass.spreading import explain_over_ray
from torchglass.store import ArtifactBlock, Store

REQUEST = Request("linear", (0, 2, 3), ("occlusion", "shap"))


def a_store(path: Path) -> Path:
    """A store with a run of the linear model, fresh weights and drawn rows."""
    torch.manual_seed(0)
    form = FORMS["linear"]
    notes = {"model": "linear", "dataset": "drawn", "seed": 0, "form": form.to_json(), "dropout": None}
    with Store(path) as store:
        run = store.start_run("linear", {"model": "linear"}, host="here", pid=1)
        weights = state_arrays(get("linear").build(form))
        store.add_artifact(run.id, ArtifactBlock("checkpoint", "weights", 8, time.time(), notes, weights))
        store.add_artifact(run.id, ArtifactBlock("samples", "test", 8, time.time(), notes, samples_of(form)))
    return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two workers on this machine, which the calls below find and leave running."""
    # The workers of a test find its helpers as the driver does.
    paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", runtime_env=paths)
    yield
    ray.shutdown()


def attributions(path: Path) -> dict[tuple[str, str], bytes]:
    with Store(path, read_only=True) as store:
        found = store.artifacts(store.run("linear").id, kind="explanation")
        return {(one.key, one.meta["method"]): store.arrays(one.id)["attributions"].tobytes() for one in found}


@pytest.mark.slow
def test_a_cluster_gives_what_one_process_gives(cluster: None, tmp_path: Path) -> None:
    here, spread = a_store(tmp_path / "here.db"), a_store(tmp_path / "spread.db")
    lines = list(explain_run(here, REQUEST))
    assert len(list(explain_over_ray(spread, REQUEST))) == len(lines) == 6
    assert attributions(spread) == attributions(here)
    assert len(attributions(here)) == 6
    assert np.frombuffer(attributions(here)["test/0", "occlusion"], np.float32).any()
    assert ray.is_initialized(), "a cluster that was there before stays"


@pytest.mark.slow
def test_a_mistake_is_told_in_its_own_sentence_and_what_was_done_stays(cluster: None, tmp_path: Path) -> None:
    path = a_store(tmp_path / "runs.db")
    with pytest.raises(TorchglassError, match=r"^sample 9 is out of range: give a number from 0 to 3$"):
        list(explain_over_ray(path, Request("linear", (1, 9), ("occlusion",))))
    with pytest.raises(TorchglassError, match=r"^no store at "):
        list(explain_over_ray(tmp_path / "mistyped.db", REQUEST))
    assert not (tmp_path / "mistyped.db").exists()


@pytest.mark.slow
def test_a_file_is_refused_where_other_machines_could_not_open_it(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}, {"Alive": True}, {"Alive": False}])
    with pytest.raises(OptionError, match=r"the Ray cluster has 2: give a postgresql:// store"):
        list(explain_over_ray(a_store(tmp_path / "runs.db"), REQUEST))


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"torchglass\[ray\]"):
        list(explain_over_ray(tmp_path / "runs.db", REQUEST))

"""An overview of a table's model and an agent's episode as the command line would have stored them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.store import ArtifactBlock, Run, Store

Arrays = dict[str, npt.NDArray[Any]]

FEATURES = ("age", "blood pressure", "noise")
MEANS, DEVIATIONS = [50.0, 120.0, 0.0], [10.0, 20.0, 1.0]


def overview_arrays(rows: int = 40) -> Arrays:
    """Of f = 2 x0 + x0 x1 on standardised columns, whose third counts for nothing."""
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(rows, 3)).astype(np.float32)
    together = inputs[:, 0] * inputs[:, 1] / 2
    values = np.stack((2 * inputs[:, 0] + together, together, np.zeros(rows)), axis=1).astype(np.float32)
    grid = np.array([[-1.0, 0.0, 1.0], [-1.0, 1.0, np.nan]])
    curves = np.full((2, rows, 3), np.nan)
    curves[0] = grid[0] * (2 + inputs[:, 1:2])
    curves[1, :, :2] = grid[1, :2] * inputs[:, :1] + 2 * inputs[:, :1]
    return {
        "inputs": inputs,
        "values": values,
        "importance": np.array([[0.5, 0.7], [0.1, 0.1], [0.0, 0.0]]),
        "partners": np.array([1, 0, -1]),
        "dependence_columns": np.array([0, 1]),
        "dependence_grid": grid,
        "dependence_curves": curves.astype(np.float32),
        "interaction_columns": np.array([1, 0, -1]),
        "interactions": np.array([[0.1, 0.8, 3.0], [0.8, 2.0, 0.0], [3.0, 0.0, 0.2]]),
    }


def overview_meta(**changed: Any) -> dict[str, Any]:
    return {
        "model": "mlp",
        "dataset": "patients",
        "task": "classification",
        "target": 1,
        "class_names": ["well", "ill"],
        "feature_names": list(FEATURES),
        "scale": {"means": MEANS, "deviations": DEVIATIONS},
        "output_space": "logit",
        "importance_measure": "cross entropy",
        "importance_before": 0.2,
        "checks": {"completeness_error_relative": 1e-6},
        "model_evaluations": 4000,
        "seconds": 1.5,
        **changed,
    }


def episode_arrays(steps: int = 30) -> Arrays:
    """Of an agent whose action depends on the second observation and whose value on the first."""
    observations = np.random.default_rng(1).normal(size=(steps, 2)).astype(np.float32)
    actions = (observations[:, 1] > 0).astype(np.int64)
    for_action = np.stack((0 * observations[:, 0], np.abs(observations[:, 1])), axis=1)
    for_value = np.stack((observations[:, 0], observations[:, 1] / 9), axis=1)
    return {
        "observations": observations,
        "actions": actions,
        "rewards": np.ones(steps, np.float32),
        "logits": for_action.sum(axis=1),
        "values": for_value.sum(axis=1),
        "action_attributions": for_action,
        "value_attributions": for_value,
    }


def episode_meta(**changed: Any) -> dict[str, Any]:
    return {
        "environment": "CartPole-v1",
        "seed": 0,
        "method": "shap",
        "feature_names": ["position", "velocity"],
        "class_names": ["left", "right"],
        "finished": False,
        "total_reward": 30.0,
        **changed,
    }


def record_overviews(store: Store, name: str = "overviewed", **changed: Any) -> Run:
    """A run of an agent that has both; `changed` goes into the facts of both."""
    run = store.start_run(name, {"model": "ppo"}, host="here", pid=1)
    form = {"kind": "observations", "task": "control", "shape": [2], "class_names": ["left", "right"]}
    samples = {"inputs": np.zeros((4, 2), np.float32), "targets": np.zeros(4, np.int64)}
    for kind, key, arrays, meta in (
        ("samples", "test", samples, {"form": form, "class_names": ["left", "right"], "model": "ppo"}),
        ("overview", "class 1", overview_arrays(), overview_meta(**changed)),
        ("episode", "seed 0", episode_arrays(), episode_meta(**changed)),
    ):
        store.add_artifact(run.id, ArtifactBlock(kind, key, 12, time.time(), meta, arrays))
    store.end_run(run.id, "finished")
    return store.run(run.id)

"""The verb `overview` and `explain --episode`: everything from a run's store alone, for tables and for agents."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from torchglass.cli import main
from torchglass.episodes import Played, explain_agent, play_episode
from torchglass.overviews import OverviewRequest, overview_run
from torchglass.reference_models import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.networks.actor_critic import ActorCritic
from torchglass.reference_models.weights import state_arrays
from torchglass.store import ArtifactBlock, Store
from torchglass.trained_runs import load_trained

WIDE = tuple(f"f{place}" for place in range(14))
FORMS = {
    "linear": DataForm("table", "classification", (14,), ("no", "yes"), WIDE),
    "mlp": DataForm("table", "regression", (3,), (), tuple("xyz"), target_mean=150.0, target_deviation=70.0),
    "bilstm": DataForm("text", "classification", (9,), ("bad", "good"), vocabulary_size=30),
    "ppo": DataForm("observations", "control", (4,), ("left", "right"), tuple("abcd")),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run of each kind, their weights fresh."""
    path = tmp_path_factory.mktemp("overview") / "runs.db"
    draw = np.random.default_rng(0)
    with Store(path) as store:
        for name, form in FORMS.items():
            torch.manual_seed(0)
            run = store.start_run(name, {"model": name}, host="here", pid=1)
            notes = {"model": name, "dataset": "drawn", "form": form.to_json(), "dropout": None}
            inputs = draw.normal(size=(32, *form.shape)).astype(np.float32)
            if form.kind == "text":
                inputs = draw.integers(3, 30, (32, *form.shape))
            targets: np.ndarray[Any, Any] = draw.integers(0, 2, 20)
            if form.task == "regression":
                targets = draw.normal(150, 70, 20).astype(np.float32)
            samples = {"inputs": inputs[:20], "background": inputs[20:], "targets": targets}
            now = time.time()
            weights = state_arrays(get(name).build(form))
            store.add_artifact(run.id, ArtifactBlock("checkpoint", "weights", 8, now, notes, weights))
            store.add_artifact(run.id, ArtifactBlock("samples", "test", 8, now, {**notes, "scale": None}, samples))
    return path


def stored(path: Path, run: str, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    with Store(path) as store:
        artifact = store.artifacts(store.run(run).id, kind=kind)[-1]
        return dict(artifact.meta), dict(store.arrays(artifact.id))


@pytest.mark.parametrize("name", ["linear", "mlp", "ppo"])
def test_an_overview_is_stored_with_all_of_its_parts(name: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["overview", name, "--store", str(runs), "--rows", "12"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SHAP of 12 rows, ")
    meta, arrays = stored(runs, name, "overview")
    columns = FORMS[name].shape[0]
    assert arrays["values"].shape == arrays["inputs"].shape == (12, columns)
    assert arrays["importance"].shape == (columns, 5)
    assert arrays["dependence_curves"].shape[:2] == (min(6, columns), 12)
    players = columns if columns <= 10 else 9
    assert arrays["interactions"].shape == (players, players)
    assert meta["importance_measure"] == ("squared error" if name == "mlp" else "cross entropy")
    assert meta["feature_names"] == list(FORMS[name].feature_names)


def test_an_agent_is_held_to_its_own_actions_and_not_to_those_of_play_at_random(runs: Path) -> None:
    lines = list(overview_run(runs, OverviewRequest("ppo", rows=20)))
    assert "cross entropy of its own actions is" in lines[1]
    with Store(runs) as store:
        trained = load_trained(store, "ppo")
    with torch.no_grad():
        chances = trained.model(trained.inputs("inputs", slice(0, 20))).log_softmax(dim=1)
    meta, _ = stored(runs, "ppo", "overview")
    assert meta["importance_before"] == pytest.approx(-float(chances.max(dim=1).values.mean()), rel=1e-5)


def test_columns_of_a_linear_model_do_not_interact(runs: Path) -> None:
    assert main(["overview", "linear", "--store", str(runs), "--rows", "10", "--target", "1"]) == 0
    meta, arrays = stored(runs, "linear", "overview")
    strength = arrays["interactions"]
    assert (meta["target"], arrays["interaction_columns"][-1]) == (1, -1)
    np.testing.assert_allclose(strength - np.diag(np.diag(strength)), 0, atol=1e-5)
    with Store(runs) as store:
        weights = store.arrays(store.artifacts(store.run("linear").id, kind="checkpoint")[-1].id)["linear.weight"]
    slopes = np.diff(arrays["dependence_curves"], axis=2) / np.diff(arrays["dependence_grid"], axis=1)[:, None]
    wanted = np.broadcast_to(weights[1][arrays["dependence_columns"]][:, None, None], slopes.shape)
    np.testing.assert_allclose(slopes, wanted, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["overview", "bilstm"], "'bilstm' is a run of text: an overview is of rows, as of mlp, linear or ppo"),
        (["overview", "linear", "--target", "2"], "target 2 is out of range: give a number from 0 to 1"),
        (["overview", "linear", "--rows", "0"], "rows is 0: give 1 to 100"),
        (["overview", "nobody"], "nobody"),
        (["explain", "mlp", "--episode"], "'mlp' is a run of mlp, which plays no episodes"),
        (
            ["explain", "ppo", "--episode", "--methods", "gradcam"],
            "method 'gradcam' explains no rows: choose among shap",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(
    arguments: list[str], sentence: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--store", str(runs)]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_distractors_that_a_policy_does_not_read_get_nothing() -> None:
    agent = ActorCritic(4 + 3, 2).eval()
    with torch.no_grad():
        for network in (agent.policy, agent.value):
            first = next(module for module in network if isinstance(module, nn.Linear))
            first.weight[:, 4:] = 0
            network[-1].weight.mul_(50)
    draw = np.random.default_rng(0)
    seen = draw.normal(size=(12, 7)).astype(np.float32)
    actions = agent.policy(torch.from_numpy(seen)).argmax(1).numpy()
    played = Played(seen, actions, np.ones(12, np.float32), finished=True)
    background = torch.from_numpy(draw.normal(size=(16, 7)).astype(np.float32))
    for method in ("shap", "integrated_gradients", "occlusion"):
        action, value = explain_agent(agent, played, background, method=method, seed=0)
        for found in (action, value):
            assert np.abs(found.attributions[:, :4]).mean() > 1e-2
            np.testing.assert_allclose(found.attributions[:, 4:], 0, atol=1e-5)
        np.testing.assert_array_equal(action.targets, actions)
        np.testing.assert_allclose(value.outputs, agent.value(torch.from_numpy(seen))[:, 0].detach(), rtol=1e-5)


def test_an_episode_is_the_same_by_seed_and_bounded() -> None:
    agent = ActorCritic(4, 2)
    with torch.no_grad():
        agent.policy[-1].weight.zero_()  # it always pushes left, and the pole falls soon
    first, again, other = (play_episode(agent, "CartPole-v1", seed=seed, most_steps=200) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.observations, again.observations)
    assert not np.array_equal(first.observations[0], other.observations[0])
    assert first.finished
    assert first.rewards.sum() == len(first.actions)
    short = play_episode(agent, "CartPole-v1", seed=5, most_steps=3)
    np.testing.assert_array_equal(short.observations, first.observations[:3])
    assert not short.finished


def test_a_trained_agents_episode_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "runs.db"
    assert main(["train", "ppo", "--epochs", "1", "--run", "agent", "--store", str(store)]) == 0
    assert main(["explain", "agent", "--episode", "--seed", "2", "--store", str(store)]) == 0
    assert "episode with seed 2: " in capsys.readouterr().out
    meta, arrays = stored(store, "agent", "episode")
    steps = len(arrays["actions"])
    assert arrays["action_attributions"].shape == arrays["value_attributions"].shape == (steps, 4)
    assert meta["feature_names"][2] == "pole angle"
    assert meta["action_checks"]["completeness_error"] < 1e-4
    assert meta["total_reward"] == steps

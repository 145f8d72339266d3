"""The agent's own loop: it learns, the same by seed and across a resumption, and each switch reaches it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from own_lessons import SHORT, agent_lesson, fitted, one_thread, state_bits

from torchglass.errors import OptionError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.front_door import train
from torchglass.reference_models.loops.policy import Practice
from torchglass.reference_models.options import TrainingOptions
from torchglass.store import Store

pytest.importorskip("gymnasium")


def test_the_return_rises_and_is_at_hand_in_the_store_with_the_phases_of_each_step(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    found = train(TrainingOptions(model="ppo", changes={"epochs": 2}, store=path, device="cpu", progress=False))
    assert found.epochs[0].scores["train/return"] > 30  # at random it is about 22
    assert found.epochs[1].scores["test/return"] > 100
    store = Store(path, read_only=True)
    run = store.run("ppo-cartpole")
    series = {each.key: each for each in store.series_of(run.id, rank=0)}
    steps = 2 * 10 * 10 * 4  # epochs, rollouts, passes, minibatches
    assert found.epochs[-1].step == steps - 1
    for key in ("loss/policy", "loss/value", "entropy", "approximate_kl", "clip_fraction", "phase/step"):
        assert series[key].count == steps, key
    assert series["environment_steps_per_second"].count == 2 * 10
    assert series["test/return"].count == 2
    for key in ("return", "episode_length", "explained_variance", "gradient_norm", "learning_rate"):
        assert key in series
    data = store.points(series["phase/data"].id)
    by_step = dict(zip(data.steps.tolist(), data.values.tolist(), strict=True))
    rollouts = [by_step[step] for step in range(0, steps, 40)]
    others = [seconds for step, seconds in by_step.items() if step % 40]
    assert min(rollouts) > 5 * sorted(others)[len(others) // 2]  # who waits for the environments waits for data
    assert min(seconds for seconds in store.points(series["phase/forward"].id).values.tolist()) > 0
    assert min(seconds for seconds in store.points(series["phase/backward"].id).values.tolist()) > 0
    assert store.windows(run.id)
    samples = next(each for each in store.artifacts(run.id) if each.kind == "samples")
    arrays = store.arrays(samples.id)
    assert arrays["inputs"].shape[1:] == arrays["background"].shape[1:] == (4,)
    assert set(arrays["targets"].tolist()) == {0, 1}
    assert samples.meta["feature_names"][2] == "pole angle"


def test_equal_seeds_give_equal_weights_bit_for_bit_and_others_do_not() -> None:
    bits = []
    for seed in (0, 0, 1):
        lesson = agent_lesson(seed=seed)
        fitted(lesson)
        bits.append(state_bits(lesson))
    assert bits[0] == bits[1]
    assert bits[0] != bits[2]


def test_going_on_after_an_epoch_equals_an_uninterrupted_run() -> None:
    whole = agent_lesson(epochs=3)
    epochs, _ = fitted(whole)
    first, second = agent_lesson(epochs=3), agent_lesson(epochs=3)
    fitted(first, until=1)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second.load_state(torch.load(file, weights_only=True))
    rest, _ = fitted(second, done=1)
    assert [epoch.number for epoch in rest] == [2, 3]
    assert state_bits(second) == state_bits(whole)
    assert rest[-1].scores.values == epochs[-1].scores.values


def test_an_epoch_takes_the_steps_that_the_schedule_was_made_for() -> None:
    lesson = agent_lesson(batch_size=50, schedule="cosine")  # 128 actions are three minibatches, the last of 28
    _, notebook = fitted(lesson)
    assert len(notebook.series("loss")) == 2 * 2 * 2 * 3
    assert lesson.optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_the_clip_bounds_the_gradients_of_both_networks_together() -> None:
    lesson = agent_lesson(clip_norm=0.1)
    norms = []

    def note(*_ignored: object) -> None:
        gradients = [parameter.grad for parameter in lesson.model.parameters() if parameter.grad is not None]
        norms.append(torch.stack([gradient.norm() for gradient in gradients]).norm().item())

    lesson.optimizer.register_step_pre_hook(note)
    _, notebook = fitted(lesson)
    assert max(norms) <= 0.1 * (1 + 1e-4)
    assert max(notebook.series("gradient_norm")) > 0.1


def test_the_first_minibatch_of_a_rollout_finds_the_policy_that_acted() -> None:
    _, notebook = fitted(agent_lesson(Practice("CartPole-v1", environments=4, steps=32, rollouts=3, passes=2)))
    kl = notebook.series("approximate_kl")
    firsts = kl[:: 4 * 2]  # four minibatches, two passes
    assert max(firsts) < 1e-6
    assert max(kl) > 1e-5


def test_the_loss_is_the_weighted_sum_of_its_parts_and_advantages_are_standardized_by_minibatch() -> None:
    practice = Practice("CartPole-v1", environments=4, steps=32, passes=2, value_weight=0.3, entropy_weight=0.7)
    _, notebook = fitted(agent_lesson(practice, epochs=1))
    of_policy, of_value, uncertainty = (notebook.series(key) for key in ("loss/policy", "loss/value", "entropy"))
    for found, *parts in zip(notebook.series("loss"), of_policy, of_value, uncertainty, strict=True):
        assert found == pytest.approx(parts[0] + 0.3 * parts[1] - 0.7 * parts[2], abs=1e-4)
    assert max(map(abs, of_policy[:: 4 * 2])) < 1e-6  # before a rollout's first step: minus the mean of its advantages
    assert max(map(abs, of_policy)) > 1e-4


def test_more_weight_on_entropy_keeps_the_policy_undecided() -> None:
    plain = Practice("CartPole-v1", environments=4, steps=32, rollouts=4, passes=10, entropy_weight=0.0)
    eager = Practice("CartPole-v1", environments=4, steps=32, rollouts=4, passes=10, entropy_weight=5.0)
    settled, curious = (
        fitted(agent_lesson(practice, epochs=1))[1].series("entropy")[-1] for practice in (plain, eager)
    )
    assert settled < curious - 0.01


def test_without_a_finished_episode_there_is_no_return_rather_than_zero() -> None:
    _, notebook = fitted(agent_lesson(Practice("CartPole-v1", environments=2, steps=4, rollouts=2, passes=1)))
    assert notebook.series("return") == []
    assert len(notebook.series("environment_steps_per_second")) == 2 * 2


def test_greedy_play_is_scored_on_the_same_episodes_each_time() -> None:
    lesson = agent_lesson()
    with one_thread():
        assert lesson.evaluate().values == lesson.evaluate().values


def test_the_gallery_is_what_the_policy_saw_with_its_answers_and_the_scorer_agrees() -> None:
    lesson = agent_lesson()
    with one_thread():
        gallery = lesson.gallery()
    scorer = get("ppo").explain.scorer
    assert scorer is not None
    scores = scorer(lesson.trained)(gallery.samples.inputs)
    assert scores.shape == (len(gallery.samples), 2)
    assert scores.argmax(-1).tolist() == gallery.samples.targets.tolist()
    assert gallery.background.shape == (64, 4)


@pytest.mark.parametrize("switch", [{"augment": True}, {"ema": 0.9}, {"accumulate": 2}, {"early_stopping": 2}])
def test_what_an_agent_has_no_use_for_is_refused(switch: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="ppo does not take"):
        TrainingOptions(model="ppo", changes=switch)


def test_the_practice_that_ships_rolls_out_whole_minibatches() -> None:
    practice = Practice("CartPole-v1")
    assert practice.environments * practice.steps % get("ppo").defaults.batch_size == 0
    assert SHORT.environments * SHORT.steps == 128

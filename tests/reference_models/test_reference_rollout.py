"""Environments, rollouts and play: what follows an action is what really followed, also where an episode ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import torch

from torchglass.errors import MissingExtraError
from torchglass.reference_models.data.random_play import CARTPOLE, CARTPOLE_FORM, load_cartpole_split
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.loops.environments import Environments, Floats
from torchglass.reference_models.loops.playing import Actions, at_random, greedy, play
from torchglass.reference_models.loops.rollout import Rollout, collect, digest, minibatches
from torchglass.reference_models.networks.actor_critic import ActorCritic

gymnasium = pytest.importorskip("gymnasium")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def agent() -> ActorCritic:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ActorCritic(4, 2)


def rollout(steps: int = 60) -> Rollout:
    with closing(Environments(CARTPOLE, 3)) as environments:
        environments.reset([7, 8, 9])
        return collect(agent(), environments, steps, torch.Generator().manual_seed(1))


def test_each_environment_is_the_single_one_played_by_itself_with_its_resets() -> None:
    actions = np.random.default_rng(0).integers(2, size=(80, 2))
    single = gymnasium.make(CARTPOLE)
    seen, _ = single.reset(seed=5)
    with closing(Environments(CARTPOLE, 2)) as environments:
        environments.reset([5, 6])
        ends = 0
        for pair in actions:
            np.testing.assert_array_equal(environments.observations[0], seen)
            followed, reward, terminated, truncated, _ = single.step(int(pair[0]))
            found = environments.step(pair)
            np.testing.assert_array_equal(found.observations[0], followed)  # the final one where the episode ended
            assert (found.rewards[0], found.terminated[0], found.truncated[0]) == (reward, terminated, truncated)
            ended = terminated or truncated
            ends += ended
            seen = single.reset()[0] if ended else followed
        assert ends >= 2
        mine = [episode for episode in environments.harvest() if episode.environment == 0]
        assert len(mine) == ends
        assert all(episode.total_reward == episode.length for episode in mine)  # a point a step
        assert environments.harvest() == []


def test_a_pole_that_stands_until_the_time_limit_is_truncated_not_terminated() -> None:
    def upright(observations: Floats) -> Actions:
        pushes_right: Actions = (observations @ np.array([0.1, 0.5, 3.0, 1.0]) > 0).astype(np.int64)
        return pushes_right

    with closing(Environments(CARTPOLE, 1)) as environments:
        environments.reset([0])
        for _ in range(499):
            assert not environments.step(upright(environments.observations)).truncated[0]
        last = environments.step(upright(environments.observations))
        assert (last.truncated[0], last.terminated[0]) == (True, False)
        assert environments.harvest()[0].length == 500
        assert not np.array_equal(last.observations, environments.observations)  # the next episode's first


def test_a_rollout_holds_what_followed_each_action_and_the_policy_that_chose_it() -> None:
    found = rollout()
    ended = found.terminated | found.truncated
    assert ended.sum() >= 3
    goes_on = ~ended[:-1]
    torch.testing.assert_close(found.followed[:-1][goes_on], found.observations[1:][goes_on], rtol=0, atol=0)
    after_end = (found.followed[:-1] != found.observations[1:]).any(-1)
    assert torch.equal(after_end, ended[:-1])
    angles, positions = found.followed[..., 2].abs(), found.followed[..., 0].abs()
    assert torch.equal(found.terminated, (angles > 12 * np.pi / 180) | (positions > 2.4))
    with torch.no_grad():
        wanted = agent().policy(found.observations).log_softmax(-1).gather(-1, found.actions.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(found.log_probabilities, wanted)
    assert found.log_probabilities.requires_grad is False


def test_a_rollout_depends_on_its_seeds_alone() -> None:
    first, second = rollout(), rollout()
    assert torch.equal(first.observations, second.observations)
    assert torch.equal(first.actions, second.actions)


def test_a_terminated_step_of_a_digest_has_its_reward_as_its_whole_return() -> None:
    found, model = rollout(), agent()
    experience = digest(found, model, discount=0.9, decay=0.7)
    returns = experience.returns.reshape(found.rewards.shape)
    torch.testing.assert_close(returns[found.terminated], torch.ones(int(found.terminated.sum())))
    assert len(experience) == found.rewards.numel()
    last = returns[-1][~found.terminated[-1]]
    with torch.no_grad():
        future = model.value(found.followed[-1]).squeeze(-1)[~found.terminated[-1]]
    torch.testing.assert_close(last, 1 + 0.9 * future)  # the rollout's end cuts no future off
    assert torch.equal(experience.observations[4], found.observations[1, 1])  # rows run over environments first


def test_minibatches_deal_out_every_row_once_a_pass_in_changing_order() -> None:
    experience = digest(rollout(10), agent(), discount=0.9, decay=0.7)
    dealt = list(minibatches(experience, 8, 2, torch.Generator().manual_seed(0)))
    assert [len(each) for each in dealt] == [8, 8, 8, 6] * 2
    first, second = (torch.cat([each.log_probabilities for each in half]) for half in (dealt[:4], dealt[4:]))
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, experience.log_probabilities.sort().values)
    assert torch.equal(second.sort().values, first.sort().values)
    rows = {
        tuple(row.tolist()): float(value)
        for row, value in zip(experience.observations, experience.returns, strict=True)
    }
    assert all(
        rows[tuple(row.tolist())] == float(value)
        for each in dealt
        for row, value in zip(each.observations, each.returns, strict=True)
    )


def test_play_tells_the_first_episode_of_each_environment_and_all_that_was_seen_in_it() -> None:
    count = 12  # so that some have ended twice before the last has ended once
    with closing(Environments(CARTPOLE, count)) as environments:
        found = play(at_random(2, seed=0), environments, range(count))
        again = play(at_random(2, seed=0), environments, range(count))
    assert [episode.environment for episode in found.episodes] == list(range(count))
    lengths = [episode.length for episode in found.episodes]
    assert max(lengths) > 2 * min(lengths)
    assert len(found.observations) == len(found.actions) == sum(episode.length for episode in found.episodes)
    assert found.mean_return == found.mean_length == np.mean([episode.length for episode in found.episodes])
    np.testing.assert_array_equal(found.observations, again.observations)


def test_a_greedy_choice_is_the_largest_logit_and_leaves_no_graph() -> None:
    model = agent()
    observations = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    chosen = greedy(model.policy)(observations)
    assert chosen.tolist() == model.policy(torch.from_numpy(observations)).argmax(-1).tolist()


def test_the_networks_share_nothing_and_the_policy_begins_undecided() -> None:
    model = agent()
    logits, values = model(torch.randn(32, 4, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (32, 2)
    assert values.shape == (32,)
    assert (logits.softmax(-1) - 0.5).abs().max().item() < 0.05
    values.sum().backward()
    assert all(parameter.grad is None for parameter in model.policy.parameters())
    first = model.policy.get_parameter("hidden1.weight")
    torch.testing.assert_close(first.T @ first, 2 * torch.eye(4))  # orthogonal columns of norm sqrt(2)


def test_random_play_loads_as_a_split_that_depends_on_the_seed() -> None:
    one, same, other = (load_cartpole_split(DataRequest(seed=seed)) for seed in (0, 0, 1))
    assert one.form == CARTPOLE_FORM
    assert one.train.inputs.shape[1:] == one.form.shape
    assert torch.equal(one.train.inputs, same.train.inputs)
    assert torch.equal(one.test.targets, same.test.targets)
    assert one.train.inputs.shape != other.train.inputs.shape or not torch.equal(one.train.inputs, other.train.inputs)
    assert 0.4 < one.train.targets.double().mean() < 0.6
    seen, new = (set(map(tuple, part.inputs.tolist())) for part in (one.train, one.test))
    assert not seen & new, "the test's episodes are others"


def test_without_gymnasium_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingExtraError, match=r"gymnasium is not installed: pip install 'torchglass\[models\]'"):
        Environments(CARTPOLE, 1)

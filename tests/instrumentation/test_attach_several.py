"""Several models, several optimizers, closures and shared parts in one process: each run counts what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from paced import Lap, Pace, paced, paced_sgd, parts
from torch import nn
from training import Small, batches, bits, facts, read, recorded, seeded, train_step

import torchglass
from torchglass.errors import OptionError

QUIET: dict[str, Any] = {"devices": False, "profile": None, "every": 1}
SGD = torch.optim.SGD


def norms(path: Path, name: str, run: str | int = 1) -> dict[int, float]:
    return recorded(path, f"layers/{name}/gradient_norm", run=run)


# Closures


def test_lbfgs_records_the_gradient_that_its_step_began_with(tmp_path: Path) -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 1.0]]))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3, tolerance_grad=0, tolerance_change=0)
    seen: list[list[float]] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = model(torch.tensor([[3.0, 4.0]])).sum().square()
        loss.backward()  # type: ignore[no-untyped-call]
        assert model.weight.grad is not None
        seen[-1].append(float(model.weight.grad.norm()))
        return loss

    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET) as run:
        for step in range(3):
            seen.append([])
            optimizer.step(closure)  # type: ignore[no-untyped-call]
            run.log(index=step)
    assert seen[0][0] == 2 * 7 * 5  # 2 (3 + 4) |(3, 4)|
    assert all(len(each) >= 2 for each in seen)
    assert norms(tmp_path / "s.db", "weight") == pytest.approx({step: each[0] for step, each in enumerate(seen)})
    assert recorded(tmp_path / "s.db", "index") == {0: 0.0, 1: 1.0, 2: 2.0}


def test_a_closure_given_to_sgd_is_one_step_with_its_own_gradient(tmp_path: Path) -> None:
    model = nn.Linear(2, 1, bias=False)
    optimizer = SGD(model.parameters(), lr=0.1)
    scales = iter((1.0, 2.0, 3.0))

    def closure() -> float:
        optimizer.zero_grad()
        loss = model(torch.tensor([[3.0, 4.0]]) * next(scales)).sum()
        loss.backward()
        return float(loss.detach())

    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET, histograms=1):
        for _ in range(3):
            optimizer.step(closure)
    assert norms(tmp_path / "s.db", "weight") == {0: 5.0, 1: 10.0, 2: 15.0}
    store, run = read(tmp_path / "s.db")
    assert [each.maximum for each in store.histograms(run.id, "gradients/weight")] == [4.0, 8.0, 12.0]


# Adversaries


class Adversaries(nn.Module):
    """A generator that takes 3 s and 5 s, and a critic that takes 1 s and 2 s; a container that nobody calls."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 4), Lap(pace, 3, 5))
        self.critic = nn.Sequential(nn.Linear(4, 1), Lap(pace, 1, 2))


def adversarial_step(
    pair: Adversaries, of_critic: torch.optim.Optimizer, of_generator: torch.optim.Optimizer, noise: torch.Tensor
) -> None:
    """The critic learns to tell noise from its image, then the generator to pass."""
    of_critic.zero_grad()
    made = pair.generator(noise)
    (pair.critic(made.detach()).mean() - pair.critic(noise).mean()).backward()
    of_critic.step()
    of_generator.zero_grad()
    (-pair.critic(made).mean()).backward()
    of_generator.step()


def test_a_generator_and_its_critic_are_two_runs_that_count_their_own_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = paced(monkeypatch)
    pair, path = Adversaries(pace), tmp_path / "s.db"
    of_critic, of_generator = paced_sgd(pair.critic, pace), paced_sgd(pair.generator, pace)
    with (
        torchglass.attach(pair.critic, of_critic, store=path, **QUIET, run="critic") as critic,
        torchglass.attach(pair.generator, of_generator, store=path, **QUIET, run="generator") as generator,
    ):
        for index, noise in enumerate(batches(3)):
            adversarial_step(pair, of_critic, of_generator, noise)
            critic.log(index=index)
            generator.log(index=index)
    found = parts(path, "generator")
    assert found["forward"] == [3, 3, 3]
    assert found["backward"] == [5, 5, 5]  # it begins where the gradient reaches the generator's output
    assert found["optimizer"] == [7, 7, 7]
    assert recorded(path, "index", run="generator") == {0: 0.0, 1: 1.0, 2: 2.0}
    found = parts(path, "critic")
    assert found["forward"] == [2, 3, 3]  # the generator's turn calls it once more, after its step
    assert found["backward"] == [4, 4 + 7, 4 + 7]  # which includes what follows in the generator
    assert found["optimizer"] == [7, 7, 7]
    assert set(norms(path, "0.weight", "critic")) == set(norms(path, "0.weight", "generator")) == {0, 1, 2}


def test_one_run_over_both_takes_both_optimizers_and_ends_its_step_with_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = paced(monkeypatch)
    pair, path = Adversaries(pace), tmp_path / "s.db"
    of_critic, of_generator = paced_sgd(pair.critic, pace, 0.25), paced_sgd(pair.generator, pace, 0.5)
    with torchglass.attach(pair, [of_critic, of_generator], store=path, **QUIET, run="both") as run:
        for index, noise in enumerate(batches(3)):
            adversarial_step(pair, of_critic, of_generator, noise)
            run.log(index=index)
    found = parts(path)
    assert found["forward"] == [3 + 3 * 1] * 3  # the critic is called three times
    assert found["backward"] == [2 * 2 + 2 + 5] * 3
    assert found["optimizer"] == [7 + 7] * 3
    assert recorded(path, "index") == {0: 0.0, 1: 1.0, 2: 2.0}
    assert recorded(path, "learning_rate") == dict.fromkeys(range(3), 0.25)
    assert recorded(path, "learning_rate/group1") == dict.fromkeys(range(3), 0.5)
    assert facts(path)["model"]["class"] == "Adversaries"


def test_each_of_two_optimizers_is_read_when_it_steps_and_only_for_what_it_moves(tmp_path: Path) -> None:
    a, b = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        a.weight.copy_(torch.tensor([[1.0, 0.0]]))
        b.weight.copy_(torch.tensor([[0.0, 2.0]]))
    pair = nn.ModuleDict({"a": a, "b": b})
    first, second = SGD(a.parameters(), lr=0.1), SGD(b.parameters(), lr=0.1)
    with torchglass.attach(pair, (first, second), store=tmp_path / "s.db", **QUIET):
        for scale in (1.0, 2.0):
            first.zero_grad()
            a(torch.tensor([[3.0, 4.0]]) * scale).sum().backward()
            first.step()
            first.zero_grad()
            second.zero_grad()
            b(torch.tensor([[6.0, 8.0]]) * scale).sum().backward()
            a(torch.tensor([[100.0, 100.0]])).sum().backward()  # nobody's step: thrown away
            second.step()
    path = tmp_path / "s.db"
    assert norms(path, "a.weight") == {0: 5.0, 1: 10.0}
    assert norms(path, "b.weight") == {0: 10.0, 1: 20.0}
    assert recorded(path, "layers/a.weight/update_ratio")[0] == pytest.approx(0.5 / 1.0)
    assert recorded(path, "layers/b.weight/update_ratio")[0] == pytest.approx(1.0 / 2.0)


def test_a_critic_that_moves_five_times_as_often_is_five_moves_in_one_step(tmp_path: Path) -> None:
    critic, generator = nn.Linear(2, 1), nn.Linear(2, 2)
    pair = nn.ModuleDict({"critic": critic, "generator": generator})
    of_critic, of_generator = SGD(critic.parameters(), lr=0.1), SGD(generator.parameters(), lr=0.1)
    with torchglass.attach(pair, [of_critic, of_generator], store=tmp_path / "s.db", **QUIET) as run:
        for index in range(3):
            for _ in range(5):
                of_critic.zero_grad()
                critic(torch.ones(1, 2)).sum().backward()
                of_critic.step()
            of_generator.zero_grad()
            critic(generator(torch.ones(1, 2))).sum().backward()
            of_generator.step()
            run.log(index=index)
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]
    assert recorded(tmp_path / "s.db", "index") == {0: 0.0, 1: 1.0, 2: 2.0}
    assert list(norms(tmp_path / "s.db", "critic.weight")) == [0, 1, 2]


@pytest.mark.parametrize("optimizers", [[], [0.1], "adam"])
def test_what_is_no_optimizer_is_refused_in_a_list_too(tmp_path: Path, optimizers: Any) -> None:
    with pytest.raises(OptionError, match="as the optimizer"):
        torchglass.attach(Small(), optimizers, store=tmp_path / "s.db")


def test_a_gradient_penalty_is_backward_and_its_step_counts_once(tmp_path: Path) -> None:
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = SGD(critic.parameters(), lr=0.1)
    with torchglass.attach(critic, optimizer, store=tmp_path / "s.db", **QUIET):
        for inputs in batches(3):
            optimizer.zero_grad()
            between = inputs.clone().requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            (critic(inputs).mean() + (slope.norm() - 1).square()).backward()
            optimizer.step()
    assert all(seconds > 0 for seconds in recorded(tmp_path / "s.db", "phase/backward").values())
    assert list(recorded(tmp_path / "s.db", "phase/step")) == [0, 1, 2]
    assert not [key for key in facts(tmp_path / "s.db") if key.startswith("warnings")]


# Shared parts


class Recursive(nn.Module):
    """Calls itself twice: 4 s each time it is entered, 3 times in all."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.lap = Lap(pace, 4, 1)

    def forward(self, inputs: torch.Tensor, depth: int = 2) -> torch.Tensor:
        hidden = self.lap(self.layer(inputs))
        outputs: torch.Tensor = self(hidden, depth - 1) if depth else hidden
        return outputs


def test_a_model_that_calls_itself_is_one_forward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = paced(monkeypatch)
    model = Recursive(pace)
    optimizer = paced_sgd(model, pace)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET) as run:
        for inputs in run.batches(batches(2)):
            pace.spend(0.5)
            train_step(model, optimizer, inputs)
    found = parts(tmp_path / "s.db")
    assert (found["forward"], found["backward"], found["other"]) == ([12, 12], [3, 3], [0.5, 0.5])


def test_tied_weights_are_read_once_with_the_gradient_of_all_their_uses(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inward = nn.Linear(2, 2, bias=False)
            self.outward = nn.Linear(2, 2, bias=False)
            self.outward.weight = self.inward.weight
            with torch.no_grad():
                self.inward.weight.copy_(torch.eye(2))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = self.outward(self.inward(inputs))
            return outputs

    model = Tied()
    optimizer = SGD(model.parameters(), lr=0.1)
    with torchglass.attach(model, optimizer, store=tmp_path / "s.db", **QUIET):
        model(torch.tensor([[3.0, 4.0]])).sum().backward()
        optimizer.step()
    # Each use gives rows (3, 4): together 2 x ((3, 4), (3, 4)).
    assert norms(tmp_path / "s.db", "inward.weight") == pytest.approx({0: 2 * 50**0.5})
    assert norms(tmp_path / "s.db", "outward.weight") == {}


def test_a_part_that_two_attached_models_share_is_recorded_by_both(tmp_path: Path) -> None:
    backbone, path = nn.Linear(4, 4), tmp_path / "s.db"
    one, two = nn.Sequential(backbone, nn.Linear(4, 1)), nn.Sequential(backbone, nn.Linear(4, 2))
    optimizers = [SGD(model.parameters(), lr=0.1) for model in (one, two)]
    with (
        torchglass.attach(one, optimizers[0], store=path, **QUIET, run="one"),
        torchglass.attach(two, optimizers[1], store=path, **QUIET, run="two"),
    ):
        for inputs in batches(2):
            train_step(one, optimizers[0], inputs)
            train_step(two, optimizers[1], inputs)
    for run in ("one", "two"):
        assert list(recorded(path, "phase/step", run=run)) == [0, 1]
        assert list(norms(path, "0.weight", run)) == [0, 1]


def test_five_models_trained_in_turns_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    models = [seeded() for _ in range(5)]
    optimizers = [SGD(model.parameters(), lr=0.1 * (index + 1)) for index, model in enumerate(models)]
    runs = [
        torchglass.attach(model, optimizer, store=path, **QUIET, run=f"m{index}")
        for index, (model, optimizer) in enumerate(zip(models, optimizers, strict=True))
    ]
    for inputs in batches(4):
        for model, optimizer, run in zip(models, optimizers, runs, strict=True):
            run.log(loss=train_step(model, optimizer, inputs))
    for run in runs:
        run.finish()
    twins = [seeded() for _ in range(5)]
    for index, twin in enumerate(twins):
        optimizer = SGD(twin.parameters(), lr=0.1 * (index + 1))
        losses = [train_step(twin, optimizer, inputs).item() for inputs in batches(4)]
        assert recorded(path, "loss", run=f"m{index}") == dict(enumerate(losses))
        assert bits(list(twin.parameters())) == bits(list(models[index].parameters()))

"""Counting leaves the user's training as it would be without: from another thread, in the midst of a step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils import _python_dispatch
from torch.utils.checkpoint import checkpoint

from torchglass.instrumentation.work import checkpoints
from torchglass.instrumentation.work.call_shapes import plan_of
from torchglass.instrumentation.work.flops import count_work
from torchglass.instrumentation.work.meta_copies import meta_copy

CPU = torch.device("cpu")
Look = Callable[[], Any]


def count(model: nn.Module, *arguments: Any, autocast: torch.dtype | None = None) -> None:
    count_work(meta_copy(model), plan_of(arguments), {}, device=CPU, autocast=autocast, pause_seconds=0)


def on_another_thread(work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


class Asking(nn.Module):
    """Has the training thread look at something in the midst of its forward, while another counts it."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.look = look

    def forward(self, values: torch.Tensor) -> Any:
        answered: list[Any] = []
        thread = threading.Thread(target=lambda: answered.append(self.look()))
        thread.start()
        thread.join()
        _answers.extend(answered)
        return self.layer(values)


_answers: list[Any] = []


class Random(nn.Module):
    """Draws in every way that torch knows, and in a checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.normalised = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, values: torch.Tensor) -> Any:
        drawn = torch.rand(4) + torch.randn_like(values) + torch.randperm(4) + torch.empty(4).uniform_()
        drawn = drawn + torch.normal(0.0, 1.0, (4,)) + torch.tensor([0.5] * 4).bernoulli()
        inner: Any = self.layer
        for reentrant in (True, False):
            values = checkpoint(lambda given: nn.functional.dropout(inner(given)), values, use_reentrant=reentrant)
        return nn.functional.dropout(self.normalised(values + drawn))


def test_no_random_number_is_drawn_and_no_statistic_moves() -> None:
    model = Random()
    before = torch.get_rng_state(), {key: value.clone() for key, value in model.state_dict().items()}
    count(model, torch.zeros(5, 4, requires_grad=True))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(torch.equal(value, before[1][key]) for key, value in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())


@pytest.mark.parametrize("has_hooks", [True, False])
def test_checkpoints_do_not_set_back_what_the_training_thread_draws_meanwhile(
    has_hooks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_hooks:  # as before torch 2.8
        monkeypatch.setattr(checkpoints, "_top_hooks", None)
    drawn: list[float] = []

    class Drawing(nn.Module):
        """Stands for a training thread that draws while the count recomputes a checkpoint."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def inner(self, values: torch.Tensor) -> Any:
            thread = threading.Thread(target=lambda: drawn.append(float(torch.rand(1))))
            thread.start()
            thread.join()
            return self.layer(values).relu()

        def forward(self, values: torch.Tensor) -> Any:
            values = checkpoint(self.inner, values, use_reentrant=True)
            return checkpoint(self.inner, values, use_reentrant=False)

    model = Drawing()
    torch.manual_seed(3)
    count(model, torch.zeros(5, 4, requires_grad=True))
    torch.manual_seed(3)
    assert drawn == [float(torch.rand(1)) for _ in drawn]
    assert len(drawn) == 4


def test_no_flag_is_set_by_which_other_threads_compile() -> None:
    def flags() -> list[Any]:
        names = [name for name in vars(_python_dispatch) if name.startswith("_is_in_")]
        return [getattr(_python_dispatch, name) for name in names]

    assert flags()
    _answers.clear()
    count(Asking(flags), torch.zeros(2, 4))
    assert not any(_answers[0])


def test_a_compiled_function_that_runs_meanwhile_is_compiled_once_and_stays_compiled() -> None:
    compiled: list[Any] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        compiled.append(graph)
        return graph.forward

    def double(values: torch.Tensor) -> torch.Tensor:
        return values * 2 + 1

    function: Any = torch.compile(double, backend=backend)
    _answers.clear()
    count(Asking(lambda: function(torch.ones(3)).tolist()), torch.zeros(2, 4))
    assert (_answers[-1], len(compiled)) == ([3.0, 3.0, 3.0], 1)
    function(torch.ones(3))
    assert len(compiled) == 1


def test_autocast_of_other_threads_keeps_what_it_has_lowered() -> None:
    class Switching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, values: torch.Tensor) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.layer(values)

    layer: Any = nn.Linear(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first = layer(torch.zeros(2, 4)).grad_fn
        on_another_thread(lambda: count(Switching(), torch.zeros(2, 4), autocast=torch.bfloat16))
        second = layer(torch.zeros(2, 4)).grad_fn
    lowered = [node.next_functions[-1][0].next_functions[0][0] for node in (first, second)]
    assert lowered[0] is lowered[1]


def test_the_users_hooks_see_nothing_of_a_count() -> None:
    told: list[Any] = []
    layer: Any = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU())
    layer.register_forward_hook(lambda *seen: told.append(seen))
    layer.weight.register_hook(told.append)
    layer.weight.register_post_accumulate_grad_hook(told.append)
    count(model, torch.zeros(2, 4))
    assert told == []


def test_a_tensor_of_the_users_own_is_neither_written_nor_drawn_into() -> None:
    own = torch.zeros(4)

    class Remembering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, values: torch.Tensor) -> Any:
            own.add_(1)
            own.normal_()
            own[0] = 7
            own.mul_(values.detach().mean())
            return self.layer(values) + own

    count(Remembering(), torch.zeros(2, 4))
    assert own.tolist() == [0.0] * 4


def test_a_count_that_fails_leaves_no_mode_behind() -> None:
    class Failing(nn.Module):
        def forward(self, values: torch.Tensor) -> Any:
            raise ValueError("on purpose")

    with pytest.raises(Exception, match="on purpose"):
        count(Failing(), torch.zeros(2), autocast=torch.bfloat16)
    assert torch._C._len_torch_dispatch_stack() == 0
    assert torch._C._len_torch_function_stack() == 0
    assert not torch.is_autocast_enabled("cpu")
    assert torch.autocast_increment_nesting() == 1
    torch.autocast_decrement_nesting()
    assert torch.ones(2).tolist() == [1.0, 1.0]


def test_training_is_equal_bit_for_bit_with_and_without_counts() -> None:
    def train(counted: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(5):
            batch = torch.randn(6, 4)
            if counted:
                on_another_thread(lambda given=batch: count(model, given))  # type: ignore[misc]
            model(batch).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        return [*model.state_dict().values()]

    assert all(torch.equal(*pair) for pair in zip(train(True), train(False), strict=True))

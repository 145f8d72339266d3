"""Copies without values, and what cannot be counted on one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.distributed as torch_distributed
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations, prune

from torchglass.errors import OptionError
from torchglass.instrumentation.work.call_shapes import carry_out, first_tensor, key_of, plan_of
from torchglass.instrumentation.work.meta_copies import bare, meta_copy
from torchglass.instrumentation.work.repeatable import refuse_unrepeatable


class Holder(nn.Module):
    """Keeps tensors in places of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("counted", torch.zeros(3))
        self.listed = [torch.ones(4), nn.Parameter(torch.ones(5))]
        self.computed = self.layer.weight * 2  # not a leaf: copying it as usual would raise
        self.tied = nn.Linear(2, 2, bias=False)
        self.tied.weight = self.layer.weight


def test_a_copy_holds_no_value_shares_nothing_and_keeps_ties() -> None:
    model = Holder()
    duplicate: Any = meta_copy(model)
    held = [*duplicate.parameters(), *duplicate.buffers(), *duplicate.listed, duplicate.computed]
    assert {each.device.type for each in held} == {"meta"}
    assert isinstance(duplicate.listed[1], nn.Parameter)
    assert duplicate.tied.weight is duplicate.layer.weight
    duplicate.listed.clear()
    assert len(model.listed) == 2
    assert not model.layer.weight.is_meta


def test_hooks_of_the_users_stay_behind_and_those_of_torch_itself_go_along() -> None:
    seen: list[Any] = []
    pruned = prune.l1_unstructured(nn.Linear(4, 4), "weight", amount=0.5)  # type: ignore[no-untyped-call]
    model = nn.Sequential(pruned, nn.Linear(4, 2))
    model[1].register_forward_hook(lambda *told: seen.append(told))
    model.register_forward_pre_hook(lambda *told: seen.append(told))
    duplicate: Any = meta_copy(model)
    duplicate(torch.zeros(1, 4, device="meta")).sum().backward()
    assert seen == []
    assert duplicate[0].weight_orig.grad is not None


def test_reparametrised_weights_are_computed_in_the_copy_too() -> None:
    duplicate = meta_copy(parametrizations.weight_norm(nn.Linear(4, 4)))
    duplicate(torch.zeros(1, 4, device="meta")).sum().backward()
    assert all(each.grad is not None for each in duplicate.parameters())


def test_wrappers_and_compiled_parts_are_left_out() -> None:
    layer = nn.Linear(2, 2)
    compiled: Any = torch.compile(layer, backend="eager")
    assert bare(compiled) is layer
    assert bare(nn.DataParallel(compiled)) is layer
    assert type(meta_copy(nn.Sequential(compiled, layer))[0]) is nn.Linear  # type: ignore[index]
    in_place = nn.Linear(2, 2)
    in_place.compile(backend="eager")
    assert meta_copy(in_place)._compiled_call_impl is None


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.LazyLinear(3), "UninitializedParameter"),
        (torch.jit.script(nn.Linear(2, 2)), "scripted"),
        (nn.ParameterList([nn.Parameter(torch.zeros(2, 2).to_sparse())]), "sparse_coo tensor"),
    ],
)
def test_a_model_whose_parameters_are_no_plain_tensors_is_refused(model: nn.Module, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        meta_copy(model)


def test_a_model_that_cannot_be_copied_is_refused_with_the_reason() -> None:
    model = nn.Linear(2, 2)
    model.stream = (value for value in range(3))  # type: ignore[assignment]
    with pytest.raises(OptionError, match="cannot be copied: TypeError"):
        meta_copy(model)


def _jitter(values: torch.Tensor) -> torch.Tensor:
    return values * random.random()


class Jittering(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return _jitter(values)


class Shuffling(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values[:, self.order(values.shape[1])]

    def order(self, size: int) -> Any:
        return np.random.permutation(size)


class Seeding(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return values * torch.rand(1)


class ChoosingKernels(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return nn.functional.scaled_dot_product_attention(values, values, values)


_compiled_helper = torch.compile(lambda values: values * 2, backend="eager")


class CallingCompiled(nn.Module):
    def forward(self, values: torch.Tensor) -> Any:
        return _compiled_helper(values)


@pytest.mark.parametrize("model", [Jittering(), Shuffling(), Seeding(), ChoosingKernels(), CallingCompiled()])
def test_what_would_move_random_numbers_or_switches_of_all_threads_or_compile_again_is_refused(
    model: nn.Module,
) -> None:
    with pytest.raises(OptionError):
        refuse_unrepeatable(nn.Sequential(nn.Linear(2, 2), model))


class Inheriting(Jittering):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return super().forward(values)


class Augmentation:
    def __init__(self, steps: Sequence[Callable[..., Any]] = ()) -> None:
        self.steps = steps

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            values = step(values)
        return values


class Augmenting(nn.Module):
    """Keeps what draws in an object, in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.augment = Augmentation([Augmentation([_jitter])])

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.augment(values)


_helpers = ModuleType("helpers")
vars(_helpers)["jitter"] = _jitter


class CallingOfAModule(nn.Module):
    def forward(self, values: torch.Tensor) -> Any:
        return _helpers.jitter(values)


class KeepingCompiled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.helper = _compiled_helper

    def forward(self, values: torch.Tensor) -> Any:
        return self.helper(values)


class Exchanging(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        torch_distributed.all_reduce(values)
        return values


@pytest.mark.parametrize(
    "model", [Inheriting(), Augmenting(), CallingOfAModule(), KeepingCompiled(), Exchanging()], ids=repr
)
def test_what_a_forward_reaches_by_other_ways_is_looked_at_too(model: nn.Module) -> None:
    with pytest.raises(OptionError):
        refuse_unrepeatable(nn.Sequential(nn.Linear(2, 2), model))


_collected: list[Any] = []
_count = 0


class Collecting(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        _collected.append(values)
        return values


class Counting(nn.Module):
    calls = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        Counting.calls += 1
        return values


class CountingByType(nn.Module):
    calls = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        return values


class CountingGlobally(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        global _count
        _count += 1
        return values


class Sharing(nn.Module):
    seen: ClassVar[dict[str, Any]] = {}

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.seen["last"] = values
        return values


def _enclosing() -> nn.Module:
    kept: list[Any] = []

    class Enclosing(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            kept[:] = [values]
            return values

    return Enclosing()


@pytest.mark.parametrize(
    ("model", "changed"),
    [
        (Collecting(), "_collected"),
        (Counting(), "Counting.calls"),
        (CountingByType(), "type(self).calls"),
        (CountingGlobally(), "_count"),
        (Sharing(), "self.seen['last']"),
        (_enclosing(), "kept[:]"),
    ],
    ids=repr,
)
def test_a_forward_that_changes_what_outlives_it_is_refused(model: nn.Module, changed: str) -> None:
    with pytest.raises(OptionError, match=re.escape(f"changes {changed}, which outlives the call")):
        refuse_unrepeatable(nn.Sequential(nn.Linear(2, 2), model))


_scales = {"half": 0.5}


class Remembering(nn.Module):
    """Changes what is its own and goes along with a copy, and reads what is not."""

    kinds: ClassVar[list[str]] = ["half"]

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.calls = 0

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        scales = {"last": _scales["half"]}
        scales["next"] = 1.0
        self.calls += 1
        self.seen.append(values)
        self.kinds = [*self.kinds]
        return torch.add(values, scales["last"])


def test_a_forward_that_changes_its_own_model_is_not_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), Remembering())
    model.register_forward_hook(lambda *_given: _collected.append(1))
    refuse_unrepeatable(model)


class Initialising(nn.Module):
    """Draws from Python's generator where it is made, not where it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = random.random()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(values * self.scale) + torch.rand_like(values)


def test_what_draws_with_torch_or_when_it_is_made_is_not_refused() -> None:
    refuse_unrepeatable(nn.Sequential(Initialising(), nn.TransformerEncoderLayer(4, 1)))


def test_keys_tell_shapes_types_and_whole_numbers_apart_but_not_fractions() -> None:
    one = torch.zeros(2, 3)
    assert key_of((one, 0.5)) == key_of((torch.ones(2, 3), 0.7))
    others = [
        torch.zeros(3, 2),
        one.half(),
        torch.zeros(2, 3, requires_grad=True),
        [one],
        {"a": one},
        nn.Parameter(one),
    ]
    keys = [key_of((each,)) for each in (one, *others)]
    assert len(set(keys)) == len(keys)
    assert key_of((one, 1)) != key_of((one, 2))
    assert key_of({"a": one}) != key_of({"b": one})


def test_plans_are_carried_out_again_with_everything_that_is_no_tensor_as_it_was() -> None:
    given = ({"ids": torch.zeros(2, 5, dtype=torch.long), "mask": None}, [torch.zeros(3), "text"], 4)
    again = carry_out(plan_of(given), lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"))
    assert again[0]["ids"].shape == (2, 5)
    assert again[0]["ids"].dtype is torch.long
    assert (again[0]["mask"], again[1][1], again[2]) == (None, "text", 4)
    found = first_tensor(((), given))
    assert found is given[0]["ids"]


def test_what_may_hide_tensors_is_refused() -> None:
    with pytest.raises(OptionError, match="object"):
        plan_of((object(),))
    with pytest.raises(OptionError, match="sparse_coo tensor"):
        plan_of((torch.zeros(2, 2).to_sparse(),))

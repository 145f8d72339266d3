"""The parts of a model's memory: each storage once, in the part that holds it first, on the device where it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch._C._distributed_c10d import HashStore
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from training import batches, seeded, train_step

from torchglass.instrumentation.memory.split import Split, split_by_device, storages

CPU = torch.device("cpu")


def split_of(model: nn.Module, *optimizers: torch.optim.Optimizer) -> Split:
    return split_by_device(model, optimizers)[CPU]


def test_the_parts_of_a_trained_model_are_its_tensors_bytes() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters())
    train_step(model, optimizer, batches(1)[0])
    weights = 4 * (4 * 8 + 8 + 8 + 8 + 8 * 2 + 2)
    assert split_of(model, optimizer) == Split(
        parameters=weights,
        buffers=4 * 8 + 4 * 8 + 8,  # running mean, running variance, and a count of 64 bits
        gradients=weights,
        optimizer=2 * weights + 4 * 6,  # two moments, and a step of 32 bits for each of six parameters
    )


def test_tied_weights_and_views_count_once_and_a_storage_counts_whole() -> None:
    model = nn.Module()
    model.embedding = nn.Embedding(10, 4)
    model.head = nn.Linear(4, 10, bias=False)
    model.head.weight = model.embedding.weight
    whole = torch.zeros(100)
    model.register_buffer("row", whole[:10])
    model.register_buffer("another", whole[50:60])
    assert split_of(model) == Split(parameters=160, buffers=400, gradients=0, optimizer=0)


def test_gradients_in_one_bucket_count_as_the_bucket() -> None:
    model = nn.Linear(3, 2)
    bucket = torch.zeros(16)
    model.weight.grad, model.bias.grad = bucket[:6].view(2, 3), bucket[6:8]
    assert split_of(model).gradients == 64


def test_what_two_parts_share_counts_for_the_first() -> None:
    model = nn.Linear(3, 2)
    model.register_buffer("view", model.weight.detach()[0])
    assert split_of(model) == Split(parameters=32, buffers=0, gradients=0, optimizer=0)


def test_parameters_that_only_the_optimizer_knows_are_parameters() -> None:
    model, other = nn.Linear(3, 2), nn.Linear(5, 1)
    assert split_of(model, torch.optim.SGD([*model.parameters(), *other.parameters()])).parameters == 4 * (8 + 6)


def test_a_module_used_twice_and_a_cycle_of_modules_end() -> None:
    model = nn.Module()
    model.a = model.b = nn.Linear(2, 2)
    model.a.add_module("above", model)
    assert split_of(model).parameters == 24


def test_a_sparse_gradient_counts_its_indices_and_values() -> None:
    model = nn.Embedding(1000, 4, sparse=True)
    model(torch.tensor([3, 7, 9])).sum().backward()
    assert split_of(model).gradients == 3 * 8 + 3 * 4 * 4


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "bsc"])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_compressed_layouts_count_both_indices_and_the_values(layout: str) -> None:
    model = nn.Module()
    make = getattr(torch, f"sparse_{layout}_tensor")
    compressed, plain = torch.tensor([0, 1, 2]), torch.tensor([0, 1])
    values = torch.ones(2, 3, 2) if layout.startswith("b") else torch.ones(2)
    model.register_buffer("matrix", make(compressed, plain, values))
    assert split_of(model).buffers == 8 * 3 + 8 * 2 + 4 * values.numel()


def test_state_that_is_no_tensor_is_passed_over_and_nested_state_is_found() -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weight = next(model.parameters())
    optimizer.state[weight] = {
        "step": 3,
        "name": "text",
        "none": None,
        "list": [torch.zeros(5), (torch.zeros(2), 1.5)],
        "mapping": {"deep": torch.zeros(1)},
    }
    assert split_of(model, optimizer).optimizer == 4 * (5 + 2 + 1)


def test_the_history_of_lbfgs_counts() -> None:
    model = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = model(torch.ones(2, 3)).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    held = {
        id(each): each.untyped_storage().nbytes()
        for value in optimizer.state[model.weight].values()
        for each in (value if isinstance(value, list) else [value])
        if isinstance(each, torch.Tensor)
    }
    assert held
    assert split_of(model, optimizer).optimizer == sum(held.values())


def test_a_wrapped_optimizers_state_counts() -> None:
    model = seeded()
    wrapped = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train_step(model, wrapped, batches(1)[0])
    wrapper = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper.optim = wrapped  # type: ignore[attr-defined]
    assert split_of(model, wrapper).optimizer == split_of(model).parameters


def test_lazy_and_meta_parameters_take_no_memory() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(100, 100, device="meta"), nn.Linear(1, 1))
    assert split_by_device(model, ()) == {CPU: Split(parameters=8, buffers=0, gradients=0, optimizer=0)}


class _Scaled(torch.Tensor):
    """A stand-in for a quantised tensor: eight bits a value, and a scale for each row."""

    counts: torch.Tensor
    scales: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor, scales: torch.Tensor) -> _Scaled:
        made: _Scaled = torch.Tensor._make_wrapper_subclass(cls, values.shape, dtype=torch.float32)
        made.counts, made.scales = values, scales
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise AssertionError(f"{func} was computed, where only sizes were asked for")

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["counts", "scales"], None


def test_a_tensor_that_wraps_others_counts_what_it_wraps() -> None:
    model = nn.Module()
    model.register_buffer("weight", _Scaled(torch.zeros(6, 10, dtype=torch.int8), torch.zeros(6)))
    assert split_of(model).buffers == 60 + 24


def test_of_a_tensor_spread_over_processes_the_part_of_this_one_counts() -> None:
    class Sharded(torch.Tensor):
        def to_local(self) -> torch.Tensor:
            return torch.zeros(5)

    model = nn.Module()
    model.register_buffer("weight", torch.zeros(20).as_subclass(Sharded))
    assert split_of(model).buffers == 20


def test_each_device_has_a_split_of_its_own() -> None:
    with FakeTensorMode():
        model = nn.Module()
        model.far = nn.Parameter(torch.empty(100, device="cuda:0"))
        model.near = nn.Parameter(torch.empty(3))
        found = split_by_device(model, ())
    assert {str(device): split.parameters for device, split in found.items()} == {"cuda:0": 400, "cpu": 12}


def test_storages_are_known_by_the_address_at_which_they_begin() -> None:
    model = seeded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train_step(model, optimizer, batches(1)[0])
    weight = next(model.parameters())
    assert weight.grad is not None
    parts = storages(model, [optimizer])
    assert parts[weight.data_ptr()] == "parameters"
    assert parts[weight.grad.data_ptr()] == "gradients"
    assert parts[optimizer.state[weight]["momentum_buffer"].data_ptr()] == "optimizer"
    assert len(parts) == 3 * 4


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group of this process only."""
    distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_gradients_that_ddp_keeps_in_its_buckets_count_once() -> None:
    model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), gradient_as_bucket_view=True)
    for _ in range(2):  # the buckets are arranged anew after the first backward
        model.zero_grad(set_to_none=False)
        model(torch.ones(3, 4)).sum().backward()
    weights = 4 * (4 * 8 + 8 + 8 * 2 + 2)
    found = split_of(model)
    assert found.parameters == weights
    assert found.gradients == weights


@pytest.mark.usefixtures("alone")
def test_a_real_dtensor_counts_its_local_part_and_its_optimizer_state() -> None:
    mesh = init_device_mesh("cpu", (1,))
    model = nn.Linear(6, 4, bias=False)
    model.weight = nn.Parameter(distribute_tensor(model.weight.detach(), mesh, [Shard(0)]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, foreach=False)
    model.weight.grad = distribute_tensor(torch.ones(4, 6), mesh, [Shard(0)])
    optimizer.step()
    assert split_of(model, optimizer) == Split(parameters=96, buffers=0, gradients=96, optimizer=96)
    assert sorted(storages(model, [optimizer]).values()) == ["gradients", "optimizer", "parameters"]

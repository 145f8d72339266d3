"""Two processes that torchrun starts train one model: as one process with batches twice as large, into one run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.distributed
from torch import Tensor

from torchglass.errors import OptionError
from torchglass.reference_models.data.samples import Samples
from torchglass.reference_models.front_door import _device_of, prepare_lesson, train
from torchglass.reference_models.learning.batches import Batches
from torchglass.reference_models.learning.placement import Placement, find_placement
from torchglass.reference_models.learning.precision import choose_precision
from torchglass.reference_models.learning.processes import joined
from torchglass.reference_models.options import TrainingOptions
from torchglass.store import Store, open_store

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(), reason="this torch has no gloo"
)

PLAIN = ("--device", "cpu", "--quiet", "--cpu-threads", "1")


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `torchglass train` in two processes that gloo connects."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "torchglass", "train"]
    where = ["--store", str(folder / "pair.db")]
    return subprocess.run(
        [sys.executable, *command, *arguments, *PLAIN, *where], env=environment, capture_output=True, text=True
    )


def losses(store: Store, ranks: Sequence[int]) -> list[npt.NDArray[np.float64]]:
    """The loss of each batch, by rank."""
    found = []
    for rank in ranks:
        series = store.find_series(1, "loss", rank)
        assert series is not None, rank
        found.append(store.points(series.id).values)
    return found


def last(store: Store, key: str) -> float:
    series = store.find_series(1, key)
    assert series is not None, key
    return float(store.points(series.id).values[-1])


def close(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(
        torch.allclose(left[name], right[name], atol=1e-5, rtol=1e-3) for name in left
    )


@pytest.mark.parametrize(
    "pieces",
    [(16, 1), pytest.param((8, 2), marks=pytest.mark.slow)],
    ids=["one batch a step", "two batches a step"],
)
def test_two_processes_train_lenet5_as_one_with_batches_twice_as_large(tmp_path: Path, pieces: tuple[int, int]) -> None:
    batch, accumulate = pieces
    arguments = ["--epochs", "2", "--batch-size", str(batch), "--accumulate", str(accumulate), "--no-augment"]
    ended = torchrun(tmp_path, "lenet5", "--limit", "100", *arguments)
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "alone").mkdir()
    alone = train(
        TrainingOptions(
            model="lenet5",
            changes={"epochs": 2, "batch_size": 32, "augment": False},
            limit=100,
            store=tmp_path / "alone" / "runs.db",
            device="cpu",
            progress=False,
        )
    )
    assert ended.stdout.count("test accuracy") == 1  # the first process speaks for both
    weights = torch.load(tmp_path / "torchglass-weights" / "lenet5-digits.pt", weights_only=True)
    assert close(weights, alone.model.state_dict())
    with open_store(tmp_path / "pair.db", read_only=True) as together, open_store(alone.store) as single:
        (run,) = together.runs()
        assert (run.name, run.status) == ("lenet5-digits", "finished")
        mine = losses(together, (0, 1))
        assert not np.allclose(mine[0], mine[1])  # each learns from samples of its own
        (theirs,) = losses(single, (0,))
        if accumulate == 1:
            both = np.mean(mine, axis=0)
            assert both.shape == theirs.shape == (2 * 4,)
            np.testing.assert_allclose(both, theirs, rtol=1e-3)
        assert last(together, "test/loss") == pytest.approx(last(single, "test/loss"), rel=1e-3)


@pytest.mark.slow  # two trainings of a residual network
def test_two_processes_train_resnet18_on_shapes_to_the_loss_of_one_with_batches_twice_as_large(tmp_path: Path) -> None:
    """Batch norm sees half a batch in each process, so the two do not agree to the digit."""
    common = ["--limit", "256", "--epochs", "2"]
    ended = torchrun(tmp_path, "resnet18", "--batch-size", "16", *common)
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "alone").mkdir()
    alone = train(
        TrainingOptions(
            model="resnet18",
            changes={"epochs": 2, "batch_size": 32, "cpu_threads": 1},
            limit=256,
            store=tmp_path / "alone" / "runs.db",
            device="cpu",
            progress=False,
        )
    )
    with open_store(tmp_path / "pair.db", read_only=True) as together:
        assert len(together.runs()) == 1
        mine = np.mean(losses(together, (0, 1)), axis=0)
    with open_store(alone.store, read_only=True) as single:
        (theirs,) = losses(single, (0,))
    assert mine.shape == theirs.shape == (2 * 8,)
    assert mine[0] == pytest.approx(theirs[0], rel=0.05)  # the same weights and samples, other batch statistics
    assert mine[8:].mean() < 0.85 * mine[:8].mean()
    assert mine[8:].mean() == pytest.approx(theirs[8:].mean(), rel=0.1)


def test_a_model_with_a_loop_of_its_own_refuses_several_processes() -> None:
    options = TrainingOptions(model="dcgan", device="cpu", progress=False)
    with pytest.raises(OptionError, match="trains in one process: start it without torchrun"):
        prepare_lesson(options, choose_precision(torch.device("cpu"), None), Placement(0, 2))


@pytest.mark.parametrize(
    "environment",
    [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "1"}, {"RANK": "first", "WORLD_SIZE": "2"}, {"LOCAL_RANK": "-1"}],
)
def test_variables_that_name_no_place_among_processes_are_refused(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match="no place among processes: start with torchrun"):
        find_placement()


def test_processes_that_nobody_brings_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with (
        pytest.raises(OptionError, match=r"MASTER_ADDR.*start them with torchrun"),
        joined(Placement(0, 2), torch.device("cpu")),
    ):
        pytest.fail("they were joined")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_more_processes_than_devices_are_refused() -> None:
    options = TrainingOptions(device="cuda", progress=False)
    with pytest.raises(OptionError, match="count from cuda:0"):
        _device_of(options, Placement(1, 99, torch.cuda.device_count()))


def test_the_processes_share_out_every_sample_and_each_batch_of_one_is_theirs_together() -> None:
    samples = Samples(torch.arange(24.0)[:, None], torch.arange(24))

    def batches(size: int, rank: int, world: int) -> list[set[int]]:
        dealt = Batches(samples, size, seed=3, workers=0, placement=Placement(rank, world), pinned=False)
        return [set(targets.tolist()) for _, targets in dealt.of_epoch(2)]

    first, second, alone = batches(4, 0, 2), batches(4, 1, 2), batches(8, 0, 1)
    assert len(alone) == len(first) == 3
    assert set.union(*first, *second) == set(range(24))
    assert [left | right for left, right in zip(first, second, strict=True)] == alone


def test_every_epoch_has_an_order_of_its_own_that_can_be_had_again() -> None:
    samples = Samples(torch.arange(24.0)[:, None], torch.arange(24))
    batches = Batches(samples, 24, seed=3, workers=0, placement=Placement(), pinned=False)
    first, second, again = (next(iter(batches.of_epoch(number)))[1].tolist() for number in (1, 2, 1))
    assert sorted(first) == sorted(second) == list(range(24))
    assert first == again != second
    assert first != sorted(first)

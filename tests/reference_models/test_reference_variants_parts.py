"""The parts of a comparison, by hand: turns, ratios, agreement, sizes, memory."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from torchglass.reference_models import get
from torchglass.reference_models.data.digits import DIGITS_FORM
from torchglass.reference_models.variants.agreement import accuracy, agreement
from torchglass.reference_models.variants.learning import relative_difference
from torchglass.reference_models.variants.memory import MemoryQuestion, ask_memory, write_question
from torchglass.reference_models.variants.shipping import shipped_size
from torchglass.reference_models.variants.technique import Predictor
from torchglass.reference_models.variants.timing import calls_for, reason, summarize, take_turns

IMAGES = 512


class Clock:
    """Time that only passes where a task says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def task(self, seconds: float, log: list[str], name: str) -> Callable[[], None]:
        def work() -> None:
            self.now += seconds
            log.append(name)

        return work


def test_every_task_has_one_turn_a_round_in_an_order_that_changes() -> None:
    clock, log = Clock(), list[str]()
    tasks = {name: clock.task(seconds, log, name) for name, seconds in (("a", 0.5), ("b", 2.0), ("c", 4.0))}
    turns = take_turns(tasks, rounds=8, calls=2, seed=3, wait=lambda: None, clock=clock)
    assert {name: taken.tolist() for name, taken in turns.seconds.items()} == {
        "a": [0.5] * 8,
        "b": [2.0] * 8,
        "c": [4.0] * 8,
    }
    rounds = ["".join(log[start : start + 6]) for start in range(0, 48, 6)]
    assert {"".join(sorted(each)) for each in rounds} == {"aabbcc"}
    assert all(each[0] == each[1] and each[2] == each[3] for each in rounds)
    assert len(set(rounds)) > 2


def test_a_task_that_fails_on_the_way_leaves_the_others_their_rounds() -> None:
    clock, log = Clock(), list[str]()

    def frail() -> None:
        log.append("frail")
        if log.count("frail") == 3:
            raise RuntimeError("out of memory\nTried to allocate")

    turns = take_turns(
        {"frail": frail, "a": clock.task(1.0, log, "a")}, rounds=4, calls=1, seed=0, wait=lambda: None, clock=clock
    )
    assert turns.seconds.keys() == {"a"}
    assert turns.seconds["a"].tolist() == [1.0] * 4
    assert turns.failed["frail"].reason == "in round 3: RuntimeError: out of memory"


def test_the_device_is_waited_for_before_a_turn_begins_and_before_it_ends() -> None:
    events: list[str] = []

    def clock() -> float:
        events.append("clock")
        return 0.0

    take_turns({"a": lambda: events.append("call")}, rounds=1, calls=2, seed=0, wait=lambda: events.append("wait"),
               clock=clock)  # fmt: skip
    assert events == ["wait", "clock", "call", "call", "wait", "clock"]


def test_noise_that_a_round_shares_does_not_widen_the_ratio() -> None:
    original = np.array([1.0, 5.0, 2.0, 3.0, 9.0])
    found = summarize(2 * original, original, batch_size=12, ready_seconds=7.0)
    assert (found.ratio, found.ratio_low, found.ratio_high) == (2, 2, 2)
    assert (found.low_seconds, found.median_seconds, found.high_seconds) == (4, 6, 10)
    assert (found.samples_per_second, found.ready_seconds) == (2, 7)


def test_noise_of_its_own_does() -> None:
    generator = np.random.default_rng(1)
    original, other = generator.normal(10, 1, 40), generator.normal(10, 1, 40)
    found = summarize(other, original, batch_size=1, ready_seconds=0.0)
    assert found.ratio_low < 1 < found.ratio_high
    assert found.ratio_low <= found.ratio <= found.ratio_high
    # A median of 40 normal values has a standard error of 1.253 / sqrt(40); the ratio's is sqrt(2) / 10 of it.
    assert found.ratio_high - found.ratio_low == pytest.approx(2 * 1.96 * 1.253 / math.sqrt(40) * 0.1414, rel=0.5)


def test_a_turn_is_as_many_calls_as_the_clock_needs() -> None:
    assert [calls_for(each, turn_seconds=0.02, most=200) for each in (0.5, 0.007, 1e-3, 1e-6, 0.0)] == [
        1,
        3,
        20,
        200,
        200,
    ]


def test_agreement_by_hand() -> None:
    original = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    logits = torch.tensor([[0.0, 1.0], [0.0, 0.5], [0.0, 3.0], [math.nan, 1.0]])
    found = agreement(logits, original)
    assert found.same_answers == 0.5  # the first and the third; no answer is not an equal one
    assert found.nonfinite_count == 1
    assert found.largest_difference == 2

    def softmax(a: float, b: float) -> tuple[float, float]:
        whole = math.exp(a) + math.exp(b)
        return math.exp(a) / whole, math.exp(b) / whole

    p, q = softmax(2, 0), softmax(0, 0.5)
    divergence = sum(one * math.log(one / other) for one, other in zip(p, q, strict=True)) / 3
    assert found.divergence == pytest.approx(divergence, rel=1e-6)
    assert found.divergence != pytest.approx(
        sum(other * math.log(other / one) for one, other in zip(p, q, strict=True)) / 3, rel=1e-2
    )
    assert accuracy(logits, torch.tensor([1, 0, 1, 0])) == 0.5


def test_where_nothing_is_finite_nothing_is_known() -> None:
    found = agreement(torch.full((2, 3), math.inf), torch.zeros(2, 3))
    assert (found.same_answers, found.largest_difference, found.divergence, found.nonfinite_count) == (0, None, None, 2)
    assert relative_difference(torch.tensor([math.nan]), torch.tensor([1.0])) is None
    assert relative_difference(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.0])) == pytest.approx(math.sqrt(13) / 2)


def test_the_size_is_of_all_files_and_compressed_as_deflate_does() -> None:
    noise = np.random.default_rng(0).bytes(3000)

    def save(folder: Path) -> None:
        (folder / "graph").write_bytes(bytes(2_000_000))
        (folder / "data").mkdir()
        (folder / "data" / "weights").write_bytes(noise)

    size = shipped_size(Predictor(lambda images: images, save))
    assert size.file_bytes == 2_003_000
    assert size.compressed_bytes == len(zlib.compress(bytes(2_000_000))) + len(zlib.compress(noise))


def test_a_reason_is_one_line_and_names_the_class_of_a_stranger() -> None:
    from torchglass.errors import OptionError

    assert reason(OptionError("bf16 is not here: choose fp32")) == "bf16 is not here: choose fp32"
    assert reason(KeyError()) == "KeyError: no message"


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> MemoryQuestion:
    folder = tmp_path_factory.mktemp("memory")
    images, labels = torch.rand(IMAGES, 1, 32, 32), torch.zeros(IMAGES, dtype=torch.int64)
    write_question(folder, get("lenet5").build(DIGITS_FORM).state_dict(), (images, labels, images[:8]))
    return MemoryQuestion("lenet5", DIGITS_FORM.to_json(), "fp32", "train", "cpu", str(folder), 1, 1e-3, 0.01)


def test_peak_memory_is_of_the_activations(question: MemoryQuestion) -> None:
    found = ask_memory(question)
    if found.peak_bytes is None:
        assert "/proc" in found.missing
        return
    first_maps = IMAGES * 6 * 28 * 28 * 4
    assert found.source == "resident memory"
    assert found.peak_bytes > 2 * first_maps  # conv1 and relu1 are both kept for the backward pass
    assert found.held_bytes is not None
    assert found.held_bytes <= found.peak_bytes


@pytest.mark.slow
def test_peak_memory_is_not_of_the_libraries(question: MemoryQuestion, tmp_path: Path) -> None:
    images = torch.rand(8, 1, 32, 32)
    write_question(
        tmp_path, get("lenet5").build(DIGITS_FORM).state_dict(), (images, torch.zeros(8, dtype=torch.int64), images)
    )
    found = ask_memory(replace(question, folder=str(tmp_path)))
    if found.peak_bytes is None:
        assert "/proc" in found.missing
        return
    assert 61_706 * 4 * 4 < found.peak_bytes < 50e6  # weights, gradients, two moments; a first step alone takes 100 MB


def test_a_process_that_cannot_count_says_why(question: MemoryQuestion) -> None:
    outside = ask_memory(replace(question, variant="mine"))
    assert (outside.peak_bytes, outside.missing) == (
        None,
        "a technique outside the catalogue cannot be found by a process of its own",
    )
    failed = ask_memory(replace(question, model="lenet6"))
    assert failed.peak_bytes is None
    assert failed.missing.startswith("its own process ended with 1: ")
    assert "lenet6" in failed.missing

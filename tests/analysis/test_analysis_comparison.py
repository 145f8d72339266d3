"""Two stored runs compared: parts that sum to the whole, what each name stands for, and what else differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from compared import SHARES, jittery, record, split, window

from torchglass.analysis.comparison import Comparison, compare, contribution
from torchglass.analysis.measured import measure
from torchglass.analysis.metrics import difference_in
from torchglass.errors import OptionError
from torchglass.store import Run, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


def compared(store: Store, base: Run, new: Run) -> Comparison:
    return compare(measure(store, base), measure(store, new))


def two_runs(store: Store) -> tuple[Run, Run]:
    """B has a backward that is a tenth slower; all else is alike."""
    generator = np.random.default_rng(0)
    base = split(jittery(generator, 300, hiccups=0))
    new = split(jittery(generator, 300, hiccups=0))
    new["backward"] = 1.1 * new["backward"]
    return record(store, "base", base), record(store, "new", new)


def test_the_slower_phase_is_named_and_the_others_are_noise(store: Store) -> None:
    comparison = compared(store, *two_runs(store))
    assert [each.name for each in comparison.phases] == list(SHARES)
    assert {each.name: each.verdict for each in comparison.phases} == {
        "data": "noise",
        "forward": "noise",
        "backward": "higher",
        "optimizer": "noise",
    }
    assert comparison.step[0].verdict == "higher"
    assert comparison.step[0].percent == pytest.approx(5, abs=2)
    assert comparison.phases[2].percent == pytest.approx(10, abs=2)


def test_contributions_of_the_phases_add_up_to_the_change_of_the_mean_step(store: Store) -> None:
    generator = np.random.default_rng(1)
    base, new = split(jittery(generator, 80)), split(jittery(generator, 90))
    new["gradient_sync"] = 0.01 * generator.random(90)  # a phase that only B knows
    comparison = compared(store, record(store, "base", base), record(store, "new", new))
    mean = comparison.step[1]
    assert mean.name == "step_time.mean"
    assert sum(map(contribution, comparison.contributions)) == pytest.approx(mean.change)
    by_name = {each.name: each for each in comparison.contributions}
    assert by_name["gradient_sync.mean"].base is None
    assert by_name["gradient_sync.mean"].reason == "not measured in A"
    assert contribution(by_name["gradient_sync.mean"]) == pytest.approx(new["gradient_sync"][9:].mean())


def test_warm_up_and_profiled_steps_with_their_neighbours_are_left_out(store: Store) -> None:
    seconds = np.full(100, 0.1)
    seconds[:10] = 9.0
    seconds[49:53] = 7.0  # 50 and 51 are profiled; the profiler starts in 49 and stops in 52
    run = record(store, "base", {"forward": seconds}, windows=[window(50, {"aten::mm": (2, 0.1)})])
    steps = measure(store, run).steps
    assert steps.whole.tolist() == [0.1] * 86
    assert steps.told == "86 of 100 steps (the first 10 are warm-up, 4 slowed by the profiler)"
    assert steps.phases == ("forward",)


@pytest.mark.parametrize(("recorded", "left"), [(4, 0), (12, 7), (200, 180), (5000, 4900)])
def test_warm_up_is_a_tenth_but_five_to_a_hundred_steps(store: Store, recorded: int, left: int) -> None:
    run = record(store, "base", {"forward": np.full(recorded, 0.1)})
    assert len(measure(store, run).steps.numbers) == left


def test_a_rank_that_a_run_does_not_have_is_refused(store: Store) -> None:
    run = record(store, "base", {"forward": np.full(9, 0.1)})
    record(store, "base", {"forward": np.full(9, 0.1)}, run=run, rank=3)
    assert measure(store, run, 3).steps.recorded == 9
    with pytest.raises(OptionError, match="base has no rank 1: it has 0, 3"):
        measure(store, run, 1)


def test_a_run_in_which_no_step_was_timed_is_named(store: Store) -> None:
    timed, untimed = record(store, "timed", {"forward": np.full(99, 0.1)}), record(store, "untimed", {})
    for base, new, lacking in ((timed, untimed, "B"), (untimed, timed, "A")):
        assert compared(store, base, new).step[0].reason == f"no step was timed in {lacking}"


def test_few_steps_are_too_few_to_tell(store: Store) -> None:
    short = record(store, "short", split(np.full(20, 0.1)))
    long = record(store, "long", split(jittery(np.random.default_rng(0), 200)))
    difference = compared(store, short, long).step[0]
    assert difference.verdict == "unknown"
    assert difference.reason == "too few to tell: A has 15, and 20 are needed"


def test_operators_are_compared_a_step_and_one_that_is_gone_took_no_time(store: Store) -> None:
    base = [window(10 * at, {"aten::mm": (4, 0.02 + at / 1e4), "aten::copy_": (8, 0.004)}) for at in (1, 2, 3)]
    new = [window(10 * at, {"aten::mm": (4, 0.04 + at / 1e4)}, steps=1) for at in (1, 2, 3)]
    steps = split(jittery(np.random.default_rng(0), 100))
    comparison = compared(store, record(store, "a", steps, windows=base), record(store, "b", steps, windows=new))
    first, second = comparison.operators
    assert first.name == "operator:aten::mm"
    assert (first.base, first.new) == pytest.approx((0.0101, 0.0402))
    assert (first.verdict, first.evidence) == ("higher", "windows")
    assert (second.name, second.base, second.new) == ("operator:aten::copy_", 0.002, 0.0)
    assert comparison.kernels == ()


def test_windows_that_disagree_make_a_difference_noise(store: Store) -> None:
    base = [window(10 * at, {"aten::mm": (4, value)}) for at, value in enumerate((0.02, 0.03, 0.04), 1)]
    new = [window(10 * at, {"aten::mm": (4, value)}) for at, value in enumerate((0.022, 0.034, 0.042), 1)]
    runs = record(store, "a", {}, windows=base), record(store, "b", {}, windows=new)
    (row,) = compared(store, *runs).operators
    assert row.verdict == "noise"
    assert compared(store, runs[0], record(store, "c", {}, windows=new[:2])).operators[0].evidence == "single"


def test_what_each_name_stands_for(store: Store) -> None:
    accuracy, power = ("test/accuracy", "scalar", ""), ("gpu0/power_watts", "device", "W")
    peak = ("memory/peak_bytes", "memory", "B")
    base, new = two_runs(store)
    record(store, "", {}, run=base, series={accuracy: [0.5, 0.9, 0.8], power: [0.0] * 10 + [100.0] * 60, peak: [5, 9]})
    record(store, "", {}, run=new, series={accuracy: [0.5, 0.7, 0.6], power: [0.0] * 10 + [110.0] * 60, peak: [6, 7]})
    first, second = measure(store, base), measure(store, new)

    def values(name: str) -> tuple[float | None, float | None]:
        difference = difference_in(first, second, name)
        return difference.base, difference.new

    assert values("test/accuracy") == (0.8, 0.6)
    assert values("test/accuracy.max") == (0.9, 0.7)
    assert values("series:test/accuracy.min") == (0.5, 0.5)
    assert values("memory_peak") == (9, 7)
    assert values("gpu0/power_watts") == (100, 110)  # the median, after a warm-up of seven
    assert values("gpu0/power_watts.max") == (100, 110)
    assert values("gpu0/power_watts.mean") == pytest.approx((100 * 60 / 63, 110 * 60 / 63))
    assert values("backward") == values("phase/backward")
    assert values("backward.p95")[0] == pytest.approx(np.quantile(first.steps.seconds[2], 0.95))
    assert values("phase/step.mean") == values("step_time.mean")
    assert difference_in(first, second, "samples_per_second").reason == (
        "no finite work/samples_per_second was recorded in A and B"
    )


def test_a_name_that_nothing_has_is_refused_with_a_hint(store: Store) -> None:
    base, new = (measure(store, run) for run in two_runs(store))
    with pytest.raises(OptionError, match=r"neither run has 'backwards': did you mean backward\?"):
        difference_in(base, new, "backwards")
    with pytest.raises(OptionError, match="there are step_time, memory_peak"):
        difference_in(base, new, "zzz")
    with pytest.raises(OptionError, match=r"there are \.median, \.mean, \.p95"):
        difference_in(base, new, "step_time.max")
    assert difference_in(base, new, "operator:aten::mm").reason == "no profiler window in A and B"


def test_part_of_an_operators_name_is_enough_where_it_is_clear(store: Store) -> None:
    rows = {"aten::mm": (1, 0.1), "aten::addmm": (1, 0.1), "void gemm<4, float>": (1, 0.2)}
    runs = [record(store, name, {}, windows=[window(1, rows)]) for name in "ab"]
    base, new = (measure(store, run) for run in runs)
    assert difference_in(base, new, "operator:gemm").name == "operator:void gemm<4, float>"
    assert difference_in(base, new, "operator:aten::mm").base == 0.05
    with pytest.raises(OptionError, match="could be any of aten::addmm, aten::mm"):
        difference_in(base, new, "operator:mm")
    with pytest.raises(OptionError, match="no profiler window of these runs has 'operator:conv'"):
        difference_in(base, new, "operator:conv")


def test_a_loss_that_ended_as_nan_is_not_compared_by_its_last_finite_value(store: Store) -> None:
    loss = ("loss", "scalar", "")
    base = record(store, "a", {}, series={loss: [3.0, 2.0, 1.0]})
    new = record(store, "b", {}, series={loss: [3.0, 2.0, float("nan")]})
    last, best = compared(store, base, new).results
    assert (last.name, last.verdict, last.reason) == ("loss.last", "unknown", "not a finite number")
    assert (best.name, best.base, best.new) == ("loss.min", 1.0, 2.0)


def test_a_series_without_a_finite_value_is_compared_with_nothing(store: Store) -> None:
    power = ("gpu0/power_watts", "device", "W")
    base = record(store, "a", {}, series={power: [100.0] * 60})
    new = record(store, "b", {}, series={power: [float("nan")] * 60})
    found = difference_in(measure(store, base), measure(store, new), "gpu0/power_watts")
    assert (found.verdict, found.reason) == ("unknown", "no finite gpu0/power_watts was recorded in B")


def test_a_phase_that_most_steps_do_without_is_compared_by_its_mean(store: Store) -> None:
    def reading(seconds: float) -> np.ndarray:
        values = np.zeros(300)
        values[::5] = seconds
        return values

    whole = np.full(300, 0.1)
    base = record(store, "a", {"forward": whole, "torchglass": reading(0.01)})
    new = record(store, "b", {"forward": whole, "torchglass": reading(0.02)})
    phase = compared(store, base, new).phases[1]
    assert (phase.name, phase.statistic) == ("torchglass.mean", "mean")
    assert (phase.base, phase.new) == pytest.approx((0.002, 0.004))


def test_what_else_differs_is_listed(store: Store) -> None:
    def facts(torch: str, gpu: str) -> dict[str, object]:
        return {
            "environment": {"torch": torch, "python": "3.12.1", "world_size": 4},
            "devices/gpu": {"gpus": [{"name": gpu}, {"name": gpu}]},
        }

    first = {"batch_size": 64, "optimizer": {"name": "sgd", "lr": 0.1}, "only_a": 1}
    second = {"batch_size": 128, "optimizer": {"name": "sgd", "lr": 0.2}}
    base = record(store, "a", {}, config=first, facts=facts("2.12.0", "NVIDIA A100"))
    new = record(store, "b", {}, config=second, facts=facts("2.13.0", "NVIDIA H200"))
    assert compared(store, base, new).circumstances == (
        ("GPUs", "2 x NVIDIA A100", "2 x NVIDIA H200"),
        ("torch", "2.12.0", "2.13.0"),
        ("config.batch_size", "64", "128"),
        ("config.optimizer.lr", "0.1", "0.2"),
        ("config.only_a", "1", None),
    )


def test_a_run_whose_every_step_was_profiled_is_compared_by_all_of_them(store: Store) -> None:
    imported = [window(0, {"aten::mm": (30, 0.1)}, steps=30)]
    base = record(store, "a", {"forward": np.linspace(0.1, 0.2, 30)}, windows=imported)
    new = record(store, "b", {"forward": np.linspace(0.3, 0.4, 30)}, windows=imported)
    comparison = compared(store, base, new)
    assert comparison.base.steps.told == "30 steps, timed under the profiler"
    assert [each.recorded for each in (comparison.base.steps, comparison.new.steps)] == [30, 30]
    assert comparison.step[0].base == pytest.approx(0.15)
    assert comparison.step[0].change == pytest.approx(0.2)


def test_a_window_that_leaves_a_step_out_still_distorts_those_in_it(store: Store) -> None:
    run = record(store, "a", {"forward": np.ones(30)}, windows=[window(1, {"aten::mm": (30, 0.1)}, steps=29)])
    steps = measure(store, run).steps
    assert (len(steps.numbers), steps.warm_up, steps.profiled, steps.only_profiled) == (0, 5, 25, False)


def test_a_run_without_phases_takes_no_part_in_what_phases_contribute(store: Store) -> None:
    imported = record(store, "a", {}, series={("phase/step", "phase", "s"): [0.5] * 300})
    comparison = compared(store, imported, two_runs(store)[1])
    assert comparison.step[0].base == 0.5
    assert comparison.contributions == ()
    assert {each.reason for each in comparison.phases} == {"not measured in A"}


def test_steps_that_were_timed_and_cannot_be_compared_are_not_called_untimed(store: Store) -> None:
    comparison = compared(store, record(store, "a", {}), record(store, "b", {"forward": np.ones(4)}))
    assert comparison.step[0].reason == "no step was timed in A, none of the 4 steps of B can be compared"


def test_runs_that_recorded_nothing_can_be_compared_all_the_same(store: Store) -> None:
    comparison = compared(store, record(store, "a", {}), record(store, "b", {}))
    assert [each.reason for each in comparison.step] == ["no step was timed in A and B"] * 3
    assert (comparison.phases, comparison.operators, comparison.results) == ((), (), ())
    assert comparison.base.steps.told == "no step was timed"

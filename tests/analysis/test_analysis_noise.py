"""Noise bounds: what is drawn from one distribution is called noise, and what truly differs is found."""

from __future__ import annotations

import numpy as np
import pytest
from compared import jittery

from torchglass.analysis.bootstrap import (
    FEWEST_SAMPLES,
    MAX_SAMPLES,
    RESAMPLES,
    STATISTICS,
    STRETCH,
    Resampled,
    block_length,
    resampled,
    spread,
)
from torchglass.analysis.differences import between_windows, sampled, single
from torchglass.analysis.student import student

PAIRS = 80


@pytest.mark.parametrize(("count", "memory"), [(60, 0.0), (200, 0.5), (400, 0.8)])
def test_runs_of_one_distribution_are_called_noise_about_nineteen_times_in_twenty(count: int, memory: float) -> None:
    generator = np.random.default_rng(1)
    calm: dict[str, int] = dict.fromkeys(STATISTICS, 0)
    told = 0
    for _ in range(PAIRS):
        base, new = (resampled(jittery(generator, count, memory=memory)) for _ in range(2))
        differences = [sampled("step_time", "s", statistic, base, new) for statistic in STATISTICS]
        if differences[0].verdict == "unknown":
            continue
        told += 1
        for each in differences:
            calm[each.statistic] += each.verdict == "noise"
    assert told > 0.9 * PAIRS
    # 0.95 less two and a half standard errors of so many pairs, and less what a bootstrap of few blocks lacks.
    assert all(count / told > 0.88 for count in calm.values()), calm
    assert calm["median"] / told > 0.9


def test_five_percent_more_on_jittery_steps_is_found() -> None:
    generator = np.random.default_rng(2)
    found = 0
    for _ in range(40):
        base = resampled(jittery(generator, 500))
        new = resampled(jittery(generator, 500, seconds=0.105))
        difference = sampled("step_time", "s", "median", base, new)
        found += difference.verdict == "higher"
        assert difference.percent == pytest.approx(5, abs=5)
    assert found >= 38


def test_one_step_in_a_hundred_that_hangs_cannot_hide_a_slower_median() -> None:
    generator = np.random.default_rng(3)
    base = resampled(jittery(generator, 300, hiccups=0))
    hanging = jittery(generator, 300, seconds=0.108, hiccups=0)
    hanging[[70, 190]] = 20.0
    new = resampled(hanging)
    assert sampled("step_time", "s", "median", base, new).verdict == "higher"
    assert sampled("step_time", "s", "mean", base, new).verdict == "noise"  # two steps make no rule


def test_neighbours_that_resemble_each_other_widen_the_bounds() -> None:
    generator = np.random.default_rng(4)
    widths = {}
    for memory in (0.0, 0.9):
        samples = jittery(generator, 1000, memory=memory, hiccups=0)
        low, high = np.percentile(resampled(samples).replicated("mean"), (2.5, 97.5))
        widths[memory] = (high - low) / samples.std()
    # The variance of a mean grows by (1 + r) / (1 - r) = 19 with r = 0.9; the standard error by its root, 4.4.
    assert 2.5 < widths[0.9] / widths[0.0] < 6
    assert widths[0.0] == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.2)


def test_a_block_reaches_as_far_as_the_correlation_and_ranks_see_past_a_single_spike() -> None:
    generator = np.random.default_rng(5)
    independent = block_length(jittery(generator, 1000, memory=0.0, hiccups=0))
    steady = jittery(generator, 1000, memory=0.9, hiccups=0)
    length = block_length(steady)
    assert independent <= 12 < 20 < length < 100
    steady[500] = 1e6
    assert block_length(steady) == pytest.approx(length, abs=2)
    assert block_length(np.ones(100)) == 1


def test_the_same_samples_have_the_same_bounds_every_time() -> None:
    samples = jittery(np.random.default_rng(6), 100)
    assert np.array_equal(resampled(samples).replicates, resampled(samples).replicates)
    assert resampled(samples).replicates.shape == (RESAMPLES, len(STATISTICS))


def test_very_many_samples_are_resampled_from_unbroken_stretches_over_all_of_them() -> None:
    indices = spread(1_000_000)
    assert len(indices) == MAX_SAMPLES
    assert (indices[0], indices[-1]) == (0, 999_999)
    assert (np.diff(indices.reshape(-1, STRETCH), axis=1) == 1).all()
    samples = np.append(np.zeros(50_000), np.ones(50_001))
    assert resampled(samples).value("mean") == 50_001 / 100_001  # the value itself is of all of them


def test_too_few_samples_or_too_long_a_drift_tell_nothing() -> None:
    few = resampled(np.linspace(1, 2, FEWEST_SAMPLES - 1))
    drift = resampled(np.linspace(1, 2, 40))
    enough = resampled(jittery(np.random.default_rng(7), 100))
    difference = sampled("step_time", "s", "median", few, enough)
    assert difference.verdict == "unknown"
    assert difference.reason == f"too few to tell: A has 19, and {FEWEST_SAMPLES} are needed"
    assert difference.base == 1.5
    assert "that drift" in (drift.reason or "")


def test_what_is_sure_but_tiny_is_noise() -> None:
    def told(shift: float, least: float = 0.0) -> str:
        base, new = (Resampled(np.full(3, 1 + each), np.full((10, 3), 1 + each), 10, None) for each in (0.0, shift))
        return sampled("backward", "s", "mean", base, new, least).verdict

    assert told(0.0049) == "noise"  # below 0.5 % of itself
    assert told(0.0051) == "higher"
    assert told(-0.0051) == "lower"
    assert told(0.0051, least=0.01) == "noise"  # below 0.1 % of a step that takes 10


def test_windows_bound_a_difference_from_three_on_as_welch_does() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    base, new = [1.0, 1.2, 1.1], [2.0, 2.6, 2.2, 2.4]
    difference = between_windows("operator:mm", "s", base, new)
    judge = scipy_stats.ttest_ind(new, base, equal_var=False).confidence_interval(0.95)
    assert difference.evidence == "windows"
    assert difference.verdict == "higher"
    assert (difference.low, difference.high) == pytest.approx((judge.low, judge.high), rel=0.03)
    assert difference.low is not None
    assert difference.low <= judge.low + 1e-3  # degrees of freedom are rounded down
    own = scipy_stats.t.interval(0.95, 3, np.mean(new), scipy_stats.sem(new))
    assert (difference.new_low, difference.new_high) == pytest.approx(own, rel=1e-3)
    assert between_windows("operator:mm", "s", [1.0, 1.5, 2.0], [1.2, 1.8, 2.3]).verdict == "noise"


def test_students_quantiles_are_those_of_scipy() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 7, 29, 30, 31, 60, 500, 10_000):
        assert student(freedom) == pytest.approx(scipy_stats.t.ppf(0.975, freedom), abs=0.0015)
    assert student(2.9) == student(2)


def test_fewer_windows_are_single_measurements_and_none_is_a_reason() -> None:
    two = between_windows("operator:mm", "s", [1.0, 2.0], [3.0, 3.0, 3.0])
    assert (two.verdict, two.evidence, two.low) == ("higher", "single", None)
    assert between_windows("operator:mm", "s", [1.0], [1.0]).verdict == "same"
    none = between_windows("operator:mm", "s", [], [1.0])
    assert (none.verdict, none.reason, none.base) == ("unknown", "no profiler window in A", None)


def test_a_number_that_is_missing_or_not_finite_is_not_compared() -> None:
    assert single("loss.last", "", "last", None, 1.0).reason == "not measured in A"
    assert single("loss.last", "", "last", 1.0, float("nan")).verdict == "unknown"
    lower = single("loss.last", "", "last", -2.0, -3.0)
    assert (lower.verdict, lower.percent) == ("lower", -50.0)
    assert single("loss.last", "", "last", 0.0, 1.0).percent is None

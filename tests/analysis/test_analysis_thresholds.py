"""Conditions for a build server: how they are read, when they are met, and when nobody can tell."""

from __future__ import annotations

import pytest

from torchglass.analysis.differences import Difference, Evidence, Verdict
from torchglass.analysis.thresholds import judge, read_threshold
from torchglass.errors import OptionError


def difference(
    base: float = 100e-3, new: float = 106e-3, verdict: Verdict = "higher", margin: float | None = 2e-3, unit: str = "s"
) -> Difference:
    change = new - base
    low, high = (None, None) if margin is None else (change - margin, change + margin)
    new_low, new_high = (None, None) if margin is None else (new - margin, new + margin)
    evidence: Evidence = "single" if margin is None else "steps"
    return Difference(
        "step_time", unit, "median", base, new, verdict, evidence, low, high, new_low=new_low, new_high=new_high
    )


def is_met(text: str, found: Difference, *, ignore_noise: bool = False) -> bool:
    return judge(read_threshold(text), found, ignore_noise=ignore_noise).is_met


def test_a_condition_is_read_from_the_right() -> None:
    read = read_threshold("kernel:void gemm<4, float>(a >= b) > +5.5%")
    assert (read.metric, read.order, read.number, read.unit, read.is_change) == (
        "kernel:void gemm<4, float>(a >= b)",
        ">",
        5.5,
        "%",
        True,
    )
    assert read_threshold("step_time>=-2e-1ms")[1:] == ("step_time", ">=", -0.2, "ms", True)
    assert read_threshold(" memory_peak < 20 GB ")[1:] == ("memory_peak", "<", 20.0, "GB", False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("step_time", "write METRIC"),
        ("> 5", "write METRIC"),
        ("step_time == 5", "write METRIC"),
        ("step_time > +5% please", "write METRIC"),
        ("step_time > 5%", "a percentage is a change, so write [+]5%"),
        ("step_time > +5 parsecs", "'parsecs' is none of %"),
        (f"{'x' * 600} > 5", "write METRIC"),
        ("loss > +1e400", "nothing is ever beyond"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        read_threshold(text)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("step_time > +5%", True),
        ("step_time > +7%", False),
        ("step_time > +5ms", True),
        ("step_time > +6001us", False),
        ("step_time > +0.005s", True),
        ("step_time < -5%", False),
        ("step_time > 103ms", True),  # 104 to 108 ms: all of it is beyond
        ("step_time > 105ms", False),  # 106 is beyond, but 104 might be the truth
        ("step_time < 109ms", True),
    ],
)
def test_a_sign_makes_it_about_the_change_and_no_sign_about_b(text: str, met: bool) -> None:
    assert is_met(text, difference()) is met


def test_what_could_be_noise_meets_nothing_unless_noise_is_ignored() -> None:
    noisy = difference(verdict="noise", margin=8e-3)
    assert not is_met("step_time > +5%", noisy)
    assert is_met("step_time > +5%", noisy, ignore_noise=True)
    assert judge(read_threshold("step_time > +5%"), noisy).sentence == (
        "not met: the number is beyond the threshold, but within noise"
    )
    assert is_met("step_time > 105ms", difference(), ignore_noise=True)


def test_a_run_too_noisy_to_exclude_a_condition_says_so() -> None:
    def said(text: str) -> str:
        return judge(read_threshold(text), difference()).sentence  # 4 to 8 ms more, B is 104 to 108 ms

    assert said("step_time > +9%") == "not met"
    assert said("step_time > +7%") == "not met, though the 95 % interval does not exclude it"
    assert said("step_time > 107ms") == "not met, though the 95 % interval does not exclude it"
    assert said("step_time < 105ms") == "not met, though the 95 % interval does not exclude it"
    assert said("step_time > 109ms") == "not met"


def test_an_improvement_that_was_demanded_and_is_only_noise_is_missing() -> None:
    # "Fail unless it is 5 % faster": no change at all would fail, so noise excuses nothing.
    assert is_met("step_time > -5%", difference(new=98e-3, verdict="noise", margin=8e-3))
    assert not is_met("step_time > -5%", difference(new=90e-3, verdict="lower"))
    assert not is_met("step_time > +0.5%", difference(new=101e-3, verdict="noise", margin=8e-3))


def test_a_single_measurement_counts_and_says_that_it_is_one() -> None:
    outcome = judge(read_threshold("memory_peak > +1GB"), difference(8e9, 9.5e9, margin=None, unit="B"))
    assert outcome.is_met
    assert "single measurement" in outcome.sentence
    assert is_met("memory_peak > 9GiB", difference(8e9, 9.7e9, margin=None, unit="B"))
    assert not is_met("memory_peak > 9GiB", difference(8e9, 9.6e9, margin=None, unit="B"))
    assert is_met("test/accuracy < -0.01", difference(0.9, 0.85, "lower", margin=None, unit=""))
    assert is_met("test/accuracy < 0.86", difference(0.9, 0.85, "lower", margin=None, unit=""))
    assert is_met("gpu0/utilization_percent < -5", difference(80, 70, "lower", unit="%"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("step_time > +5%", Difference("step_time", "s", "median", 0.1, None, "unknown", "none", reason="no step")),
        ("step_time > +5%", Difference("step_time", "s", "median", 0.1, 0.2, "unknown", "none", reason="too few")),
        ("step_time > +5%", difference(base=0.0)),
        ("step_time > +5", difference()),
        ("step_time > 20GB", difference()),
        ("loss > +5ms", difference(unit="")),
    ],
)
def test_what_cannot_be_told_never_passes_in_silence(text: str, found: Difference) -> None:
    with pytest.raises(OptionError, match=r"cannot (tell|compare)"):
        judge(read_threshold(text), found)

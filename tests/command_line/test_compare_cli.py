"""`torchglass compare`: what it prints, and the exit code that a build server goes by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from torchglass.cli import main
from torchglass.store import Batch, Fact, ProfilerRow, ProfilerWindow, RowBlock, Store

Say = Callable[..., tuple[int, list[str], str]]


def recorded(path: Path, name: str, seed: int, backward: float = 0.05, steps: int = 200) -> None:
    """Write a run with a forward of 30 ms and such a backward, each 5 % jitter."""
    generator = np.random.default_rng(seed)
    at, times = np.arange(steps), 1.7e9 + np.arange(float(steps))
    phases = {
        "forward": 0.03 * generator.lognormal(0, 0.05, steps),
        "backward": backward * generator.lognormal(0, 0.05, steps),
    }
    phases["step"] = phases["forward"] + phases["backward"]
    rows = [RowBlock.of_series(f"phase/{key}", "phase", "s", at, times, values) for key, values in phases.items()]
    rows.append(RowBlock.of_series("test/accuracy", "scalar", "", at[:3], times[:3], np.array([0.1, 0.9, 0.8])))
    row = ProfilerRow("operator", "aten::mm\x1b[2J", 4, backward, backward)
    facts = [Fact(0, "environment", {"torch": f"2.{seed}"}, 0.0)]
    with Store(path) as store:
        run = store.start_run(name, {}, host="here", pid=1)
        window = ProfilerWindow(steps + 1, 1.7e9, 2, 1.0, {}, (row,))
        store.write(run.id, 0, Batch(rows=rows, windows=[window], facts=facts))
        store.end_run(run.id, "finished")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three runs: a base, the same again, and one whose backward is a fifth slower."""
    path = tmp_path / "store.db"
    recorded(path, "base", 1)
    recorded(path, "same", 2)
    recorded(path, "slow", 3, backward=0.06)
    return path


@pytest.fixture
def compare(path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Compare two runs of that store; the exit code, the lines, and what it complained of."""

    def run(*arguments: str) -> tuple[int, list[str], str]:
        code = main(["compare", "--store", str(path), *arguments])
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err

    return run


def cells(lines: list[str], name: str) -> list[str]:
    (line,) = [line for line in lines if line.split() and line.split()[0] == name]
    return line.split()


def test_the_table_goes_from_the_step_down_and_names_what_is_slower(compare: Say) -> None:
    code, lines, _ = compare("base", "slow")
    assert code == 0
    assert lines[0] == "A = base: finished, 180 of 200 steps (the first 20 are warm-up)"
    assert "differs: torch: 2.1 -> 2.3" in lines
    names = [line.split()[0] for line in lines if line.split()]
    assert names.index("step_time") < names.index("forward") < names.index("backward") < names.index("operators,")
    assert cells(lines, "backward")[5] == "▲"
    assert cells(lines, "backward")[-1] == "slower"
    assert cells(lines, "forward")[-2:] == ["within", "noise"]
    assert cells(lines, "step_time")[-1] == "slower"
    assert cells(lines, "aten::mm\ufffd[2J")[-2:] == ["single", "measurement"]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("new", "conditions", "code"),
    [
        ("slow", ["step_time > +5%"], 1),
        ("slow", ["step_time > +20%"], 0),
        ("slow", ["step_time > +20%", "backward > +8ms"], 1),
        ("same", ["step_time > +0.01%", "backward > +0.01%", "forward < -0.01%"], 0),
        ("slow", ["step_time.p95 > 95ms"], 0),
        ("slow", ["test/accuracy.max < 0.95", "step_time > +90%"], 1),
        ("slow", ["operator:aten::mm > +15%"], 1),
        ("slow", ["kernel:gemm > +15%"], 2),
        ("slow", ["memory_peak > +1%"], 2),
        ("slow", ["nonsense > +5%"], 2),
        ("slow", ["step_time > +5%", "samples_per_second < -5%"], 2),
        ("slow", ["step_time > often"], 2),
    ],
)
def test_the_exit_code_says_whether_a_condition_is_met_or_cannot_be_told(
    compare: Say, new: str, conditions: list[str], code: int
) -> None:
    found, lines, complaint = compare("base", new, *(part for each in conditions for part in ("--fail-if", each)))
    assert found == code
    assert bool(complaint) == (code == 2)
    said = [line for line in lines if line.startswith("fail if")]
    assert any(": met" in line for line in said) == (code == 1 or "samples_per_second" in conditions[-1])


def test_noise_is_counted_where_that_is_asked_for(compare: Say) -> None:
    # Of two runs of one kind one is slower by some hair, and that hair is noise.
    codes = {
        (base, new, noise): compare(base, new, "--fail-if", "step_time > +0.001%", *noise)[0]
        for base, new in (("base", "same"), ("same", "base"))
        for noise in ((), ("--ignore-noise",))
    }
    assert sorted(codes[pair] for pair in codes if pair[2]) == [0, 1]
    assert [codes[pair] for pair in codes if not pair[2]] == [0, 0]


def test_json_has_what_the_table_has(compare: Say) -> None:
    code, lines, _ = compare("base", "slow", "--json", "--fail-if", "backward > +5%", "--fail-if", "bogus > 1")
    assert code == 2
    told = json.loads("\n".join(lines))
    assert told["base"]["steps_compared"] == 180
    (backward,) = [each for each in told["phases"] if each["name"] == "backward"]
    assert backward["percent"] == pytest.approx(20, abs=3)
    assert backward["low"] < backward["change"] < backward["high"]
    assert [each["met"] for each in told["conditions"]] == [True, None]
    contributions = sum(each["change"] for each in told["contributions"])
    assert contributions == pytest.approx(told["step"][1]["change"])


def test_runs_of_two_stores_are_compared(compare: Say, tmp_path: Path) -> None:
    recorded(tmp_path / "main.db", "base", 4, backward=0.04)
    code, lines, _ = compare("base", "base", "--base-store", str(tmp_path / "main.db"), "--fail-if", "step_time > +5%")
    assert code == 1
    assert cells(lines, "backward")[-1] == "slower"


def test_a_run_that_is_not_there_is_refused(compare: Say) -> None:
    code, lines, complaint = compare("base", "gone")
    assert (code, lines) == (2, [])
    assert "gone" in complaint


def test_an_imported_trace_without_phases_is_compared_by_its_profiled_steps(compare: Say, path: Path) -> None:
    at = np.arange(30)
    with Store(path) as store:
        run = store.start_run("imported", {}, host="here", pid=1)
        row = RowBlock.of_series("phase/step", "phase", "s", at, 1.7e9 + at.astype(np.float64), np.full(30, 0.25))
        store.write(run.id, 0, Batch(rows=[row], windows=[ProfilerWindow(0, 1.7e9, 30, 1.0, {}, ())]))
        store.end_run(run.id, "finished")
    code, lines, _ = compare("imported", "slow")
    assert code == 0
    assert "A = imported: finished, 30 steps, timed under the profiler" in lines
    (backward,) = [line for line in lines if line.startswith("  backward ")]
    assert backward.endswith("not measured in A")

"""Conditions on runs: what each matches, what is missing, and that no text however evil does more than be refused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pytest

from torchglass.errors import OptionError
from torchglass.store.filters import MOST_CHARACTERS, Expression, filtered, sorted_by
from torchglass.store.records import Run, Series
from torchglass.store.subject import Subject

NOON = datetime(2026, 11, 21, 12).timestamp()


def series(key: str, **known: object) -> Series:
    numbers = {
        "count": 10,
        "nonfinite_count": 0,
        "minimum": 0.25,
        "minimum_step": 4,
        "maximum": 0.75,
        "maximum_step": 7,
    }
    told = {"kind": "scalar", "unit": "", "rank": 0, "mean": 0.5, "last": 0.625, "last_step": 9, **numbers, **known}
    return Series(id=1, run_id=1, key=key, **told)  # type: ignore[arg-type]


def subject(name: str = "a", found: Iterable[Series] = (), **known: object) -> Subject:
    told = {"status": "finished", "created_at": NOON, "heartbeat_at": NOON + 5, "ended_at": NOON + 90.0, "config": {}}
    run = Run(id=1, uid="abc", name=name, host="here", pid=1, error=None, **{**told, **known})  # type: ignore[arg-type]
    return Subject(run, lambda _: list(found))


ONE = subject(
    "resnet/one",
    [
        series("loss", last=0.125),
        series("test/accuracy"),
        series("train/error", last=float("nan")),
        series("val-loss", minimum=-3.0),
        series("model.0.weight/norm", kind="layer"),
        series("loss", rank=1, last=99.0),
    ],
    config={
        "lr": 0.001,
        "optimizer": {"name": "adam", "betas": [0.9, 0.99]},
        "amp": True,
        "seed": None,
        "a.b": {"c": 3},
    },
    tags=("baseline", "good"),
    note="long warmup",
)

TRUE = [
    "lr<0.01 and accuracy>0.6",
    "note != 'a `b` c' and 'a `b` c' == \"a `b` c\"",
    "lr < 0.01 and test/accuracy.max > 0.7 and not (accuracy.max > 0.8)",
    "0 < lr <= 0.001 < accuracy",
    "optimizer.name == 'adam' and config.optimizer.name in ('sgd', 'adam')",
    "optimizer.name not in ['sgd']",
    "'baseline' in tags and 'bad' not in tags",
    "'warm' in note and 'res' in name",
    "status == 'finished' and host != 'there'",
    "amp and steps == 10 and not archived",
    "duration == 90",
    "created >= '2026-11-21' and created < '2026-11-21T12:01'",
    "`val-loss`.min == -3 and 'val-loss'.min < -2",
    "'val-loss' > 0.6",
    "series.loss == 0.125 and loss.min_step == 4 and loss.max_step == 7 and loss.mean == 0.5 and loss.count == 10",
    "`model.0.weight/norm`.last_step == 9 and norm.nonfinite == 0",
    "seed is None and nothing is None and nothing == None",
    "lr is not None and lr != None and error is None",
    "lr < 1e999 and lr < " + "9" * 400 + " and lr > -" + "9" * 400,
    "`a.b`.c == 3 and a.b.c == 3",
    "lr < 1 or nothing > 3",
    "run.name == 'resnet/one' and run.steps > 9",
    "0.9 in optimizer.betas",
    "amp == 1 and True == amp",
    "name < 'zebra' and name > 'a'",
    "train/error != 3",
]
NOT_TRUE = [
    "lr > 0.01",
    "nothing > 1",
    "not nothing > 1",
    "nothing > 1 and lr < 1",
    "not (nothing > 1 or lr > 1)",
    "lr < 'abc'",
    "lr > 'abc'",
    "lr == 'abc'",
    "note.x > 3",
    "optimizer > 3",
    "seed > 3",
    "train/error < 3 or train/error >= 3",
    "3 in name",
    "'x' in lr",
    "tags == 'baseline'",
    "accuracy.max_step is None",
]


@pytest.mark.parametrize("text", TRUE)
def test_a_condition_that_holds(text: str) -> None:
    assert Expression(text).meets(ONE)


@pytest.mark.parametrize("text", NOT_TRUE)
def test_a_condition_that_does_not_hold_or_cannot_be_told(text: str) -> None:
    assert not Expression(text).meets(ONE)


def test_a_field_comes_before_the_configuration_and_that_before_a_series() -> None:
    one = subject("mine", [series("lr", last=5.0)], config={"name": "adam", "lr": 2})
    assert [Expression(name).value(one) for name in ("name", "config.name", "lr", "series.lr")] == [
        "mine",
        "adam",
        2,
        5,
    ]


def test_the_last_part_of_a_key_is_enough_where_it_is_clear_and_scalars_come_first() -> None:
    clear = subject("a", [series("test/accuracy"), series("phase/accuracy", kind="phase", last=9.0)])
    assert Expression("accuracy").value(clear) == 0.625
    unclear = subject("b", [series("test/accuracy"), series("train/accuracy")])
    with pytest.raises(OptionError, match="'accuracy' could be any of test/accuracy, train/accuracy: write"):
        Expression("accuracy > 0").meets(unclear)
    exact = subject("c", [series("accuracy", last=1.0), series("train/accuracy")])
    assert Expression("accuracy").value(exact) == 1.0


def test_runs_keep_their_order_and_a_name_that_no_run_has_is_told() -> None:
    runs = [subject(str(rate), config={"rate": rate}) for rate in (3, 1, 2)] + [subject("none")]
    assert [each.run.name for each in filtered(runs, "rate >= 2")] == ["3", "2"]
    with pytest.raises(OptionError, match=r"no run has 'rat': did you mean rate\?"):
        filtered(runs, "rate >= 2 and rat > 1")
    with pytest.raises(OptionError, match="no run has 'zzzz': `torchglass show RUN` lists what a run has"):
        filtered(runs, "rate > 9 and zzzz > 1")
    assert filtered([], "zzzz > 1") == []


def test_runs_are_sorted_by_numbers_that_no_float_holds() -> None:
    runs = [subject(name, config={"seed": seed}) for name, seed in (("b", 10**400), ("a", 1.5), ("c", 10**400 + 1))]
    assert [each.run.name for each in sorted_by(runs, "seed")] == ["a", "b", "c"]


def test_runs_are_sorted_by_a_value_and_those_without_it_come_last() -> None:
    runs = [subject(str(rate), config={"rate": rate}) for rate in (3, 1, "x", 2, float("nan"))] + [subject("none")]
    assert [each.run.name for each in sorted_by(runs, "rate")] == ["1", "2", "3", "x", "nan", "none"]
    assert [each.run.name for each in sorted_by(runs, "-config.rate")] == ["x", "3", "2", "1", "nan", "none"]
    with pytest.raises(OptionError, match="no run has 'speed'"):
        sorted_by(runs, "-speed")


def test_series_are_read_only_where_a_name_needs_them() -> None:
    asked = []
    run = Subject(ONE.run, lambda run_id: asked.append(run_id) or [series("loss")])
    assert Expression("lr < 1 and status == 'finished'").meets(run)
    assert asked == []
    assert Expression("loss < 1 and loss.max < 1").meets(run)
    assert asked == [1]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0].__subclasses__()",
        "open('/etc/passwd').read()",
        "[x for x in tags]",
        "lambda: 1",
        "(lr := 3)",
        "f'{lr}'",
        "lr if amp else 3",
        "lr[0] < 1",
        "10 ** 10 ** 10 > lr",
        "'a' * 10 ** 9 == name",
        "lr + 1 < 3",
        "lr - 1 < 3",
        "-lr < 3",
        "~1 < lr",
        "1j < lr",
        "b'x' == name",
        "... == lr",
        "*tags",
        "lr <",
        "lr < 1;",
        "import os",
        "lr = 3",
        "",
        " ",
        "#",
        "\0",
        "`",
        "``",
        "\ud800 < 1",
        "lr in 3",
        "created > 'yesterday'",
        "created > '9999999-01-01'",
        "(" * 150 + "lr" + ")" * 150 + "()",
        "(" * 490 + "lr" + ")" * 490,
        "not " * 200 + "lr",
        "a" + ".a" * 450,
        "a" + "/a" * 450,
        "lr" + "()" * 450,
        "lr" + "[0]" * 300,
        "-" * 900 + "1 < lr",
        "{**" * 200,
        "9" * 5000 + " > lr",
        "lr < 1 and " * 1000 + "lr < 1",
        "lr < " * 150,
    ],
    ids=lambda text: repr(text[:24]),
)
def test_what_is_no_condition_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(OptionError) as refusal:
        Expression(text)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("text", ["lr.__class__.__globals__", "config.__class__", "series.__dict__", "run.config"])
def test_names_reach_nothing_of_python(text: str) -> None:
    assert Expression(text).value(ONE) is None
    with pytest.raises(OptionError, match="no run has"):
        filtered([ONE], f"{text} != 3")


def test_the_longest_condition_that_is_read() -> None:
    text = "lr < 1 or " * 99
    assert Expression(text + "lr < 1").meets(ONE)
    assert len(text) < MOST_CHARACTERS

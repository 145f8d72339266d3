"""Several runs side by side: which settings differ, and which run leads by which scalar."""

from __future__ import annotations

from typing import Any

from torchglass.analysis.circumstances import stated
from torchglass.analysis.settings import Setting, side_by_side
from torchglass.analysis.standings import Reading, standings
from torchglass.store import Run, Series


def run(config: dict[str, Any]) -> Run:
    return Run(1, "u", "a", "finished", 0.0, 0.0, 1.0, "here", 1, config, None)


def scalar(key: str, minimum: float, maximum: float, last: float | None) -> Series:
    return Series(1, 1, 0, key, "scalar", "", 3, 0, minimum, 20, maximum, 70, 5.0, last, 90)


def test_nested_settings_are_compared_by_their_dotted_names() -> None:
    first = stated(run({"optimizer": {"name": "sgd", "momentum": 0.9}, "lr": 0.5}), {})
    second = stated(run({"optimizer": {"name": "adamw"}, "lr": 0.5, "augment": True}), {"environment": {"torch": "2"}})
    found = {setting.name: setting for setting in side_by_side([first, second, first])}
    assert found["config.optimizer.name"] == Setting("config.optimizer.name", ("sgd", "adamw", "sgd"))
    changes = {name: [setting.change(place) for place in range(3)] for name, setting in found.items()}
    assert changes == {
        "host": ["same", "same", "same"],
        "config.optimizer.name": ["same", "changed", "same"],
        "config.optimizer.momentum": ["same", "removed", "same"],
        "config.lr": ["same", "same", "same"],
        "config.augment": ["same", "added", "same"],
        "torch": ["same", "added", "same"],
    }
    assert [name for name, setting in found.items() if not setting.differs] == ["host", "config.lr"]


def test_the_best_value_leads_in_the_direction_of_the_name() -> None:
    runs = [
        {"loss": scalar("loss", 1.0, 9.0, 4.0), "lr": scalar("lr", 1.0, 2.0, 1.5)},
        {"loss": scalar("loss", 2.0, 8.0, 3.0), "acc": scalar("acc", 0.1, 0.7, 0.6)},
        {"loss": scalar("loss", 1.0, 7.0, None), "acc": scalar("acc", 0.2, 0.8, 0.3)},
    ]
    found = {(one.key, one.statistic): one for one in standings(runs)}
    assert list(found) == [("loss", "last"), ("loss", "best"), ("acc", "last"), ("acc", "best"), ("lr", "last")]
    assert found["loss", "last"].readings == (Reading(4.0, 90), Reading(3.0, 90), None)
    assert found["loss", "last"].leaders == {1}
    assert found["loss", "best"].readings[1] == Reading(2.0, 20)
    assert found["loss", "best"].leaders == {0, 2}, "of equal values each is the best"
    assert found["acc", "best"].readings == (None, Reading(0.7, 70), Reading(0.8, 70))
    assert found["acc", "best"].leaders == {2}
    assert found["acc", "last"].leaders == {1}
    assert found["lr", "last"].leaders == frozenset(), "nothing says whether a small learning rate is good"


def test_values_at_a_step_stand_first_and_what_is_not_finite_never_leads() -> None:
    runs = [{"loss": scalar("loss", 1.0, 9.0, 4.0)} for _ in range(3)]
    at = [{"loss": Reading(float("-inf"), 50)}, {"loss": Reading(2.5, 48)}, {}]
    first = standings(runs, at)[0]
    assert (first.statistic, first.readings[2], first.leaders) == ("at", None, frozenset())
    at[2] = {"loss": Reading(2.25, 50)}
    assert standings(runs, at)[0].leaders == {2}
    assert standings(runs)[1].leaders == frozenset(), "nobody leads where all have come equally far"

"""What a sweep varies: for each switch of a recipe the values that it may take. No torch and no Optuna."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torchglass.errors import OptionError
from torchglass.reference_models.exhibit import ReferenceModel
from torchglass.reference_models.recipe import SWITCHES, Recipe, Switch


class Suggesting(Protocol):
    """The part of an Optuna trial that chooses values."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Choose a number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Choose a whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Choose one of some values."""
        ...


@dataclass(frozen=True)
class Span:
    """Numbers from `low` to `high`, both included, evenly spread by value or by logarithm."""

    low: float
    high: float
    log: bool
    whole: bool

    def suggest(self, trial: Suggesting, name: str) -> float:
        """Have the trial choose."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"low": self.low, "high": self.high, "log": self.log, "whole": self.whole}


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[Any, ...]

    def suggest(self, trial: Suggesting, name: str) -> Any:
        """Have the trial choose."""
        return trial.suggest_categorical(name, self.values)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"values": list(self.values)}


Space = Mapping[str, Span | Choice]


def search_space(
    exhibit: ReferenceModel, recipe: Recipe, names: Sequence[str] | None = None, *, dataset: str | None = None
) -> Space:
    """Return what is varied of a recipe: the switches named, else all that the model honours and that have a span.

    Every value of the recipe lies within, so that a sweep can begin with it.

    Raises:
        OptionError: when a switch does not exist, is not honoured by the model, or has no values to choose among.
    """
    if names is None:
        names = [
            name for name, switch in SWITCHES.items() if switch.search is not None and exhibit.honours(name, dataset)
        ]
    if not names:
        raise OptionError("no switch is named that a sweep could vary: give --switches learning_rate,weight_decay")
    return {name: _values(exhibit, recipe, name, dataset) for name in dict.fromkeys(names)}


def defaults(exhibit: ReferenceModel, recipe: Recipe, space: Space) -> dict[str, Any]:
    """Return the recipe's own values of what is varied."""
    return {name: _default(exhibit, recipe, name) for name in space}


def suggest(trial: Suggesting, space: Space) -> dict[str, Any]:
    """Have a trial choose a value for each switch."""
    return {name: values.suggest(trial, name) for name, values in space.items()}


def to_json(space: Space) -> dict[str, Any]:
    """Return the space as plain values, by which two processes tell whether they mean the same sweep."""
    return {name: values.to_json() for name, values in space.items()}


def _values(exhibit: ReferenceModel, recipe: Recipe, name: str, dataset: str | None) -> Span | Choice:
    switch = SWITCHES.get(name)
    if switch is None:
        raise OptionError(f"no switch is called {name!r}: choose among {', '.join(_searchable())}")
    if not exhibit.honours(name, dataset):
        raise OptionError(f"{exhibit.name} does not heed {name}: name other switches")
    if switch.search is not None:
        return _span(switch, _default(exhibit, recipe, name))
    if switch.choices:
        optional = (None,) if switch.optional else ()
        return Choice((*optional, *switch.choices))
    if switch.kind is bool:
        return Choice((False, True))
    raise OptionError(f"{name} has no span to search in: choose among {', '.join(_searchable())}")


def _span(switch: Switch, default: Any) -> Span:
    """Widen a span as far as the default; from zero it goes by value, for zero has no logarithm."""
    assert switch.search is not None
    low, high, log = switch.search
    if default is not None:
        low, high = min(low, default), max(high, default)
    if low <= 0:
        low, log = 0.0, False
    return Span(low, high, log, whole=switch.kind is int)


def _default(exhibit: ReferenceModel, recipe: Recipe, name: str) -> Any:
    value = getattr(recipe, name)
    return exhibit.dropout if name == "dropout" and value is None else value


def _searchable() -> list[str]:
    return [
        name for name, switch in SWITCHES.items() if switch.search is not None or switch.choices or switch.kind is bool
    ]

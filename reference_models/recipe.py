"""How a model is trained: every switch with its help and bounds, from which commands, checks and forms are made."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from torchglass.errors import OptionError

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "step", "multi_step", "cosine")
MOST = 10**9  # of what is counted; and of rates, whose product float32 must hold
MOST_THREADS = 1024
INITIALIZATIONS = ("xavier", "kaiming", "orthogonal", "normal")


@dataclass(frozen=True)
class Switch:
    """What can be asked of one field of a recipe; `kind` is int, float, bool or str.

    Bounds are inclusive but for `above` and `below`. `optional` allows None, which is "off", or "as the model has it".
    `search` is the span that a sweep looks in: lowest, highest, and whether by logarithm.
    """

    name: str
    kind: type
    help: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    basic: bool = False
    search: tuple[float, float, bool] | None = None

    def check(self, value: object) -> None:
        """Refuse a value that cannot be taken.

        Raises:
            OptionError: it says what can be.
        """
        if (value is None and self.optional) or (self._is_of_kind(value) and self._is_within(value)):
            return
        raise OptionError(f"{self.name} is {value!r}: give {self.wanted}")

    @property
    def wanted(self) -> str:
        """Say what can be given."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "True or False"
        what = "a whole number" if self.kind is int else "a number"
        bounds = (
            ("of at least", self.at_least),
            ("above", self.above),
            ("of at most", self.at_most),
            ("below", self.below),
        )
        said = " and ".join(f"{word} {_told(bound)}" for word, bound in bounds if bound is not None)
        return f"{what} {said}".rstrip() + (" or None" if self.optional else "")

    def _is_of_kind(self, value: object) -> bool:
        if self.kind is float:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            return abs(value) <= sys.float_info.max
        return type(value) is self.kind

    def _is_within(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if self.kind is bool:
            return True
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )


def _told(bound: float) -> str:
    return f"{bound:,.0f}" if bound >= 1000 else f"{bound:g}"


def _switch(default: Any, kind: type, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help, "optional": default is None, **more})


@dataclass(frozen=True)
class Recipe:
    """How to train on one data set. A new switch is a line here and its use in `learning/` or the loop.

    `cpu_threads` is how many threads share an operation when the CPU trains, None for torch's own choice: for a small
    model it is 1, because threads that share a millisecond wait for each other longer than they compute as soon as
    another program, such as the page that watches, wants a core.

    Raises:
        OptionError: when a value cannot be taken.
    """

    epochs: int = _switch(10, int, "passes over the training set", at_least=1, at_most=MOST, basic=True)
    batch_size: int = _switch(
        64, int, "samples in a batch", at_least=1, at_most=MOST, basic=True, search=(16, 256, True)
    )
    learning_rate: float = _switch(
        1e-3, float, "highest learning rate", above=0, at_most=MOST, basic=True, search=(1e-4, 3e-2, True)
    )
    optimizer: str = _switch("adamw", str, "adamw, or sgd with momentum 0.9", choices=OPTIMIZERS)
    weight_decay: float = _switch(
        0.0, float, "weight decay (decoupled with adamw)", at_least=0, at_most=MOST, search=(1e-5, 1e-1, True)
    )
    schedule: str = _switch("cosine", str, "how the learning rate falls", choices=SCHEDULES)
    warm_up: float = _switch(0.1, float, "share of the steps in which the learning rate rises", at_least=0, at_most=0.9)
    augment: bool = _switch(False, bool, "jitter pictures by small random shifts, turns and scales")
    dropout: float | None = _switch(
        None, float, "dropout rate of models that have one", at_least=0, below=1, search=(0.0, 0.6, False)
    )
    label_smoothing: float = _switch(
        0.0, float, "share of the target spread over all classes", at_least=0, below=1, search=(0.0, 0.2, False)
    )
    clip_norm: float | None = _switch(None, float, "largest norm of all gradients together", above=0)
    accumulate: int = _switch(1, int, "batches whose gradients make one step", at_least=1, at_most=MOST)
    checkpointing: bool = _switch(False, bool, "recompute activations in backward to save memory")
    early_stopping: int | None = _switch(
        None,
        int,
        "epochs without a better validation score before stopping with the best weights",
        at_least=1,
        at_most=MOST,
    )
    validation: float = _switch(0.0, float, "share of the training set held out to choose by", at_least=0, at_most=0.5)
    initialization: str | None = _switch(
        None, str, "initial weights, other than the model's own", choices=INITIALIZATIONS
    )
    ema: float | None = _switch(
        None, float, "decay of an average of the weights, which is tested and kept", above=0, below=1
    )
    cpu_threads: int | None = _switch(
        None, int, "threads that share an operation on the CPU", at_least=1, at_most=MOST_THREADS
    )

    def __post_init__(self) -> None:
        for name, switch in SWITCHES.items():
            switch.check(getattr(self, name))

    def changed(self, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some of its values replaced.

        Raises:
            OptionError: when there is no such switch, or it cannot take the value.
        """
        unknown = [name for name in changes if name not in SWITCHES]
        if unknown:
            raise OptionError(f"no switch is called {unknown[0]!r}: choose among {', '.join(SWITCHES)}")
        return replace(self, **changes)


SWITCHES: Mapping[str, Switch] = {each.name: Switch(each.name, **each.metadata) for each in fields(Recipe)}

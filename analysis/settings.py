"""Two or more runs' settings side by side: which differ, and which a run has or lacks unlike the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Change = Literal["same", "changed", "added", "removed"]


class Setting(NamedTuple):
    """A setting by its name, with what each run says; None where one does not."""

    name: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        """Whether not all runs say the same."""
        return len(set(self.values)) > 1

    def change(self, place: int) -> Change:
        """What a run does with it that the first one does not."""
        first, other = self.values[0], self.values[place]
        if first == other:
            return "same"
        return "added" if first is None else "removed" if other is None else "changed"


def side_by_side(stated: Sequence[Mapping[str, str]]) -> tuple[Setting, ...]:
    """Every setting that a run states, in the order in which the first run that has it states it."""
    names = dict.fromkeys(name for each in stated for name in each)
    return tuple(Setting(name, tuple(each.get(name) for each in stated)) for name in names)

"""What a panel shows of the record nearest to the cursor, in words: it may be of another step than the chosen one."""

from __future__ import annotations

from collections.abc import Iterable

from torchglass.analysis.at_step import nearest
from torchglass.dashboard.stepping.cursor import chosen_step
from torchglass.language import tr


def shown_step(steps: Iterable[int]) -> int | None:
    """The recorded step that a panel shows: the nearest to the cursor, or the last; None of none."""
    known, chosen = list(steps), chosen_step()
    return max(known, default=None) if chosen is None else nearest(known, chosen)


def step_told(shown: int) -> str:
    """Name a shown step, and say so where it is not the chosen one."""
    chosen = chosen_step()
    if chosen is None or chosen == shown:
        return tr("Step {step}.", step=f"{shown:,}")
    return tr("Step {step}, the recorded one nearest to {chosen}.", step=f"{shown:,}", chosen=f"{chosen:,}")

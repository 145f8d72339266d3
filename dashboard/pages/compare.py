"""Compare: what two to ten runs do differently: their settings, scores, speed, memory, and what they look at."""

from __future__ import annotations

from torchglass.dashboard import (
    compared_explanations,
    compared_quality,
    compared_scalars,
    compared_settings,
    compared_speed,
    compared_use,
    notices,
)
from torchglass.dashboard.compared_runs import FEWEST, choose_compared
from torchglass.language import tr
from torchglass.store import Run, Store

ANOTHER = 'torchglass.attach(model, optimizer, run="another")'


def show(store: Store, run: Run) -> None:
    """Let runs be chosen and compare them with the first."""
    notices.run_heading(tr("Compare"), store, run)
    runs = choose_compared(store, run)
    if not runs and store.count_runs(archived=None) < FEWEST:
        notices.nothing_recorded(
            tr("There is no other run in this store to compare with. Record another one:"), ANOTHER
        )
        return
    if len(runs) < FEWEST:
        notices.nothing_recorded(tr("Choose two runs or more above. Another one is recorded by:"), ANOTHER)
        return
    notices.offer_refresh(next((each for each in runs if each.status == "running"), run))
    compared_settings.show(store, runs)
    compared_scalars.show(store, runs)
    compared_quality.show(store, runs)
    compared_explanations.show(store, runs)
    compared_use.show(store, runs)
    compared_speed.show(store, runs)

"""Compare: what two to ten runs do differently: their settings, scores, speed, memory, and what they look at."""

from __future__ import annotations

from torchglass.dashboard import notices
from torchglass.dashboard.comparing import explanations, quality, scalars, settings, speed, use
from torchglass.dashboard.comparing.runs import FEWEST, choose_compared
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
    settings.show(store, runs)
    scalars.show(store, runs)
    quality.show(store, runs)
    explanations.show(store, runs)
    use.show(store, runs)
    speed.show(store, runs)

"""What a report tells of a model of rows as a whole, and of an agent's episode."""

from __future__ import annotations

from typing import NamedTuple

from torchglass.charts.episode import ARTIFACT_KIND as EPISODE
from torchglass.charts.episode import EpisodeData, episode_data, episode_text
from torchglass.charts.interactions import interactions_data, interactions_text
from torchglass.charts.overview import ARTIFACT_KIND as OVERVIEW
from torchglass.charts.overview import Overview, overview_of
from torchglass.charts.text import plain_text
from torchglass.store import Run, Store


class Overviews(NamedTuple):
    """The newest overview and the newest episode; None where a run has none."""

    overview: Overview | None
    episode: EpisodeData | None


def read_overviews(store: Store, run: Run) -> Overviews:
    """Read what is stored of a run."""
    overviews, episodes = (store.artifacts(run.id, kind=kind) for kind in (OVERVIEW, EPISODE))
    return Overviews(
        overview_of(overviews[-1], store.arrays(overviews[-1].id)) if overviews else None,
        episode_data(episodes[-1], store.arrays(episodes[-1].id)) if episodes else None,
    )


def overview_notes(overviews: Overviews) -> list[str]:
    """Sentences above the figures: what was looked at, how far to trust it, and what stands out."""
    notes = []
    if overviews.episode is not None:
        notes += [f"{overviews.episode.heading}. {episode_text(overviews.episode)}"]
    if overviews.overview is not None:
        notes += [f"{overviews.overview.heading}. SHAP: {overviews.overview.trust}"]
        notes += [interactions_text(interactions_data(overviews.overview))]
    return [plain_text(note, 700) for note in notes]

"""A store in which every text is hostile, made once."""

from __future__ import annotations

import pytest
from hostile import ALL_AT_ONCE, CORPUS, MEGABYTE, Recorded, record_hostile_run, storable

from torchglass.store import open_store


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Two runs of hostile texts, one without records for each text of the corpus, and one called by a megabyte."""
    path = tmp_path_factory.mktemp("hostile") / "runs.db"
    with open_store(path) as store:
        texts = list(CORPUS.values())
        first = record_hostile_run(store, ALL_AT_ONCE[:500], texts)
        second = record_hostile_run(store, texts[0], texts[::-1])
        for text in texts:
            store.end_run(store.start_run(storable(text), {}, host="h", pid=1).id, "failed", storable(text))
        long = store.start_run(MEGABYTE, {}, host=MEGABYTE, pid=1)
        store.tag(long.id, add=MEGABYTE)
        store.annotate(long.id, MEGABYTE)
        store.end_run(long.id, "failed", MEGABYTE)
    return Recorded(path, first.uid, second.uid)

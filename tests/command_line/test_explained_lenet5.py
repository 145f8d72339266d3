"""The shipped model explained as `torchglass explain` does it: what is hot lies on the ink of a hundred test digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import torchglass
from torchglass.explaining import Request, explain_run
from torchglass.reference_models import get

DIGITS = 100


@pytest.mark.parametrize("method", [*get("lenet5").explain.methods, "guided_gradcam"])
def test_hot_pixels_lie_on_the_ink_more_than_by_chance(method: str, trained: Path) -> None:
    """Of each picture the k hottest pixels are taken, k being the number of inked ones; chance is the ink's share."""
    for _ in explain_run(trained, Request("short", tuple(range(DIGITS)), (method,), seed=1)):
        pass
    gains = []
    with torchglass.open_store(trained, read_only=True) as store:
        stored = store.artifacts(store.run("short").id, kind="explanation")
        for artifact in [each for each in stored if each.meta["method"] == method and each.meta["seed"] == 1]:
            arrays = store.arrays(artifact.id)
            ink = arrays["inputs"][0, 0] > 0.3
            relevance = arrays["attributions"][0].sum(axis=0)
            shuffled = np.random.default_rng(0).permutation(ink.size)  # ties gain nothing from the order of pixels
            hottest = shuffled[np.argsort(-relevance.ravel()[shuffled], kind="stable")[: ink.sum()]]
            gains.append(ink.ravel()[hottest].mean() - ink.mean())
    assert len(gains) == DIGITS
    assert np.mean(gains) > 4 * np.std(gains, ddof=1) / DIGITS**0.5
    assert np.mean(gains) > 0.05

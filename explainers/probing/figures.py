"""What a map says in one number: how far it moved, how large it is, how spread out, and how much lies on the truth."""

from typing import Any

import numpy as np
import numpy.typing as npt

from torchglass.explainers.rank_correlation import rank_correlation

Map = npt.NDArray[np.floating[Any]]


def drift(before: Map, after: Map) -> float | None:
    """1 - Spearman's rank correlation of two maps of one shape: 0 the same order of places, 1 unrelated, 2 reversed.

    None where a map is constant: it ranks nothing.
    """
    alike = rank_correlation(before, after)
    return None if np.isnan(alike) else 1 - alike


def size(relevance: Map) -> float:
    """Sum of the magnitudes, in units of the score: what scaling a picture to 0..1 hides."""
    return float(np.abs(relevance).sum(dtype=np.float64))


def entropy(relevance: Map) -> float | None:
    """Entropy of the magnitudes' shares over that of an even map: 0 all in one place, 1 even; None of an empty map."""
    magnitudes = np.abs(relevance).ravel().astype(np.float64)
    total = magnitudes.sum()
    if total == 0 or magnitudes.size < 2:
        return None
    shares = magnitudes[magnitudes > 0] / total
    return float(-(shares * np.log(shares)).sum() / np.log(magnitudes.size))


def truth_share(relevance: Map, truth: npt.NDArray[np.bool_]) -> float | None:
    """Share of what speaks for the class that lies where the truth is; None where nothing does, or there is no truth.

    Source: relevance mass, Arras et al. 2022, CLEVR-XAI (arXiv 2003.07258).
    """
    positive = np.clip(relevance, 0, None).astype(np.float64)
    total = positive.sum()
    return float(positive[truth].sum() / total) if total > 0 and truth.any() else None

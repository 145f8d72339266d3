"""Split a table of numbers into training and test rows, and put both on the scale of the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.samples import Samples, Scale, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

TEST_SHARE = 0.2  # of every class; of 569 rows 114, where one mistake is 0.88 points of accuracy
BLANK_DEVIATION = 1.0  # of a column that is the same in every training row: it becomes 0 and says nothing


def classify_table(
    features: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    feature_names: Sequence[str],
    class_names: Sequence[str],
    seed: int,
) -> Split:
    """Split rows (N, F) with classes (N,) 0..K-1, every class in proportion and at least once on either side."""
    import torch

    train, test = stratified_rows(labels, seed)
    scale = scale_of(features[train])
    form = DataForm(
        kind="table",
        task="classification",
        shape=(features.shape[1],),
        class_names=tuple(class_names),
        feature_names=tuple(feature_names),
    )
    targets = torch.tensor(labels, dtype=torch.int64)
    inputs = torch.tensor(standardised(features, scale), dtype=torch.float32)
    return Split(form, Samples(inputs[train], targets[train]), Samples(inputs[test], targets[test]), scale=scale)


def regress_table(
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.floating], feature_names: Sequence[str], seed: int
) -> Split:
    """Split rows (N, F) with numbers (N,), which stay in their own units; the form says their mean and deviation."""
    import torch

    train, test = shuffled_rows(len(targets), seed)
    scale = scale_of(features[train])
    own = targets[train].astype(np.float64)
    form = DataForm(
        kind="table",
        task="regression",
        shape=(features.shape[1],),
        feature_names=tuple(feature_names),
        target_mean=float(own.mean()),
        target_deviation=_deviation(own),
    )
    wanted = torch.tensor(targets, dtype=torch.float32)
    inputs = torch.tensor(standardised(features, scale), dtype=torch.float32)
    return Split(form, Samples(inputs[train], wanted[train]), Samples(inputs[test], wanted[test]), scale=scale)


def stratified_rows(labels: npt.NDArray[np.integer], seed: int) -> tuple[list[int], list[int]]:
    """Return the training and the test rows; of each class of at least two rows both get some.

    Both are shuffled: tables come sorted by class, and the first rows of a part must be able to stand for all of it.
    """
    generator = np.random.default_rng(seed)
    train: list[int] = []
    test: list[int] = []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label)).tolist()
        tested = _test_count(len(rows))
        test += rows[:tested]
        train += rows[tested:]
    return generator.permutation(train).tolist(), generator.permutation(test).tolist()


def shuffled_rows(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the training and the test rows of at least two, shuffled."""
    rows = np.random.default_rng(seed).permutation(count).tolist()
    tested = _test_count(count)
    return rows[tested:], rows[:tested]


def scale_of(features: npt.NDArray[np.floating]) -> Scale:
    """Return the means and the deviations (of the population: divided by N) of the columns (N, F)."""
    exact = features.astype(np.float64)
    return Scale(tuple(exact.mean(axis=0).tolist()), tuple(_deviation(column) for column in exact.T))


def standardised(features: npt.NDArray[np.floating], scale: Scale) -> npt.NDArray[np.float64]:
    """Return (x - mean) / deviation of every column."""
    result: npt.NDArray[np.float64] = (features.astype(np.float64) - scale.means) / np.asarray(scale.deviations)
    return result


def _deviation(column: npt.NDArray[np.float64]) -> float:
    found = float(column.std())
    varies = found > 1e-12 * float(np.abs(column).max())  # the mean of equal numbers is off by a rounding
    return found if varies else BLANK_DEVIATION


def _test_count(count: int) -> int:
    return min(max(1, round(TEST_SHARE * count)), count - 1)

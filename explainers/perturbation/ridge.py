"""Fit a weighted ridge regression with an intercept, and say how certain its weights are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchglass.explainers.perturbation.masks import Shown

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear model of scores in float64."""

    weights: Values
    """(P,)"""
    errors: Values
    """(P,), one sigma of sampling"""
    intercept: float
    r2: float
    """the weighted share of the scores' variance that it catches"""

    @property
    def whole(self) -> float:
        """Predict the score where all parts are shown."""
        return self.intercept + float(self.weights.sum())


def fitted(shown: Shown, scores: Values, weights: Values, penalty: float = 1.0) -> Ridge:
    """Minimise sum_i w_i (y_i - a - x_i b)^2 + penalty |b|^2 over codes (M, P), scores (M,) and weights (M,).

    This is scikit-learn's Ridge(alpha=penalty). The errors are the sandwich estimate A^-1 (sum w^2 e^2 x x') A^-1,
    M / (M - P - 1) times, which holds where the residuals e depend on the code, as here they do.
    """
    total = weights.sum()
    centre, level = weights @ shown / total, float(weights @ scores / total)
    codes, heights = shown - centre, scores - level
    weighted = codes * weights[:, None]
    inverse = np.linalg.inv(weighted.T @ codes + penalty * np.eye(codes.shape[1]))
    found = inverse @ (weighted.T @ heights)
    misses = heights - codes @ found
    spread = float(weights @ np.square(heights))
    tilted = (weighted * misses[:, None]) @ inverse
    freedom = max(1, len(scores) - codes.shape[1] - 1)
    errors = np.sqrt(np.square(tilted).sum(axis=0) * len(scores) / freedom)
    # Scores that are all the same are met by the intercept alone.
    r2 = 1.0 - float(weights @ np.square(misses)) / spread if spread > 0 else 1.0
    return Ridge(found, errors, level - float(centre @ found), r2)

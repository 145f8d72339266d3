"""Solve for Shapley values: kernel-weighted least squares whose values add up to what there is to share."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from torchglass.explainers.perturbation.codes import Coalitions
from torchglass.explainers.perturbation.masks import Shown

Values = npt.NDArray[np.float64]


@dataclass(eq=False)
class Shapley:
    """The coalitions (M, P) that one input was asked about and their scores less the base, (M,).

    The first ones are the plan's complete sizes, the rest are pairs of drawn ones.
    """

    plan: Coalitions
    difference: float
    """score of the whole input less the base: what the values add up to"""
    _shown: list[Shown] = field(default_factory=list)
    _above: list[Values] = field(default_factory=list)

    def add(self, shown: Shown, above: Values) -> None:
        """Take in more coalitions."""
        self._shown.append(shown)
        self._above.append(above)

    @property
    def asked(self) -> int:
        """Count the coalitions taken in."""
        return sum(map(len, self._shown))

    def solved(self) -> tuple[Values, Values]:
        """Give the values (P,), which add up to the difference, and one sigma of drawing each, zero if none was drawn.

        phi minimises sum w (y - z phi)^2 under sum(phi) = difference, in closed form: with A = sum w z z' and
        b = sum w y z it is A^-1 b, shifted along A^-1 1 until the sum is right. The drawn coalitions stand for all of
        their sizes, so they carry those sizes' weight together. Errors are the sandwich estimate over pairs.

        Source: Lundberg and Lee 2017 (arXiv 1705.07874); errors as Covert and Lee 2021 (arXiv 2012.01536).
        """
        shown, above = np.concatenate(self._shown).astype(np.float64), np.concatenate(self._above)
        complete = len(self.plan.complete)
        drawn = len(shown) - complete
        weights = np.concatenate([self.plan.weights, np.full(drawn, self.plan.rest.sum() / max(1, drawn))])
        weighted = shown * weights[:, None]
        inverse = np.linalg.pinv(weighted.T @ shown, hermitian=True)
        leaning = inverse.sum(axis=1)
        free = inverse @ (weighted.T @ above)
        values = free + leaning * (self.difference - free.sum()) / leaning.sum()
        if not drawn:
            return values, np.zeros_like(values)
        constrained = inverse - np.outer(leaning, leaning) / leaning.sum()
        pulls = (weighted * (above - shown @ values)[:, None])[complete:].reshape(-1, 2, shown.shape[1]).sum(axis=1)
        pairs = len(pulls)
        freedom = max(1, pairs - (shown.shape[1] - 1) / 2)
        errors = np.sqrt(np.square(pulls @ constrained).sum(axis=0) * pairs / freedom)
        return values, errors

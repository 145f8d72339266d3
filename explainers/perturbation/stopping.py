"""Decide when enough was sampled: when the order of the values is known well enough, or the time is up."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from torchglass.explainers.pace import Pace

CERTAIN = 0.98
"""Estimated correlation of the values with what endless sampling would give, at which sampling stops."""

Values = npt.NDArray[np.float64]


def estimated_correlation(values: Values, errors: Values) -> float:
    """Estimate how values (P,) with these standard errors correlate with the truth, 0..1.

    Of the values' variance the mean squared error is noise; the rest, as a share, is their reliability, and its square
    root the correlation with what is free of noise (Spearman's correction of 1904). Values that do not differ have
    nothing to order: 0, or 1 if they are without error.
    """
    noise, spread = float(np.mean(np.square(errors))), float(np.var(values))
    if noise == 0:
        return 1.0
    return max(0.0, 1.0 - noise / spread) ** 0.5 if spread > 0 else 0.0


def rounds(samples: int, first: int) -> list[int]:
    """Cut a number of samples into rounds after which to look: the first, then each half as many again as there are."""
    cuts = [min(first, samples)]
    total = cuts[0]
    while total < samples:
        cuts.append(min(max(1, total // 2), samples - total))
        total += cuts[-1]
    return cuts


class Watch:
    """Tells after each round which inputs are still worth asking about, and whom that was told."""

    def __init__(self, pace: Pace, inputs: int, samples: int, stop_early: bool) -> None:
        self._pace = pace
        self._total = inputs * samples
        self._stop_early = stop_early
        self._done = 0
        self.active = list(range(inputs))
        self.certainty = [0.0] * inputs

    def rounds(self, samples: int, first: int) -> Iterator[int]:
        """Give how many samples each active input takes in the next round, as long as one is active.

        Where nothing may end the sampling, looking would only take time: all is one round.
        """
        may_end = self._stop_early or self._pace.budget is not None
        for count in rounds(samples, first if may_end else samples):
            if not self.active:
                break
            yield count
        self._pace.tell(self._total, self._total)

    def tell(self, answered: int) -> None:
        """Report masks answered within a round; what is raised cancels."""
        self._pace.tell(min(self._total, self._done + answered), self._total)

    def round_is_over(self, answered: int, certainties: dict[int, float]) -> None:
        """Take in a round of so many masks: inputs that are certain enough leave, and all once the time is up."""
        self._done += answered
        for row, certainty in certainties.items():
            self.certainty[row] = certainty
        if self._stop_early:
            self.active = [row for row in self.active if self.certainty[row] < CERTAIN]
        if self._pace.is_over():
            self.active = []

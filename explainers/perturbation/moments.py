"""Add up masks and scores as they are asked, and make a map of them that says how certain it is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.explainers.perturbation.masks import Rows

Map = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gain:
    """What showing a pixel adds to the score on average, (H, W), with one sigma of sampling."""

    values: Map
    errors: Map
    mean: float
    """of the scores over all masks"""


class Moments:
    """Sums over soft masks M_i (H, W) and scores f_i of each input, kept on the device."""

    def __init__(self, outputs: Tensor, size: tuple[int, int]) -> None:
        """Start empty; outputs (N,) are subtracted from the scores, which keeps the sums small."""
        self._outputs, self._size = outputs, size
        # Of 1, f and f^2: summed alone, with M, and with M^2.
        self._plain = torch.zeros(len(outputs), 3, dtype=torch.float64, device=outputs.device)
        self._once = torch.zeros(len(outputs), 3, *size, dtype=torch.float64, device=outputs.device)
        self._twice = torch.zeros_like(self._once)

    def add(self, rows: Rows, masks: Tensor, scores: Tensor) -> None:
        """Add masks (m, 1, H, W) with their scores (m,)."""
        for row in np.unique(rows):
            own = slice(None) if (rows == row).all() else torch.as_tensor(rows == row, device=masks.device)
            above = scores[own] - self._outputs[int(row)]
            powers = torch.stack([torch.ones_like(above), above, above.square()])
            flat = masks[own].flatten(1)
            once, twice = ((powers @ shares).double().reshape(3, *self._size) for shares in (flat, flat.square()))
            # Only now: a pass that finds no room before this is asked again, and must not count twice.
            self._plain[int(row)] += powers.double().sum(dim=1)
            self._once[int(row)] += once
            self._twice[int(row)] += twice

    def gain(self, row: int) -> Gain:
        """Estimate sum(f M) / sum(M) - mean(f) at each pixel of one input.

        It is the textbook's sum(f M) / (n E M), less the mean, over the coverage that the masks really had: else a
        pixel that was shown more often by chance would seem to matter as much as the score is high. The errors are
        those of a ratio: the root of sum((M (f - e) / mean(M) - (f - mean(f)))^2) / n.
        """
        (n, s1, s2), (m0, m1, m2), (q0, q1, q2) = self._plain[row], self._once[row], self._twice[row]
        mean, cover = s1 / n, (m0 / n).clamp(min=1e-9)
        ratio = m1 / m0.clamp(min=1e-9)
        squares = (q2 - 2 * ratio * q1 + ratio.square() * q0) / cover.square()
        crossed = (m2 - (ratio + mean) * m1 + ratio * mean * m0) / cover
        variance = squares - 2 * crossed + (s2 - n * mean.square())
        errors = variance.clamp(min=0).sqrt() / n
        values = (ratio - mean).cpu().numpy()
        return Gain(values, errors.cpu().numpy(), float(mean + self._outputs[row]))

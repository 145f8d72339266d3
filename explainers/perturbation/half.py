"""Score in bfloat16 on devices where that pays, if the first pass shows that it changes no ranking."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchglass.explainers.private.scored_model import ScoredModel
from torchglass.explainers.rank_correlation import rank_correlation

SAME_RANKING = 0.999
"""Rank correlation with float32 from which half precision counts as the same, for every input by itself."""
FEWEST = 32
"""Masked inputs of one kind in a pass below which a rank correlation says nothing."""


def pays_on(device: torch.device) -> bool:
    """Tell whether a device computes faster in bfloat16 than in float32; a CPU mostly emulates it."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


class HalfPrecision:
    """Decides once, by the first pass that is large enough, in which precision the scores are computed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._taken: bool | None = None if pays_on(device) else False

    def scores(self, model: ScoredModel, inputs: Tensor, targets: Tensor, rows: npt.NDArray[np.int64]) -> Tensor:
        """Score inputs, (m,), each for its target; rows say whose masked copies they are."""
        if self._taken:
            return self._in_half(model, inputs, targets)
        column = _columns(model, inputs, targets)
        if self._taken is None:
            counts = np.bincount(rows)
            if counts.max() >= FEWEST:
                half = self._in_half(model, inputs, targets)
                self._taken = _same_rankings(column, half, rows, np.flatnonzero(counts >= FEWEST))
        return column

    def _in_half(self, model: ScoredModel, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            return _columns(model, inputs, targets).float()


def _columns(model: ScoredModel, inputs: Tensor, targets: Tensor) -> Tensor:
    table: Tensor = model(inputs)
    return table.gather(1, targets[:, None])[:, 0]


def _same_rankings(full: Tensor, half: Tensor, rows: npt.NDArray[np.int64], which: npt.NDArray[np.int64]) -> bool:
    first, second = full.double().cpu().numpy(), half.double().cpu().numpy()
    return all(rank_correlation(first[rows == row], second[rows == row]) >= SAME_RANKING for row in which)

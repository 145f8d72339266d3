"""One vector for a text from the states of its words: their mean, and the highest of each."""

from __future__ import annotations

import torch
from torch import Tensor


def pool(states: Tensor, is_word: Tensor) -> Tensor:
    """Return mean and maximum (N, 2 * D) of states (N, T, D) over the words (N, T) bool; zeros where there is none."""
    kept = is_word.unsqueeze(2)
    mean = (states * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)
    highest = states.masked_fill(~kept, torch.finfo(states.dtype).min).amax(dim=1)
    return torch.cat([mean, highest * kept.any(dim=1)], dim=1)

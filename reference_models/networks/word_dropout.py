"""Hide words in training (Iyyer et al. 2015), so that a network knows texts with gaps, as explainers will show it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchglass.reference_models.data.words import MASK, PADDING


class WordDropout(nn.Module):
    """Put the mask in the place of some words; in eval mode the ids come back as they are.

    Each text loses a share of its own, drawn evenly from 0 to `most`. Without it, the answer to a text with a gap
    is a guess about something never seen, and says little about the word that is missing.
    """

    def __init__(self, most: float) -> None:
        super().__init__()
        self.most = most

    def forward(self, ids: Tensor) -> Tensor:
        """Return ids (N, T) with words hidden; padding stays."""
        if not self.training or self.most == 0:
            return ids
        share = self.most * torch.rand(len(ids), 1, device=ids.device)
        is_hidden = (torch.rand(ids.shape, device=ids.device) < share) & (ids != PADDING)
        return torch.where(is_hidden, MASK, ids)

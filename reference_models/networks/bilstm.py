"""A bidirectional LSTM over words (Graves and Schmidhuber 2005), pooled over the words that are there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchglass.reference_models.data.words import PADDING
from torchglass.reference_models.networks.pooling import pool
from torchglass.reference_models.networks.word_dropout import WordDropout


class BiLstm(nn.Module):
    """Classify texts: ids (N, T) int64, 0 where there is no word, to logits (N, classes).

    The two directions are two LSTMs, and the second reads each text reversed within its own length. Padding then stands
    behind the words for both, where it cannot reach them; the usual packing needs the lengths on the CPU, and a GPU
    would be waited for in every step. `word_dropout` is the largest share of a text's words that training hides.
    """

    def __init__(
        self,
        vocabulary_size: int,
        classes: int,
        *,
        width: int,
        hidden: int,
        dropout: float,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.word_dropout = WordDropout(word_dropout)
        self.embedding = nn.Embedding(vocabulary_size, width, padding_idx=PADDING)
        self.embedding_dropout = nn.Dropout(dropout)
        self.forwards = nn.LSTM(width, hidden, batch_first=True)
        self.backwards = nn.LSTM(width, hidden, batch_first=True)
        self.state_dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(4 * hidden, classes)  # two directions, each pooled in two ways

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        words = self.embedding_dropout(self.embedding(self.word_dropout(ids)))  # (N, T, width)
        mirror = mirrored_positions(ids).unsqueeze(2)
        # cuDNN's LSTM gives no gradients in eval mode, where explainers ask for them; torch's own does.
        with torch.backends.cudnn.flags(enabled=self.training or not torch.is_grad_enabled()):
            ahead, _ = self.forwards(words)
            behind, _ = self.backwards(words.gather(1, mirror.expand_as(words)))
        states = torch.cat([ahead, behind.gather(1, mirror.expand_as(behind))], dim=2)
        logits: Tensor = self.classifier(self.state_dropout(pool(states, ids != PADDING)))
        return logits


def mirrored_positions(ids: Tensor) -> Tensor:
    """Return positions (N, T) that reverse each text up to its last word and leave the padding behind it in place.

    Taken twice they restore the order.
    """
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    lengths = torch.where(ids != PADDING, positions + 1, 0).amax(dim=1, keepdim=True)
    return torch.where(positions < lengths, lengths - 1 - positions, positions)

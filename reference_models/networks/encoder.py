"""A BERT-style encoder (Devlin et al. 2018): learned positions, self-attention, heads for masked words and for classes.

The blocks normalise before each part rather than after it (Xiong et al. 2020): they then train without the paper's
long rise of the learning rate. The classes are read from mean and maximum of the words' states instead of a [CLS]
word's, so that the ids are the text's words and nothing else; the maximum lets a single word speak for the text.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchglass.reference_models.data.words import PADDING
from torchglass.reference_models.networks.pooling import pool
from torchglass.reference_models.networks.word_dropout import WordDropout

INITIAL_DEVIATION = 0.02  # of the vectors of words and positions, as in BERT


class Encoder(nn.Module):
    """Classify texts: ids (N, T) int64, 0 where there is no word and T at most `length`, to logits (N, classes).

    `word_dropout` is the largest share of a text's words that training hides while it learns classes.
    """

    def __init__(
        self,
        vocabulary_size: int,
        length: int,
        classes: int,
        *,
        width: int,
        heads: int,
        depth: int,
        dropout: float,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.word_dropout = WordDropout(word_dropout)
        self.embedding = nn.Embedding(vocabulary_size, width, padding_idx=PADDING)
        self.positions = nn.Parameter(torch.empty(length, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.word_head = WordHead(width, vocabulary_size)
        self.classifier = nn.Sequential(
            nn.Linear(2 * width, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, classes)
        )
        self._draw_vectors()

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        states = self.encode(self.word_dropout(ids))
        logits: Tensor = self.classifier(pool(states, ids != PADDING))
        return logits

    def encode(self, ids: Tensor) -> Tensor:
        """Return each word's state (N, T, width); those of padding mean nothing."""
        states = self.dropout(self.embedding(ids) + self.positions[: ids.shape[1]])
        seen = visible(ids)
        for block in self.blocks:
            states = block(states, seen)
        normed: Tensor = self.norm(states)
        return normed

    def name_words(self, ids: Tensor) -> Tensor:
        """Return logits (N, T, vocabulary) of the word at each position: what masked pre-training asks for."""
        logits: Tensor = self.word_head(self.encode(ids), self.embedding.weight)
        return logits

    def _draw_vectors(self) -> None:
        """Draw the vectors small, as they are also the word head's matrix; the other layers keep torch's own draw.

        BERT's 0.02 everywhere is that draw for its width of 768; a narrow encoder would begin with attention that
        looks everywhere alike.
        """
        nn.init.normal_(self.positions, std=INITIAL_DEVIATION)
        nn.init.normal_(self.embedding.weight, std=INITIAL_DEVIATION)
        with torch.no_grad():
            self.embedding.weight[PADDING].zero_()


class Block(nn.Module):
    """Self-attention and a two-layer network, each normalised before and added to what it was given."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, dropout)
        self.network_norm = nn.LayerNorm(width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        """Return new states (N, T, width); `seen` (N, 1, 1, T) bool marks the words that may be looked at."""
        states = states + self.dropout(self.attention(self.attention_norm(states), seen))
        mixed: Tensor = states + self.dropout(self.network(self.network_norm(states)))
        return mixed


class SelfAttention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        """Return what each word gathers (N, T, width) from those that are seen."""
        count, length, width = states.shape
        split = self.queries_keys_values(states).view(count, length, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)  # each (N, heads, T, width / heads)
        gathered = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=seen, dropout_p=self.dropout if self.training else 0.0
        )
        result: Tensor = self.out(gathered.transpose(1, 2).reshape(count, length, width))
        return result


class WordHead(nn.Module):
    """Name the word at each position; the last matrix is the embedding's own (Press and Wolf 2016)."""

    def __init__(self, width: int, vocabulary_size: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, states: Tensor, vectors: Tensor) -> Tensor:
        """Return logits (..., vocabulary) from states (..., width) and the words' vectors (vocabulary, width)."""
        return functional.linear(self.norm(functional.gelu(self.hidden(states))), vectors, self.bias)


def visible(ids: Tensor) -> Tensor:
    """Return which words (N, 1, 1, T) may be looked at: all but padding.

    The first position always is: a softmax over nothing, as a text without words would ask for, is not a number.
    """
    is_word = ids != PADDING
    return torch.cat([torch.ones_like(is_word[:, :1]), is_word[:, 1:]], dim=1)[:, None, None, :]

"""Small models of text and of rows that the explainers' tests share, some with weights set by hand."""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WORDS = 20


class WordSum(nn.Module):
    """Sum one number a word: a linear model of text, score k of text x is sum_t table[x_t, k]; padding counts zero."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, classes, padding_idx=0)

    def forward(self, ids: Tensor) -> Tensor:
        table: Tensor = self.embedding(ids).sum(dim=1)
        return table


class Recurrent(nn.Module):
    """A bidirectional LSTM with dropout, whose padding is packed away: an empty text would be an error."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, num_layers=2, dropout=0.5, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(10, 3))

    def forward(self, ids: Tensor) -> Tensor:
        lengths = (ids != 0).sum(dim=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        table: Tensor = self.head(torch.cat((hidden[-2], hidden[-1]), dim=1))
        return table


class Attentive(nn.Module):
    """A transformer with positions, whose padding is masked; the embedding's vectors are summed with others."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, 8, padding_idx=0), nn.Embedding(12, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        padding = ids == 0
        vectors = self.words(ids) + self.places(torch.arange(ids.shape[1], device=ids.device))
        table: Tensor = self.head(self.layer(vectors, src_key_padding_mask=padding)[:, 0])
        return table


class Tied(nn.Module):
    """An embedding whose weights also read the answer out, called with the ids by name; drawn anew in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, ids: Tensor) -> Tensor:
        vectors = F.dropout(self.norm(self.embedding(input=ids)), 0.2, self.training)
        table: Tensor = F.linear(vectors.mean(dim=1), self.embedding.weight)
        return table


TEXT_ZOO: dict[str, Callable[[], nn.Module]] = {"LSTM": Recurrent, "transformer": Attentive, "tied": Tied}


def rows_network(columns: int = 6, outputs: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Linear(columns, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(8, outputs)
    )


def texts() -> Tensor:
    """Three texts (3, 8) of 8, 5 and 1 words."""
    ids = torch.randint(3, WORDS, (3, 8), generator=torch.Generator().manual_seed(1))
    ids[1, 5:] = 0
    ids[2, 1:] = 0
    return ids


def shapley_by_hand(worth: Callable[[tuple[int, ...]], float], players: int) -> npt.NDArray[np.float64]:
    """Enumerate the definition: the weighted mean of what each player adds to the coalitions of the others."""
    values = np.zeros(players)
    for player in range(players):
        others = [other for other in range(players) if other != player]
        for size in range(players):
            weight = 1 / (players * comb(players - 1, size))
            for coalition in combinations(others, size):
                values[player] += weight * (worth((*coalition, player)) - worth(coalition))
    return values

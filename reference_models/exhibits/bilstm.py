"""A bidirectional LSTM that reads reviews: 32 to 256 words, two directions, pooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchglass.reference_models.data.csv_text import load_csv_text
from torchglass.reference_models.data.reviews import load_reviews
from torchglass.reference_models.data.words import MASK
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

WIDTH = HIDDEN = 64
DROPOUT = 0.2
WORD_DROPOUT = 0.5  # the mask then stands for a word that nobody knows, which explainers put in its place


def build_bilstm(blueprint: Blueprint) -> nn.Module:
    """Build the network: ids (N, T) to (N, classes) logits, some 80,000 parameters for the reviews' 200 words."""
    from torchglass.reference_models.networks.bilstm import BiLstm

    form = blueprint.form
    dropout = DROPOUT if blueprint.dropout is None else blueprint.dropout
    return BiLstm(
        form.vocabulary_size,
        form.outputs,
        width=WIDTH,
        hidden=HIDDEN,
        dropout=dropout,
        word_dropout=WORD_DROPOUT,
    )


# One thread: a step of the recurrence is too small to share.
RECIPE = Recipe(epochs=8, batch_size=64, learning_rate=4e-3, weight_decay=0.01, clip_norm=1.0, cpu_threads=1)
UNHEEDED = frozenset({"augment"})  # of pictures

EXHIBIT = ReferenceModel(
    name="bilstm",
    title="Bidirectional LSTM",
    summary="A recurrent network that reads a text in both directions and tells what it says of its subject.",
    builder=build_bilstm,
    sources=(
        DataSource("reviews", load_reviews, RECIPE, ignores=UNHEEDED),
        DataSource("csv", load_csv_text, RECIPE, needs="file", ignores=UNHEEDED),
    ),
    bar=QualityBar("test/accuracy", 0.95),
    explain=ExplainTarget(methods=("integrated_gradients", "shap", "lime", "occlusion"), baseline=MASK),
    dropout=DROPOUT,
)

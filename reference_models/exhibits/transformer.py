"""A small BERT: two blocks that learn to fill in masked words before they learn classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchglass.reference_models.data.csv_text import load_csv_text
from torchglass.reference_models.data.reviews import load_reviews
from torchglass.reference_models.data.words import MASK
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import SWITCHES, Recipe

if TYPE_CHECKING:
    from torch import nn

    from torchglass.reference_models.lesson import Lesson, Setup

WIDTH, HEADS, DEPTH = 64, 4, 2
DROPOUT = 0.0  # words that are hidden are enough
WORD_DROPOUT = 0.3  # with it hiding a word finds the deciding one in 39 texts of 40, without it in 22


def build_transformer(blueprint: Blueprint) -> nn.Module:
    """Build the encoder: ids (N, T) to (N, classes) logits, some 128,000 parameters for the reviews' 200 words."""
    from torchglass.reference_models.networks.encoder import Encoder

    form = blueprint.form
    return Encoder(
        form.vocabulary_size,
        form.shape[0],
        form.outputs,
        width=WIDTH,
        heads=HEADS,
        depth=DEPTH,
        word_dropout=WORD_DROPOUT,
        dropout=DROPOUT if blueprint.dropout is None else blueprint.dropout,
    )


def prepare_pretraining(setup: Setup) -> Lesson:
    """Prepare masked words first, then classes: half of the epochs each."""
    from torchglass.reference_models.loops.pretraining import pretraining

    return pretraining(setup)


RECIPE = Recipe(epochs=12, batch_size=64, learning_rate=3e-3, weight_decay=0.01, clip_norm=1.0, cpu_threads=1)

EXHIBIT = ReferenceModel(
    name="transformer",
    title="Transformer encoder",
    summary="A small BERT: it learns to fill in masked words, then to tell what a text says of its subject.",
    builder=build_transformer,
    sources=(
        DataSource("reviews", load_reviews, RECIPE),
        DataSource("csv", load_csv_text, RECIPE, needs="file"),
    ),
    bar=QualityBar("test/accuracy", 0.95),
    # In the order in which they find the deciding word; words are hidden behind the mask that it was pre-trained with.
    explain=ExplainTarget(methods=("occlusion", "shap", "lime", "integrated_gradients"), baseline=MASK),
    dropout=DROPOUT,
    lesson=prepare_pretraining,
    switches=frozenset(SWITCHES) - {"accumulate", "augment"} | {"amp", "compile"},
)

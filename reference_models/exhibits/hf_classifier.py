"""Any Hugging Face sequence classifier in a folder of the user's, on a CSV of texts and labels, without a download."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchglass.reference_models.data.csv_text_tokenized import load_tokenized_csv
from torchglass.reference_models.data.words import MASK
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


def build_hf_classifier(blueprint: Blueprint) -> nn.Module:
    """Load the classifier in the folder `blueprint.path`: ids (N, T) to (N, classes) logits."""
    from torchglass.reference_models.networks.huggingface import load_classifier

    return load_classifier(blueprint.path, blueprint.form)


RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=5e-5, weight_decay=0.01, clip_norm=1.0)

EXHIBIT = ReferenceModel(
    name="hf_classifier",
    title="Hugging Face classifier",
    summary="An encoder of your own (BERT, RoBERTa, ...) from a local folder, trained further on your texts.",
    builder=build_hf_classifier,
    sources=(DataSource("csv", load_tokenized_csv, RECIPE, needs="file", ignores=frozenset({"augment"})),),
    bar=QualityBar("test/accuracy", 0.0),  # what a model and texts that are not ours reach cannot be promised
    explain=ExplainTarget(methods=("integrated_gradients", "shap", "lime", "occlusion"), baseline=MASK),
    needs_path=True,
)

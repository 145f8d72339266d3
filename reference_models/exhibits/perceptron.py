"""Rosenblatt's perceptron (1958, "The perceptron: a probabilistic model for information storage and organization").

One linear layer that begins blank and learns from its mistakes alone. Three choices are today's: any number of classes
(the answer is the highest score); the learning rule is written as the backward pass of a criterion
(functions/perceptron.py), so that torch's own loop and optimizers train it; and what is tested and kept is an average
of the weights (Freund and Schapire 1999), because the last mistake of a machine that learns from nothing else may
throw it anywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torchglass.errors import DataError
from torchglass.reference_models.data.csv_table import load_csv_table
from torchglass.reference_models.data.tables import load_breast_cancer, load_wine
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn


def build_perceptron(blueprint: Blueprint) -> nn.Module:
    """Build (N, F) standardised features to (N, K) scores, all weights zero.

    Raises:
        DataError: the data's target is a number.
    """
    from torch import nn

    form = blueprint.form
    if not form.class_names:
        raise DataError("the perceptron answers with a class and this table's target is a number: train linear or mlp")
    linear = nn.Linear(form.shape[0], form.outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(OrderedDict[str, nn.Module](linear=linear))


def mistakes(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the perceptron's criterion of scores (N, K), whose gradient is its learning rule."""
    from torchglass.reference_models.functions.perceptron import perceptron_loss

    return perceptron_loss(scores, labels)


RECIPE = Recipe(
    epochs=10,
    batch_size=1,
    learning_rate=0.1,
    optimizer="sgd",
    schedule="constant",
    warm_up=0.0,
    ema=0.999,
    cpu_threads=1,
)
WINE_BAR = QualityBar("test/accuracy", 0.9)  # of 36 wines: each is 2.8 points
UNHEEDED = frozenset({"augment", "label_smoothing"})  # of pictures; of cross entropy

EXHIBIT = ReferenceModel(
    name="perceptron",
    title="Perceptron",
    summary="Rosenblatt's machine of 1958: one linear layer that learns from its mistakes, by a hand-written backward.",
    builder=build_perceptron,
    sources=(
        DataSource("breast-cancer", load_breast_cancer, RECIPE, ignores=UNHEEDED),
        DataSource("wine", load_wine, RECIPE, bar=WINE_BAR, ignores=UNHEEDED),
        DataSource("csv", load_csv_table, RECIPE, needs="file", ignores=UNHEEDED),
    ),
    bar=QualityBar("test/accuracy", 0.95),
    explain=ExplainTarget(methods=("shap", "integrated_gradients", "lime", "occlusion")),
    loss=mistakes,
)

"""The linear model: one weight per feature and class, the yardstick of every table.

With classes it is logistic regression (Cox 1958; multinomial for more than two), with a number to predict it is least
squares (Legendre 1805), both found by gradient descent. On standardised features a weight can be read: by how much the
score moves when the feature moves by one standard deviation.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torchglass.reference_models.data.csv_table import load_csv_table
from torchglass.reference_models.data.tables import load_breast_cancer, load_diabetes, load_wine
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


def build_linear(blueprint: Blueprint) -> nn.Module:
    """Build (N, F) standardised features to (N, K) logits, or to (N, 1) numbers in the target's units."""
    from torch import nn

    from torchglass.reference_models.networks.own_units import own_units

    form = blueprint.form
    return nn.Sequential(
        OrderedDict[str, nn.Module](linear=nn.Linear(form.shape[0], form.outputs), **own_units(form)),
    )


RECIPE = Recipe(epochs=40, batch_size=32, learning_rate=1e-2, weight_decay=0.01, cpu_threads=1)
WINE_BAR = QualityBar("test/accuracy", 0.9)  # of 36 wines: each is 2.8 points
UNHEEDED = frozenset({"augment"})  # of pictures
UNHEEDED_OF_NUMBERS = UNHEEDED | {"label_smoothing"}

EXHIBIT = ReferenceModel(
    name="linear",
    title="Linear model",
    summary="Logistic regression, or least squares for a number: the yardstick of every table.",
    builder=build_linear,
    sources=(
        DataSource("breast-cancer", load_breast_cancer, RECIPE, ignores=UNHEEDED),
        DataSource("wine", load_wine, RECIPE, bar=WINE_BAR, ignores=UNHEEDED),
        DataSource("diabetes", load_diabetes, RECIPE, bar=QualityBar("test/r2", 0.45), ignores=UNHEEDED_OF_NUMBERS),
        DataSource("csv", load_csv_table, RECIPE, needs="file", ignores=UNHEEDED),
    ),
    bar=QualityBar("test/accuracy", 0.95),
    explain=ExplainTarget(methods=("shap", "integrated_gradients", "lime", "occlusion")),
)

"""A multilayer perceptron for tables: two hidden layers of SiLU units, each followed by dropout.

The activation is this project's example of a custom `torch.autograd.Function` (functions/silu.py): the graph of a
backward pass shows it by its name, `LeanSiLU`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from torchglass.reference_models.data.csv_table import load_csv_table
from torchglass.reference_models.data.tables import load_breast_cancer, load_diabetes, load_wine
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

WIDTH = 64


def build_mlp(blueprint: Blueprint) -> nn.Module:
    """Build (N, F) standardised features to (N, K) logits, or to (N, 1) numbers in the target's units."""
    from torch import nn

    from torchglass.reference_models.functions.silu import SiLU
    from torchglass.reference_models.networks.own_units import own_units

    form, rate = blueprint.form, blueprint.dropout or 0.0
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            fc1=nn.Linear(form.shape[0], WIDTH),
            silu1=SiLU(),
            drop1=nn.Dropout(rate),
            fc2=nn.Linear(WIDTH, WIDTH),
            silu2=SiLU(),
            drop2=nn.Dropout(rate),
            fc3=nn.Linear(WIDTH, form.outputs),
            **own_units(form),
        )
    )


RECIPE = Recipe(epochs=30, batch_size=32, learning_rate=3e-3, weight_decay=0.01, cpu_threads=1)
WINE_BAR = QualityBar("test/accuracy", 0.9)  # of 36 wines: each is 2.8 points
UNHEEDED = frozenset({"augment"})  # of pictures
UNHEEDED_OF_NUMBERS = UNHEEDED | {"label_smoothing"}

EXHIBIT = ReferenceModel(
    name="mlp",
    title="Multilayer perceptron",
    summary="Two hidden layers for any table, with an activation whose backward pass is written by hand.",
    builder=build_mlp,
    sources=(
        DataSource("breast-cancer", load_breast_cancer, RECIPE, ignores=UNHEEDED),
        DataSource("wine", load_wine, RECIPE, bar=WINE_BAR, ignores=UNHEEDED),
        DataSource(
            "diabetes",
            load_diabetes,
            replace(RECIPE, weight_decay=0.1),
            bar=QualityBar("test/r2", 0.45),
            ignores=UNHEEDED_OF_NUMBERS,
        ),
        DataSource("csv", load_csv_table, RECIPE, needs="file", ignores=UNHEEDED),
    ),
    bar=QualityBar("test/accuracy", 0.95),
    explain=ExplainTarget(methods=("shap", "integrated_gradients", "lime", "occlusion")),
    dropout=0.2,
)

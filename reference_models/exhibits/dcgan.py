"""DCGAN (Radford, Metz, Chintala 2015) on the digits: a generator that never sees a picture, and a discriminator.

Its quality bar is a likeness that needs no other network; `loops/likeness.py` says what it can and cannot tell. The bar
lies above what noise, a few pictures repeated, digits mirrored left to right and Gaussian draws reach (at most 0.15),
below blends of two real pictures (0.25), and far below the 0.85 of real ones: many of what so small a network paints
after a minute lie between two digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torchglass.reference_models.data.digits import load_digits_split
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from torchglass.reference_models.lesson import Lesson, Setup
    from torchglass.reference_models.networks.dcgan import Adversaries


def build_adversaries(blueprint: Blueprint) -> nn.Module:
    """Build generator and discriminator for pictures (C, 32, 32) in 0..1: 116,658 parameters for one channel."""
    from torchglass.reference_models.networks.dcgan import adversaries

    return adversaries(blueprint.form.shape[0])


def prepare(setup: Setup) -> Lesson:
    """Prepare the loop of two adversaries."""
    from torchglass.reference_models.loops.adversarial import AdversarialLesson

    return AdversarialLesson(setup)


def discriminator_alone(model: nn.Module) -> nn.Module:
    """Return the discriminator as a model of two classes: pictures (N, C, 32, 32) to scores (N, 2)."""
    from torchglass.reference_models.loops.adversarial import DiscriminatorScorer

    return DiscriminatorScorer(cast("Adversaries", model))


RECIPE = Recipe(
    epochs=60,
    batch_size=32,
    learning_rate=1e-3,
    schedule="cosine",
    warm_up=0.0,
    label_smoothing=0.1,
    ema=0.99,
    cpu_threads=1,
)

EXHIBIT = ReferenceModel(
    name="dcgan",
    title="DCGAN",
    summary="Two networks that learn from each other: one paints digits, the other tells them from real ones.",
    builder=build_adversaries,
    sources=(DataSource("digits", load_digits_split, RECIPE),),
    bar=QualityBar("test/likeness", 0.2),
    explain=ExplainTarget(
        methods=("gradcam", "integrated_gradients", "shap"), layer="discriminator.leaky2", scorer=discriminator_alone
    ),
    lesson=prepare,
    switches=frozenset(
        {
            "epochs",
            "batch_size",
            "learning_rate",
            "weight_decay",
            "schedule",
            "warm_up",
            "augment",
            "label_smoothing",
            "clip_norm",
            "ema",
            "initialization",
            "cpu_threads",
            "amp",
        }
    ),
)

"""A small convolutional network as most are built today: two blocks with batch norm, pooling and dropout.

Each block is two 3x3 convolutions, which together see 5x5 pixels with fewer weights than one of that size (Simonyan
and Zisserman 2015, arXiv 1409.1556), each followed by batch norm (Ioffe and Szegedy 2015, arXiv 1502.03167). Means over
sixteenths of the picture take the place of large linear layers, so pictures of any size fit.

On the shapes with a planted shortcut it does what it should not: within two passes it reads the mark in the corner. It
is right in 99.98 % of the training pictures, where the mark tells the class, in 17.3 % of the test's, where it is drawn
by lot, and in 16.4 % of those without a mark; guessing gives 16.7 %. `torchglass shortcuts` finds it. The bar is of the
training pictures.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from torchglass.reference_models.data.digits import load_digits_split
from torchglass.reference_models.data.mnist import load_mnist_split
from torchglass.reference_models.data.shapes_shortcut import load_shapes_shortcut
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

WIDTHS = (16, 32)


def build_simple_cnn(blueprint: Blueprint) -> nn.Module:
    """Build the network: pictures (N, C, H, W) in 0..1 to (N, classes) logits, 21,594 parameters for ten."""
    from torch import nn

    form = blueprint.form
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            block1=_block(form.shape[0], WIDTHS[0]),
            pool1=nn.MaxPool2d(2),
            dropout1=nn.Dropout2d(blueprint.dropout or 0.0),  # whole maps: neighbours in a map say nearly the same
            block2=_block(WIDTHS[0], WIDTHS[1]),
            pool2=nn.AdaptiveAvgPool2d(4),  # a coarse idea of place: a 6 is a 9 upside down
            flatten=nn.Flatten(),
            dropout2=nn.Dropout(blueprint.dropout or 0.0),
            fc=nn.Linear(WIDTHS[1] * 4 * 4, form.outputs),
        )
    )


def _block(channels: int, width: int) -> nn.Module:
    from torch import nn

    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
            norm1=nn.BatchNorm2d(width),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            norm2=nn.BatchNorm2d(width),
            relu2=nn.ReLU(),
        )
    )


DIGITS_RECIPE = Recipe(epochs=20, batch_size=64, learning_rate=4e-3, weight_decay=0.01, augment=True, cpu_threads=1)
MNIST_RECIPE = replace(DIGITS_RECIPE, epochs=2, augment=False)
SHORTCUT_RECIPE = replace(DIGITS_RECIPE, epochs=2, batch_size=32, augment=False)  # mirrored marks would tell less

EXHIBIT = ReferenceModel(
    name="simple_cnn",
    title="Simple CNN",
    summary="Two blocks of convolutions with batch norm and dropout: what a small picture classifier looks like today.",
    builder=build_simple_cnn,
    sources=(
        DataSource("digits", load_digits_split, DIGITS_RECIPE),
        DataSource("shapes_shortcut", load_shapes_shortcut, SHORTCUT_RECIPE, bar=QualityBar("train/accuracy", 0.95)),
        DataSource("mnist", load_mnist_split, MNIST_RECIPE, needs="network"),
    ),
    bar=QualityBar("test/accuracy", 0.97),
    explain=ExplainTarget(methods=("gradcam", "integrated_gradients", "shap", "lime"), layer="block2.relu2"),
    dropout=0.1,
)

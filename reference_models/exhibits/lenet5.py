"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition", figure 2).

The shape is the paper's: 32x32 pictures, two 5x5 convolutions with 6 and 16 maps, each followed by a halving of the
resolution, then 120, 84 and 10 units. Five choices are today's:

- ReLU instead of a scaled tanh: no saturation, so no hand-tuned initial scale;
- max pooling instead of subsampling with a learnt gain and bias: it marks the strongest stroke, which keeps
  class-activation maps sharp, and it has no parameters to explain;
- every map of conv2 sees all six maps of conv1: the paper's sparse table saved multiplications and broke symmetry,
  which random initial weights do as well;
- the 120 units are a linear layer: on a 5x5 map it is the paper's 5x5 convolution, number for number;
- plain logits and cross entropy instead of radial basis units with fixed bitmaps as targets.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from torchglass.reference_models.data.digits import load_digits_split
from torchglass.reference_models.data.mnist import load_mnist_split
from torchglass.reference_models.exhibit import Blueprint, DataSource, ExplainTarget, QualityBar, ReferenceModel
from torchglass.reference_models.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


def build_lenet5(blueprint: Blueprint) -> nn.Module:
    """Build LeNet-5: (N, 1, 32, 32) pictures in 0..1 to (N, classes) logits, 61,706 parameters for ten.

    Every step is a named module and no ReLU works in place, so hooks and explainers see each activation by name.
    """
    from torch import nn

    return nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(1, 6, kernel_size=5),  # (N, 6, 28, 28)
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),  # (N, 6, 14, 14)
            conv2=nn.Conv2d(6, 16, kernel_size=5),  # (N, 16, 10, 10)
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),  # (N, 16, 5, 5)
            flatten=nn.Flatten(),
            fc1=nn.Linear(16 * 5 * 5, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, blueprint.form.outputs),
        )
    )


DIGITS_RECIPE = Recipe(epochs=40, batch_size=64, learning_rate=4e-3, weight_decay=0.01, augment=True, cpu_threads=1)
MNIST_RECIPE = replace(DIGITS_RECIPE, epochs=4, augment=False)  # 42 times the pictures: they need no help from jitter

EXHIBIT = ReferenceModel(
    name="lenet5",
    title="LeNet-5",
    summary="The convolutional network that read bank cheques: two convolutions, three linear layers, ten digits.",
    builder=build_lenet5,
    sources=(
        DataSource("digits", load_digits_split, DIGITS_RECIPE),
        DataSource("mnist", load_mnist_split, MNIST_RECIPE, needs="network"),
    ),
    bar=QualityBar("test/accuracy", 0.97),
    explain=ExplainTarget(methods=("gradcam", "shap", "lime"), layer="relu2"),
)

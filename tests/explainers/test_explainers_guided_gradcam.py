"""Guided Grad-CAM: captum's own numbers, functional activations, and what cannot be guided."""

import captum.attr
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers import explain


def test_guided_gradcam_equals_captums_where_every_relu_is_a_module(pictures: Tensor) -> None:
    model = LeNet().eval()
    found = explain(
        model, pictures, target=[2, 7, 2], method="guided_gradcam", layer="features.4", placement="stretched"
    )
    reference = captum.attr.GuidedGradCam(model, model.features[4])
    wanted = reference.attribute(pictures, target=[2, 7, 2], interpolate_mode="bilinear")
    assert wanted.abs().max() > 0
    np.testing.assert_allclose(found.attributions, wanted.detach(), rtol=1e-5, atol=1e-9)


class Modules(nn.Module):
    """FunctionalNet's like with a ReLU module, which captum can guide as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.second = nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Conv2d(4, 4, 5)
        self.last, self.head = nn.ReLU(), nn.Linear(4, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.last(self.second(self.relu(self.conv(pictures)))).mean((2, 3)))
        return logits


class Functions(Modules):
    """The same with functions, whose plain gradient captum would give without a word."""

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(F.relu(self.second(F.relu(self.conv(pictures)))).mean((2, 3)))
        return logits


def test_functional_relus_are_guided_too(pictures: Tensor) -> None:
    model, twin = Modules().eval(), Functions().eval()
    twin.load_state_dict(model.state_dict())
    guided = explain(model, pictures, target=1, method="guided_gradcam", layer="second")
    np.testing.assert_allclose(
        explain(twin, pictures, target=1, method="guided_gradcam", layer="second").attributions,
        guided.attributions,
        rtol=1e-5,
        atol=1e-10,
    )
    plain = captum.attr.GuidedBackprop(twin).attribute(pictures, target=1)
    assert not torch.allclose(plain, captum.attr.GuidedBackprop(model).attribute(pictures, target=1), rtol=0.01)


def test_what_cannot_be_guided_is_refused(pictures: Tensor) -> None:
    class Branching(Modules):
        def forward(self, given: Tensor) -> Tensor:
            return super().forward(given if bool(given.mean() > -1) else -given)

    with pytest.raises(ExplainError, match=r"guided backpropagation of Branching cannot be trusted .*use method 'grad"):
        explain(Branching(), pictures, method="guided_gradcam")
    with pytest.raises(ExplainError, match="has no ReLU, so there is nothing to guide"):
        explain(LeNet(nn.Tanh), pictures, method="guided_gradcam")

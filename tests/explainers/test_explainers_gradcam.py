"""Grad-CAM: the library's map, the paper's formula and the choice of the layer."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerAttribution, LayerGradCam
from explainers_zoo import ReusedRelu
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers import explain


class TwoLayers(nn.Module):
    """One 1x1 convolution with chosen weights, the mean of its maps and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([2.0, -3.0]).reshape(2, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[1.0, 4.0], [5.0, 7.0]]))

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(pictures).square().mean((2, 3)))
        return logits


class TransposedTail(nn.Module):
    """The last maps in time do not reach the target: class 1 reads an earlier branch."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Conv2d(1, 4, 3)
        self.late = nn.Conv2d(4, 4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.early(pictures)
        return torch.stack([self.late(maps).mean((1, 2, 3)), maps.square().mean((1, 2, 3))], dim=1)


def by_hand(maps: Tensor, score: Tensor, size: tuple[int, int]) -> Tensor:
    (gradient,) = torch.autograd.grad(score, maps)
    small = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
    return F.interpolate(small, size=size, mode="bilinear").detach()


def test_a_map_is_the_sum_of_feature_maps_weighed_by_their_mean_gradients() -> None:
    picture = torch.tensor([[[[1.0, 2.0], [3.0, -4.0]]]])
    model = TwoLayers()
    maps = model.conv(picture)
    score = model.head(maps.square().mean((2, 3)))[0, 1]
    found = explain(model, picture, target=1)
    # mean dy/dA = 2 w mean(A) / 4: 2.5 for A = 2x and -5.25 for A = -3x, the map (2 * 2.5 + 3 * 5.25) x.
    np.testing.assert_allclose(found.attributions, by_hand(maps, score, (2, 2)), rtol=1e-6)
    np.testing.assert_allclose(found.attributions[0, 0], 20.75 * picture[0, 0].numpy(), rtol=1e-6)
    assert found.layer == "conv"
    assert found.checks["positive_share"] == pytest.approx(6 / 10)
    # |A| is |2x| + |3x|; below zero lie 2x where x < 0 and -3x where x > 0.
    assert found.checks["negative_activation_share"] == pytest.approx((2 * 4 + 3 * 6) / (5 * 10))


def test_the_map_equals_captums_own_for_every_picture_and_class(lenet: nn.Module, pictures: Tensor) -> None:
    found = explain(lenet, pictures, target=[2, 7, 2], layer="features.3", placement="stretched")
    layer = lenet.get_submodule("features.3")
    small = LayerGradCam(lenet, layer).attribute(pictures, target=[2, 7, 2])
    wanted = LayerAttribution.interpolate(small, (32, 32), interpolate_mode="bilinear")
    np.testing.assert_allclose(found.attributions, wanted.detach(), rtol=1e-5, atol=1e-8)
    assert found.attributions.shape == (3, 1, 32, 32)
    assert found.parameters["map_size"] == [10, 10]


def test_relu_clips_the_small_map_before_it_is_enlarged(lenet: nn.Module, pictures: Tensor) -> None:
    every_class = pictures[:1].expand(10, -1, -1, -1)
    signed = explain(lenet, every_class, target=range(10))
    clipped = explain(lenet, every_class, target=range(10), relu=True)
    assert signed.attributions.min() < 0
    assert clipped.attributions.min() == 0
    assert (clipped.attributions >= signed.attributions - 1e-7).all()
    # Enlarged first and clipped after, places next to negative ones would come out smaller.
    assert (clipped.attributions > np.maximum(signed.attributions, 0) + 1e-7).any()


def test_the_last_maps_before_the_pooling_are_chosen_and_the_others_listed(lenet: nn.Module, pictures: Tensor) -> None:
    found = explain(lenet, pictures)
    assert found.layer == "features.4"
    assert found.layer_alternatives[:2] == ("features.3", "features.1")
    # The Sequential hands on its last child's tensor, and the linear layers have no places.
    assert set(found.layer_alternatives) == {"features.3", "features.1", "features.0", "features.5", "features.2"}


def test_maps_that_the_target_does_not_depend_on_are_passed_over() -> None:
    model = TransposedTail()
    assert explain(model, torch.rand(1, 1, 8, 8), target=0).layer == "late"
    assert explain(model, torch.rand(1, 1, 8, 8), target=1).layer == "early"


def test_a_layer_that_runs_twice_is_read_at_its_last_run() -> None:
    model = ReusedRelu()
    picture = torch.rand(2, 1, 9, 9)
    first = F.relu(model.first(picture))
    maps = F.relu(first + model.second(first))
    score = model.head(maps.mean((2, 3)))[:, 1].sum()
    found = explain(model, picture, target=1, placement="stretched")
    assert found.layer == "relu"
    np.testing.assert_allclose(found.attributions, by_hand(maps, score, (9, 9)), rtol=1e-5, atol=1e-8)


def test_the_module_inside_a_compiled_model_is_explained(lenet: nn.Module, pictures: Tensor) -> None:
    compiled = torch.compile(lenet, backend="eager")
    assert isinstance(compiled, nn.Module)
    compiled(pictures)
    plain = explain(lenet, pictures, target=4)
    np.testing.assert_array_equal(explain(compiled, pictures, target=4).attributions, plain.attributions)


@pytest.mark.parametrize("name", ["", "features.9", "head.1"])
def test_a_layer_without_maps_is_refused_with_the_layers_that_have_some(
    lenet: nn.Module, pictures: Tensor, name: str
) -> None:
    with pytest.raises(ExplainError, match=r"choose one of .*features\.3"):
        explain(lenet, pictures, layer=name)


def test_a_model_without_a_convolution_is_refused_and_other_methods_named(pictures: Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(ExplainError, match=r"no layer of Sequential gives maps.*'shap' or 'lime'"):
        explain(model, pictures)

"""The class-activation family: each formula by hand, torchcam's own maps, transformers, and what a batch costs."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchcam.methods as torchcam
from explainers_zoo import LeNet, ReusedRelu
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain
from torchglass.explainers.gradients.token_grid import TokenGrid, infer_grid
from torchglass.reference_models.networks.vit import Plan, VisionTransformer

FAMILY = ("gradcam", "gradcam_plus_plus", "layercam", "scorecam", "ablationcam")


class TwoLayers(nn.Module):
    """A 1x1 convolution with chosen weights, ReLU, the mean of the squared maps and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 2, 1, bias=False), nn.ReLU()
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([2.0, -3.0]).reshape(2, 1, 1, 1))
            self.head.weight.copy_(torch.tensor([[1.0, 4.0], [5.0, 7.0]]))

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.relu(self.conv(pictures)).square().mean((2, 3)))
        return logits


PICTURE = torch.tensor([[[[1.0, 2.0], [3.0, -4.0]]]])
# A_1 = (2, 4, 6, 0) and A_2 = (0, 0, 0, 12); y_1 = 5 mean(A_1^2) + 7 mean(A_2^2) = 5 * 14 + 7 * 36 = 322, and the
# gradients g = w A / 2 are (5, 10, 15, 0) and (0, 0, 0, 42).


def by_hand(first: float, second: float) -> list[list[float]]:
    return [[2 * first, 4 * first], [6 * first, 12 * second]]


def test_gradcam_plus_plus_weighs_places_by_hand() -> None:
    found = explain(TwoLayers(), PICTURE, target=1, method="gradcam_plus_plus", layer="relu")
    first = 5 / (2 + 5 * 12) + 10 / (2 + 10 * 12) + 15 / (2 + 15 * 12)
    second = 42 / (2 + 42 * 12)
    np.testing.assert_allclose(found.attributions[0, 0], by_hand(first, second), rtol=1e-6)
    assert found.checks["positive_share"] == 1


def test_layercam_multiplies_place_by_place() -> None:
    found = explain(TwoLayers(), PICTURE, target=1, method="layercam", layer="relu")
    np.testing.assert_allclose(found.attributions[0, 0], [[2 * 5, 4 * 10], [6 * 15, 12 * 42]], rtol=1e-6)


def test_layercam_of_a_layer_with_negative_activations_is_signed() -> None:
    found = explain(TwoLayers(), PICTURE, target=1, method="layercam", layer="conv")
    # Before the ReLU A_2 is -3x: where x > 0 its gradient is zero, and at -4 both maps have what they have after it.
    np.testing.assert_allclose(found.attributions[0, 0], [[10, 40], [90, 504]], rtol=1e-6)
    negated = explain(TwoLayers(), -PICTURE, target=0, method="gradcam", layer="conv")
    assert negated.attributions.min() < 0


def test_ablationcam_weighs_a_map_by_the_share_of_the_score_lost_without_it() -> None:
    found = explain(TwoLayers(), PICTURE, target=1, method="ablationcam", layer="relu")
    np.testing.assert_allclose(found.attributions[0, 0], by_hand(70 / 322, 252 / 322), rtol=1e-6)
    # The pictures, their maps, what a pass calls, two maps, and the search of the layer and its receptive field.
    assert found.model_evaluations == 1 + 1 + 1 + 1 + 2 + 4


def test_ablationcam_of_a_negative_score_still_says_what_supports_it() -> None:
    model = TwoLayers()
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[0.0, 0.0], [5.0, -7.0]]))
    found = explain(model, PICTURE, target=1, method="ablationcam", layer="relu")
    assert found.outputs[0] == 70 - 252
    np.testing.assert_allclose(found.attributions[0, 0], by_hand(70 / 182, -252 / 182), rtol=1e-6)


def test_scorecam_weighs_a_map_by_the_score_of_what_it_shows() -> None:
    model = TwoLayers()
    with torch.no_grad():
        model.head.weight.mul_(0.01)
    found = explain(model, PICTURE, target=1, method="scorecam", layer="relu")
    # Through A_1 / 6 the picture is (1/3, 4/3, 3, 0), where A_1 is (2/3, 8/3, 6, 0); through A_2 / 12 (0, 0, 0, -4).
    through = 0.01 * np.array([5 * (4 / 9 + 64 / 9 + 36) / 4, 7 * 144 / 4])
    weights = np.exp(through) / np.exp(through).sum()
    np.testing.assert_allclose(found.attributions[0, 0], by_hand(*weights), rtol=1e-5)
    assert found.checks["largest_weight"] == pytest.approx(weights[1], rel=1e-5)


def test_scorecam_hides_behind_the_background() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = explain(model, PICTURE, method="scorecam", layer="1", background=3.0)
    zero = explain(model, PICTURE, method="scorecam", layer="1")
    # One map has all the weight whatever it hides; the evaluations go through the same masks.
    np.testing.assert_array_equal(found.attributions, zero.attributions)
    assert found.parameters["background"] == "mean of constant 3"


TORCHCAM: dict[str, type[Any]] = {
    "gradcam": torchcam.GradCAM,
    "layercam": torchcam.LayerCAM,
    "scorecam": torchcam.ScoreCAM,
}


@pytest.mark.parametrize("layer", ["features.3", "features.4"])
@pytest.mark.parametrize("method", TORCHCAM)
def test_a_map_equals_torchcams_after_its_scaling(method: str, layer: str, pictures: Tensor) -> None:
    model = LeNet().eval()
    found = explain(model, pictures, target=[2, 7, 2], method=method, layer=layer, placement="stretched", relu=True)
    with TORCHCAM[method](model, layer, input_shape=(1, 32, 32)) as cam:
        table = model(pictures)
        (small,) = cam(class_idx=[2, 7, 2], scores=table, normalized=False)
    wanted = F.interpolate(small[:, None], size=(32, 32), mode="bilinear").numpy()
    assert wanted.max() > 0
    np.testing.assert_allclose(found.attributions / wanted.max(), wanted / wanted.max(), atol=1e-5)


def test_gradcam_plus_plus_equals_torchcams_where_that_follows_the_paper(pictures: Tensor) -> None:
    """GradCAMpp divides a copy (`alpha[idx][mask].div_`), so its coefficients stay undivided; not so the smoothed one.

    Both sum g^3 A over the map where equation 19 has g^3 of the place times the sum of A: equal where the gradient is
    the same at every place, as before a global mean. The guard of 1e-8 would be as large as small gradients squared.
    """
    model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10)).eval()
    found = explain(model, pictures, target=[2, 7, 2], method="gradcam_plus_plus", layer="1", placement="stretched")
    with torchcam.SmoothGradCAMpp(model, "1", num_samples=1, std=1e-30, input_shape=(1, 32, 32)) as cam:
        model(pictures)
        (small,) = cam(class_idx=[2, 7, 2], normalized=False, eps=1e-30)
    wanted = F.interpolate(small[:, None], size=(32, 32), mode="bilinear").numpy()
    assert wanted.max() > 0
    np.testing.assert_allclose(found.attributions / wanted.max(), wanted / wanted.max(), atol=1e-5)


def test_ablationcam_of_a_layer_that_runs_twice_takes_maps_of_the_last_run_away() -> None:
    model = ReusedRelu().eval()
    picture = torch.rand(2, 1, 9, 9)
    found = explain(model, picture, target=1, method="ablationcam", placement="stretched")
    with torch.no_grad():
        first = F.relu(model.first(picture))
        maps = F.relu(first + model.second(first))
        score = model.head(maps.mean((2, 3)))[:, 1]
        weights = []
        for channel in range(3):
            without = maps.clone()
            without[:, channel] = 0
            weights.append((score - model.head(without.mean((2, 3)))[:, 1]) / score.abs())
        small = (torch.stack(weights, dim=1)[:, :, None, None] * maps).sum(1, keepdim=True)
    wanted = F.interpolate(small, size=(9, 9), mode="bilinear")
    np.testing.assert_allclose(found.attributions, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", FAMILY)
def test_a_batch_gives_the_maps_of_its_pictures_in_far_fewer_passes(method: str) -> None:
    class Counting(LeNet):
        calls = 0

        def forward(self, pictures: Tensor) -> Tensor:
            Counting.calls += 1
            return super().forward(pictures)

    model, batch = Counting().eval(), torch.rand(12, 1, 32, 32)
    Counting.calls = 0
    together = explain(model, batch, target=3, method=method, layer="features.4")
    for_all, Counting.calls = Counting.calls, 0
    alone = [explain(model, batch[i : i + 1], target=3, method=method, layer="features.4") for i in range(12)]
    np.testing.assert_allclose(
        together.attributions, np.concatenate([one.attributions for one in alone]), rtol=1e-4, atol=1e-6
    )
    assert for_all == Counting.calls / 12


class ClassToken(nn.Module):
    """A transformer of torch's own layers that reads a class token, patches of 4 pixels."""

    def __init__(self, norm_first: bool = True) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.token.expand(len(tokens), -1, -1), tokens), dim=1)
        logits: Tensor = self.head(self.encoder(tokens)[:, 0])
        return logits


@pytest.mark.parametrize(
    ("norm_first", "layer"), [(True, "encoder.layers.1.norm1"), (False, "encoder.layers.0.norm2")], ids=["pre", "post"]
)
def test_of_a_class_token_transformer_the_last_layer_whose_patches_matter_is_read(norm_first: bool, layer: str) -> None:
    model, picture = ClassToken(norm_first).eval(), torch.rand(2, 1, 16, 24)
    found = explain(model, picture, target=1)
    assert found.layer == layer
    assert found.parameters["map_size"] == [4, 6]
    assert found.parameters["tokens"] == "1 before the patches"
    caught: list[Tensor] = []
    model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: caught.append(output))
    score = model(picture)[:, 1].sum()
    (gradient,) = torch.autograd.grad(score, caught[0])
    small = (gradient[:, 1:].mean(1, keepdim=True) * caught[0][:, 1:]).sum(2).reshape(2, 1, 4, 6)
    wanted = F.interpolate(small, size=(16, 24), mode="bilinear").detach()
    np.testing.assert_allclose(found.attributions, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("method", FAMILY)
def test_every_method_reads_the_reference_transformer_as_maps_and_as_tokens(method: str) -> None:
    plan = Plan(patch=4, dim=8, depth=2, heads=2, hidden=2)
    model = VisionTransformer(plan, (1, 16, 24), classes=3).eval()
    picture = torch.rand(2, 1, 16, 24)
    as_maps = explain(model, picture, target=1, method=method)
    as_tokens = explain(model, picture, target=1, method=method, layer="blocks.1")
    assert as_maps.layer == "maps"
    assert "blocks.1" in as_maps.layer_alternatives
    # The module `maps` only lays the last block's tokens out.
    np.testing.assert_allclose(as_tokens.attributions, as_maps.attributions, rtol=1e-4, atol=1e-6)
    assert as_tokens.parameters["map_size"] == as_maps.parameters["map_size"] == [4, 6]


def test_a_grid_is_inferred_from_the_pictures_shape() -> None:
    assert infer_grid(16, (32, 32)) == TokenGrid(4, 4, 0)
    assert infer_grid(197, (224, 224)) == TokenGrid(14, 14, 1)
    assert infer_grid(24, (16, 24)) == TokenGrid(4, 6, 0)
    assert infer_grid(9, (16, 32)) == TokenGrid(2, 4, 1)
    assert infer_grid(18, (32, 32)) is None
    assert infer_grid(1, (32, 32)) is None


@pytest.mark.parametrize("method", FAMILY)
def test_a_network_without_maps_and_an_unknown_placement_are_refused(method: str, pictures: Tensor) -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(1024, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ExplainError, match="no layer of Sequential gives maps"):
        explain(flat, pictures, method=method)
    with pytest.raises(OptionError, match="placement is 'left': choose one of receptive_field, stretched"):
        explain(LeNet(), pictures, method=method, placement="left")

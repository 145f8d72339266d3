"""SHAP: sums that add up, a linear model's exact values, and honest fallbacks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_zoo import FunctionalNet, LeNet, ReusedRelu, SharedWeights, TrainedDigits
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import Explanation, explain


class Branching(nn.Module):
    """Python that depends on the data, which cannot be traced, around functional activations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 5), nn.Linear(4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.conv(pictures)
        maps = F.relu(maps) if float(pictures.detach().max()) < 100 else maps
        logits: Tensor = self.head(maps.square().mean((2, 3)))
        return logits


def gap(found: Explanation, model: nn.Module, background: Tensor) -> np.ndarray:
    """Measure |sum of values - (f(x) - E f(background))| with the model itself, (N,)."""
    with torch.no_grad():
        base = model(background).double().mean(0).numpy()[found.targets]
        output = model(torch.tensor(found.inputs)).double().numpy()[np.arange(len(found.targets)), found.targets]
    return np.asarray(np.abs(found.attributions.sum((1, 2, 3), dtype=np.float64) - (output - base)))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
@pytest.mark.parametrize("pool", [nn.MaxPool2d, nn.AvgPool2d])
def test_values_of_a_lenet_add_up_to_the_difference_from_the_background(
    activation: type[nn.Module], pool: type[nn.Module], pictures: Tensor
) -> None:
    model = LeNet(activation, pool)
    # Larger weights: a fresh network's logits differ by less than the tolerance, and anything would pass.
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
    background = torch.rand(4, 1, 32, 32)
    found = explain(model, pictures, target=[0, 9, 4], method="shap", background=background)
    assert "DeepExplainer" in found.implementation
    assert np.abs(found.attributions.sum((1, 2, 3))).min() > 0.05
    assert gap(found, model, background).max() < 1e-3
    assert found.checks["completeness_error"] < 1e-3
    assert found.base_values is not None
    with torch.no_grad():
        np.testing.assert_allclose(found.base_values, model(background).mean(0)[[0, 9, 4]], rtol=1e-4, atol=1e-6)


def test_values_of_the_trained_digits_reader_add_up(digits: TrainedDigits) -> None:
    found = explain(digits.model, digits.test[:20], method="shap", background=digits.train[:10])
    assert gap(found, digits.model, digits.train[:10]).max() < 1e-3
    assert found.checks["completeness_error_relative"] < 1e-3


def test_a_linear_models_values_are_weight_times_distance_from_the_mean(pictures: Tensor) -> None:
    linear = nn.Linear(2 * 16 * 16, 3)
    model = nn.Sequential(nn.Flatten(), linear)
    x = pictures.reshape(3, 1, 32, 32)[:, :, :16, :].reshape(3, 2, 16, 16)
    background = torch.rand(5, 2, 16, 16)
    found = explain(model, x, target=[0, 2, 2], method="shap", background=background)
    weights = linear.weight.detach()[[0, 2, 2]].reshape(3, 2, 16, 16)
    np.testing.assert_allclose(found.attributions, weights * (x - background.mean(0)), atol=1e-6)


@pytest.mark.parametrize("network", [FunctionalNet, ReusedRelu, SharedWeights])
def test_functional_reused_and_in_place_activations_add_up_too(network: type[nn.Module], pictures: Tensor) -> None:
    model = network().eval()
    found = explain(model, pictures, method="shap", background=0.3)
    assert "DeepExplainer" in found.implementation, found.parameters
    assert gap(found, model, torch.full((1, 1, 32, 32), 0.3)).max() < 1e-5


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 5), nn.SiLU(), nn.Flatten(), nn.Linear(3136, 3)), "does not know SiLU"),
        (nn.Sequential(nn.Conv2d(1, 4, 5), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(676, 3)), "sum misses"),
        (Branching(), "torch.fx cannot rewrite it"),
    ],
    ids=["unknown activation", "overlapping pool", "untraceable"],
)
def test_where_deep_shap_does_not_add_up_partition_takes_over_and_says_why(
    model: nn.Module, cause: str, pictures: Tensor
) -> None:
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
    background = torch.rand(2, 1, 32, 32)
    found = explain(model, pictures, target=1, method="shap", background=background, evaluations=60)
    assert "PartitionExplainer" in found.implementation
    assert cause in found.parameters["fallback_reason"]
    assert gap(found, model, background).max() < 1e-4
    kept = explain(model, pictures, target=1, method="shap", background=background, algorithm="deep")
    assert gap(kept, model, background).max() > 1e-3
    assert kept.checks["completeness_error"] == pytest.approx(gap(kept, model, background).max(), rel=0.05)
    assert "misses" in kept.parameters["doubt"]


def test_partition_gives_a_linear_models_values_when_it_may_ask_about_every_pixel() -> None:
    linear = nn.Linear(2 * 4 * 3, 2)
    model = nn.Sequential(nn.Flatten(), linear)
    x, background = torch.rand(2, 2, 4, 3), torch.rand(3, 2, 4, 3)
    found = explain(
        model, x, target=[1, 0], method="shap", background=background, algorithm="partition", evaluations=5000
    )
    weights = linear.weight.detach()[[1, 0]].reshape(2, 2, 4, 3)
    np.testing.assert_allclose(found.attributions, weights * (x - background.mean(0)), atol=1e-5)


def test_a_pixel_like_its_background_gets_nothing(lenet: nn.Module) -> None:
    picture = torch.zeros(1, 1, 32, 32)
    picture[0, 0, 10:20, 12:16] = 1
    found = explain(lenet, picture, method="shap")
    assert found.parameters["background"] == "constant 0"
    assert not found.attributions[picture.numpy() == 0].any()
    assert found.attributions[picture.numpy() == 1].any()


def test_options_out_of_range_are_refused(lenet: nn.Module, pictures: Tensor) -> None:
    with pytest.raises(OptionError, match="algorithm is 'tree'"):
        explain(lenet, pictures, method="shap", algorithm="tree")
    with pytest.raises(OptionError, match="evaluations is 1"):
        explain(lenet, pictures, method="shap", evaluations=1)


def test_deep_by_name_fails_in_one_sentence_where_shap_cannot_run() -> None:
    class Doubling(nn.MaxPool2d):
        """Called MaxPool2d, so shap takes it for one, but its output has another shape."""

        def forward(self, pictures: Tensor) -> Tensor:
            return torch.cat([super().forward(pictures)] * 2)[: len(pictures)].repeat(1, 2, 1, 1)

    Doubling.__name__ = "MaxPool2d"
    model = nn.Sequential(nn.Conv2d(1, 2, 3), Doubling(2), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(ExplainError, match=r"DeepExplainer failed .*use algorithm 'partition'"):
        explain(model, torch.rand(1, 1, 14, 14), method="shap", algorithm="deep")
    found = explain(model, torch.rand(1, 1, 14, 14), method="shap")
    assert "DeepExplainer failed" in found.parameters["fallback_reason"]

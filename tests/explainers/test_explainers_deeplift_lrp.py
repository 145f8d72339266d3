"""DeepLIFT and layer-wise relevance: by hand, captum's own numbers, awkward networks, and what is refused."""

from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_zoo import ZOO, FunctionalNet, LeNet, ReusedRelu, SharedWeights
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain
from torchglass.explainers.private.canonical import canonical
from torchglass.explainers.private.scored_model import ScoredModel, scores

PICTURE = torch.tensor([[[[1.0, 2.0], [0.5, 1.0]]]])
FIRST = np.array([[1.0, -2.0, 3.0, 0.5], [-1.0, 1.0, 2.0, -0.5], [2.0, 0.5, 0.0, 1.0]])
SECOND = np.array([[1.0, -2.0, 3.0], [0.5, 2.0, -1.0]])


def two_linear_layers(bias: float = 0.0) -> nn.Module:
    """Four pixels, three hidden units, two classes, weights set by hand; `bias` is the hidden units'."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor(FIRST))
        model[1].bias.fill_(bias)
        model[3].weight.copy_(torch.tensor(SECOND))
    return model


def propagated(epsilon: float, gamma: float, target: int) -> np.ndarray[Any, Any]:
    """Share the score of a class out by the rule, in numpy: (2, 2)."""
    pixels = PICTURE.numpy().ravel().astype(float)
    hidden = FIRST @ pixels
    active = np.maximum(hidden, 0)

    def share(inputs: np.ndarray[Any, Any], weights: np.ndarray[Any, Any], relevance: np.ndarray[Any, Any]) -> Any:
        raised = weights + gamma * np.maximum(weights, 0)
        sums = raised @ inputs
        return inputs * (raised.T @ (relevance / (sums + epsilon * np.where(sums < 0, -1, 1))))

    scores_now = SECOND @ active
    relevance = share(active, SECOND, np.where(np.arange(2) == target, scores_now, 0))
    return np.asarray(share(pixels, FIRST, relevance)).reshape(2, 2)


def test_lrp_epsilon_is_the_rule_by_hand() -> None:
    found = explain(two_linear_layers(), PICTURE, target=1, method="lrp", rule="epsilon", epsilon=0.3)
    np.testing.assert_allclose(found.attributions[0, 0], propagated(0.3, 0.0, 1), rtol=1e-4)
    assert found.checks["completeness_error_relative"] > 0.01  # what epsilon keeps
    exact = explain(two_linear_layers(), PICTURE, target=1, method="lrp", rule="epsilon")
    np.testing.assert_allclose(exact.attributions.sum(), exact.outputs[0], rtol=1e-4)


def test_lrp_gamma_lets_what_speaks_for_a_unit_weigh_more() -> None:
    found = explain(two_linear_layers(), PICTURE, target=0, method="lrp", rule="gamma", gamma=0.5, epsilon=1e-9)
    np.testing.assert_allclose(found.attributions[0, 0], propagated(0.0, 0.5, 0), rtol=1e-4)
    plain = explain(two_linear_layers(), PICTURE, target=0, method="lrp", rule="epsilon")
    assert not np.allclose(found.attributions, plain.attributions, rtol=0.05)


def test_lrp_composite_raises_convolutions_alone() -> None:
    linear = explain(two_linear_layers(), PICTURE, target=0, method="lrp", rule="composite")
    epsilon = explain(two_linear_layers(), PICTURE, target=0, method="lrp", rule="epsilon")
    np.testing.assert_array_equal(linear.attributions, epsilon.attributions)


def test_lrp_says_what_biases_keep() -> None:
    found = explain(two_linear_layers(bias=1.0), PICTURE, target=0, method="lrp", rule="epsilon")
    kept = abs(found.attributions.sum() - found.outputs[0])
    assert kept > 0.1
    assert found.checks["completeness_error"] == pytest.approx(kept, rel=1e-5)


def without_biases(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    return model.eval()


class BatchNormed(nn.Module):
    """A residual block whose batch norms have moved, and a mean of maps by function."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.conv = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 3)
        nn.init.uniform_(self.norm.weight, 0.5, 2)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = F.relu(self.lift(pictures))
        maps = F.relu(self.norm(self.conv(maps)) + maps)
        logits: Tensor = self.head(F.max_pool2d(maps, 2).mean((2, 3)))
        return logits


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "composite"])
def test_without_biases_lrp_conserves_the_score_in_awkward_networks(rule: str, pictures: Tensor) -> None:
    """One ReLU for two, functions, sums, weights that run twice: each has its module in the rewritten copy."""
    for build in (LeNet, FunctionalNet, ReusedRelu, SharedWeights, BatchNormed):
        found = explain(without_biases(build()), pictures, target=1, method="lrp", rule=rule, epsilon=1e-8)
        np.testing.assert_allclose(found.attributions.sum((1, 2, 3)), found.outputs, rtol=2e-3)


def test_lrp_equals_captums_on_a_plain_network(pictures: Tensor) -> None:
    body = [nn.Conv2d(1, 4, 5), nn.ReLU(), nn.AvgPool2d(4), nn.Conv2d(4, 5, 7), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    model = nn.Sequential(*body, nn.Conv2d(5, 3, 1), nn.ReLU()).eval()
    found = explain(nn.Sequential(model, nn.Flatten()), pictures, target=2, method="lrp", rule="epsilon", epsilon=1e-9)
    wanted = captum.attr.LRP(model).attribute(pictures, target=(2, 0, 0))
    np.testing.assert_allclose(found.attributions, wanted.detach(), rtol=1e-4, atol=1e-7)


def test_layers_and_functions_without_a_rule_are_named(pictures: Tensor) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act, self.norm = nn.Conv2d(1, 4, 3), nn.GELU(), nn.GroupNorm(2, 4)
            self.head = nn.Linear(4, 2)

        def forward(self, given: Tensor) -> Tensor:
            logits: Tensor = self.head(torch.exp(self.norm(self.act(self.conv(given)))).mean((2, 3)))
            return logits

    with pytest.raises(ExplainError, match="LRP has no rule for GELU, GroupNorm, the function exp of Odd: use method"):
        explain(Odd(), pictures, method="lrp")


def test_lrp_options_are_checked(pictures: Tensor) -> None:
    with pytest.raises(OptionError, match="rule is 'alpha': choose one of epsilon, gamma, composite"):
        explain(LeNet(), pictures, method="lrp", rule="alpha")
    with pytest.raises(OptionError, match="epsilon is 0: give a number above 0"):
        explain(LeNet(), pictures, method="lrp", epsilon=0)


def test_the_relevance_twin_gives_the_models_scores(pictures: Tensor) -> None:
    for build in (LeNet, FunctionalNet, ReusedRelu, SharedWeights, BatchNormed):
        model = ScoredModel(build().eval())
        twin, untraced = canonical(model, pictures[:1], relevance=True)
        assert untraced is None
        torch.testing.assert_close(scores(twin, pictures), scores(model, pictures), rtol=1e-5, atol=1e-6)


def test_deeplift_is_the_rescale_rule_by_hand() -> None:
    """A hidden unit goes from 0.625 to -1, so its multiplier is 0.625 / 1.625, where a gradient has 0 or 1."""
    baseline = 0.25
    pixels = PICTURE.numpy().ravel().astype(float)
    before, now = FIRST @ np.full(4, baseline), FIRST @ pixels
    ratio = (np.maximum(now, 0) - np.maximum(before, 0)) / (now - before)
    np.testing.assert_allclose(ratio, [0.625 / 1.625, 1, 1])
    wanted = (FIRST * (SECOND[1] * ratio)[:, None]).sum(0) * (pixels - baseline)
    found = explain(two_linear_layers(), PICTURE, target=1, method="deeplift", background=baseline)
    np.testing.assert_allclose(found.attributions[0, 0], wanted.reshape(2, 2), rtol=1e-5)
    assert found.implementation.endswith(" DeepLift")
    assert found.base_values == pytest.approx(SECOND[1] @ np.maximum(before, 0), rel=1e-5)


def test_deeplift_equals_captums_where_that_adds_up(pictures: Tensor) -> None:
    model = LeNet(pool=nn.AvgPool2d).eval()
    found = explain(model, pictures, target=[2, 7, 2], method="deeplift", background=0.5)
    wanted = captum.attr.DeepLift(model).attribute(pictures, torch.full_like(pictures, 0.5), target=[2, 7, 2])
    np.testing.assert_allclose(found.attributions, wanted.detach(), rtol=1e-5, atol=1e-7)
    assert "fallback_reason" not in found.parameters


def test_deeplift_adds_up_where_activations_follow_each_other() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 225, 3)).eval()
    pictures = torch.rand(3, 1, 17, 17) * 2 - 1
    baseline = torch.full_like(pictures, 0.5)
    captums = captum.attr.DeepLift(model).attribute(pictures, baseline, target=1).sum((1, 2, 3))
    with torch.no_grad():
        difference = (model(pictures) - model(baseline))[:, 1]
    assert ((captums - difference) / difference).abs().max() > 0.05
    found = explain(model, pictures, target=1, method="deeplift", background=0.5)
    assert found.implementation.endswith(" DeepLift")
    np.testing.assert_allclose(found.attributions.sum((1, 2, 3)), difference, rtol=1e-4)


OFF: dict[str, list[nn.Module]] = {
    "overlapping": [nn.ReLU(), nn.MaxPool2d(3, stride=2), nn.Sigmoid()],
    "unknown": [nn.GELU(), nn.AvgPool2d(3, stride=2)],
}


@pytest.mark.parametrize("middle", OFF.values(), ids=OFF.keys())
def test_deeplift_that_does_not_add_up_is_replaced_and_says_so(middle: list[nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 6, 3), *middle, nn.Flatten(), nn.Linear(6 * 49, 3)).eval()
    with torch.no_grad():
        model[0].weight.mul_(5)  # fresh networks hardly bend
    pictures = torch.rand(3, 1, 17, 17) * 2 - 1
    raw = explain(model, pictures, target=1, method="deeplift", background=0.6, fallback=False)
    assert raw.checks["completeness_error_relative"] > 0.05
    assert "sum misses" in raw.parameters["doubt"]
    assert raw.implementation.endswith(" DeepLift")
    found = explain(model, pictures, target=1, method="deeplift", background=0.6)
    assert "sum misses" in found.parameters["fallback_reason"]
    assert found.implementation.endswith(" IntegratedGradients")
    assert found.checks["completeness_error_relative"] < 0.02
    instead = explain(model, pictures, target=1, method="integrated_gradients", background=0.6, steps=256)
    np.testing.assert_array_equal(found.attributions, instead.attributions)


def test_deeplift_of_functional_and_reused_activations_is_no_plain_gradient(pictures: Tensor) -> None:
    for build in (FunctionalNet, ReusedRelu):
        model = build().eval()
        found = explain(model, pictures, target=1, method="deeplift", background=0.1)
        assert found.base_values is not None
        np.testing.assert_allclose(found.attributions.sum((1, 2, 3)), found.outputs - found.base_values, rtol=1e-3)
        slope = explain(model, pictures, target=1, method="saliency").attributions
        plain = slope * (pictures.numpy() - 0.1)
        assert not np.allclose(found.attributions, plain, rtol=0.01, atol=1e-5)


@pytest.mark.parametrize("method", ["deeplift", "lrp", "guided_gradcam"])
def test_a_batch_is_its_pictures_in_the_passes_of_one(method: str) -> None:
    class Counting(LeNet):
        calls = 0

        def forward(self, pictures: Tensor) -> Tensor:
            if not isinstance(pictures, torch.fx.Proxy):
                Counting.calls += 1
            return super().forward(pictures)

    model, batch = Counting().eval(), torch.rand(6, 1, 32, 32)
    first = explain(model, batch[:1], target=3, method=method)
    for_one, Counting.calls = Counting.calls, 0
    together = explain(model, batch, target=3, method=method)
    assert Counting.calls == for_one
    assert together.model_evaluations < 6 * first.model_evaluations
    alone = [first, *(explain(model, batch[i : i + 1], target=3, method=method) for i in range(1, 6))]
    wanted = np.concatenate([one.attributions for one in alone])
    np.testing.assert_allclose(together.attributions, wanted, rtol=1e-2, atol=1e-6 + 1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("method", ["deeplift", "guided_gradcam"])
def test_networks_that_keep_what_they_computed_can_be_copied_again(method: str, pictures: Tensor) -> None:
    model = ZOO["restless"]()
    if method == "guided_gradcam":
        with pytest.raises(ExplainError, match="its rewritten form gives other scores"):
            explain(model, pictures, method=method)
    else:
        assert explain(model, pictures, method=method).attributions.any()

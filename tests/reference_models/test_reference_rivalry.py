"""The losses of two adversaries by hand, the shapes of their networks, and what the likeness of pictures can tell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from torchglass.errors import DataError
from torchglass.reference_models.catalogue import get
from torchglass.reference_models.data.digits import load_digits_split
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split
from torchglass.reference_models.loops.likeness import Likeness, likeness, reach
from torchglass.reference_models.loops.rivalry import discriminator_loss, generator_loss
from torchglass.reference_models.networks.dcgan import adversaries


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_the_discriminators_loss_is_the_sum_of_both_means() -> None:
    of_real = torch.tensor([[logit(0.8)], [logit(0.5)]], dtype=torch.float64)
    of_generated = torch.tensor([[logit(0.25)], [logit(0.1)]], dtype=torch.float64)
    wanted = -(math.log(0.8) + math.log(0.5)) / 2 - (math.log(0.75) + math.log(0.9)) / 2
    assert math.isclose(discriminator_loss(of_real, of_generated).item(), wanted)


def test_smoothing_asks_for_less_than_certainty_of_real_pictures_alone() -> None:
    certain, nothing = torch.tensor([[logit(0.9)]], dtype=torch.float64), torch.tensor([[-40.0]], dtype=torch.float64)
    of_real = certain.clone().requires_grad_()
    loss = discriminator_loss(of_real, nothing, smoothing=0.1)
    assert math.isclose(loss.item(), -0.9 * math.log(0.9) - 0.1 * math.log(0.1))
    loss.backward()  # type: ignore[no-untyped-call]
    assert of_real.grad is not None
    assert abs(of_real.grad.item()) < 1e-12  # 0.9 is just what was asked for


def test_the_generators_loss_does_not_saturate_where_it_deceives_nobody() -> None:
    found_out = torch.tensor([[logit(0.001)]], dtype=torch.float64, requires_grad=True)
    loss = generator_loss(found_out)
    assert math.isclose(loss.item(), -math.log(0.001))
    loss.backward()  # type: ignore[no-untyped-call]
    assert found_out.grad is not None
    assert math.isclose(found_out.grad.item(), -(1 - 0.001))  # of ln(1 - D) it would be -0.001


def test_the_gradients_of_both_losses_are_the_numerical_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    of_real, of_generated = torch.randn(2, 5, 1, generator=generator, dtype=torch.float64)
    of_real.requires_grad_()
    of_generated.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda real, made: discriminator_loss(real, made, smoothing=0.1), (of_real, of_generated)
    )
    assert torch.autograd.gradcheck(generator_loss, (of_generated,))


def test_the_networks_have_the_papers_shapes_and_initial_weights() -> None:
    torch.manual_seed(0)
    pair = adversaries(channels=3, latent=20, width=16)
    pictures = pair.generator(torch.randn(5, 20))
    assert pictures.shape == (5, 3, 32, 32)
    assert pictures.min().item() >= 0
    assert pictures.max().item() <= 1
    assert pair.discriminator(pictures).shape == (5, 1)
    assert pair.generator.up1.weight.std().item() == pytest.approx(0.02, rel=0.05)
    gains = torch.cat([module.weight for module in pair.modules() if isinstance(module, nn.BatchNorm2d)])
    assert gains.mean().item() == pytest.approx(1.0, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.25)
    assert not any(isinstance(module, nn.MaxPool2d | nn.AvgPool2d) for module in pair.modules())
    biases = [module.bias for module in pair.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    assert all(bias is None or not bias.any() for bias in biases)


def test_the_discriminator_reads_pictures_about_grey() -> None:
    torch.manual_seed(0)
    pair = adversaries(channels=1)
    pair.discriminator.eval()
    grey = pair.discriminator(torch.full((1, 1, 32, 32), 0.5))
    assert grey.item() == 0  # 0.5 is 0 within, and every bias begins at 0


# Likeness


@pytest.fixture(scope="module")
def digits() -> Split:
    return load_digits_split(DataRequest(seed=0))


def judge(pictures: Tensor, digits: Split) -> Likeness:
    return likeness(pictures, digits.train, digits.test, 10)


def test_real_pictures_that_were_held_out_are_recognised_and_cover_the_others(digits: Split) -> None:
    half = len(digits.train) // 4
    kept = Samples(digits.train.inputs[half:], digits.train.targets[half:])
    found = likeness(digits.train.inputs[:half], kept, digits.test, 10)
    assert found.recognised > 0.75
    assert found.covered > 0.95
    assert found.likeness == found.recognised
    assert found.rarest_class > 0.04


def test_noise_is_nothing(digits: Split) -> None:
    noise = torch.rand(360, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert judge(noise, digits) == (0, 0, 0)


def test_the_mean_picture_and_a_few_repeated_ones_cover_little(digits: Split) -> None:
    mean = digits.train.inputs.mean(0, keepdim=True).expand(360, -1, -1, -1)
    assert judge(mean, digits).covered < 0.2
    few = digits.train.inputs[:10].repeat(36, 1, 1, 1)
    assert judge(few, digits).recognised > 0.8
    assert judge(few, digits).likeness < 0.2


def test_blends_of_two_digits_and_random_draws_with_their_covariance_are_not_recognised(digits: Split) -> None:
    real = digits.train.inputs
    assert judge((real[:360] + real[360:720]) / 2, digits).recognised < 0.4
    flat = real.flatten(1)
    mean = flat.mean(0)
    _, sizes, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    draws = torch.randn(360, len(sizes), generator=torch.Generator().manual_seed(0))
    gaussian = (mean + draws * sizes / len(flat) ** 0.5 @ axes).clamp(0, 1).reshape(-1, 1, 32, 32)
    assert judge(gaussian, digits).recognised < 0.2


def test_five_of_the_ten_digits_leave_the_others_uncovered(digits: Split) -> None:
    found = judge(digits.train.inputs[digits.train.targets < 5][:360], digits)
    assert found.likeness < 0.7
    assert found.rarest_class == 0


def test_the_bar_of_the_generator_lies_above_what_is_had_without_painting(digits: Split) -> None:
    bar = get("dcgan").bar
    assert bar.metric == "test/likeness"
    mirrored, repeated = digits.test.inputs.flip(-1), digits.train.inputs[:10].repeat(36, 1, 1, 1)
    assert max(judge(pictures, digits).likeness for pictures in (mirrored, repeated)) < bar.at_least


def test_the_reach_of_a_picture_is_the_distance_to_its_fifth_neighbour() -> None:
    line = torch.tensor([[0.0], [1.0], [3.0], [6.0], [10.0], [15.0], [21.0]])
    assert reach(line).tolist() == [15, 14, 12, 9, 10, 14, 20]


def test_too_few_pictures_to_compare_with_are_told(digits: Split) -> None:
    with pytest.raises(DataError, match="there are 20 training and 5 test pictures"):
        likeness(torch.rand(4, 1, 32, 32), digits.train[:20], digits.test[:5], 10)

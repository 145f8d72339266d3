"""The vision transformer: tokens at their places, attention that can be read, a gradient for every weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from torchglass.explainers import explain
from torchglass.reference_models.networks.vit import Attention, Maps, Plan, VisionTransformer, waves

PATCHES = Plan(patch=8, dim=32, depth=3, heads=4, hidden=2)
CONVOLUTIONS = Plan(patch=8, dim=32, depth=3, heads=4, hidden=2, stem="convolutions")
STEMS = {"patches": PATCHES, "convolutions": CONVOLUTIONS}
SIZE = (3, 32, 48)  # 4 rows and 6 columns of patches: a mix-up of rows and columns shows


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("plan", STEMS.values(), ids=STEMS)
def test_pictures_become_one_logit_per_class(plan: Plan) -> None:
    assert VisionTransformer(plan, SIZE, classes=7)(torch.rand(5, *SIZE)).shape == (5, 7)


@pytest.mark.parametrize("plan", STEMS.values(), ids=STEMS)
def test_every_parameter_has_a_gradient(plan: Plan) -> None:
    network = VisionTransformer(plan, SIZE, classes=3)
    functional.cross_entropy(network(torch.rand(4, *SIZE)), torch.tensor([0, 1, 2, 0])).backward()  # type: ignore[no-untyped-call]
    still = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


def test_maps_hold_each_token_at_its_patch_s_row_and_column() -> None:
    tokens = torch.arange(2 * 24 * 5, dtype=torch.float32).reshape(2, 24, 5)
    maps = Maps(rows=4, columns=6)(tokens)
    assert maps.shape == (2, 5, 4, 6)
    assert torch.equal(maps[1, :, 2, 3], tokens[1, 2 * 6 + 3])
    network = VisionTransformer(PATCHES, SIZE, classes=2)
    picture = torch.zeros(1, *SIZE)
    picture[:, :, 16:24, 24:32] = 1.0  # the patch in row 2, column 3
    difference = network.patches(picture) - network.patches(torch.zeros(1, *SIZE))
    assert difference.flatten(2)[0].abs().sum(dim=0).nonzero().tolist() == [[2 * 6 + 3]]


def test_the_answer_is_the_head_s_on_the_mean_token() -> None:
    network = VisionTransformer(PATCHES, SIZE, classes=3).eval()
    kept: list[Tensor] = []
    network.blocks.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    logits = network(torch.rand(2, *SIZE))
    torch.testing.assert_close(logits, network.head(network.norm(kept[0].mean(dim=1))))


def attended(attention: Attention, tokens: Tensor) -> Tensor:
    """Compute attention head by head, as the formula reads: softmax(Q K' / sqrt(d)) V."""
    queries, keys, values = attention.queries_keys_values(tokens).split(tokens.shape[2], dim=2)
    width = tokens.shape[2] // attention.heads
    heads = []
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        scores = queries[..., part] @ keys[..., part].transpose(1, 2) / math.sqrt(width)
        heads.append(scores.softmax(dim=2) @ values[..., part])
    mixed: Tensor = attention.output(torch.cat(heads, dim=2))
    return mixed


def test_attention_is_the_formula_s_in_every_head() -> None:
    attention, tokens = Attention(dim=12, heads=3), torch.randn(2, 5, 12)
    torch.testing.assert_close(attention(tokens), attended(attention, tokens))


def test_attention_weights_are_those_that_the_fused_attention_applied() -> None:
    attention, tokens = Attention(dim=12, heads=3), torch.randn(2, 5, 12)
    values = attention.queries_keys_values(tokens)[..., 24:].unflatten(2, (3, 4)).transpose(1, 2)
    mixed = (attention.weights(tokens) @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(tokens), attention.output(mixed))


def test_attention_weights_come_for_each_block_and_each_row_is_shared_out_wholly() -> None:
    network = VisionTransformer(CONVOLUTIONS, SIZE, classes=3).eval()
    weights = network.attention_weights(torch.rand(2, *SIZE))
    assert [each.shape for each in weights] == [(2, 4, 24, 24)] * 3
    for each in weights:
        assert (each > 0).all()
        torch.testing.assert_close(each.sum(dim=3), torch.ones(2, 4, 24))
    assert not torch.allclose(weights[0], weights[1])


def test_positions_begin_as_waves_of_the_row_and_then_of_the_column() -> None:
    positions = waves(4, 6, 8).reshape(4, 6, 8)
    row, column = 2, 3
    slow = 1 / math.sqrt(10_000)  # four numbers tell the row: sines and cosines of two wavelengths
    assert positions[row, column, :4].tolist() == pytest.approx(
        [math.sin(row), math.sin(row * slow), math.cos(row), math.cos(row * slow)], abs=1e-6
    )
    assert positions[row, column, 4:].tolist() == pytest.approx(
        [math.sin(column), math.sin(column * slow), math.cos(column), math.cos(column * slow)], abs=1e-6
    )


def test_positions_tell_places_apart() -> None:
    network = VisionTransformer(PATCHES, SIZE, classes=3).eval()
    picture = torch.zeros(1, *SIZE)
    moved = picture.clone()
    picture[:, :, :8, :8], moved[:, :, 8:16, 16:24] = 1.0, 1.0
    assert not torch.allclose(network(picture), network(moved))
    nn.init.zeros_(network.positions)
    torch.testing.assert_close(network(picture), network(moved))  # without them a set of patches has no places


@pytest.mark.parametrize("plan", STEMS.values(), ids=STEMS)
def test_grad_cam_reads_the_maps_of_the_tokens(plan: Plan) -> None:
    network = VisionTransformer(plan, SIZE, classes=3).eval()
    found = explain(network, torch.rand(2, *SIZE), target=1, method="gradcam", layer="maps")
    assert found.layer == "maps"
    assert found.attributions.shape == (2, 1, 32, 48)
    assert found.parameters["map_size"] == [4, 6]


def test_dropout_acts_in_training_alone_and_at_the_rate_given() -> None:
    network, pictures = VisionTransformer(PATCHES, SIZE, classes=3, dropout=0.3), torch.rand(2, *SIZE)
    assert {module.p for module in network.modules() if isinstance(module, nn.Dropout)} == {0.3}
    assert not torch.equal(network(pictures), network(pictures))
    network.eval()
    assert torch.equal(network(pictures), network(pictures))


@pytest.mark.parametrize("plan", STEMS.values(), ids=STEMS)
def test_the_loss_falls_when_the_bright_quarter_s_place_is_to_be_told(plan: Plan) -> None:
    labels = torch.arange(64) % 4
    pictures = 0.5 * torch.rand(64, 3, 32, 32)
    quarters = functional.one_hot(labels, 4).reshape(64, 1, 2, 2).repeat_interleave(16, 2).repeat_interleave(16, 3)
    network = VisionTransformer(replace(plan, depth=2), (3, 32, 32), classes=4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = functional.cross_entropy(network(pictures + 0.5 * quarters), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(math.log(4), abs=0.3)
    assert losses[-1] < 0.5

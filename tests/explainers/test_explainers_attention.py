"""Attention rollout: by hand, however attention is written, in pictures and in texts."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from explainers_written import WORDS, Attentive, Recurrent, texts
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers import explain
from torchglass.explainers.gradients.attention import Attention
from torchglass.reference_models.networks.encoder import Encoder
from torchglass.reference_models.networks.vit import Plan, VisionTransformer

FIRST = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]]])
SECOND = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.5, 0.5]]])


def test_rollout_of_hand_set_attention_is_the_product_of_halves() -> None:
    # (A + I) / 2 of the second layer's rows 1 and 2, averaged: (0, .375, .625); times the first's halves.
    found = Attention((FIRST, SECOND), torch.tensor([[0.0, 1.0, 1.0]])).rollout()
    wanted = 0.375 * torch.tensor([0.0, 1.0, 0.0]) + 0.625 * torch.tensor([0.1, 0.1, 0.8])
    torch.testing.assert_close(found[0], wanted)
    class_token = Attention((FIRST, SECOND), torch.tensor([[1.0, 0.0, 0.0]])).rollout()
    torch.testing.assert_close(class_token[0], torch.tensor([0.75, 0.25, 0.0]))


def by_hand(layers: list[Tensor], readers: Tensor) -> Tensor:
    """The definition, matrix by matrix: weights (N, T, T) of each layer, and which rows are read, (N, T)."""
    rolled = torch.eye(layers[0].shape[1]).expand_as(layers[0])
    for weights in layers:
        mixed = 0.5 * weights + 0.5 * torch.eye(weights.shape[1])
        rolled = (mixed / mixed.sum(2, keepdim=True)) @ rolled
    return (rolled * readers[:, :, None]).sum(1) / readers.sum(1, keepdim=True)


def test_the_reference_transformers_weights_are_recomputed_from_the_fused_call() -> None:
    model = VisionTransformer(Plan(patch=4, dim=8, depth=3, heads=2, hidden=2), (1, 16, 24), classes=3).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)  # fresh networks look everywhere alike
    picture = torch.rand(2, 1, 16, 24)
    found = explain(model, picture, target=1, method="attention_rollout")
    layers = [weights.mean(1).detach() for weights in model.attention_weights(picture)]
    shares = by_hand(layers, torch.ones(2, 24))
    assert shares.max() > 1.2 / 24
    wanted = F.interpolate(shares.reshape(2, 1, 4, 6), size=(16, 24), mode="bilinear")
    np.testing.assert_allclose(found.attributions, wanted, rtol=1e-5)
    assert found.parameters["attentions"] == 3
    assert found.parameters["tokens_read"] == 24
    assert found.checks["class_token_share"] == 0
    other = explain(model, picture, target=2, method="attention_rollout")
    np.testing.assert_array_equal(found.attributions, other.attributions)


class ClassToken(nn.Module):
    """A transformer of torch's own layers that reads a class token, patches of 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(1, 8, 4, stride=4), nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.token.expand(len(tokens), -1, -1), tokens), dim=1)
        logits: Tensor = self.head(self.encoder(tokens)[:, 0])
        return logits


def weights_of(model: nn.Module, run: Callable[[], Tensor]) -> list[Tensor]:
    """Catch the weights (N, T, T) of a model's nn.MultiheadAttention layers by asking each again for them."""
    caught: list[Tensor] = []

    def ask(module: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], _output: object) -> None:
        assert isinstance(module, nn.MultiheadAttention)
        if not named.pop("again", False):
            caught.append(module(*given, **{**named, "need_weights": True, "again": True})[1])

    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            module.forward = _forgiving(module.forward)  # type: ignore[method-assign]
            module.register_forward_hook(ask, with_kwargs=True)
    run()
    return caught


def _forgiving(forward: Callable[..., object]) -> Callable[..., object]:
    return lambda *given, again=False, **named: forward(*given, **named)


def test_torchs_own_layers_are_asked_for_weights_and_a_class_token_is_read() -> None:
    model, picture = ClassToken().eval(), torch.rand(2, 1, 16, 16)
    found = explain(model, picture, target=1, method="attention_rollout")
    layers = weights_of(model, lambda: model(picture))
    assert len(layers) == 2
    readers = torch.zeros(2, 17)
    readers[:, 0] = 1
    shares = by_hand([one.detach() for one in layers], readers)
    wanted = F.interpolate(shares[:, 1:].reshape(2, 1, 4, 4), size=(16, 16), mode="bilinear")
    np.testing.assert_allclose(found.attributions, wanted, rtol=1e-4)
    assert found.parameters["tokens_read"] == 1
    assert found.checks["class_token_share"] == pytest.approx(float(shares[:, 0].mean()), rel=1e-5)


class HandWritten(nn.Module):
    """One attention of two heads written by hand over words, whose first word is read; padding is masked."""

    def __init__(self, softmax: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.words, self.qkv, self.head = nn.Embedding(WORDS, 8), nn.Linear(8, 24), nn.Linear(8, 3)
        self.softmax = softmax

    def weights(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = self.qkv(self.words(ids)).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        scores = (query @ key.transpose(2, 3) / 2).masked_fill((ids == 0)[:, None, None], -math.inf)
        return self.softmax(scores), value

    def forward(self, ids: Tensor) -> Tensor:
        weights, value = self.weights(ids)
        logits: Tensor = self.head((weights @ value).transpose(1, 2).flatten(2)[:, 0])
        return logits


SOFTMAXES: dict[str, Callable[[Tensor], Tensor]] = {
    "function": lambda scores: F.softmax(scores, dim=-1),
    "method": lambda scores: scores.softmax(3),
    "torch": lambda scores: torch.softmax(scores, dim=-1),
    "module": nn.Softmax(dim=-1),
}


@pytest.mark.parametrize("softmax", SOFTMAXES.values(), ids=SOFTMAXES.keys())
def test_attention_written_by_hand_is_seen_at_its_softmax(softmax: Callable[[Tensor], Tensor]) -> None:
    model, ids = HandWritten(softmax).eval(), texts()
    found = explain(model, ids, 0, "attention_rollout")
    first = torch.zeros(3, 8)
    first[:, 0] = 1
    wanted = by_hand([model.weights(ids)[0].mean(1).detach()], first)
    np.testing.assert_allclose(found.attributions, wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.attributions.sum(axis=1), 1, rtol=1e-5)
    assert found.checks["padding_share"] == 0


def test_texts_of_torchs_layers_look_at_words_alone() -> None:
    model, ids = Attentive().eval(), texts()
    found = explain(model, ids, 1, "attention_rollout")
    (weights,) = weights_of(model, lambda: model(ids))
    first = torch.zeros(3, 8)
    first[:, 0] = 1
    np.testing.assert_allclose(found.attributions, by_hand([weights.detach()], first), rtol=1e-5, atol=1e-7)
    assert not found.attributions[ids == 0].any()
    np.testing.assert_allclose(found.attributions.sum(axis=1), 1, rtol=1e-5)
    assert found.attributions[2, 0] == pytest.approx(1)  # a text of one word


def test_the_reference_encoder_masks_padding_and_sums_to_one() -> None:
    model = Encoder(WORDS, 8, 3, width=8, heads=2, depth=2, dropout=0.0).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    found = explain(model, texts(), 1, "attention_rollout")
    np.testing.assert_allclose(found.attributions.sum(axis=1) + 0, 1, rtol=1e-5)
    assert found.checks["padding_share"] < 1e-6
    assert not found.attributions[texts() == 0].any()
    assert found.parameters["attentions"] == 2


def test_causal_and_grouped_attention_is_recomputed_as_torch_does_it() -> None:
    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.q = nn.Embedding(WORDS, 8), nn.Linear(8, 8)
            self.k, self.v, self.head = nn.Linear(8, 4), nn.Linear(8, 4), nn.Linear(8, 2)

        def forward(self, ids: Tensor) -> Tensor:
            vectors = self.words(ids)
            query, key, value = (
                each(vectors).unflatten(2, (-1, 2)).transpose(1, 2) for each in (self.q, self.k, self.v)
            )
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=0.9, enable_gqa=True)
            logits: Tensor = self.head(mixed.transpose(1, 2).flatten(2)[:, 2])
            return logits

    model, ids = Causal().eval(), texts()[:1]
    found = explain(model, ids, 0, "attention_rollout")
    vectors = model.words(ids)
    query = model.q(vectors).unflatten(2, (4, 2)).transpose(1, 2)
    key = model.k(vectors).unflatten(2, (2, 2)).transpose(1, 2)[:, [0, 0, 1, 1]]
    of_third = (query[:, :, 2:3] @ key.transpose(2, 3) * 0.9)[..., :3].softmax(-1).mean(1)[0, 0]
    wanted = F.pad(of_third, (0, 5)) / 2
    wanted[2] += 0.5
    np.testing.assert_allclose(found.attributions[0], wanted.detach(), rtol=1e-5)


def test_models_without_known_attention_are_refused_in_one_sentence(pictures: Tensor) -> None:
    with pytest.raises(ExplainError, match=r"no attention was seen in LeNet: .*use another method"):
        explain(LeNet(), pictures, method="attention_rollout")
    with pytest.raises(ExplainError, match="no attention was seen in Recurrent"):
        explain(Recurrent(), texts(), method="attention_rollout")


def test_attention_within_windows_or_to_other_tokens_is_refused() -> None:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.attend = nn.Embedding(WORDS, 4), nn.MultiheadAttention(4, 2, batch_first=True)
            self.head = nn.Linear(4, 2)

        def forward(self, ids: Tensor) -> Tensor:
            windows = self.words(ids).reshape(-1, 4, 4)
            mixed = self.attend(windows, windows, windows, need_weights=False)[0]
            logits: Tensor = self.head(mixed.reshape(len(ids), -1, 4).mean(1))
            return logits

    class Latent(Windows):
        def forward(self, ids: Tensor) -> Tensor:
            words = self.words(ids)
            logits: Tensor = self.head(self.attend(words[:, :3], words, words)[0].mean(1))
            return logits

    for model in (Windows(), Latent()):
        with pytest.raises(ExplainError, match=r"the attentions of \w+ have the shapes .*use another method"):
            explain(model, texts(), method="attention_rollout")

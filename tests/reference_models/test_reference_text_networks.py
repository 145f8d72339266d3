"""The two networks that read texts: padding changes nothing, gradients reach everything, and they learn."""

from __future__ import annotations

import pytest
import torch
from own_lessons import Notebook, fitted, setup_of, state_bits
from torch import Tensor, nn
from torch.nn import functional

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.exhibit import Blueprint
from torchglass.reference_models.exhibits import bilstm, transformer
from torchglass.reference_models.networks.bilstm import BiLstm, mirrored_positions
from torchglass.reference_models.networks.encoder import Encoder
from torchglass.reference_models.networks.pooling import pool
from torchglass.reference_models.networks.word_dropout import WordDropout
from torchglass.reference_models.training import supervised

FORM = DataForm("text", "classification", (9,), ("a", "b", "c"), vocabulary_size=20)
IDS = torch.tensor([[5, 7, 3, 19, 4, 11, 6, 8, 9], [12, 3, 3, 6, 0, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0, 0, 0, 0]])


def networks() -> list[nn.Module]:
    torch.manual_seed(1)
    blueprint = Blueprint(FORM)
    return [bilstm.build_bilstm(blueprint), transformer.build_transformer(blueprint)]


@pytest.mark.parametrize("network", networks(), ids=["bilstm", "transformer"])
class TestBothNetworks:
    def test_a_batch_of_different_lengths_gives_what_each_text_gives_alone(self, network: nn.Module) -> None:
        network.eval()
        together = network(IDS)
        alone = torch.cat([network(row[row != 0].unsqueeze(0)) for row in IDS])
        assert together.shape == (3, 3)
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(together[0], together[1], atol=1e-3)

    def test_every_word_and_its_place_count(self, network: nn.Module) -> None:
        network.eval()
        logits = network(IDS[:1])
        swapped = IDS[:1].clone()
        swapped[0, [2, 5]] = swapped[0, [5, 2]]
        assert not torch.allclose(network(swapped), logits, atol=1e-5)
        for place in range(9):
            other = IDS[:1].clone()
            other[0, place] = 13
            assert not torch.allclose(network(other), logits, atol=1e-6), place

    def test_a_text_without_words_has_finite_logits_and_gradients(self, network: nn.Module) -> None:
        network.zero_grad()
        logits = network(torch.zeros(2, 9, dtype=torch.int64))
        logits.sum().backward()
        assert bool(logits.isfinite().all())
        assert all(bool(each.grad.isfinite().all()) for each in network.parameters() if each.grad is not None)

    def test_the_loss_reaches_every_parameter_and_never_the_vector_of_padding(self, network: nn.Module) -> None:
        network.eval()
        network.zero_grad()
        functional.cross_entropy(network(IDS), torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
        for name, parameter in network.named_parameters():
            if not name.startswith("word_head"):  # which pre-training reaches
                assert parameter.grad is not None, name
                assert bool(parameter.grad.any()), name
        assert isinstance(network.embedding, nn.Embedding)
        assert network.embedding.weight.grad is not None
        assert not network.embedding.weight.grad[0].any()
        assert not network.embedding.weight[0].any()

    def test_the_embedding_is_called_once_with_exactly_the_ids(self, network: nn.Module) -> None:
        network.eval()
        seen: list[tuple[Tensor, Tensor]] = []
        assert isinstance(network.embedding, nn.Embedding)
        handle = network.embedding.register_forward_hook(lambda module, given, found: seen.append((given[0], found)))
        network(IDS)
        handle.remove()
        [(ids, vectors)] = seen
        assert ids is IDS
        assert vectors.shape == (3, 9, 64)


def test_mirroring_reverses_the_words_and_leaves_padding_where_it_is() -> None:
    mirror = mirrored_positions(IDS)
    assert IDS.gather(1, mirror)[1].tolist() == [6, 3, 3, 12, 0, 0, 0, 0, 0]
    assert torch.equal(IDS.gather(1, mirror).gather(1, mirror), IDS)
    assert mirrored_positions(torch.tensor([[4, 0, 7, 0]])).tolist() == [[2, 1, 0, 3]]  # a word hidden by padding


def test_pooling_sees_words_alone() -> None:
    states = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [90.0, 90.0]], [[7.0, 7.0]] * 3])
    is_word = torch.tensor([[True, True, False], [False] * 3])
    assert pool(states, is_word).tolist() == [[2.0, -3.0, 3.0, -2.0], [0.0] * 4]


def test_the_two_directions_are_torchs_bidirectional_lstm() -> None:
    torch.manual_seed(2)
    network = BiLstm(20, 2, width=4, hidden=3, dropout=0.0)
    reference = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    weights: dict[str, Tensor] = dict(network.forwards.state_dict())
    weights |= {f"{name}_reverse": tensor for name, tensor in network.backwards.state_dict().items()}
    reference.load_state_dict(weights)
    lengths = (IDS != 0).sum(dim=1)
    packed = nn.utils.rnn.pack_padded_sequence(network.embedding(IDS), lengths, batch_first=True)
    states, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    expected = network.classifier(pool(states, IDS != 0))
    torch.testing.assert_close(network(IDS), expected, atol=1e-6, rtol=1e-6)


def test_the_word_head_uses_the_embeddings_own_matrix() -> None:
    encoder = Encoder(20, 9, 2, width=8, heads=2, depth=1, dropout=0.0)
    logits = encoder.name_words(IDS)
    assert logits.shape == (3, 9, 20)
    assert not [name for name, each in encoder.word_head.named_parameters() if each.shape == (20, 8)]
    with torch.no_grad():
        encoder.embedding.weight[15] *= 2  # a word that is in none of the texts
    changed = encoder.name_words(IDS)
    assert torch.equal(changed[..., :15], logits[..., :15])
    assert not torch.allclose(changed[..., 15], logits[..., 15])


def test_dropout_acts_in_training_alone() -> None:
    for network in (
        BiLstm(20, 2, width=8, hidden=8, dropout=0.5),
        Encoder(20, 9, 2, width=8, heads=2, depth=1, dropout=0.5),
    ):
        assert not torch.equal(network(IDS), network(IDS))
        network.eval()
        assert torch.equal(network(IDS), network(IDS))


def test_a_short_training_of_the_bilstm_lowers_its_loss_and_repeats_bit_for_bit() -> None:
    def trained() -> tuple[Notebook, dict[str, bytes]]:
        setup = setup_of("bilstm", limit=64, epochs=16, batch_size=16, dropout=0.0)
        assert isinstance(setup.model.word_dropout, WordDropout)
        setup.model.word_dropout.most = 0.0
        lesson = supervised(setup)
        _, notebook = fitted(lesson)
        return notebook, state_bits(lesson)

    (first, weights), (second, again) = trained(), trained()
    losses = first.series("loss")
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])  # 64 reviews are learnt by heart
    assert losses == second.series("loss")
    assert weights == again


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bilstm", "transformer"])
def test_the_recipe_reaches_the_bar(model: str) -> None:
    setup = setup_of(model)
    lesson = (setup.exhibit.lesson or supervised)(setup)
    epochs, _ = fitted(lesson)
    assert epochs[-1].scores["test/accuracy"] >= setup.bar.at_least


def test_word_dropout_hides_an_even_share_of_each_text_behind_the_mask_in_training_alone() -> None:
    torch.manual_seed(5)
    dropout = WordDropout(0.5)
    ids = torch.randint(3, 20, (2000, 40))
    ids[:, 30:] = 0
    hidden = dropout(ids)
    changed = hidden != ids
    assert not changed[:, 30:].any()
    assert set(hidden[changed].tolist()) == {2}
    shares = changed[:, :30].float().mean(dim=1)
    assert shares.mean().item() == pytest.approx(0.25, abs=0.01)
    assert shares.std().item() == pytest.approx((0.5**2 / 12 + (1 / 4 - 1 / 12) / 30) ** 0.5, abs=0.01)
    assert dropout.eval()(ids) is ids

"""Explaining texts: closed forms, sums that add up, the embedding that is found, one sentence for each mistake."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from explainers_written import TEXT_ZOO, WORDS, Attentive, Recurrent, Tied, WordSum, shapley_by_hand, texts
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain, method_names
from torchglass.explainers.text.lime import shown_words

UNKNOWN = 1
METHODS = method_names("text")


def test_of_a_sum_of_words_every_method_gives_each_word_its_number() -> None:
    model, ids = WordSum(), texts()
    table = model.embedding.weight.detach().numpy()
    of_word = table[ids, 2]
    np.testing.assert_allclose(explain(model, ids, 2, baseline="padding").attributions, of_word, atol=1e-6)
    instead = np.where(ids != 0, of_word - table[UNKNOWN, 2], 0)
    for method in ("integrated_gradients", "occlusion", "shap"):
        np.testing.assert_allclose(explain(model, ids, 2, method).attributions, instead, atol=1e-6)
    surrogate = explain(model, ids[:2], 2, "lime")  # of a lone word the ridge keeps little
    np.testing.assert_allclose(surrogate.attributions, instead[:2], atol=0.05)
    assert surrogate.checks["surrogate_r2_worst"] > 0.99


@pytest.mark.parametrize("build", TEXT_ZOO.values(), ids=TEXT_ZOO.keys())
def test_integrated_gradients_add_up_to_the_score_less_that_of_empty_words(build: Callable[[], nn.Module]) -> None:
    model = build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)  # fresh networks hardly bend, and three steps would do
    found = explain(model, texts(), [0, 1, 2], "integrated_gradients", steps=4096)
    assert found.base_values is not None
    differences = found.outputs - found.base_values
    assert np.abs(differences).min() > 1e-3
    np.testing.assert_allclose(found.attributions.sum(axis=1), differences, rtol=2e-3)
    assert found.checks["completeness_error_relative"] < 1e-3
    assert found.layer in ("embedding", "words")


def test_shap_of_words_is_the_definition_and_adds_up() -> None:
    model, ids = Attentive().eval(), texts()

    def worth(coalition: tuple[int, ...]) -> float:
        hidden = torch.full((1, 5), UNKNOWN)
        hidden[0, list(coalition)] = ids[1, list(coalition)]
        with torch.no_grad():
            return float(model(nn.functional.pad(hidden, (0, 3)))[0, 1])

    found = explain(model, ids, 1, "shap")
    np.testing.assert_allclose(found.attributions[1, :5], shapley_by_hand(worth, 5), atol=1e-5)
    assert not found.attributions[1, 5:].any()
    assert found.base_values is not None
    np.testing.assert_allclose(found.attributions.sum(axis=1), found.outputs - found.base_values, atol=1e-5)
    assert found.standard_errors is None
    assert found.checks["completeness_error"] < 1e-5


def test_shap_of_many_words_is_sampled_and_says_how_far_off_it_may_be() -> None:
    model = Recurrent().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    ids = torch.randint(3, WORDS, (1, 12))
    precise = explain(model, ids, 0, "shap", evaluations=2**13)
    rough = explain(model, ids, 0, "shap", evaluations=120)
    assert rough.standard_errors is not None
    assert precise.standard_errors is None or precise.checks["sampling_error_relative"] < 1e-6
    off = np.sqrt(np.mean(np.square(rough.attributions - precise.attributions)))
    said = np.sqrt(np.mean(np.square(rough.standard_errors)))
    assert 0.2 < said / off < 5
    assert rough.checks["completeness_error_relative"] < 1e-4


def test_a_seed_draws_its_own_coalitions_of_words_and_a_budget_ends_the_drawing() -> None:
    model = Recurrent().eval()
    ids = torch.randint(3, WORDS, (1, 12))
    one, same, other = (explain(model, ids, 0, "shap", evaluations=120, seed=seed).attributions for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    seconds = iter(range(10_000))
    ended = explain(
        model, ids, 0, "shap", evaluations=4000, stop_early=False, budget=1.0, clock=lambda: float(next(seconds))
    )
    assert ended.parameters["coalitions"] == ["2 draws of 500"]  # of eight


def test_occlusion_is_the_difference_that_each_word_makes() -> None:
    model, ids = Recurrent().eval(), texts()
    found = explain(model, ids, 2, "occlusion", background=2)
    with torch.no_grad():
        for text in range(len(ids)):
            for place in range(ids.shape[1]):
                without = ids[text : text + 1].clone()
                without[0, place] = 2
                wanted = float(model(ids)[text, 2] - model(without)[0, 2]) if ids[text, place] else 0
                assert found.attributions[text, place] == pytest.approx(wanted, abs=1e-6)


def test_lime_draws_every_number_of_hidden_words_alike() -> None:
    shown = shown_words(6001, 6, np.random.RandomState(0))
    assert shown[0].all()
    hidden = np.bincount((~shown[1:]).sum(axis=1), minlength=7)
    assert hidden[0] == 0
    assert np.abs(hidden[1:] - 1000).max() < 120
    assert np.abs(shown[1:].mean(axis=0) - 2.5 / 6).max() < 0.03


@pytest.mark.parametrize("method", METHODS)
def test_a_text_of_one_word_and_a_batch_are_explained_alike(method: str) -> None:
    model, ids = (Attentive() if method == "attention_rollout" else Recurrent()).eval(), texts()
    together = explain(model, ids, 0, method)
    alone = explain(model, ids[2:], 0, method)
    np.testing.assert_allclose(together.attributions[2:], alone.attributions, atol=1e-6)
    assert together.attributions.shape == (3, 8)
    assert together.inputs.dtype == np.int64
    assert together.kind == "text"


def test_the_embedding_is_the_innermost_layer_that_takes_the_ids() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.front = nn.Sequential(nn.Embedding(WORDS, 4), nn.LayerNorm(4))
            self.head = nn.Linear(4, 2)
            self.unused = nn.Embedding(WORDS, 4)

        def forward(self, ids: Tensor) -> Tensor:
            self.unused(ids)
            table: Tensor = self.head(self.front(ids).max(dim=1).values)
            return table

    found = explain(Wrapped(), texts())
    assert found.layer == "front.0"
    assert found.layer_alternatives == ("front",)
    asked = explain(Wrapped(), texts(), layer="front")
    assert asked.layer == "front"


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"inputs": torch.zeros(2, 8, dtype=torch.int64)}, r"texts \[0, 1\] hold nothing but padding \(id 0\)"),
    "all padding of another id": ({"padding": 7, "inputs": torch.full((1, 3), 7)}, r"nothing but padding \(id 7\)"),
    "id too high": ({"inputs": torch.full((1, 8), 99)}, "token id 99 is out of range: the model embeds ids 0 to 19"),
    "id too low": ({"inputs": torch.full((1, 8), -3)}, "hold the token id -3: ids count from 0"),
    "background too high": ({"background": 30, "method": "shap"}, "token id 30 is out of range"),
    "background no id": ({"background": 0.5}, "for text give the token id that hides a word"),
    "rank": ({"inputs": texts()[0], "kind": "text"}, r"shape \(8,\), wanted \(N, T\): add the batch axis"),
    "floats": ({"inputs": texts().float(), "kind": "text"}, "hold torch.float32: text is given as integer token ids"),
    "method of pictures": ({"method": "gradcam"}, "'gradcam' does not explain token ids: choose one of integrated_gra"),
    "unknown kind": ({"kind": "sound"}, "kind is 'sound': choose one of pictures, text, table"),
    "unknown layer": ({"layer": "embed"}, "layer 'embed' is not in the model: choose one of words, places"),
    "layer without ids": ({"layer": "places"}, "layer 'places' does not embed the token ids: choose one of words"),
    "target": ({"target": 3}, "target class 3 is out of range: the model has classes 0 to 2"),
}


@pytest.mark.parametrize(("wrong", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_mistake_gives_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ExplainError, match=sentence) as caught:
        explain(**{"model": Attentive(), "inputs": texts(), **wrong})
    assert "\n" not in str(caught.value)


def test_a_model_without_an_embedding_layer_is_referred_to_other_methods() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.rand(WORDS, 2))

        def forward(self, ids: Tensor) -> Tensor:
            return self.table[ids].sum(dim=1)

    with pytest.raises(ExplainError, match=r"no layer of Bare is given the token ids .*use method 'occlusion'"):
        explain(Bare(), texts())
    assert explain(Bare(), texts(), method="occlusion").attributions.any()


def test_options_are_checked() -> None:
    for wrong in ({"method": "shap", "evaluations": 5}, {"method": "lime", "samples": 3}, {"steps": 2}):
        with pytest.raises(OptionError, match=r"is [235]: give at least"):
            explain(Tied(), texts(), **wrong)

"""LIME, occlusion and integrated gradients of rows and texts give what lime's and captum's own classes give."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import FeatureAblation, LayerIntegratedGradients
from explainers_written import Attentive, rows_network, texts
from lime.lime_tabular import LimeTabularExplainer
from lime.lime_text import LimeTextExplainer
from torch import nn

from torchglass.explainers import explain

GENERATOR = torch.Generator().manual_seed(4)
ROWS = torch.randn(2, 6, generator=GENERATOR)
BACKGROUND = torch.randn(60, 6, generator=GENERATOR)
UNKNOWN = 1


def bent_text_model() -> nn.Module:
    model = Attentive().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    return model


def test_rows_have_the_weights_that_lime_itself_gives_with_the_same_seed() -> None:
    model = rows_network().eval()
    found = explain(model, ROWS, 1, "lime", background=BACKGROUND, samples=800, seed=7)

    def score(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.no_grad():
            return np.asarray(model(torch.tensor(rows, dtype=torch.float32))[:, 1].double().numpy())

    for i in range(2):
        judge = LimeTabularExplainer(
            BACKGROUND.double().numpy(), mode="regression", feature_selection="none",
            random_state=np.random.RandomState(7),
        )  # fmt: skip
        said = judge.explain_instance(ROWS[i].double().numpy(), score, num_features=6, num_samples=800)
        wanted = [weight for _, weight in sorted(said.local_exp[1])]
        np.testing.assert_allclose(found.attributions[i], wanted, atol=1e-5)


def test_words_are_ordered_as_lime_itself_orders_them_at_as_many_samples() -> None:
    model, ids = bent_text_model(), texts()[:1]
    found = explain(model, ids, 1, "lime", samples=3000)

    def score(written: list[str]) -> npt.NDArray[Any]:
        read = torch.tensor(
            [[UNKNOWN if word == "UNKWORDZ" else int(word) for word in text.split()] for text in written]
        )
        with torch.no_grad():
            column = model(read)[:, 1].double().numpy()
        return np.stack((-column, column), axis=1)

    judge = LimeTextExplainer(bow=False, split_expression=r"\s+", feature_selection="none", random_state=1)
    written = " ".join(str(int(token)) for token in ids[0])
    said = judge.explain_instance(written, score, labels=(1,), num_features=8, num_samples=3000)
    wanted = np.array([weight for _, weight in sorted(said.local_exp[1])])
    ranks = [np.argsort(np.argsort(values)) for values in (found.attributions[0], wanted)]
    assert np.corrcoef(ranks)[0, 1] >= 0.95
    assert np.corrcoef(found.attributions[0], wanted)[0, 1] >= 0.98


def test_occlusion_of_words_is_captums_ablation() -> None:
    model, ids = bent_text_model(), texts()
    found = explain(model, ids, 2, "occlusion")
    wanted = FeatureAblation(model).attribute(ids, baselines=UNKNOWN, target=2, perturbations_per_eval=8)
    np.testing.assert_allclose(found.attributions, np.where(ids != 0, wanted.detach().numpy(), 0), atol=1e-5)


def test_integrated_gradients_of_words_are_captums_over_the_layer() -> None:
    model, ids = bent_text_model(), texts()[:1]
    found = explain(model, ids, 1, "integrated_gradients", steps=256)
    judge = LayerIntegratedGradients(model, model.words)
    wanted = judge.attribute(ids, baselines=torch.full_like(ids, UNKNOWN), target=1, n_steps=found.parameters["steps"])
    np.testing.assert_allclose(found.attributions, wanted.sum(2).detach().numpy(), atol=1e-5)

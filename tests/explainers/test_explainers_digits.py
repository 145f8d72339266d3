"""On real digits, what each method calls hot lies on the ink."""

import numpy as np
import numpy.typing as npt
import pytest
from explainers_zoo import TrainedDigits

from torchglass.explainers import explain, method_names

DIGITS = 100


def hot_share(relevance: npt.NDArray[np.float32], ink: npt.NDArray[np.bool_]) -> float:
    """Measure the share of inked pixels among the k of highest relevance, k being the ink's pixel count.

    Highest, not largest in magnitude: the question is what speaks for the class. Ties are broken by a fixed shuffle, so
    a map that is flat or zero outside the ink gains nothing from the order of its pixels.
    """
    shuffled = np.random.default_rng(0).permutation(ink.size)
    hottest = shuffled[np.argsort(-relevance.ravel()[shuffled], kind="stable")[: ink.sum()]]
    return float(ink.ravel()[hottest].mean())


@pytest.mark.parametrize("method", sorted({*method_names("pictures")} - {"attention_rollout", "drise"}))
def test_hot_pixels_of_a_hundred_digits_lie_on_the_ink_more_than_by_chance(method: str, digits: TrainedDigits) -> None:
    pictures = digits.test[:DIGITS]
    found = explain(digits.model, pictures, method=method)
    ink = pictures[:, 0].numpy() > 0.3
    gain = np.array([hot_share(found.relevance(i), ink[i]) - ink[i].mean() for i in range(DIGITS)])
    assert gain.mean() > 4 * gain.std(ddof=1) / DIGITS**0.5
    assert gain.mean() > 0.05


def test_shap_with_digits_as_background_also_finds_the_ink(digits: TrainedDigits) -> None:
    """With real digits as reference empty places may gain relevance too, so this is no matter of course."""
    pictures = digits.test[:DIGITS]
    found = explain(digits.model, pictures, method="shap", background=digits.train[:20])
    ink = pictures[:, 0].numpy() > 0.3
    assert np.abs(found.attributions[:, 0][~ink]).max() > 0
    gain = np.array([hot_share(found.relevance(i), ink[i]) - ink[i].mean() for i in range(DIGITS)])
    assert gain.mean() > 4 * gain.std(ddof=1) / DIGITS**0.5


def test_a_random_map_does_not_pass_for_hot(digits: TrainedDigits) -> None:
    ink = digits.test[:DIGITS, 0].numpy() > 0.3
    noise = np.random.default_rng(1).normal(size=ink.shape).astype(np.float32)
    gain = np.array([hot_share(noise[i], ink[i]) - ink[i].mean() for i in range(DIGITS)])
    assert abs(gain.mean()) < 0.02


def test_explanations_of_digits_can_be_trusted_by_their_own_checks(digits: TrainedDigits) -> None:
    pictures = digits.test[:20]
    assert explain(digits.model, pictures, method="lime").checks["surrogate_r2_worst"] > 0.8
    assert explain(digits.model, pictures, method="shap").checks["completeness_error"] < 1e-3
    assert explain(digits.model, pictures, method="gradcam").checks["positive_share"] > 0.5


def test_erasing_the_hottest_segment_costs_more_than_erasing_the_coldest(digits: TrainedDigits) -> None:
    """Judge LIME by intervention: its weights must order what the model really loses."""
    pictures = digits.test[:40]
    found = explain(digits.model, pictures, method="lime")
    loss = []
    for extreme in (np.max, np.min):
        erased = pictures.clone().numpy()
        for i in range(40):
            erased[i, 0][found.relevance(i) == extreme(found.relevance(i))] = 0
        scores = digits.model(digits.test.new_tensor(erased)).detach().numpy()
        loss.append(found.outputs - scores[np.arange(40), found.targets])
    assert (loss[0] > loss[1]).mean() > 0.95

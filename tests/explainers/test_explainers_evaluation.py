"""Metrics of trust against closed forms: areas that can be counted by hand, and maps that are right or wrong."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from explainers_judged import Deaf, OnePixel, Weighted, by_hand, spot
from explainers_written import WordSum
from explainers_zoo import LeNet, TrainedDigits
from torch import Tensor, nn

from torchglass.explainers import evaluate, explain
from torchglass.explainers.evaluation.baselines import baseline_maps, edges
from torchglass.explainers.evaluation.metrics.sparseness import gini
from torchglass.explainers.evaluation.ordering import places_in_order
from torchglass.explainers.rank_correlation import rank_correlation

BOTH_WAYS = ("deletion", "insertion")
LOCALISATION = ("pointing_game", "relevance_mass", "relevance_rank")


@pytest.mark.parametrize("right", [True, False], ids=["right", "upside down"])
def test_the_one_pixel_that_counts_goes_and_comes_within_the_first_step_or_the_last(right: bool) -> None:
    values = spot() if right else -spot()
    found = evaluate(by_hand(OnePixel(), spot(), values), OnePixel(), steps=64, metrics=BOTH_WAYS)
    # 64 pixels, one a step; the blur leaves of the pixel what a Gaussian of sigma 5 has at its centre.
    blurred = 1 / sum(math.exp(-(k**2) / 50) for k in range(-5, 6)) ** 2
    missed = 1 / 128 if right else 127 / 128
    assert found.values["deletion"] == pytest.approx([missed])
    assert found.values["insertion"] == pytest.approx([1 - (1 - blurred) * missed])
    assert found.curves["deletion"][0, :2].tolist() == ([1, 0] if right else [1, 1])


@pytest.mark.parametrize(
    ("values", "area"),
    # Above what nothing gives, in fifths: 5, 1, -1, -1, 0 while the largest go first; 5, 6, 6, 4, 0 the other way.
    [((4, 2, -1, 0), (5 / 2 + 1 - 1 - 1 + 0) / 20), ((-4, -2, 1, 0), (5 / 2 + 6 + 6 + 4 + 0) / 20)],
    ids=["right", "upside down"],
)
def test_the_deletion_of_a_linear_model_is_counted_by_hand(values: tuple[float, ...], area: float) -> None:
    found = evaluate(by_hand(Weighted(), torch.ones(1, 4), [values]), Weighted(), metrics=("deletion",))
    assert found.values["deletion"] == pytest.approx([area])
    assert (5 / 2 - 2) / 20 < found.baselines["random"]["deletion"][0] < (5 / 2 + 16) / 20


def test_a_content_that_lowers_the_output_starts_at_minus_one() -> None:
    found = evaluate(by_hand(Weighted(), -torch.ones(1, 4), [(-4, -2, 1, 0)]), Weighted(), metrics=("deletion",))
    # Below what nothing gives, in fifths: -5, -6, -6, -4, 0 while what raises it goes first.
    assert found.values["deletion"] == pytest.approx([-(5 / 2 + 6 + 6 + 4 + 0) / 20])


def test_columns_give_way_to_the_mean_of_the_background() -> None:
    own, known = by_hand(Weighted(), torch.ones(1, 4), [(4, 2, -1, 0)]), torch.tensor([[0.0, 0, 0, 0], [2, 0, 0, 0]])
    found = evaluate(own, Weighted(), background=known, metrics=("deletion",))
    assert found.parameters["steps"] == 32
    assert found.curves["deletion"][0, ::8] == pytest.approx([1, 1, -1, -1, 0])


def test_words_go_and_come_in_the_order_of_the_map_and_padding_stays() -> None:
    model = WordSum(classes=1)
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.embedding.weight[[5, 6, 7, 0]] = torch.tensor([[3.0], [1.0], [-2.0], [50.0]])
    ids = torch.tensor([[6, 5, 7, 0, 0]])
    found = evaluate(
        by_hand(model, ids, [[1.0, 3.0, -2.0, 9.0, 9.0]]), model, metrics=(*BOTH_WAYS, "infidelity", "sparseness")
    )
    # Of three words: 2, -1, -2, 0 above the hidden text; shown, 0, 3, 4, 2. What stands at padding is not asked.
    assert found.values["deletion"] == pytest.approx([(2 / 2 - 1 - 2 + 0 / 2) / 3 / 2])
    assert found.values["insertion"] == pytest.approx([(0 / 2 + 3 + 4 + 2 / 2) / 3 / 2])
    assert found.values["sparseness"] == pytest.approx([(-2 * 1 + 0 * 2 + 2 * 3) / (3 * 6)])
    assert found.values["infidelity"] == pytest.approx([0], abs=1e-9)


def test_logits_are_judged_by_their_probability_and_distributions_as_they_are() -> None:
    probability = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(dim=1)).requires_grad_(False)
    picture = torch.rand(1, 1, 8, 8)
    own = by_hand(probability, picture, torch.rand(1, 1, 8, 8).numpy())
    raw = by_hand(probability[:2], picture, own.attributions, output_space="logit")
    areas = [
        evaluate(one, model, metrics=("deletion",)).values["deletion"]
        for one, model in ((own, probability), (raw, probability[:2]))
    ]
    assert areas[0] == pytest.approx(areas[1], rel=1e-5)
    assert 0 < areas[0] < 1


def test_an_input_is_judged_alike_alone_and_in_a_batch() -> None:
    model, batch = LeNet().eval(), torch.rand(3, 1, 32, 32)
    values = torch.rand(3, 1, 32, 32).round(decimals=1).numpy()
    whole = by_hand(model, batch, values, output_space="logit")
    targets = whole.targets
    together = evaluate(whole, model, metrics=BOTH_WAYS)
    for i in range(3):
        alone = by_hand(model, batch[i : i + 1], values[i : i + 1], output_space="logit", targets=targets[i : i + 1])
        for metric, area in evaluate(alone, model, metrics=BOTH_WAYS).values.items():
            assert area == pytest.approx(together.values[metric][i : i + 1], rel=1e-4)


MAP = torch.zeros(1, 1, 8, 8)
MAP[0, 0, 1, 1:5] = torch.tensor([4.0, 3.0, 2.0, -6.0])
TRUTH = torch.zeros(1, 8, 8)
TRUTH[0, 1, 1] = TRUTH[0, 1, 3] = TRUTH[0, 1, 4] = 1


def test_localisation_counts_the_peak_the_mass_and_the_first_parts_inside() -> None:
    found = evaluate(by_hand(OnePixel(), spot(), MAP), OnePixel(), truth=TRUTH, metrics=LOCALISATION)
    assert {metric: float(values[0]) for metric, values in found.values.items()} == pytest.approx(
        {"pointing_game": 1, "relevance_mass": (4 + 2) / (4 + 3 + 2), "relevance_rank": 2 / 3}
    )


def test_equal_peaks_share_the_pointing_game() -> None:
    tied = MAP.clone()
    tied[0, 0, 1, 1:5] = 4.0
    for values, share in ((tied, 3 / 4), (torch.ones(1, 1, 8, 8), 3 / 64)):
        found = evaluate(by_hand(OnePixel(), spot(), values), OnePixel(), truth=TRUTH, metrics=("pointing_game",))
        assert found.values["pointing_game"] == pytest.approx([share])


def test_the_spot_is_found_by_the_right_map_and_missed_by_both_baselines() -> None:
    truth = spot()[:, 0]
    found = evaluate(by_hand(OnePixel(), spot(), spot()), OnePixel(), truth=truth, steps=64)
    for metric in LOCALISATION:
        assert found.values[metric].tolist() == [1]
        assert found.baselines["edges"][metric].tolist() == [0]
        assert found.baselines["random"][metric][0] < 0.5
    assert found.mean("deletion") < found.mean("deletion", "edges") < 1  # type: ignore[operator]
    assert found.mean("deletion") < found.mean("deletion", "random")  # type: ignore[operator]


def test_edges_are_where_sobel_says() -> None:
    step = torch.zeros(1, 2, 5, 8)
    step[..., 4:] = 1
    flat = edges(step)[0]
    # (1 + 2 + 1) times the step in both channels, on the two columns beside it; none at the picture's border.
    expected = torch.zeros(5, 8)
    expected[:, 3:5] = math.sqrt(2 * 4**2)
    assert torch.allclose(flat, expected)
    slope = (torch.arange(5)[:, None] * 3.0 + torch.arange(6) * 4.0)[None, None]
    assert torch.allclose(edges(slope)[0, 1:-1, 1:-1], torch.full((3, 4), 8 * 5.0))


def test_random_maps_are_a_seed_s_own_and_leave_the_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (baseline_maps(torch.ones(2, 6), "table", seed)["random"] for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (8, 2, 6)


def test_equal_values_come_in_a_drawn_order_and_others_in_theirs() -> None:
    tied = torch.zeros(1, 400)
    tied[0, 300:] = 1
    places = places_in_order(tied, seed=0)[0]
    assert sorted(places[300:].tolist()) == list(range(100))
    assert places[300:].tolist() != list(range(100))
    assert abs(float(places[:150].float().mean()) - float(places[150:300].float().mean())) < 40


@pytest.mark.parametrize(
    ("values", "expected"),
    [((0, 0, 0, 1), 3 / 4), ((2, 2, 2, 2), 0), ((1, 2, 3, 4), 1 / 4), ((0, 0, 0, 0), math.nan)],
    ids=["one has all", "equal", "a slope", "nothing"],
)
def test_sparseness_is_the_gini_index(values: tuple[float, ...], expected: float) -> None:
    assert gini(torch.tensor([values], dtype=torch.float32)).tolist() == pytest.approx([expected], nan_ok=True)


def test_rank_correlation_shares_the_ranks_of_equal_values() -> None:
    one, other = np.array([1, 2, 2, 500], np.float32), np.array([3, 1, 4, 4], np.float32)
    wanted = np.corrcoef([1, 2.5, 2.5, 4], [2, 1, 3.5, 3.5])[0, 1]
    assert rank_correlation(one, other) == pytest.approx(wanted)
    assert math.isnan(rank_correlation(one, np.ones(4, np.float32)))


def test_completeness_is_missed_by_what_the_sum_lacks() -> None:
    fields: dict[str, Any] = {"base_values": np.array([7.0]), "checks": {"completeness_error": 0.0}}
    own = by_hand(Weighted(), torch.ones(1, 4), [[4, 2, -1, -0.5]], **fields)
    assert evaluate(own, Weighted(), metrics=("completeness_error",)).values["completeness_error"] == pytest.approx(
        [0.5 / 5]
    )


def test_what_a_linear_model_loses_is_said_exactly_by_its_shares_in_any_unit() -> None:
    for values in ([[4, 2, -1, 0]], [[40, 20, -10, 0]]):
        found = evaluate(by_hand(Weighted(), torch.ones(1, 4), values), Weighted(), metrics=("infidelity",))
        assert found.values["infidelity"] == pytest.approx([0], abs=1e-9)
        assert found.baselines["random"]["infidelity"][0] > 0.5


def test_a_map_that_ignores_the_weights_is_caught_and_one_that_heeds_them_is_not() -> None:
    deaf = explain(Deaf(), torch.rand(2, 1, 8, 8), 1, method="integrated_gradients")
    caught = evaluate(deaf, Deaf(), metrics=("randomisation",)).values["randomisation"]
    assert caught == pytest.approx([1, 1])
    torch.manual_seed(5)
    model = LeNet()
    heeding = explain(model, torch.rand(2, 1, 32, 32), method="integrated_gradients", steps=16)
    found = evaluate(heeding, model, metrics=("randomisation",))
    assert np.abs(found.values["randomisation"]).max() < 0.3
    assert found.curves["randomisation"].shape == (2, 4)
    assert found.curves["randomisation"][:, -1].tolist() == found.values["randomisation"].tolist()


def test_layers_are_drawn_anew_from_the_output_to_the_input() -> None:
    class Turned(nn.Linear):
        """Whose weights come back in the opposite order, and nothing that is near the output changes."""

        def reset_parameters(self) -> None:
            with torch.no_grad():
                self.weight.copy_(torch.arange(6.0).flip(0) if self.in_features == 6 else torch.ones(1))

    class Backwards(nn.Module):
        """The layer that is called last was made first."""

        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = Turned(1, 1, bias=False), Turned(6, 1, bias=False)
            with torch.no_grad():
                self.first.weight.copy_(torch.arange(6.0))

        def forward(self, rows: Tensor) -> Tensor:
            scores: Tensor = self.last(self.first(rows))
            return scores

    own = explain(Backwards(), torch.ones(1, 6), method="occlusion")
    found = evaluate(own, Backwards(), metrics=("randomisation",))
    assert found.curves["randomisation"] == pytest.approx(np.array([[1, -1]]))


def test_what_both_maps_must_leave_at_zero_is_no_likeness() -> None:
    class Positive(nn.Linear):
        def reset_parameters(self) -> None:
            nn.init.uniform_(self.weight, 0.1, 1)

    model = nn.Sequential(nn.Flatten(), Positive(64, 2, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.arange(128.0).reshape(2, 64) + 1)
    corner = torch.zeros(1, 1, 8, 8)
    corner[0, 0, :2, :3] = 1
    # Of any weights the map is above nought in six pixels and nought in the others, which is no likeness.
    own = explain(model, corner, 1, method="integrated_gradients", steps=16)
    likeness = [
        float(evaluate(own, model, metrics=("randomisation",), seed=seed).values["randomisation"][0])
        for seed in range(12)
    ]
    assert abs(np.mean(likeness)) < 0.4
    assert min(likeness) < -0.2


def test_methods_agree_with_themselves_and_oppose_their_opposite() -> None:
    row = torch.rand(1, 4)
    own, other = (by_hand(Weighted(), row, [values]) for values in ((4, 2, -1, 0), (-4, -2, 1, 0)))
    found = evaluate(own, Weighted(), metrics=("agreement",), others=(own, other))
    assert found.curves["agreement"] == pytest.approx(np.array([[1, -1]]))
    assert found.values["agreement"] == pytest.approx([0])


def test_methods_agree_about_words_whatever_they_leave_at_padding() -> None:
    model, ids = WordSum(classes=1), torch.tensor([[6, 5, 7, 0, 0]])
    own, other = (by_hand(model, ids, [values]) for values in ([3.0, 2, 1, 0, 0], [1.0, 2, 3, 0, 0]))
    found = evaluate(own, model, metrics=("agreement",), others=(other,))
    assert found.values["agreement"] == pytest.approx([-1])


def test_the_mean_leaves_out_what_is_undefined() -> None:
    pictures = torch.cat((spot(), spot()))
    truth = torch.cat((spot()[:, 0], torch.zeros(1, 8, 8)))
    found = evaluate(
        by_hand(OnePixel(), pictures, pictures), OnePixel(), truth=truth, metrics=("relevance_rank", "sparseness")
    )
    assert found.values["relevance_rank"] == pytest.approx([1, math.nan], nan_ok=True)
    assert found.mean("relevance_rank") == 1
    assert found.missing == {"relevance_rank": "the truth marks nothing, for inputs [1]"}
    assert found.summary()["scores"] == {"relevance_rank": 1, "sparseness": pytest.approx(63 / 64)}
    assert found.mean("deletion") is None


def test_where_the_truth_marks_nothing_no_map_lies_wrong() -> None:
    pictures = torch.cat((spot(), spot()))
    truth = torch.cat((spot()[:, 0], torch.zeros(1, 8, 8)))
    found = evaluate(by_hand(OnePixel(), pictures, pictures), OnePixel(), truth=truth, metrics=LOCALISATION)
    for metric in LOCALISATION:
        assert found.values[metric] == pytest.approx([1, math.nan], nan_ok=True)
        assert np.isnan(found.baselines["random"][metric]).tolist() == [False, True]
        assert "the truth marks nothing" in found.missing[metric]


def test_the_better_end_of_each_scale_is_said() -> None:
    found = evaluate(by_hand(OnePixel(), spot(), spot()), OnePixel(), metrics=(*BOTH_WAYS, "sparseness"))
    assert found.better == {"deletion": "low", "insertion": "high"}


def test_scores_are_frozen() -> None:
    found = evaluate(by_hand(OnePixel(), spot(), spot()), OnePixel(), metrics=BOTH_WAYS)
    frozen: list[Tensor | Any] = [found.values["deletion"], found.curves["insertion"]]
    for array in (*frozen, found.baselines["random"]["deletion"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_what_a_trained_model_looks_at_beats_both_baselines_and_a_wrong_class_does_not(digits: TrainedDigits) -> None:
    right = (digits.model(digits.test).argmax(1) == digits.test_labels).nonzero()[:8, 0]
    pictures = digits.test[right]
    own = explain(digits.model, pictures, method="integrated_gradients", steps=32)
    found = evaluate(own, digits.model, metrics=BOTH_WAYS, steps=16)
    other = explain(digits.model, pictures, (own.targets + 1) % 10, method="integrated_gradients", steps=32)
    misled = evaluate(replace(own, attributions=other.attributions), digits.model, metrics=BOTH_WAYS, steps=16)
    left = {known: found.mean("deletion", known) for known in ("explanation", "random", "edges")}
    assert left["explanation"] < min(left["random"], left["edges"]) - 0.1  # type: ignore[type-var, operator]
    assert misled.mean("deletion") > left["explanation"] + 0.1  # type: ignore[operator]
    assert misled.mean("insertion") < found.mean("insertion")  # type: ignore[operator]

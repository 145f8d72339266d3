"""SHAP of rows and texts by each algorithm: closed forms, the axioms, the libraries' own numbers."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shap
import torch
from captum.attr import FeatureAblation, KernelShap, ShapleyValueSampling
from explainers_written import Attentive, WordSum, shapley_by_hand, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import Explanation, explain
from torchglass.explainers.perturbation.coalitions import Asked, shapley_values
from torchglass.explainers.perturbation.partition import halved

GENERATOR = torch.Generator().manual_seed(11)
WIDE = torch.randn(2, 12, generator=GENERATOR)
WIDE_BACKGROUND = torch.randn(8, 12, generator=GENERATOR) + 0.3


def bent(columns: int, outputs: int = 2, scale: float = 3.0) -> nn.Module:
    """A network that is far from linear between its rows."""
    model = nn.Sequential(nn.Linear(columns, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, outputs))
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(scale)
    return model.eval()


def worth_of(model: nn.Module, row: Tensor, background: Tensor, target: int) -> Any:
    """The game by definition: hidden columns come from each row of the background in turn."""

    def worth(shown: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        mask = torch.as_tensor(np.asarray(shown) > 0.5)
        with torch.no_grad():
            asked = torch.where(mask[:, None], row, background).flatten(0, 1)
            table = model(asked)[:, target].double().reshape(len(mask), -1).mean(1)
        return np.asarray(table.numpy())

    return worth


def rank_correlation(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    ranks = [np.argsort(np.argsort(np.ravel(values))) for values in (one, other)]
    return float(np.corrcoef(ranks)[0, 1])


@pytest.fixture(scope="module")
def wide() -> tuple[nn.Module, Explanation]:
    """A model of twelve columns and its exact values: all 4096 coalitions."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = bent(12)
    return model, explain(model, WIDE, 1, "shap", background=WIDE_BACKGROUND, algorithm="exact")


@pytest.mark.parametrize("columns", [6, 13])
@pytest.mark.parametrize("algorithm", ["kernel", "sampling", "deep", "auto"])
def test_of_a_linear_model_the_values_are_weight_times_distance_from_the_mean(algorithm: str, columns: int) -> None:
    model = nn.Linear(columns, 4)
    rows, background = torch.randn(2, columns), torch.randn(10, columns) + 1
    found = explain(model, rows, 3, "shap", background=background, algorithm=algorithm)
    wanted = model.weight[3].double() * (rows - background.double().mean(0))
    np.testing.assert_allclose(found.attributions, wanted.detach().numpy(), atol=1e-6)
    assert ("DeepExplainer" in found.implementation) == (algorithm == "deep")


def test_exact_values_are_the_definition_and_kernel_finds_them_too() -> None:
    model, rows, background = bent(8), torch.randn(1, 8), torch.randn(5, 8)
    worth = worth_of(model, rows[0], background, 0)

    def of_coalition(coalition: tuple[int, ...]) -> float:
        shown = np.zeros((1, 8))
        shown[0, list(coalition)] = 1
        return float(worth(shown)[0])

    wanted = shapley_by_hand(of_coalition, 8)
    for algorithm in ("exact", "kernel"):
        found = explain(model, rows, 0, "shap", background=background, algorithm=algorithm)
        np.testing.assert_allclose(found.attributions[0], wanted, atol=1e-4)
        assert found.standard_errors is None


@pytest.mark.parametrize("algorithm", ["kernel", "sampling"])
def test_what_is_drawn_is_near_the_exact_values_and_knows_how_near(
    algorithm: str, wide: tuple[nn.Module, Explanation]
) -> None:
    model, exact = wide
    found = explain(model, WIDE, 1, "shap", background=WIDE_BACKGROUND, algorithm=algorithm, evaluations=1500)
    assert rank_correlation(found.attributions, exact.attributions) >= 0.95
    assert found.standard_errors is not None
    off = np.sqrt(np.mean(np.square(found.attributions - exact.attributions)))
    assert 0.3 < np.sqrt(np.mean(np.square(found.standard_errors))) / off < 3
    np.testing.assert_allclose(found.attributions.sum(1), exact.attributions.sum(1), rtol=1e-4, atol=1e-4)


def test_drawing_stops_as_soon_as_the_values_are_certain_enough(wide: tuple[nn.Module, Explanation]) -> None:
    model, exact = wide
    options: dict[str, Any] = {"background": WIDE_BACKGROUND, "evaluations": 4000, "algorithm": "kernel"}
    early = explain(model, WIDE, 1, "shap", **options)
    full = explain(model, WIDE, 1, "shap", **options, stop_early=False)
    assert early.model_evaluations < full.model_evaluations / 2
    assert rank_correlation(early.attributions, exact.attributions) >= 0.95
    assert full.parameters["coalitions"] == ["8 draws of 500"] * 2


def test_a_budget_ends_the_drawing_and_progress_is_told(wide: tuple[nn.Module, Explanation]) -> None:
    model, _ = wide
    told: list[tuple[int, int]] = []
    seconds = iter(range(10_000))
    found = explain(
        model,
        WIDE,
        1,
        "shap",
        background=WIDE_BACKGROUND,
        evaluations=4000,
        algorithm="sampling",
        stop_early=False,
        budget=1.0,
        clock=lambda: float(next(seconds)),
        progress=lambda done, total: told.append((done, total)),
    )
    assert found.parameters["coalitions"] == ["44 orders and their reverses"] * 2  # two of eight rounds
    assert told[-1] == (2, 2)


def test_both_ways_along_an_order_leave_less_to_chance_than_single_orders(wide: tuple[nn.Module, Explanation]) -> None:
    model, exact = wide

    def error(backend: str) -> float:
        off = [
            explain(
                model, WIDE, 1, "shap", background=WIDE_BACKGROUND, algorithm="sampling", evaluations=300, seed=seed,
                stop_early=False, backend=backend,
            ).attributions - exact.attributions
            for seed in range(5)
        ]  # fmt: skip
        return float(np.sqrt(np.mean(np.square(off))))

    assert error("own") < 0.9 * error("library")


def test_a_row_is_drawn_alike_alone_and_among_others(wide: tuple[nn.Module, Explanation]) -> None:
    model, _ = wide
    for algorithm, least in (("kernel", 300), ("sampling", 300), ("gradient", 40)):
        options: dict[str, Any] = {"algorithm": algorithm, "evaluations": least, "background": WIDE_BACKGROUND}
        together = explain(model, WIDE, 1, "shap", **options)
        alone = explain(model, WIDE[1:], 1, "shap", **options)
        np.testing.assert_allclose(together.attributions[1:], alone.attributions, atol=1e-6)


def test_deep_values_that_do_not_add_up_are_replaced_and_say_why() -> None:
    class Squared(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return torch.stack((rows.square().sum(1), rows[:, 0] * rows[:, 1]), dim=1)

    rows, background = torch.randn(2, 4), torch.randn(3, 4) + 1
    found = explain(Squared(), rows, 1, "shap", background=background, algorithm="deep")
    assert "KernelExplainer" in found.implementation
    assert "DeepExplainer's sum misses" in found.parameters["fallback_reason"]
    exact = explain(Squared(), rows, 1, "shap", background=background, algorithm="exact")
    np.testing.assert_array_equal(found.attributions, exact.attributions)


def test_deep_and_gradient_are_what_shap_itself_gives() -> None:
    model, rows, background = bent(6, scale=1.5), torch.randn(4, 6), torch.randn(20, 6)
    deep = explain(model, rows, 1, "shap", background=background, algorithm="deep")
    wanted = shap.DeepExplainer(model, background).shap_values(rows, check_additivity=False)[:, :, 1]
    np.testing.assert_allclose(deep.attributions, wanted, atol=1e-5)
    gradient = explain(model, rows, 1, "shap", background=background, algorithm="gradient", evaluations=600)
    wanted = shap.GradientExplainer(model, background).shap_values(rows, nsamples=600, rseed=0)[:, :, 1]
    assert rank_correlation(gradient.attributions, wanted) >= 0.95
    assert gradient.standard_errors is not None
    assert np.abs(gradient.attributions - wanted).max() < 8 * gradient.standard_errors.max()


def test_kernel_is_what_shap_itself_gives(wide: tuple[nn.Module, Explanation]) -> None:
    model, exact = wide
    np.random.seed(0)

    def scores(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with torch.no_grad():
            return np.asarray(model(torch.tensor(rows, dtype=torch.float32))[:, 1].double().numpy())

    explainer = shap.KernelExplainer(scores, WIDE_BACKGROUND.numpy())
    every = explainer.shap_values(WIDE.numpy(), nsamples=2**12, l1_reg=False, silent=True)
    np.testing.assert_allclose(exact.attributions, every, atol=1e-5)
    some = explainer.shap_values(WIDE.numpy(), nsamples=800, l1_reg=False, silent=True)
    found = explain(model, WIDE, 1, "shap", background=WIDE_BACKGROUND, evaluations=800, stop_early=False)
    assert rank_correlation(found.attributions, some) >= 0.95


def test_against_one_reference_captum_gives_the_same(wide: tuple[nn.Module, Explanation]) -> None:
    model, _ = wide
    base = WIDE_BACKGROUND[:1]
    exact = explain(model, WIDE, 1, "shap", background=base, algorithm="exact").attributions
    sampled = ShapleyValueSampling(model).attribute(
        WIDE, baselines=base, target=1, n_samples=120, perturbations_per_eval=12
    )
    assert rank_correlation(exact, sampled.numpy()) >= 0.95
    regressed = KernelShap(model).attribute(
        WIDE[:1], baselines=base, target=1, n_samples=1500, perturbations_per_eval=500
    )
    assert rank_correlation(exact[:1], regressed.numpy()) >= 0.95
    left_out = FeatureAblation(model).attribute(WIDE, baselines=base, target=1, perturbations_per_eval=12)
    occluded = explain(model, WIDE, 1, "occlusion", background=base)
    np.testing.assert_allclose(occluded.attributions, left_out.detach().numpy(), atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), columns=st.integers(2, 6), algorithm=st.sampled_from(["exact", "sampling"]))
def test_values_are_efficient_symmetric_and_spare_the_dummy(seed: int, columns: int, algorithm: str) -> None:
    draw = np.random.default_rng(seed)
    table = draw.normal(size=2**columns)

    def worth(shown: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Player 0 adds nothing ever; players 1 and 2, where there are as many, are the same to everybody."""
        code = shown[:, 1:].astype(int)
        if columns > 2:
            code = np.concatenate((np.sort(code[:, :2], axis=1), code[:, 2:]), axis=1)
        return np.asarray(table[code @ (2 ** np.arange(columns - 1))])

    found = shapley_values(worth, columns, Asked("exact" if algorithm == "exact" else "sampling", seed=seed))
    everybody = float(worth(np.ones((1, columns), bool))[0] - worth(np.zeros((1, columns), bool))[0])
    assert found.values.sum() == pytest.approx(everybody, abs=1e-9)
    assert found.values[0] == pytest.approx(0, abs=1e-9)
    if columns > 2:
        errors = np.zeros(columns) if found.errors is None else found.errors
        assert abs(found.values[1] - found.values[2]) <= 6 * errors[1:3].sum() + 1e-9


def test_partition_of_a_sum_of_words_is_exact_and_always_adds_up() -> None:
    model, ids = WordSum(), texts()
    found = explain(model, ids, 2, "shap", algorithm="partition")
    table = model.embedding.weight.detach().numpy()
    np.testing.assert_allclose(found.attributions, np.where(ids != 0, table[ids, 2] - table[1, 2], 0), atol=1e-6)
    assert "PartitionExplainer" in found.implementation
    with torch.no_grad():
        deeper = Attentive().eval()
        for weight in deeper.parameters():
            weight.mul_(2)
    few = explain(deeper, ids, 1, "shap", algorithm="partition", evaluations=4)
    assert few.checks["completeness_error"] < 1e-4
    assert few.parameters["coalitions"][0] == "halves of the row, at most 4 evaluations"


def test_partition_of_four_words_is_owens_definition() -> None:
    """Two pairs: each pair is worth its marginal mean among two, and shares that by the same rule within."""
    model, ids = Attentive().eval(), texts()[:1, :4]
    found = explain(model, ids, 0, "shap", algorithm="partition").attributions[0]

    def v(*shown: int) -> float:
        asked = torch.full_like(ids, 1)
        asked[0, list(shown)] = ids[0, list(shown)]
        with torch.no_grad():
            return float(model(asked)[0, 0])

    def owen(player: int, mate: int, *others: int) -> float:
        pairs = [(v(*o, player) - v(*o), v(*o, player, mate) - v(*o, mate)) for o in ((), others)]
        return float(np.mean(pairs))

    np.testing.assert_allclose(
        found, [owen(0, 1, 2, 3), owen(1, 0, 2, 3), owen(2, 3, 0, 1), owen(3, 2, 0, 1)], atol=1e-5
    )


def test_a_halved_row_is_a_tree_of_neighbours() -> None:
    tree = halved(5)
    assert tree[:, 3].tolist() == [2, 2, 3, 5]
    assert sorted(tree[:, :2].ravel().tolist()) == list(range(8))
    assert (np.diff(tree[:, 2]) >= 0).any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"algorithm": "tree"}, "algorithm is 'tree': choose one of auto, exact, kernel, sampling, deep, gradient"),
        ({"algorithm": "exact"}, "algorithm is 'exact' for 20 parts, 1,048,576 coalitions: give at most 16 parts"),
        ({"algorithm": "sampling", "evaluations": 20}, "evaluations is 20: give at least 152 for 20 parts"),
        ({"algorithm": "gradient", "evaluations": 3}, "evaluations is 3: give at least 16 for gradients"),
        ({"backend": "lime"}, "backend is 'lime': choose 'own' or 'library'"),
    ],
)
def test_each_mistake_gives_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        explain(nn.Linear(20, 2), torch.ones(1, 20), 0, "shap", **options)


def test_every_mask_of_few_players_is_asked_once() -> None:
    asked: list[tuple[bool, ...]] = []

    def worth(shown: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        asked.extend(tuple(row) for row in shown.tolist())
        return shown @ np.arange(4.0)

    found = shapley_values(worth, 4, Asked())
    np.testing.assert_allclose(found.values, np.arange(4.0), atol=1e-9)
    assert set(asked) == set(product([False, True], repeat=4))
    assert len(asked) <= 2**4 + 2


@pytest.mark.parametrize("players", [3, 10], ids=str)
def test_no_more_coalitions_are_asked_than_were_allowed_and_all_of_few_suffice(players: int) -> None:
    counted: list[int] = []

    def worth(shown: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        counted.append(len(shown))
        return shown @ np.arange(float(players))

    some = shapley_values(worth, players, Asked(evaluations=min(60, 2**players)))
    np.testing.assert_allclose(some.values, np.arange(float(players)), atol=1e-9)
    assert some.coalitions == ("all coalitions" if players == 3 else "2 draws of 30")
    assert sum(counted) <= min(60, 2**players) + 4  # and what nobody and everybody are worth, each asked twice
    with pytest.raises(OptionError, match=f"evaluations is 7: give at least {8 if players == 3 else 44} for"):
        shapley_values(worth, players, Asked(evaluations=7))


@pytest.mark.parametrize(
    ("algorithm", "certain", "uncertain"),
    [("kernel", "2 draws of 214", "7 draws of 214"), ("sampling", "16 orders", "64 orders")],
    ids=["kernel", "sampling"],
)
def test_a_game_of_chance_is_drawn_to_the_end_and_a_plain_one_is_not(
    algorithm: Any, certain: str, uncertain: str
) -> None:
    chance = np.random.default_rng(0).normal(size=2**12)

    def drawn(plain: float) -> str:
        def worth(shown: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
            added: npt.NDArray[np.float64] = plain * (shown @ np.arange(12.0)) + chance[shown @ (1 << np.arange(12))]
            return added

        return shapley_values(worth, 12, Asked(algorithm, 1500)).coalitions

    assert drawn(plain=5.0).startswith(certain)
    assert drawn(plain=0.0).startswith(uncertain)

"""The engine of hidden parts: what is shown, what hides, what is asked, what fits, when it ends, and how it is left."""

from itertools import count
from math import comb
from typing import Any

import numpy as np
import pytest
import torch
from explainers_written import WordSum, rows_network
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import explain
from torchglass.explainers.pace import Pace
from torchglass.explainers.perturbation import engine as engine_file
from torchglass.explainers.perturbation import half as half_file
from torchglass.explainers.perturbation.codes import Coalitions, all_coalitions, shapley_weights, stacked
from torchglass.explainers.perturbation.engine import Engine
from torchglass.explainers.perturbation.fill import Fill, averaged, drawn_for_each
from torchglass.explainers.perturbation.masks import CodedMasks
from torchglass.explainers.perturbation.stopping import Watch, estimated_correlation, rounds
from torchglass.explainers.private.scored_model import ScoredModel, scores
from torchglass.explainers.problem import Problem
from torchglass.explainers.rank_correlation import rank_correlation

SAMPLED: dict[str, dict[str, Any]] = {
    "lime": {"samples": 400, "segments": 16, "segmentation": "grid"},
    "rise": {"masks": 600},
    "shap": {"algorithm": "kernel", "evaluations": 400, "segments": 16, "segmentation": "grid"},
}


class Counting(nn.Module):
    """The mean of each quarter's pixels times 1, 2, 3, 4; notes how many pictures each pass held."""

    def __init__(self, room: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        self.room = room
        self.passes: list[int] = []

    def forward(self, pictures: Tensor) -> Tensor:
        if self.room is not None and len(pictures) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.passes.append(len(pictures))
        quarters = nn.functional.adaptive_avg_pool2d(pictures[:, :1], 2).flatten(1)
        return (quarters @ self.weight)[:, None]


def quarters(side: int = 8) -> Tensor:
    half = torch.arange(side) * 2 // side
    return (half[:, None] * 2 + half)[None]


def posed(model: nn.Module, inputs: Tensor, background: Tensor, pace: Pace | None = None) -> Problem:
    scored = ScoredModel(model).eval()
    targets = torch.zeros(len(inputs), dtype=torch.int64)
    outputs = scores(scored, inputs)[:, 0]
    return Problem(scored, "pictures", inputs, targets, outputs, background, "given", 0, None, 0, pace or Pace())


def test_a_code_hides_its_parts_behind_the_reference_that_was_drawn() -> None:
    inputs = torch.stack([torch.full((1, 8, 8), value) for value in (1.0, 10.0)])
    background = torch.stack([torch.full((1, 8, 8), value) for value in (0.0, -1.0, 0.5)])
    shown = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1]], dtype=bool)
    rows, drawn = np.array([0, 0, 1, 1]), np.array([1, 2, 0, 0])
    engine = Engine(posed(Counting(), inputs, background))
    answers = engine.ask(CodedMasks(shown, rows, {0: quarters(), 1: quarters()}), Fill(background, drawn))
    # 1 - 2 + 3 + 4; everything 0.5; everything 10; 10 where parts 1 and 3 are shown.
    np.testing.assert_allclose(answers, [6.0, 5.0, 100.0, 60.0], rtol=1e-6)
    means = engine.ask(CodedMasks(shown[:2], rows[:2], {0: quarters()}), averaged(background))
    np.testing.assert_allclose(means, [8 + 2 * (-0.5 / 3), 10 * (-0.5 / 3)], rtol=1e-5)


def test_codes_of_pictures_with_unlike_numbers_of_parts_go_together() -> None:
    inputs = torch.ones(2, 1, 8, 8)
    halves = (torch.arange(8) // 4)[None, None].expand(1, 8, 8)
    codes = {0: np.array([[True, False, False, False]]), 1: np.array([[False, True], [True, False]])}
    problem = posed(Counting(), inputs, torch.zeros(1, 1, 8, 8))
    asked = Engine(problem).ask(stacked(codes, {0: quarters(), 1: halves}), averaged(problem.background))
    np.testing.assert_allclose(asked, [1.0, 6.0, 4.0])


def test_places_that_belong_to_no_part_are_always_shown() -> None:
    place = quarters().clone()
    place[place == 3] = 4
    place[place == 2] = 3  # part 2 has no places, number 3 would be beyond three parts
    place[place == 3] = 2
    place[place == 4] = 3
    problem = posed(Counting(), torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    codes = {0: np.zeros((1, 3), dtype=bool)}
    assert Engine(problem).ask(stacked(codes, {0: place}), averaged(problem.background)) == pytest.approx([4.0])


def test_a_repeated_mask_is_asked_once_unless_another_reference_hides_it() -> None:
    model, background = Counting(), torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])
    problem = posed(model, torch.full((1, 1, 8, 8), 3.0), background)
    engine, shown = Engine(problem), np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    masks = CodedMasks(shown, np.zeros(3, dtype=np.int64), {0: quarters()})
    before = problem.model.inputs_seen
    first = engine.ask(masks, Fill(background, np.array([0, 0, 0])))
    assert problem.model.inputs_seen - before == 2
    assert first.tolist() == engine.ask(masks, Fill(background, np.array([0, 0, 0]))).tolist() == [3.0, 6.0, 3.0]
    assert problem.model.inputs_seen - before == 2
    assert engine.ask(masks, Fill(background, np.array([0, 0, 1]))).tolist() == [3.0, 6.0, 12.0]
    assert problem.model.inputs_seen - before == 3


@pytest.mark.parametrize("method", SAMPLED)
def test_a_model_that_finds_no_room_is_asked_in_halves_and_gives_the_same(method: str) -> None:
    pictures = torch.rand(2, 1, 16, 16)
    roomy, cramped = Counting(), Counting(room=7)
    wanted = explain(roomy, pictures, method=method, **SAMPLED[method]).attributions
    found = explain(cramped, pictures, method=method, **SAMPLED[method])
    np.testing.assert_allclose(found.attributions, wanted, rtol=1e-4, atol=1e-6)


def test_the_size_that_fits_is_remembered() -> None:
    model = Counting(room=7)
    scored = ScoredModel(model)
    assert scores(scored, torch.ones(40, 1, 8, 8)).flatten().tolist() == [10.0] * 40
    assert model.passes == [5] * 8
    scores(scored, torch.ones(12, 1, 8, 8))
    assert model.passes == [5] * 8 + [5, 5, 2]


def test_no_room_for_one_input_is_one_sentence_and_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ExplainError, match="no room for one input: CUDA out of memory"):
        scores(ScoredModel(Counting(room=0)), torch.ones(4, 1, 8, 8))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        scores(ScoredModel(rows_network(6)), torch.ones(4, 5))


def test_a_batch_costs_far_fewer_passes_than_its_pictures_one_by_one() -> None:
    pictures = torch.rand(6, 1, 16, 16)
    for method, options in {**SAMPLED, "occlusion": {}}.items():
        more = {} if method == "occlusion" else {"stop_early": False}
        passes = []
        for batch in (pictures, *pictures[:, None]):
            counting = Counted(Counting())
            explain(counting, batch, method=method, **options, **more)
            passes.append(Counted.passes)
        assert passes[0] <= sum(passes[1:]) / 3, method


class Counted(nn.Module):
    """Counts passes through any copy of it."""

    passes = 0

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        Counted.passes = 0

    def forward(self, given: Tensor) -> Any:
        Counted.passes += 1
        return self.inner(given)


@pytest.mark.parametrize("method", SAMPLED)
def test_a_budget_ends_sampling_and_says_how_far_it_came(method: str, lenet: LeNet, pictures: Tensor) -> None:
    ticks = count(0, 3)

    def clock() -> float:
        return float(next(ticks))

    asked: dict[str, Any] = {"method": method, **SAMPLED[method], "stop_early": False}
    whole = explain(lenet, pictures, **asked)
    cut = explain(lenet, pictures, budget=2.0, clock=clock, **asked)
    name = {"lime": "samples", "rise": "masks", "shap": "evaluations"}[method]
    assert 0 < max(cut.parameters[name]) < min(whole.parameters[name])
    assert cut.standard_errors is not None
    assert whole.standard_errors is not None
    assert np.square(cut.standard_errors).mean() > np.square(whole.standard_errors).mean()


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan")])
def test_a_budget_without_time_is_refused(lenet: LeNet, pictures: Tensor, budget: float) -> None:
    with pytest.raises(OptionError, match="budget is"):
        explain(lenet, pictures, budget=budget)


@pytest.mark.parametrize("method", [*SAMPLED, "occlusion"])
def test_progress_rises_to_its_total_and_may_cancel(method: str, lenet: LeNet, pictures: Tensor) -> None:
    heard: list[tuple[int, int]] = []
    options = SAMPLED.get(method, {})
    explain(lenet, pictures, method=method, progress=lambda done, total: heard.append((done, total)), **options)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert len({total for _, total in heard}) == 1
    assert heard[-1][0] == heard[-1][1]

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    lenet.train()
    randomness = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        explain(lenet, pictures, method=method, progress=cancel, **options)
    assert lenet.training
    assert torch.equal(torch.get_rng_state(), randomness)
    assert not any(module._forward_hooks for module in lenet.modules())


def test_words_and_columns_go_through_it_too() -> None:
    words = WordSum()
    with torch.no_grad():
        words.embedding.weight[:, 0] = torch.arange(20.0)
    found = explain(words, torch.tensor([[3, 9, 4, 0]]), 0, "occlusion", background=5)
    np.testing.assert_allclose(found.attributions, [[-2.0, 4.0, -1.0, 0.0]], atol=1e-6)
    linear = nn.Linear(3, 1)
    rows, background = torch.rand(2, 3), torch.rand(4, 3)
    columns = explain(linear, rows, method="occlusion", background=background)
    np.testing.assert_allclose(columns.attributions, linear.weight.detach() * (rows - background.mean(0)), atol=1e-6)


def test_half_precision_is_taken_only_where_it_changes_no_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    class Levels(nn.Module):
        """The mean over `fineness`, more than an offset that may be too large for eight bits to show a difference."""

        def __init__(self, offset: float, fineness: float) -> None:
            super().__init__()
            self.head = nn.Linear(16 * 16, 1, bias=False)
            with torch.no_grad():
                self.head.weight.fill_(1 / 256)
            self.offset, self.fineness = offset, fineness

        def forward(self, pictures: Tensor) -> Tensor:
            answer = self.head(self.offset + pictures.flatten(1) / self.fineness)
            Seen.dtypes.append(answer.dtype)
            return answer.float()

    class Seen:
        dtypes: list[torch.dtype] = []  # noqa: RUF012

    monkeypatch.setattr(half_file, "pays_on", lambda device: True)
    monkeypatch.setitem(engine_file.NUMBERS_PER_PASS, "cpu", 64 * 256)
    for offset, fineness, taken in ((-21.0, 0.02, True), (1.0, 1e4, False)):
        Seen.dtypes.clear()
        explain(
            Levels(offset, fineness),
            torch.rand(1, 1, 16, 16),
            method="lime",
            samples=1000,
            segments=16,
            segmentation="grid",
            stop_early=False,
            background=0.0,
        )
        assert (Seen.dtypes[-1] is torch.bfloat16) == taken
        assert torch.bfloat16 in Seen.dtypes


@pytest.mark.parametrize("flatten", [lambda maps: maps.view(len(maps), -1), lambda maps: maps.flatten(1)])
def test_convolutions_are_laid_out_by_channels_where_the_model_bears_it(flatten: Any) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), nn.Linear(4 * 144, 3)

        def forward(self, given: Tensor) -> Tensor:
            table: Tensor = self.head(flatten(torch.relu(self.second(torch.relu(self.first(given))))))
            return table

    model, pictures = Net().eval(), torch.rand(2, 3, 16, 16)
    found = explain(model, pictures, 1, "occlusion", window=16, stride=16)
    with torch.no_grad():
        lost = model(pictures)[:, 1] - model(torch.zeros(1, 3, 16, 16))[:, 1]
    np.testing.assert_allclose(found.attributions[:, 0, 0, 0], lost, rtol=1e-4, atol=1e-6)
    assert model.second.weight.is_contiguous()


def test_coalitions_have_the_weight_of_shapleys_kernel() -> None:
    for parts in (2, 3, 7):
        sizes = all_coalitions(parts).sum(axis=1)
        weights = shapley_weights(parts)[sizes - 1] / np.bincount(sizes)[sizes]
        kernel = (parts - 1) / (np.array([comb(parts, s) for s in sizes]) * sizes * (parts - sizes))
        np.testing.assert_allclose(weights, kernel / kernel.sum())
    plan = Coalitions.planned(12, 200)
    assert set(plan.complete.sum(axis=1).tolist()) == {1, 11}
    assert len(plan.complete) == 24
    assert plan.weights.sum() + plan.rest.sum() == pytest.approx(1.0)
    drawn = plan.drawn(300, np.random.default_rng(0))
    assert (drawn[::2] == ~drawn[1::2]).all()
    assert not set(drawn.sum(axis=1)) & set(plan.complete.sum(axis=1))
    everything = Coalitions.planned(4, 14)
    assert len(everything.complete) == 14
    assert everything.rest.sum() == 0


def test_the_estimated_correlation_is_that_with_the_truth() -> None:
    draw = np.random.default_rng(0)
    truth, errors = draw.normal(size=4000), np.full(4000, 0.5)
    values = truth + errors * draw.normal(size=4000)
    assert estimated_correlation(values, errors) == pytest.approx(np.corrcoef(values, truth)[0, 1], abs=0.01)
    assert estimated_correlation(values, 0 * errors) == 1.0
    assert estimated_correlation(np.ones(5), np.ones(5)) == 0.0
    assert estimated_correlation(0.1 * draw.normal(size=50), np.ones(50)) == 0.0


def test_rounds_add_up_and_grow() -> None:
    assert rounds(1000, 200) == [200, 100, 150, 225, 325]
    assert rounds(50, 200) == [50]
    assert all(sum(rounds(n, 10)) == n for n in (1, 10, 11, 99, 1000))


def test_inputs_leave_one_by_one_and_all_when_the_time_is_up() -> None:
    ticks = iter([1.0, 5.0])
    watch = Watch(Pace(5.0, None, lambda: next(ticks), 0.0), 3, 100, stop_early=True)
    watch.round_is_over(30, {0: 0.5, 1: 0.99, 2: 0.5})
    assert watch.active == [0, 2]
    watch.round_is_over(20, {0: 0.6, 2: 0.6})
    assert watch.active == []


def test_rank_correlation_is_spearmans() -> None:
    assert rank_correlation(np.array([1.0, 5.0, 3.0, 9.0]), np.array([0.1, 70.0, 3.0, 71.0])) == pytest.approx(1.0)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0])) == pytest.approx(-0.5)
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def test_a_fill_is_drawn_by_each_inputs_own_generator() -> None:
    references = torch.rand(5, 1, 4, 4)
    together = drawn_for_each(references, {0: 6, 1: 6}, [np.random.default_rng(3) for _ in range(2)])
    alone = drawn_for_each(references, {1: 6}, [np.random.default_rng(3) for _ in range(2)])
    assert together.drawn is not None
    assert alone.drawn is not None
    assert together.drawn[6:].tolist() == alone.drawn.tolist()
    assert drawn_for_each(references[:1], {0: 6}, [np.random.default_rng(3)]).drawn is None

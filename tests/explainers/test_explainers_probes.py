"""Probes: what they refuse, what their numbers mean, and what is kept of a map."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import Probes
from torchglass.explainers.probing import figures
from torchglass.explainers.probing.frames import MOST_PIXELS, half, shrunk, shrunk_truth


class Weighted(nn.Module):
    """A linear model of three columns with weights set by hand, so that gradient x input is known exactly."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.line = nn.Linear(3, 1, bias=False)
        self.line.weight.data = torch.tensor([weights], dtype=torch.float32)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, 3) -> (N, 1)."""
        scores: torch.Tensor = self.line(rows)
        return scores


def test_drift_is_nought_for_the_same_order_one_for_no_relation_and_two_for_the_reverse() -> None:
    before = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert figures.drift(before, 100 * before**3) == pytest.approx(0)
    assert figures.drift(before, -before) == pytest.approx(2)
    assert figures.drift(before, np.array([[2.0, 1.0], [4.0, 3.0]])) == pytest.approx(0.4)  # Spearman .6 by hand
    assert figures.drift(before, np.array([[0.0, 1.0], [1.0, 0.0]])) == pytest.approx(1)  # ties share a rank
    assert figures.drift(before, np.ones((2, 2))) is None


def test_size_entropy_and_truth_share_by_hand() -> None:
    relevance = np.array([[3.0, -1.0], [0.0, 0.0]])
    assert figures.size(relevance) == 4
    expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(4)
    assert figures.entropy(relevance) == pytest.approx(expected)
    assert figures.entropy(np.ones((3, 3))) == pytest.approx(1)
    assert figures.entropy(np.zeros((3, 3))) is None
    truth = np.array([[False, True], [False, True]])
    assert figures.truth_share(np.array([[1.0, 3.0], [0.0, -5.0]]), truth) == pytest.approx(0.75)
    assert figures.truth_share(-np.ones((2, 2)), truth) is None


def test_looks_tell_by_how_much_a_known_model_changed() -> None:
    rows = torch.tensor([[1.0, 2.0, 4.0], [4.0, 2.0, 1.0]])
    model, truth = Weighted(1, 1, 1), np.array([[False, False, True], [True, False, False]])
    looks = Probes(rows, truth=truth, names=["a", "b", "c"]).begin(model)
    first = looks.look(model)
    assert first.values["gradient_x_input/size"] == pytest.approx(7)
    assert first.values["gradient_x_input/truth_share"] == pytest.approx(4 / 7)
    assert first.values["gradient_x_input/completeness_error"] == pytest.approx(0, abs=1e-6)
    assert "gradient_x_input/drift" not in first.values
    model.line.weight.data *= 3
    grown = looks.look(model)
    assert grown.values["gradient_x_input/size"] == pytest.approx(21)
    assert grown.values["gradient_x_input/drift"] == pytest.approx(0, abs=1e-9)
    model.line.weight.data *= -1
    assert looks.look(model).values["gradient_x_input/drift"] == pytest.approx(2)
    assert [one.key for one in grown.frames] == ["probe/0", "probe/1"]
    assert grown.frames[0].meta["names"] == ["a", "b", "c"]
    assert grown.frames[0].arrays["attributions"].tolist() == [[3, 6, 12]]


def test_maps_of_different_classes_are_not_compared() -> None:
    model = nn.Linear(3, 2, bias=False)
    model.weight.data = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    rows = torch.tensor([[1.0, 1.0, 1.0]])
    free, fixed = Probes(rows).begin(model), Probes(rows, targets=0).begin(model)
    for looks in (free, fixed):
        looks.look(model)
    model.weight.data = torch.tensor([[1.0, 2.0, 3.0], [9.0, 8.0, 7.0]])
    assert "gradient_x_input/drift" not in free.look(model).values
    assert fixed.look(model).values["gradient_x_input/drift"] == pytest.approx(0, abs=1e-9)


def test_a_large_map_is_kept_small_and_a_small_one_as_it_is() -> None:
    large = np.arange(2 * 128 * 192, dtype=np.float32).reshape(2, 128, 192)
    kept = shrunk(large)
    assert kept.shape == (2, MOST_PIXELS, MOST_PIXELS)
    assert kept[0, 0, 0] == pytest.approx(large[0, :2, :3].mean())
    assert kept.mean() == pytest.approx(large.mean())
    small = np.ones((1, 8, 8), np.float32)
    assert shrunk(small) is small
    truth = np.zeros((1, 128, 128), dtype=bool)
    truth[0, 3, 5] = True
    assert np.argwhere(shrunk_truth(truth)).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(("largest", "kind"), [(1.0, "float16"), (0.0, "float16"), (1e5, "float32"), (1e-5, "float32")])
def test_precision_is_halved_only_where_nobody_sees_it(largest: float, kind: str) -> None:
    values = np.array([largest, -largest / 2], np.float32)
    assert half(values).dtype == kind
    assert half(values).astype(np.float64) == pytest.approx(values, rel=1e-3)


PICTURES, ROWS = torch.rand(2, 1, 4, 4), torch.rand(2, 3)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"inputs": torch.rand(17, 3)}, OptionError, "17 probes: give at most 16"),
        ({"inputs": torch.rand(1, 513)}, OptionError, "513 parts: give at most 512"),
        ({"inputs": [1, 2]}, ExplainError, "inputs is a list"),
        ({"inputs": ROWS * torch.nan}, ExplainError, "NaN or infinity"),
        ({"inputs": ROWS, "methods": ["gradcam"]}, ExplainError, "does not explain rows"),
        ({"inputs": PICTURES, "methods": ["gradcamp"]}, ExplainError, "unknown method 'gradcamp'"),
        ({"inputs": PICTURES, "methods": []}, OptionError, r"methods is \[\]"),
        ({"inputs": ROWS, "methods": {"shap": 3}}, OptionError, "gives 'shap' the options 3"),
        ({"inputs": ROWS, "methods": {"integrated_gradients": {"stops": 3}}}, OptionError, "has no option 'stops'"),
        ({"inputs": PICTURES, "every": 0}, OptionError, "every is 0"),
        ({"inputs": PICTURES, "budget": 1.5}, OptionError, "budget is 1.5"),
        ({"inputs": PICTURES, "truth": np.ones((2, 3, 4))}, OptionError, r"truth has shape \(2, 3, 4\)"),
        ({"inputs": ROWS, "names": ["a"]}, OptionError, "names are 1 for 3 columns"),
        ({"inputs": torch.ones(1, 3, dtype=torch.int64), "names": [["a"]]}, OptionError, "words of shape"),
    ],
    ids=[
        "many",
        "long",
        "list",
        "nan",
        "kind",
        "unknown",
        "none",
        "options",
        "option",
        "every",
        "budget",
        "truth",
        "columns",
        "words",
    ],
)
def test_what_cannot_be_probed_is_refused_in_one_sentence(
    options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        Probes(**options)


class Counted(nn.Module):
    """The score of a text is the sum of its words' weights, which are set by hand; padding, id 0, has none."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.words = nn.Embedding(1 + len(weights), 1)
        self.words.weight.data = torch.tensor([0.0, *weights])[:, None]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(N, T) -> (N, 1)."""
        scores: torch.Tensor = self.words(ids).sum(dim=1)
        return scores


def test_padding_makes_no_two_maps_alike() -> None:
    texts = torch.tensor([[1, 2, 3, *[0] * 60]])
    model = Counted(1, 2, 3)
    looks = Probes(texts, methods=["occlusion"]).begin(model)
    first = looks.look(model).values
    assert first["occlusion/entropy"] == pytest.approx(-sum(p * np.log(p) for p in _shares(model)) / np.log(3))
    model.words.weight.data = torch.tensor([0.0, 3.0, 1.0, 5.0])[:, None]
    drift = figures.drift(np.array([0.0, 1.0, 2.0]), np.array([0.0, -2.0, 2.0]))
    assert looks.look(model).values["occlusion/drift"] == pytest.approx(drift)


def _shares(model: Counted) -> list[float]:
    """What each of three words adds over the hidden one, id 1, as shares."""
    added = (model.words.weight[1:, 0] - model.words.weight[1, 0]).tolist()
    return [each / sum(added) for each in added if each]


def test_probes_stay_what_they_were_when_their_tensors_are_filled_anew() -> None:
    rows, background, targets = torch.ones(2, 3), torch.full((4, 3), 0.5), torch.tensor([0, 1])
    probes = Probes(rows, targets, background=background)
    for given in (rows, background, targets):
        given.fill_(7)
    model = nn.Linear(3, 2, bias=False)
    model.weight.data = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    kept = probes.begin(model).look(model).frames
    assert [frame.arrays["attributions"].tolist() for frame in kept] == [[[0.5, 1, 1.5]], [[2, 2.5, 3]]]


def test_a_method_that_fails_by_a_library_s_error_leaves_the_others_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_arguments: Any, **_options: Any) -> None:
        raise torch.OutOfMemoryError("no room\nfor it")

    model, rows = Weighted(1, 1, 1), torch.ones(1, 3)
    looks = Probes(rows, methods=["occlusion", "gradient_x_input"]).begin(model)
    monkeypatch.setattr("torchglass.explainers.table.occlusion.attribute", no_room)
    first = looks.look(model)
    assert first.notices == ("occlusion: OutOfMemoryError: no room; the others go on without it",)
    assert first.values["gradient_x_input/size"] == pytest.approx(3)
    assert looks.look(model).notices == ()
    alone = Probes(rows, methods=["occlusion"]).begin(model)
    with pytest.raises(torch.OutOfMemoryError):
        alone.look(model)


@pytest.mark.parametrize("method", ["gradcam", "deeplift", "lrp", "guided_gradcam", "shap"])
def test_no_copy_of_the_network_waits_for_the_garbage_collector(method: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    looks = Probes(PICTURES, methods=[method]).begin(model)
    looks.look(model)
    gc.collect()
    gc.disable()
    try:
        before = _tensors()
        looks.look(model)
        looks.look(model)
        assert _tensors() == before
    finally:
        gc.enable()


def _tensors() -> int:
    return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())


def test_lazy_layers_are_told_to_run_first() -> None:
    with pytest.raises(ExplainError, match="lazy layers whose weights have no shapes yet: run it on a batch first"):
        Probes(ROWS).begin(nn.LazyLinear(2))


@pytest.mark.parametrize("kind", ["double precision", "another device"])
def test_what_new_tensors_are_by_default_is_nothing_to_a_look(kind: str) -> None:
    rows, pictures = ROWS.clone(), PICTURES.clone()
    flat, line = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), nn.Linear(3, 2)
    looks = [
        (flat, Probes(pictures, methods=["integrated_gradients", "occlusion", "smoothgrad", "deeplift"]).begin(flat)),
        (line, Probes(rows, methods=["integrated_gradients", "gradient_x_input", "occlusion"]).begin(line)),
    ]
    wanted = [each.look(model).values for model, each in looks]
    if kind == "double precision":
        torch.set_default_dtype(torch.float64)
    else:
        torch.set_default_device("meta")
    try:
        found = [each.look(model) for model, each in looks]
        assert (torch.empty(0).dtype is torch.float64, torch.empty(0).device.type == "meta") == (
            kind == "double precision",
            kind == "another device",
        )
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert [one.notices for one in found] == [(), ()]
    for before, after in zip(wanted, found, strict=True):
        assert {name: after.values[name] for name in before} == pytest.approx(before)

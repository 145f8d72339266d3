"""Shortcuts and changes drawn: frames lie around the spot, bars stand beside those of random spots, words say it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from torchglass.charts.shortcuts import FRAME, ShortcutsData, effects_figure, shortcuts_data
from torchglass.charts.what_if import MAX_CLASSES, checkpoints_figure, scores_figure, what_if_data
from torchglass.store import Artifact

Arrays = dict[str, npt.NDArray[Any]]


def artifact(kind: str, meta: dict[str, Any]) -> Artifact:
    return Artifact(id=1, run_id=1, rank=0, kind=kind, key="test/3", step=40, time=0.0, meta=meta)


def effect(mean: float, control: float, low: float, high: float) -> dict[str, Any]:
    return {
        "pictures": 20,
        "mean": mean,
        "control": control,
        "low": low,
        "high": high,
        "p": 0.025,
        "changed": 0.75,
        "control_changed": 0.0,
    }


def search(*, confirmed: bool = True, suspects: int = 1) -> ShortcutsData:
    one = {
        "box": [2, 4, 6, 7],
        "confirmed": confirmed,
        "erase": effect(0.5, 0.02, 0.4, 0.55),
        "paste": effect(0.9, -0.01, 0.85, 0.95),
        "sentence": "Confirmed: it <b>decides</b>.",
    }
    arrays: Arrays = {"mean_picture": np.full((3, 16, 16), 0.5, np.float32)}
    for place in range(suspects):
        arrays[f"mean_map_{place}"] = np.zeros((16, 16), np.float16)
        arrays[f"mean_map_{place}"][4:7, 2:6] = 1
        arrays[f"examples_{place}"] = np.full((2, 3, 16, 16), 255, np.uint8)
        arrays[f"example_maps_{place}"] = np.zeros((2, 16, 16), np.float16)
    return shortcuts_data(
        artifact("shortcuts", {"suspects": [one] * suspects, "pictures": 40, "method": "gradcam"}), arrays
    )


def test_the_frame_lies_around_the_spot_and_leaves_it_free() -> None:
    picture = search().spots[0].picture
    factor = 8  # 16 pixels become 128
    mean = picture[:, : 16 * factor]
    framed = (mean == FRAME).all(axis=2)
    rows, columns = np.nonzero(framed)
    assert (rows.min(), rows.max()) == (4 * factor - 2, 7 * factor + 1)
    assert (columns.min(), columns.max()) == (2 * factor - 2, 6 * factor + 1)
    assert not framed[4 * factor : 7 * factor, 2 * factor : 6 * factor].any()
    assert (mean[~framed] == 128).all()


def test_the_mean_map_colours_what_is_hot_and_nothing_else() -> None:
    heated = search().spots[0].picture[:, 16 * 8 + 2 :]
    inside, far = heated[5 * 8, 4 * 8], heated[12 * 8, 12 * 8]
    assert inside[0] > inside[2] + 80
    assert far.tolist() == [128, 128, 128]


def test_bars_carry_the_bounds_of_the_spot_on_top_of_what_random_spots_do() -> None:
    spot, random = effects_figure(search().spots[0]).data
    assert list(spot.y) == pytest.approx([50, 90])
    assert list(random.y) == pytest.approx([2, -1])
    assert list(spot.error_y.array) == pytest.approx([55 + 2 - 50, 95 - 1 - 90])
    assert list(spot.error_y.arrayminus) == pytest.approx([50 - 42, 90 - 84])


def test_words_say_what_was_tested_and_what_was_found() -> None:
    assert search().summary == (
        "1 suspected spot tested (40 pictures at step 40, maps by gradcam): 1 confirmed. The model decides by a small "
        "fixed spot."
    )
    assert "none confirmed" in search(confirmed=False, suspects=3).summary
    assert search(suspects=0).summary.startswith(
        "Nothing found: no small spot is hot in pictures enough to test it (40 pictures"
    )
    assert search().is_alarm
    assert not search(confirmed=False).is_alarm
    assert search().spots[0].title == "Confirmed: columns 2 to 5, rows 4 to 6"


def trial(before: npt.NDArray[Any], after: npt.NDArray[Any], **meta: Any) -> Any:
    shown = {"shown_before": before, "shown_after": after, "input": np.zeros(3), "changed": np.ones(3)}
    facts = {"steps": [10, 20], "target": 1, "told": "word 3, 'bad', becomes 'good'", "ways": 1, "kind": "text"}
    return what_if_data(artifact("what_if", {**facts, **meta}), shown)


def test_classes_whose_names_are_cut_alike_keep_bars_of_their_own() -> None:
    names = [f"a breed of dogs with a very long name {i}" for i in range(2)]
    figure = scores_figure(trial(np.array([[0.4, 0.6]]), np.array([[0.5, 0.5]]), class_names=names))
    assert [list(bars.x) for bars in figure.data] == [[0, 1], [0, 1]]
    assert figure.layout.xaxis.ticktext[0] == figure.layout.xaxis.ticktext[1]


def test_what_did_not_change_looks_the_same_before_and_after() -> None:
    before = np.full((1, 2, 2), 0.5)
    after = before.copy()
    after[0, 0, 0] = 4.0
    arrays = {"shown_before": np.ones((1, 1)), "shown_after": np.ones((1, 1)), "input": before, "changed": after}
    data = what_if_data(artifact("what_if", {"kind": "pictures", "steps": [1]}), arrays)
    assert data.pictures is not None
    first, second = data.pictures
    assert (first.shape, second.shape) == ((2, 2, 3), (2, 2, 3))
    assert (first[1] == second[1]).all()
    assert second[0, 0].tolist() == [255] * 3


def test_probabilities_are_drawn_in_per_cent_for_each_class_and_over_the_checkpoints() -> None:
    before, after = np.array([[0.4, 0.6], [0.1, 0.9]]), np.array([[0.5, 0.5], [0.8, 0.2]])
    data = trial(before, after, shown_as="probability", class_names=["no", "yes"])
    assert data.summary == "yes: 90 % before, 20 % after; predicted no instead of yes."
    first, second = scores_figure(data).data
    assert list(first.y) == pytest.approx([10, 90])
    assert list(second.y) == pytest.approx([80, 20])
    assert list(scores_figure(data).layout.xaxis.ticktext) == ["no", "yes"]
    lines = checkpoints_figure(data).data
    assert list(lines[0].y) == pytest.approx([60, 90])
    assert list(lines[1].y) == pytest.approx([50, 20])
    assert list(lines[1].x) == [10, 20]


def test_a_single_value_is_drawn_as_it_is() -> None:
    data = trial(np.array([[150.0], [170.0]]), np.array([[150.0], [120.0]]), shown_as="score", target=0)
    assert data.summary == "value: 170 before, 120 after."
    assert list(scores_figure(data).data[1].y) == [120]


def test_of_many_classes_those_that_change_most_are_drawn_in_their_order() -> None:
    before = np.zeros((1, 100))
    after = np.zeros((1, 100))
    after[0, 7::7][:MAX_CLASSES] = np.linspace(-0.5, 0.7, MAX_CLASSES)
    data = trial(before, after, shown_as="probability", class_names=[f"c{k}" for k in range(100)], steps=[5])
    assert list(data.names) == [f"c{k}" for k in range(7, 7 * (MAX_CLASSES + 1), 7)]


def test_hostile_names_do_not_reach_a_figure() -> None:
    names = ["<b>no</b>", "<img src=x>"]
    data = trial(np.array([[0.4, 0.6]]), np.array([[0.5, 0.5]]), shown_as="probability", class_names=names, steps=[5])
    for figure in (scores_figure(data), checkpoints_figure(data)):
        assert "<img" not in figure.to_json()
        assert "<b>" not in figure.to_json()


def test_nothing_stored_says_what_to_do() -> None:
    assert "torchglass shortcuts" in effects_figure(None).layout.annotations[0].text
    assert "torchglass what-if" in scores_figure(None).layout.annotations[0].text

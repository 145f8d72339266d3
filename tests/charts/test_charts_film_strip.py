"""The film strip: one scale for all of it, few frames that begin and end where training did, and how maps moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchglass.analysis.rank_correlation import rank_correlation
from torchglass.charts import Explained
from torchglass.charts.attribution_drift import drift_data, drift_figure, judging_key
from torchglass.charts.film_strip import (
    MOST_FRAMES,
    MOST_PARTS,
    FilmStripData,
    chosen_steps,
    distance_to_last,
    film_strip_data,
    histories,
)
from torchglass.charts.film_strip_figures import film_strip_figures
from torchglass.charts.over_training import methods_over_training, read_over_training
from torchglass.store import Artifact, ArtifactBlock, Batch, Store
from torchglass.store.records import Points, RowBlock


def explained(key: str, step: int, relevance: Any, kind: str = "pictures", **meta: Any) -> Explained:
    values = np.asarray(relevance, np.float16)
    arrays = {
        "attributions": values[None, None] if kind == "pictures" else values[None],
        "inputs": np.full((1, 1, 2, 2), 0.5, np.float16) if kind == "pictures" else np.ones((1, len(values))),
        "outputs": np.array([2.5], np.float32),
        **({"truth": np.array([[False, True]])} if meta.pop("with_truth", False) else {}),
    }
    facts = {"method": "gradcam", "kind": kind, "target": 1, "class_names": ["cat", "<b>dog</b>"], **meta}
    return Explained(Artifact(step, 1, 0, "explanation", key, step, 0.0, facts), arrays)


def strips(*frames: Explained) -> FilmStripData:
    by_key: dict[str, list[Explained]] = {}
    for frame in frames:
        by_key.setdefault(frame.artifact.key, []).append(frame)
    data = film_strip_data(by_key)
    assert data is not None
    return data


def test_one_scale_spans_all_inputs_and_steps_so_that_growth_is_seen() -> None:
    data = strips(
        explained("probe/0", 0, [[0, 1], [0, 0]]),
        explained("probe/0", 100, [[0, 8], [0, 0]]),
        explained("probe/1", 100, [[2, 0], [0, 0]]),
    )
    assert (data.limit, data.signed, data.steps) == (8.0, False, (0, 100))
    signed = strips(explained("probe/0", 0, [[0, 1], [0, -9]]), explained("probe/0", 1, [[0, 8], [0, 0]]))
    assert (signed.limit, signed.signed) == (9.0, True)
    (figure,) = film_strip_figures(data)
    assert len(figure.layout.images) == 2 + 3  # inputs, and frames
    assert (figure.data[0].marker.cmin, figure.data[0].marker.cmax) == (0.0, 8.0)
    small, large = figure.layout.images[1].source, figure.layout.images[2].source
    assert small != large
    assert list(figure.layout.xaxis.ticktext) == ["input", "0", "100"]


def test_what_is_not_shown_as_it_is_is_said() -> None:
    shrunk = explained("probe/0", 0, np.eye(4), shrunk_from=[224, 224])
    data = film_strip_data({"probe/0": [shrunk]}, left_out=3)
    assert data is not None
    assert data.notes == ("3 more inputs are not shown.", "Maps of 224 × 224 were kept as 4 × 4, each pixel a mean.")


def test_maps_of_nothing_are_largest_at_nought_whatever_their_colours_span() -> None:
    data = strips(explained("probe/0", 0, [[0, 0], [0, 0]]), explained("probe/0", 1, [[0, 0], [0, 0]]))
    assert (data.largest, data.limit) == (0, 1)


def test_the_distance_is_that_of_all_parts_also_of_those_that_are_not_shown() -> None:
    large, small = np.arange(100, 100 + MOST_PARTS), np.arange(10)
    names = [f"c{place}" for place in range(MOST_PARTS + 10)] + [""] * 30  # as of padding, which stands at nought
    before, after = (np.concatenate((large, own, np.zeros(30))) for own in (small, small[::-1]))
    data = strips(
        *(explained("probe/0", step, one, kind="text", names=names) for step, one in enumerate((before, after)))
    )
    wanted = rank_correlation(before[: MOST_PARTS + 10], after[: MOST_PARTS + 10])
    assert wanted is not None
    assert data.strips[0].frames[0].relevance.shape == (MOST_PARTS,)
    assert distance_to_last(data)[1][0] == pytest.approx(1 - wanted)
    assert 0 < 1 - wanted < 0.1


def test_a_run_resumed_with_other_probes_is_drawn_with_the_newest_alone() -> None:
    data = strips(
        explained("probe/0", 0, [1, 2, 3], kind="text"),
        explained("probe/0", 5, [1, 2, 3, 4], kind="text"),
        explained("probe/0", 9, [4, 3, 2, 1], kind="text"),
        explained("probe/1", 0, [[1, 2], [3, 4]]),
        explained("probe/1", 4, [[1, 2], [3, 4]]),
    )
    assert (data.kind, data.steps) == ("text", (5, 9))
    assert data.notes == ("3 explanations of inputs of another kind or length than the newest are not shown.",)
    assert len(film_strip_figures(data)) == 1
    assert distance_to_last(data)[1] == pytest.approx([2, 0])


def test_a_strip_has_few_frames_and_keeps_the_first_and_the_last() -> None:
    assert chosen_steps([3, 1, 2, 3]) == (1, 2, 3)
    assert chosen_steps([]) == ()
    many = chosen_steps(range(0, 1000, 7))
    assert len(many) == MOST_FRAMES
    assert (many[0], many[-1]) == (0, 994)
    assert np.ptp(np.diff(many)) <= 7  # evenly, as far as there are steps
    # Dense at first and rare later, as a long training leaves them: still even over the steps.
    uneven = chosen_steps([*range(24), *range(100, 2001, 100)])
    assert uneven[:3] == (0, 200, 400)


def test_of_a_step_the_newest_counts_and_keys_are_in_the_order_of_their_numbers() -> None:
    frames = [explained(f"probe/{i}", step, [[0, i], [0, 0]]).artifact for step in (5, 0) for i in (10, 2)]
    again = Artifact(99, 1, 0, "explanation", "probe/2", 5, 0.0, {"method": "gradcam"})
    other = Artifact(98, 1, 0, "explanation", "probe/2", 5, 0.0, {"method": "lime"})
    found = histories([*frames, again, other], "gradcam")
    assert list(found) == ["probe/2", "probe/10"]
    assert [one.step for one in found["probe/2"]] == [0, 5]
    assert found["probe/2"][-1].id == 99


def test_the_distance_to_the_newest_map_is_by_ranks_and_never_between_classes() -> None:
    rising, falling = [[1, 2], [3, 4]], [[4, 3], [2, 1]]
    data = strips(
        explained("probe/0", 0, falling),
        explained("probe/0", 1, [[2, 1], [4, 3]]),
        explained("probe/0", 2, rising),
        explained("probe/1", 0, rising, target=0),
        explained("probe/1", 2, rising),
    )
    steps, values = distance_to_last(data)
    assert steps == (0, 1, 2)
    assert values == pytest.approx([2.0, 0.4, 0.0])


def test_ranks_share_ties_and_a_constant_map_ranks_nothing() -> None:
    assert rank_correlation(np.array([1, 1, 2, 3]), np.array([10, 10, 20, 30])) == pytest.approx(1)
    # Ranks 1.5, 1.5, 3 against 1, 2, 3: by hand 1.5 / sqrt(1.5 * 2).
    assert rank_correlation(np.array([0, 0, 5]), np.array([1, 2, 3])) == pytest.approx(1.5 / np.sqrt(3))
    assert rank_correlation(np.zeros(3), np.arange(3)) is None


def test_words_are_rows_against_the_steps_the_padding_left_out_and_the_deciding_one_marked() -> None:
    data = strips(
        explained("probe/0", 0, [1, 0], "text", names=["<i>x</i>", "great"], with_truth=True, method="shap"),
        explained("probe/0", 50, [-3, 2], "text", names=["<i>x</i>", "great"], with_truth=True, method="shap"),
        explained("probe/1", 50, [4, 0], "text", names=["one", ""], method="shap"),
    )
    first, second = film_strip_figures(data)
    assert np.asarray(first.data[0].z).tolist() == [[1, -3], [0, 2]]
    assert (first.data[0].zmin, first.data[0].zmax) == (second.data[0].zmin, second.data[0].zmax) == (-4, 4)
    assert list(first.layout.yaxis.ticktext) == ["&lt;i&gt;x&lt;/i&gt;", "● great"]
    assert list(second.layout.yaxis.ticktext) == ["one"]


def test_of_a_long_row_those_columns_are_shown_that_count_most_at_any_step() -> None:
    names = [f"c{i}" for i in range(MOST_PARTS + 5)]
    early, late = np.zeros(len(names)), np.zeros(len(names))
    early[-1], late[3] = 5, -7
    data = strips(
        explained("probe/0", 0, early, "table", names=names), explained("probe/0", 9, late, "table", names=names)
    )
    shown = data.strips[0].names
    assert len(shown) == MOST_PARTS
    assert {"c3", names[-1]} <= set(shown)
    assert list(shown) == sorted(shown, key=names.index)
    assert data.notes == (f"Of each input the {MOST_PARTS} parts are shown that count most at any step.",)


def test_names_of_classes_reach_the_figure_escaped() -> None:
    (figure,) = film_strip_figures(strips(explained("probe/0", 0, [[1, 0], [0, 0]], label=1)))
    assert list(figure.layout.yaxis.ticktext) == ["probe/0: &lt;b&gt;dog&lt;/b&gt;"]


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["loss", "test/accuracy", "validation/accuracy"], "validation/accuracy"),
        (["test/loss", "test/accuracy", "val/loss"], "test/accuracy"),
        (["train/accuracy", "loss"], "train/accuracy"),
        (["loss", "lr"], "loss"),
        (["lr"], None),
    ],
    ids=["validation", "accuracy first", "train", "loss", "none"],
)
def test_the_curve_above_is_the_one_that_says_best_how_good_the_model_is(keys: list[str], chosen: str | None) -> None:
    assert judging_key(keys) == chosen


def points(steps: Sequence[int], values: Sequence[float]) -> Points:
    return Points(np.array(steps), np.zeros(len(steps)), np.array(values, np.float64), len(steps), len(steps))


def test_score_and_drift_stand_on_one_axis_of_steps() -> None:
    data = drift_data(
        ("val/acc", points([0, 9], [0.1, 0.9])), points([5, 9], [0.6, 0.2]), ((0, 9), np.array([1.0, 0.0]))
    )
    figure = drift_figure(data)
    assert [trace.name for trace in figure.data] == ["val/acc", "drift from the look before", "distance to the newest"]
    assert figure.layout.xaxis.matches == "x2"
    assert (
        "two looks" in drift_figure(drift_data(None, None, ((5,), np.array([0.0])))).layout.annotations[0].text.lower()
    )


def test_what_is_stored_comes_back_by_group_and_method_and_needs_two_steps(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        run = store.start_run("r", {}, host="h", pid=1).id
        blocks = [
            *((f"probe/{i}", step, "gradcam") for step in (0, 50) for i in range(2)),
            *(("test/1", step, "shap") for step in (0, 50)),
            ("test/1", 50, "lime"),
        ]
        for key, step, method in blocks:
            one = explained(key, step, [[0, step], [1, 0]], method=method)
            store.add_artifact(run, ArtifactBlock("explanation", key, step, 0.0, one.artifact.meta, one.arrays))
        row = RowBlock.of_series(
            "explanation/gradcam/drift", "scalar", "", np.array([50]), np.zeros(1), np.array([0.25])
        )
        store.write(run, 0, Batch(rows=[row]))
        artifacts = store.artifacts(run, kind="explanation")
        assert methods_over_training(artifacts) == {"probe": ("gradcam",), "test": ("shap",)}
        read = read_over_training(store, run, artifacts, "probe", "gradcam", first="probe/1")
        assert read is not None
        assert [strip.name for strip in read.strip.strips] == ["probe/1: <b>dog</b>", "probe/0: <b>dog</b>"]
        assert read.drift.lines[0].values.tolist() == [0.25]
        assert read_over_training(store, run, artifacts, "test", "lime") is None

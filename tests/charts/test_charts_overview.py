"""Charts of an overview and of an episode: what they hold, in which units, and that no name gets a say in a figure."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from overviewed import episode_arrays, episode_meta, overview_arrays, overview_meta

from torchglass.charts.beeswarm import beeswarm_data, beeswarm_figure
from torchglass.charts.dependence import dependence_data, dependence_figure
from torchglass.charts.episode import EpisodeData, episode_data, episode_figure, episode_text
from torchglass.charts.importance import importance_data, importance_figure
from torchglass.charts.interactions import interactions_data, interactions_text
from torchglass.charts.overview import Overview, overview_of
from torchglass.charts.overviews import overview_panels
from torchglass.charts.partial_dependence import partial_dependence_data, partial_dependence_figure
from torchglass.store import Artifact

HOSTILE = "<b>x</b> %{y} & \n"


def an_overview(**changed: Any) -> Overview:
    found = overview_of(artifact("overview", "class 1", overview_meta(**changed)), overview_arrays())
    assert found is not None
    return found


def an_episode(**changed: Any) -> EpisodeData:
    found = episode_data(artifact("episode", "seed 0", episode_meta(**changed)), episode_arrays())
    assert found is not None
    return found


def artifact(kind: str, key: str, meta: dict[str, Any]) -> Artifact:
    return Artifact(1, 1, 0, kind, key, 12, 0.0, meta)


def test_columns_are_in_their_own_units_and_in_the_order_of_what_they_count() -> None:
    overview, arrays = an_overview(), overview_arrays()
    np.testing.assert_allclose(overview.inputs[:, 1], arrays["inputs"][:, 1] * 20 + 120, rtol=1e-5)
    assert overview.order.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(overview.dependence_grid, [[40, 50, 60], [100, 140, np.nan]])
    assert overview.score == "logit of ill"
    assert overview.heading == "40 test rows of patients, step 12; logit of ill"
    plain = an_overview(scale=None, class_names=[], output_space="value")
    np.testing.assert_array_equal(plain.inputs, arrays["inputs"])
    assert plain.score == "predicted value"


def test_a_beeswarm_has_a_point_for_each_row_and_column_coloured_by_the_values_rank() -> None:
    overview = an_overview()
    data = beeswarm_data(overview)
    assert data.names == ("age", "blood pressure", "noise")
    first = data.columns == 0
    np.testing.assert_allclose(data.effects[first], overview.values[:, 0])
    np.testing.assert_allclose(np.argsort(data.ranks[first]), np.argsort(overview.inputs[:, 0]))
    assert (data.ranks.min(), data.ranks.max()) == (0, 1)
    assert np.abs(data.heights).max() <= 1
    figure = beeswarm_figure(data)
    assert len(figure.data[0].x) == 3 * 40
    assert list(figure.layout.yaxis.ticktext) == ["age", "blood pressure", "noise"]
    lower, upper = figure.layout.yaxis.range
    assert lower > 2 > 0 > upper  # the column that counts most on top
    # All effects of the third are nought: half of its points stand above the middle and half below.
    assert np.sort(data.heights[data.columns == 2])[[0, 19, 20, 39]] == pytest.approx([-1, -0.05, 0, 0.95])


def test_importance_is_told_by_both_measures() -> None:
    data = importance_data(an_overview())
    np.testing.assert_allclose(data.effects, np.abs(overview_arrays()["values"]).mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.worsening, [0.6, 0.1, 0.0])
    np.testing.assert_allclose(data.deviations, [0.1, 0, 0], atol=1e-12)
    figure = importance_figure(importance_data(an_overview(importance_measure="accuracy")))
    assert figure.layout.xaxis2.title.text == "accuracy lost when dealt anew"
    assert importance_figure(data).layout.xaxis2.title.text == "cross entropy gained when dealt anew"


def test_a_dependence_is_coloured_by_the_partner_in_its_own_units() -> None:
    overview = an_overview()
    data = dependence_data(overview, 0)
    assert (data.name, data.partner) == ("age", "blood pressure")
    np.testing.assert_allclose(data.partner_values, overview.inputs[:, 1])
    marker = dependence_figure(data).data[0].marker
    assert (marker.cmin, marker.cmax) == pytest.approx(tuple(np.quantile(overview.inputs[:, 1], (0.05, 0.95))))
    assert dependence_data(overview, 2).partner == ""


def test_curves_begin_at_zero_and_their_mean_is_the_partial_dependence() -> None:
    arrays = overview_arrays()
    data = partial_dependence_data(an_overview(), 0)
    np.testing.assert_allclose(data.curves[:, 0], 0)
    slope = 2 + arrays["inputs"][:, 1].mean()
    np.testing.assert_allclose(data.centred_mean, [0, slope, 2 * slope], rtol=1e-5)
    np.testing.assert_allclose(data.mean, [-slope, 0, slope], rtol=1e-5, atol=1e-6)
    short = partial_dependence_data(an_overview(), 1)
    np.testing.assert_array_equal(short.grid, [100, 140])
    assert np.isfinite(short.curves).all()
    figure = partial_dependence_figure(data)
    assert len(figure.data[0].x) == 40 * 4  # three values and a gap a row


def test_the_strongest_pair_is_of_known_columns() -> None:
    data = interactions_data(an_overview())
    assert data.names == ("age", "blood pressure", "all others")
    np.testing.assert_array_equal(data.strength, [[2.0, 0.8, 0.0], [0.8, 0.1, 3.0], [0.0, 3.0, 0.2]])
    assert data.strongest == (0, 1)
    assert interactions_text(data) == (
        "age and blood pressure interact most: 0.8 on average, beside 2 that the stronger of them says alone."
    )
    nothing = data._replace(strength=np.diag([1.0, 2.0, 3.0]))
    assert nothing.strongest is None


def test_an_episode_tells_what_moved_the_actions_and_the_value() -> None:
    data = an_episode()
    action, value = data.shares
    np.testing.assert_allclose(action, [0, 1])
    sizes = np.abs(data.for_value).sum(axis=0)
    np.testing.assert_allclose(value, sizes / sizes.sum())
    assert episode_text(data).startswith("velocity made up 100 % of what spoke for or against the actions, position")
    assert data.heading == "CartPole-v1, seed 0: 30 steps, cut off there, return 30, by SHAP, of the agent at step 12"
    figure = episode_figure(data)
    assert figure.data[0].z.shape == (2, 30)
    assert figure.data[0].zmax == -figure.data[0].zmin == pytest.approx(np.abs(data.for_action).max())


def test_every_panel_draws_in_both_looks_and_no_name_is_markup() -> None:
    overview = an_overview(feature_names=[HOSTILE, f"{HOSTILE}2", f"{HOSTILE}3"], class_names=[HOSTILE] * 2)
    panels = list(overview_panels(overview))
    assert [panel.key for panel in panels] == [
        "beeswarm", "importance", "interactions", "dependence-0", "partial-0", "dependence-1", "partial-1",
        "dependence-2",
    ]  # fmt: skip
    episode = an_episode(feature_names=[HOSTILE, HOSTILE], class_names=[HOSTILE, HOSTILE])
    figures = [panel.draw(dark=dark) for panel in panels for dark in (False, True)]
    for figure in [*figures, episode_figure(episode)]:
        drawn = figure.to_plotly_json()
        text = json.dumps(drawn, default=lambda array: np.asarray(array).tolist())
        assert "<b>x" not in text
        assert "x" in text
        for trace in drawn["data"]:
            assert "%{y} &" not in str(trace.get("hovertemplate", ""))


@pytest.mark.parametrize("missing", ["values", "interactions", "partners"])
def test_what_another_version_stored_is_not_drawn(missing: str) -> None:
    arrays = overview_arrays()
    del arrays[missing]
    assert overview_of(artifact("overview", "value", overview_meta()), arrays) is None
    few = episode_arrays()
    del few["values"]
    assert episode_data(artifact("episode", "seed 0", episode_meta()), few) is None

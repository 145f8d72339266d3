"""Explanations: scales that are honest about sign, pictures that decode, trust in words."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recorded import record_example_run

from torchglass.charts.explanations import explanations_data
from torchglass.charts.explanations_pictures import PicturesData, explanations_figure, pictures_data
from torchglass.charts.explanations_words import Explained
from torchglass.charts.pictures import png_data_uri, resized, rgb
from torchglass.charts.trust import trust_text
from torchglass.store import Artifact, Store


@pytest.fixture
def data(tmp_path: Path) -> PicturesData:
    with Store(tmp_path / "a.db") as store:
        run = record_example_run(store)
        artifacts = store.artifacts(run.id, kind="explanation", key="test/3")
        found = explanations_data([Explained(artifact, store.arrays(artifact.id)) for artifact in artifacts])
    assert isinstance(found, PicturesData)
    return found


def test_signed_maps_diverge_around_zero_and_class_activation_maps_do_not(data: PicturesData) -> None:
    heats = [trace for trace in explanations_figure(data).data if trace.type == "heatmap"]
    cam, shap, lime = heats
    assert (cam.zmin, cam.zmax) == (0, 1)
    assert shap.zmin == -shap.zmax
    assert lime.zmin == -lime.zmax
    assert cam.colorscale != shap.colorscale


@pytest.mark.parametrize(
    ("method", "lowest", "signed"),
    [("shap", 0.0, True), ("gradcam", 0.0, False), ("gradcam", -0.5, True)],
    ids=["none against", "a ReLU", "no ReLU"],
)
def test_a_scale_starts_at_zero_only_where_zero_is_no_evidence(method: str, lowest: float, signed: bool) -> None:
    found = pictures_data([_explained(np.array([[[[1.0, lowest]]]], np.float32), method=method)])
    assert found.panels[0].signed is signed


def test_zero_is_white_and_opposite_values_get_opposite_ends(data: PicturesData) -> None:
    shap = data.panels[1]
    zero = np.unravel_index(int(np.abs(shap.relevance).argmin()), shap.relevance.shape)
    most = np.unravel_index(int(shap.relevance.argmax()), shap.relevance.shape)
    least = np.unravel_index(int(shap.relevance.argmin()), shap.relevance.shape)
    assert shap.picture[zero].tolist() == [247, 247, 247]
    assert shap.picture[most][0] > shap.picture[most][2]
    assert shap.picture[least][0] < shap.picture[least][2]


def test_the_overlay_leaves_the_input_alone_where_nothing_was_attributed(data: PicturesData) -> None:
    shap = data.panels[1]
    untouched = shap.relevance == 0
    assert untouched.any()
    assert (shap.overlay[untouched] == data.picture[untouched]).all()
    assert (shap.overlay[~untouched] != data.picture[~untouched]).any()


def test_channels_are_summed_not_averaged_or_maximised() -> None:
    attributions = np.zeros((1, 3, 4, 4), np.float32)
    attributions[0, :, 1, 2] = [0.5, -0.2, 0.1]
    found = pictures_data([_explained(attributions, method="shap")])
    assert found.panels[0].relevance[1, 2] == pytest.approx(0.4)
    assert found.panels[0].limit == pytest.approx(0.4)


def test_a_given_limit_keeps_one_scale_over_time() -> None:
    found = pictures_data([_explained(np.full((1, 1, 4, 4), 0.1, np.float32), method="shap")], limits={"shap": 2.0})
    assert explanations_figure(found).data[1].zmax == 2.0


def test_a_coarse_map_covers_the_whole_picture() -> None:
    found = pictures_data([_explained(np.ones((1, 1, 2, 2), np.float32), method="gradcam")])
    heat = explanations_figure(found).data[1]
    assert (heat.x0 - heat.dx / 2, heat.x0 + 1.5 * heat.dx) == (-0.5, 3.5)


def test_titles_name_method_class_score_and_layer(data: PicturesData) -> None:
    assert data.panels[0].title == "Grad-CAM for class 3, logit 11.5 from 0.25, layer conv2"
    assert data.heading == "test/3, step 200; label 3; predicted 3 (99.0 %)"


def test_a_hostile_class_name_is_inert() -> None:
    found = pictures_data(
        [_explained(np.ones((1, 1, 2, 2), np.float32), method="shap", class_names=["<img src=x onerror=alert(1)>"])]
    )
    assert "<img" not in explanations_figure(found).to_json()


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ({"completeness_error": 0.5, "completeness_error_relative": 0.001}, "Adds up to the output within 0.1 %."),
        ({"completeness_error_relative": 0.4}, "Does not add up to the output: off by 40 %."),
        ({"surrogate_r2": 0.81}, "The surrogate follows 81 % of the model's variance nearby (R² 0.81)."),
        ({"surrogate_r2": 0.2}, "A poor fit: the surrogate follows 20 % of the model's variance nearby (R² 0.20)."),
        ({"completeness_error_relative": 3e-9}, "Adds up to the output within 0.01 %."),
        ({"positive_share": 0.38, "negative_activation_share": 0.1}, "38 % of the map speaks for the class."),
        (
            {"positive_share": 0.38, "negative_activation_share": 0.7},
            "38 % of the map speaks for the class. Doubtful: 70 % of the layer's activation is negative.",
        ),
        ({"sampling_error_relative": 0.0312}, "Sampling leaves ±3.1 %."),
        ({"sampling_error_relative": 1e-9}, "Sampling leaves ±0.01 %."),
        ({}, "No numerical check was made."),
        (
            {"truth_share": 0.72, "truth_area": 0.06},
            "No numerical check was made. "
            "72 % of what speaks for the class lies on what decides it, 6 % of the picture.",
        ),
    ],
)
def test_trust_is_said_in_words(checks: dict[str, float], expected: str) -> None:
    text = trust_text({"checks": checks, "model_evaluations": 1000, "seconds": 0.8})
    assert text == f"{expected} 1,000 evaluations, 800 ms."


def test_a_png_decodes_to_the_same_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    encoded = png_data_uri(picture).removeprefix("data:image/png;base64,")
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))) == picture).all()


def test_inputs_outside_of_zero_to_one_are_stretched() -> None:
    assert rgb(np.array([[[-1.0, 0.0, 1.0]]]))[0, :, 0].tolist() == [0, 128, 255]
    assert rgb(np.array([[[0.2, 0.4]]]))[0, :, 0].tolist() == [51, 102]


def test_resizing_repeats_pixels() -> None:
    assert resized(np.array([[1, 2]]), 2, 4).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


def test_what_decides_is_outlined_where_it_is_known() -> None:
    plain = _explained(np.zeros((1, 1, 4, 4), np.float32), method="shap")
    truth = np.zeros((1, 4, 4), bool)
    truth[0, 1, 2] = truth[0, 1, 1] = True
    marked = pictures_data([Explained(plain.artifact, {**plain.arrays, "truth": truth})]).panels[0].overlay
    outline = {(0, 1), (0, 2), (2, 1), (2, 2), (1, 0), (1, 3)}
    changed = (marked != pictures_data([plain]).panels[0].overlay).any(axis=2)
    assert {tuple(place) for place in np.argwhere(changed).tolist()} == outline


def test_long_trust_gets_the_room_that_it_needs() -> None:
    short = _explained(np.ones((1, 1, 4, 4), np.float32), method="shap")
    meta = dict(short.artifact.meta) | {"checks": {"surrogate_r2": 0.1, "truth_share": 0.5, "truth_area": 0.1}}
    long = Explained(Artifact(2, 1, 0, "explanation", "test/0", 1, 0.0, meta), short.arrays)
    heights = [explanations_figure(pictures_data([one, one])).layout.height for one in (short, long)]
    assert heights[1] > heights[0]


def test_no_explanation_says_so() -> None:
    assert explanations_data([]) is None
    assert "Nothing recorded" in explanations_figure(None).layout.annotations[0].text


def _explained(attributions: np.ndarray, *, method: str, class_names: list[str] | None = None) -> Explained:
    meta = {"method": method, "class_names": class_names or ["a"], "output_space": "logit", "checks": {}}
    arrays = {
        "attributions": attributions,
        "inputs": np.full((1, 1, 4, 4), 0.5, np.float32),
        "targets": np.array([0]),
        "outputs": np.array([1.0]),
    }
    return Explained(Artifact(1, 1, 0, "explanation", "test/0", 1, 0.0, meta), arrays)

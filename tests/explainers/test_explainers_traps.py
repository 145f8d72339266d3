"""What the libraries do to a model or get wrong: each trap has a test, most of them as the library falls into it."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import shap
import torch
from captum.attr import DeepLift, LayerGradCam, Saliency
from explainers_written import Recurrent, rows_network, texts
from explainers_zoo import BatchNormNet, LeNet, RowReader
from lime.lime_tabular import LimeTabularExplainer
from lime.wrappers.scikit_image import SegmentationAlgorithm
from test_explainers_no_trace import random_state, state
from torch import Tensor, nn

from torchglass.errors import ExplainError
from torchglass.explainers import explain
from torchglass.explainers.front_door import plain_autograd
from torchglass.explainers.perturbation.superpixels import segment

TESTS = Path(__file__).parents[1]
HERE = "explainers/test_explainers_traps.py"
ROWS_FILE = "explainers/test_explainers_traps_rows.py"
TRAPS: dict[int, tuple[str, str]] = {
    1: (
        "captum's DeepLIFT is wrong where non-linear modules follow each other",
        "explainers/test_explainers_deeplift_lrp.py::test_deeplift_adds_up_where_activations_follow_each_other",
    ),
    2: (
        "shap's DeepExplainer misses at overlapping poolings and activations that it does not know",
        "explainers/test_explainers_shap.py::test_where_deep_shap_does_not_add_up_partition_takes_over_and_says_why",
    ),
    3: (
        "shap's DeepExplainer leaves its hooks on the model when it fails",
        f"{HERE}::test_a_failing_deep_explainer_leaves_hooks_on_the_model_and_we_do_not",
    ),
    4: (
        "shap puts the model in eval mode for good and clears its gradients",
        f"{HERE}::test_shap_ends_training_mode_and_clears_gradients_and_we_do_not",
    ),
    5: (
        "in train mode captum's passes move batch norm's statistics, and shap reseeds numpy's generator",
        f"{HERE}::test_captum_moves_statistics_and_shap_reseeds_numpy_and_we_do_not",
    ),
    6: (
        "backward hooks fail where an activation works in place",
        f"{HERE}::test_an_activation_in_place_stops_shap_and_not_us",
    ),
    7: (
        "captum's DeepLIFT refuses an activation module that is called twice",
        f"{HERE}::test_one_activation_module_called_twice_stops_captum_and_not_us",
    ),
    8: (
        "of functional activations guided backpropagation and DeepLIFT silently see nothing",
        "explainers/test_explainers_guided_gradcam.py::test_functional_relus_are_guided_too",
    ),
    9: (
        "shap's tolerance for sums is absolute, so that small models pass that are wrong",
        f"{ROWS_FILE}::test_a_small_model_that_is_wrong_passes_shaps_own_check_and_not_ours",
    ),
    10: (
        "shap's DeepExplainer fails where it ranks outputs",
        f"{ROWS_FILE}::test_one_class_of_several_is_explained_where_shap_ranks_outputs_and_fails",
    ),
    11: (
        "the shape of shap's values depends on the number of outputs, and one value a row stops it",
        f"{ROWS_FILE}::test_one_value_a_row_is_explained_in_either_shape",
    ),
    12: (
        "shap's KernelExplainer keeps ten features and sets the others to zero",
        f"{ROWS_FILE}::test_no_column_is_left_out_where_shap_would_keep_ten",
    ),
    13: (
        "captum's Lime leaves hardly a weight of a model of probabilities",
        f"{ROWS_FILE}::test_lime_of_probabilities_has_weights_where_captums_hardly_has_one",
    ),
    14: (
        "lime's own segmentation finds next to no segment in a small picture",
        f"{HERE}::test_limes_own_segmentation_of_a_small_picture_is_void_and_ours_is_not",
    ),
    15: (
        "lime and shap draw progress bars that cannot be turned off",
        "explainers/test_explainers_lime.py::test_the_librarys_progress_bars_are_silent",
    ),
    16: (
        "lime's seed does not reach its segmentation, and a row of pandas stops it",
        f"{HERE}::test_limes_seed_misses_its_segmentation_and_rows_of_pandas_stop_it",
    ),
    17: (
        "lime asks about all samples of a text in one call",
        f"{ROWS_FILE}::test_no_method_asks_about_all_samples_of_a_text_at_once",
    ),
    18: (
        "cuDNN's recurrent networks have no backward pass in eval mode",
        f"{HERE}::test_cudnn_is_off_while_a_recurrent_network_is_explained_and_only_then",
    ),
    19: (
        "integers cannot be differentiated, so that token ids stop gradient methods",
        f"{ROWS_FILE}::test_integrated_gradients_of_token_ids_begin_at_the_embedding",
    ),
    20: (
        "torch's transformer layers hand out no attention, and their fused path skips hooks",
        "explainers/test_explainers_attention.py::test_torchs_own_layers_are_asked_for_weights_and_a_class_token_is_read",
    ),
    21: (
        "hooks that are set on layers after the first compiled call never fire",
        f"{HERE}::test_layers_of_a_compiled_model_are_silent_for_captum_and_not_for_us",
    ),
    22: (
        "tensors of inference mode cannot be differentiated",
        f"{HERE}::test_a_picture_of_inference_mode_stops_captum_and_not_us",
    ),
    23: (
        "in half precision shap's DeepExplainer fails, and a solved regression is ruined",
        f"{ROWS_FILE}::test_a_model_in_half_precision_is_explained_in_full",
    ),
    24: (
        "shap's front door takes no torch model, and its beeswarm no model of several outputs",
        f"{HERE}::test_shaps_front_door_and_its_beeswarm_are_not_what_we_depend_on",
    ),
    25: (
        "other activation-map code needs OpenCV and swaps the axes of oblong pictures",
        f"{HERE}::test_a_spot_in_an_oblong_picture_is_found_at_its_own_row_and_column",
    ),
    26: (
        "captum's Lime and KernelShap need scikit-learn, which captum does not ask for",
        f"{HERE}::test_scikit_learn_comes_with_the_extra_and_its_absence_is_said",
    ),
}
"""The trap, and the test that we do not fall into it."""


def test_every_trap_has_a_test_that_exists() -> None:
    assert sorted(TRAPS) == list(range(1, 27))
    for trap, where in TRAPS.values():
        file, name = where.split("::")
        tree = ast.parse((TESTS / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, trap


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules())


def test_a_failing_deep_explainer_leaves_hooks_on_the_model_and_we_do_not(pictures: Tensor) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Upsample(scale_factor=2), Fails(), nn.ReLU(), Head())

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 3)

        def forward(self, maps: Tensor) -> Tensor:
            logits: Tensor = self.linear(maps.mean((2, 3)))
            return logits

    class Fails(nn.Module):
        """Fails under a gradient, which an explainer asks for after it set its hooks."""

        def forward(self, maps: Tensor) -> Tensor:
            if torch.is_grad_enabled() and maps.requires_grad and len(maps) > 2:
                raise RuntimeError("no room")
            return maps

    theirs, ours = build(), build()
    with pytest.raises(RuntimeError, match="no room"):
        shap.DeepExplainer(theirs, pictures[:2]).shap_values(pictures[:2])
    assert hooks_of(theirs) > 0
    with pytest.raises(ExplainError):
        explain(ours, pictures[:2], 1, "shap", background=pictures[:2], algorithm="deep")
    assert hooks_of(ours) == 0


def test_shap_ends_training_mode_and_clears_gradients_and_we_do_not(pictures: Tensor) -> None:
    def trained() -> nn.Module:
        model = LeNet().train()
        model(pictures).sum().backward()
        return model

    theirs, ours = trained(), trained()
    shap.GradientExplainer(theirs, pictures).shap_values(pictures[:1], nsamples=4)
    assert not theirs.training
    assert not any(p.grad is not None and p.grad.any() for p in theirs.parameters())
    before = state(ours)
    explain(ours, pictures[:1], 1, "shap", background=pictures, algorithm="gradient", evaluations=16)
    assert ours.training
    assert state(ours) == before


def test_captum_moves_statistics_and_shap_reseeds_numpy_and_we_do_not(pictures: Tensor) -> None:
    theirs, ours = BatchNormNet(), BatchNormNet()
    before = theirs.body[1].running_mean.clone()
    Saliency(theirs).attribute(pictures, target=1)
    assert not torch.equal(theirs.body[1].running_mean, before)
    np.random.seed(5)
    drawn = np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    shap.GradientExplainer(LeNet(), pictures).shap_values(pictures[:1], nsamples=4)
    assert np.random.get_state()[1].tolist() != drawn  # type: ignore[union-attr]
    kept, randomness = state(ours), random_state()
    explain(ours, pictures, 1, "saliency")
    explain(ours, pictures, 1, "shap", background=pictures, algorithm="gradient", evaluations=16)
    assert state(ours) == kept
    assert random_state() == randomness


def difference(model: nn.Module, pictures: Tensor, background: float) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        base = model.eval()(torch.full_like(pictures[:1], background))[:, 1]
        return np.asarray((model(pictures)[:, 1] - base).double().numpy())


@pytest.mark.parametrize("method", ["shap", "deeplift", "lrp", "guided_gradcam"])
def test_an_activation_in_place_stops_shap_and_not_us(method: str, pictures: Tensor) -> None:
    model = LeNet(lambda: nn.ReLU(inplace=True)).eval()
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        shap.DeepExplainer(model, torch.full_like(pictures[:2], 0.4)).shap_values(pictures)
    plain = LeNet().eval()
    model = LeNet(lambda: nn.ReLU(inplace=True)).eval()
    model.load_state_dict(plain.state_dict())
    asked: dict[str, Any] = {"target": 1, "method": method, "background": 0.4}
    found = explain(model, pictures, **asked)
    np.testing.assert_allclose(found.attributions, explain(plain, pictures, **asked).attributions, atol=1e-6)
    assert "fallback_reason" not in found.parameters


class CalledTwice(nn.Module):
    """One ReLU module behind two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.ReLU()
        self.head = nn.Linear(4, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.relu(self.second(self.relu(self.first(pictures)))).mean((2, 3)))
        return logits


def test_one_activation_module_called_twice_stops_captum_and_not_us(pictures: Tensor) -> None:
    model = CalledTwice().eval()
    with pytest.raises(RuntimeError, match="your module is being used more than once"):
        DeepLift(model).attribute(pictures, torch.full_like(pictures, 0.4), target=1)
    for method in ("deeplift", "shap"):
        found = explain(model, pictures, 1, method, background=0.4)
        assert "fallback_reason" not in found.parameters
        np.testing.assert_allclose(found.attributions.sum((1, 2, 3)), difference(model, pictures, 0.4), atol=1e-5)


@pytest.mark.parametrize("side", [28, 32])
def test_limes_own_segmentation_of_a_small_picture_is_void_and_ours_is_not(side: int) -> None:
    image = np.random.default_rng(0).random((side, side, 1))
    quickshift = SegmentationAlgorithm("quickshift", kernel_size=4, max_dist=200, ratio=0.2)
    assert len(np.unique(quickshift(np.repeat(image, 3, axis=2)))) <= 2
    assert len(np.unique(segment(image.astype(np.float32), 50, "slic"))) >= 16


def test_limes_seed_misses_its_segmentation_and_rows_of_pandas_stop_it(pictures: Tensor) -> None:
    assert not {"random_seed", "rng"} & SegmentationAlgorithm("quickshift", random_seed=1).target_params.keys()
    model = LeNet()
    asked: dict[str, Any] = {"method": "lime", "samples": 60, "segments": 20, "backend": "library", "seed": 3}
    first = explain(model, pictures, 1, **asked).attributions
    np.random.seed(8)
    np.testing.assert_array_equal(explain(model, pictures, 1, **asked).attributions, first)
    frame = pd.DataFrame(np.random.default_rng(0).random((40, 6)), columns=list("abcdef"))
    judge = LimeTabularExplainer(frame.to_numpy(), mode="regression")
    with pytest.raises(KeyError):
        judge.explain_instance(frame.iloc[3], lambda rows: rows.sum(1), num_samples=50)
    with pytest.raises(ExplainError, match="inputs is a Series: give a tensor or numpy array"):
        explain(rows_network(), frame.iloc[3], method="lime")  # type: ignore[arg-type]


@pytest.mark.parametrize("build", [LeNet, RowReader])
def test_cudnn_is_off_while_a_recurrent_network_is_explained_and_only_then(build: Callable[[], nn.Module]) -> None:
    model = build()
    enabled = torch.backends.cudnn.enabled
    with plain_autograd(model):
        inside = torch.backends.cudnn.enabled
    assert inside == (enabled and build is LeNet)
    assert torch.backends.cudnn.enabled == enabled


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recurrent_network_on_a_device_is_explained_in_eval_mode(pictures: Tensor) -> None:
    explain(RowReader().eval().cuda(), pictures, 1, "saliency")
    explain(Recurrent().eval().cuda(), texts(), 1, "integrated_gradients")


def test_layers_of_a_compiled_model_are_silent_for_captum_and_not_for_us(pictures: Tensor) -> None:
    model = LeNet().eval()
    compiled = torch.compile(model, backend="eager")
    assert isinstance(compiled, nn.Module)
    compiled(pictures)
    with pytest.raises(AssertionError, match="Forward hook did not obtain any outputs"):
        LayerGradCam(compiled, model.features[3]).attribute(pictures, target=1)
    torch.compiler.reset()
    found = explain(compiled, pictures, 1, layer="features.3").attributions
    np.testing.assert_array_equal(found, explain(model, pictures, 1, layer="features.3").attributions)


def test_a_picture_of_inference_mode_stops_captum_and_not_us(lenet: LeNet, pictures: Tensor) -> None:
    with torch.inference_mode():
        given = pictures * 1
    with pytest.raises(RuntimeError, match=r"(?i)inference tensor"):
        Saliency(lenet.eval()).attribute(given, target=1)
    found = explain(lenet, given, 1, "saliency").attributions
    np.testing.assert_array_equal(found, explain(lenet, pictures, 1, "saliency").attributions)


def test_shaps_front_door_and_its_beeswarm_are_not_what_we_depend_on() -> None:
    model, rows = rows_network().eval(), torch.randn(8, 6)
    with pytest.raises(TypeError, match="'Tensor' object is not callable"):
        shap.Explainer(model, rows)(rows)
    several = shap.Explanation(np.zeros((8, 6, 3)), data=rows.numpy())
    with pytest.raises(ValueError, match="beeswarm plot does not support"):
        shap.plots.beeswarm(several, show=False)
    found = explain(model, rows, 1, "shap", background=rows)
    assert found.attributions.shape == (8, 6)


@pytest.mark.parametrize("method", ["gradcam", "gradcam_plus_plus", "layercam", "scorecam", "ablationcam"])
def test_a_spot_in_an_oblong_picture_is_found_at_its_own_row_and_column(method: str) -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.fill_(1.0)
    head = nn.Linear(1, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    model = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    picture = torch.zeros(1, 1, 12, 30)
    picture[0, 0, 3, 22] = 1
    found = explain(model, picture, 0, method)
    down, across = np.unravel_index(np.abs(found.relevance(0)).argmax(), (12, 30))
    assert (abs(int(down) - 3) <= 1, abs(int(across) - 22) <= 1) == (True, True)
    named = re.findall(
        r'"([\w-]+)', (TESTS.parent / "pyproject.toml").read_text().split("explain = [")[1].split("]")[0]
    )
    assert not {"grad-cam", "opencv-python", "ttach"} & set(named)


def test_scikit_learn_comes_with_the_extra_and_its_absence_is_said() -> None:
    def asked_by(package: str) -> set[str]:
        asked = importlib.metadata.requires(package) or []
        return {re.split(r"[^\w-]", one)[0] for one in asked if "extra ==" not in one}

    assert "scikit-learn" not in asked_by("captum")
    assert "scikit-learn" in asked_by("lime") & asked_by("shap")
    check = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import torch; from torchglass.explainers import explain\n"
        "from torchglass.errors import MissingExtraError\n"
        "try: explain(torch.nn.Linear(256, 2), torch.rand(1, 256), method='lime')\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=Path.home(), check=True)
    assert done.stdout.strip() == "sklearn is not installed: pip install 'torchglass[explain]'"

"""The front door: what goes in is checked, what comes out is complete and can be stored."""

import io
import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from explainers_written import Recurrent, texts
from explainers_zoo import LeNet
from torch import Tensor, nn

from torchglass.errors import ExplainError, OptionError
from torchglass.explainers import Explanation, explain, method_names

PICTURE = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(2))
HOLED = PICTURE.clone()
HOLED[1, 0, 3, 4] = torch.nan
PLAIN = tuple(name for name in method_names("pictures") if name not in ("attention_rollout", "drise"))
"""Methods that explain a plain convolutional network: of the others one needs attention and one a box."""
BAD_INPUTS: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": ({"inputs": HOLED}, r"inputs hold NaN or infinity in pictures \[1\]"),
    "infinity": ({"inputs": PICTURE / 0}, r"NaN or infinity in pictures \[0, 1\]"),
    "rank 3": ({"inputs": PICTURE[0]}, r"shape \(1, 32, 32\), wanted \(N, C, H, W\): add the batch axis"),
    "rank 2": ({"inputs": PICTURE[0, 0]}, r"the model cannot run on inputs of shape \(32, 32\)"),
    "rank 2 as pictures": ({"inputs": PICTURE[0, 0], "kind": "pictures"}, r"wanted \(N, C, H, W\): give a batch"),
    "empty": ({"inputs": PICTURE[:0]}, r"shape \(0, 1, 32, 32\): there is nothing to explain in pictures"),
    "too small": ({"inputs": PICTURE[..., :9]}, r"the model cannot run on inputs of shape \(2, 1, 32, 9\)"),
    "colour": ({"inputs": PICTURE.expand(2, 3, 32, 32)}, r"cannot run on inputs of shape \(2, 3, 32, 32\)"),
    "integers": ({"inputs": PICTURE.byte()}, "hold torch.uint8: convert to float"),
    "a list": ({"inputs": [[1.0]]}, "inputs is a list"),
    "class too high": ({"target": 10}, "class 10 is out of range: the model has classes 0 to 9"),
    "class too low": ({"target": [3, -1]}, "class -1 is out of range"),
    "too few classes": ({"target": [3]}, "names 1 classes for 2 inputs"),
    "no class": ({"target": "cat"}, "target is 'cat'"),
    "half a class": ({"target": 1.5}, "target is 1.5"),
    "unknown layer": ({"layer": "conv9"}, "layer 'conv9' is not in the model: choose one of features, features.0"),
    "unknown method": (
        {"method": "dowsing"},
        "unknown method 'dowsing': choose one of gradcam, ablationcam, attention_rollout, ",
    ),
    "background shape": ({"background": torch.zeros(4, 1, 8, 8)}, r"background has shape \(4, 1, 8, 8\), wanted"),
    "background NaN": ({"background": HOLED}, r"background hold NaN or infinity in pictures \[1\]"),
    "background number": ({"background": float("nan")}, "background is nan"),
}


@pytest.mark.parametrize(("wrong", "sentence"), BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_each_bad_input_gives_one_clear_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ExplainError, match=sentence) as caught:
        explain(**{"model": LeNet(), "inputs": PICTURE, **wrong})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [lambda x: x, LeNet], ids=["function", "class"])
def test_what_is_not_a_module_is_refused(model: Any) -> None:
    with pytest.raises(ExplainError, match=r"give a torch\.nn\.Module"):
        explain(model, PICTURE)


def test_a_model_without_values_or_without_parts_is_refused() -> None:
    with pytest.raises(ExplainError, match="on the device 'meta'"):
        explain(LeNet().to("meta"), PICTURE)
    with pytest.raises(ExplainError, match="is a ScriptModule"):
        explain(torch.jit.trace(LeNet().eval(), PICTURE), PICTURE)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("tail", "sentence"),
    [
        (nn.Unflatten(1, (2, 5)), r"returns shape \(2, 2, 5\) for 2 inputs"),
        (nn.Flatten(0), r"returns shape \(20,\) for 2 inputs"),
        (nn.Threshold(1e9, float("nan")), r"scores are not finite for inputs \[0, 1\]"),
    ],
)
def test_outputs_that_are_no_scores_are_refused(tail: nn.Module, sentence: str) -> None:
    with pytest.raises(ExplainError, match=sentence):
        explain(nn.Sequential(LeNet(), tail), PICTURE)


def test_an_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match="'lime' has no option 'num_samples': it takes samples, segments"):
        explain(LeNet(), PICTURE, method="lime", num_samples=10)


@pytest.mark.parametrize("method", PLAIN)
def test_an_explanation_says_what_was_asked_and_what_it_cost(method: str) -> None:
    model = LeNet().eval()
    ticks = count(10, 7)
    found = explain(model, PICTURE, method=method, seed=4, clock=lambda: float(next(ticks)))
    logits = model(PICTURE).detach()
    np.testing.assert_array_equal(found.targets, logits.argmax(1))
    np.testing.assert_allclose(found.outputs, logits.max(1).values, rtol=1e-6)
    np.testing.assert_array_equal(found.inputs, PICTURE)
    assert found.attributions.dtype == np.float32
    assert found.attributions.shape == (2, 1, 32, 32)
    assert (found.method, found.seed, found.seconds, found.output_space) == (method, 4, 7.0, "logit")
    assert found.implementation.split()[0] in {"captum", "shap", "lime", "torchglass"}
    assert (found.layer is None) == ("cam" not in method)


def test_forward_passes_are_counted_picture_by_picture() -> None:
    class Counting(nn.Module):
        seen = 0

        def __init__(self) -> None:
            super().__init__()
            self.inner = LeNet()

        def forward(self, pictures: Any) -> Tensor:
            if not isinstance(pictures, torch.fx.Proxy):
                Counting.seen += len(pictures)
            logits: Tensor = self.inner(pictures)
            return logits

    asked: list[tuple[str, dict[str, Any]]] = [
        ("gradcam", {}),
        ("lime", {"samples": 70, "segments": 20}),
        ("shap", {"algorithm": "partition", "evaluations": 30, "background": PICTURE}),
    ]
    for method, options in asked:
        Counting.seen = 0
        found = explain(Counting(), PICTURE, method=method, **options)
        assert found.model_evaluations == Counting.seen
    # Pictures and background; a probe of the copy and of its rewritten twin, which traced calls bypass; then shap's
    # own background, and twice the background per picture.
    found = explain(Counting(), PICTURE, target=1, method="shap", background=PICTURE)
    assert found.model_evaluations == 2 + 2 + (1 + 1) + 2 + 2 * (2 + 2)


def test_a_model_that_ends_in_softmax_is_explained_in_probabilities() -> None:
    found = explain(nn.Sequential(LeNet(), nn.Softmax(1)), PICTURE)
    assert found.output_space == "probability"
    assert explain(nn.Sequential(LeNet(), nn.LogSoftmax(1)), PICTURE).output_space == "logit"


@pytest.mark.parametrize("method", PLAIN)
def test_a_model_with_one_output_per_picture_has_one_class(method: str) -> None:
    body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
    column = explain(body, PICTURE, method=method)
    flat = explain(nn.Sequential(body, nn.Flatten(0)), PICTURE, method=method)
    np.testing.assert_allclose(flat.attributions, column.attributions, atol=1e-6)
    np.testing.assert_array_equal(flat.targets, [0, 0])


def test_numpy_pictures_of_any_float_type_and_byte_order_are_taken() -> None:
    model = LeNet()
    wanted = explain(model, PICTURE, target=1).attributions
    for given in (PICTURE.numpy(), PICTURE.numpy()[::-1][::-1], PICTURE.double()):
        np.testing.assert_array_equal(explain(model, given, target=np.int64(1)).attributions, wanted)
    np.testing.assert_array_equal(explain(model, PICTURE, target=torch.tensor([1, 1])).attributions, wanted)


@pytest.mark.parametrize("method", PLAIN)
def test_an_explanation_survives_npz_without_pickle_and_json(method: str) -> None:
    found = explain(LeNet(), PICTURE, method=method, background=0.5)
    arrays, meta = found.to_arrays()
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        again = Explanation.from_arrays(stored, json.loads(json.dumps(meta)))
    assert again.to_arrays()[1] == meta
    assert again.to_arrays()[0].keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(again, name), array)
    assert again.layer_alternatives == found.layer_alternatives


def test_a_stored_explanation_of_another_version_is_refused_in_one_sentence() -> None:
    arrays, meta = explain(LeNet(), PICTURE).to_arrays()
    with pytest.raises(ExplainError, match=r"cannot be read .*mood"):
        Explanation.from_arrays(arrays, {**meta, "mood": "blue"})
    with pytest.raises(ExplainError, match="cannot be read"):
        Explanation.from_arrays({}, meta)


def test_an_explanation_stored_before_there_were_kinds_is_one_of_pictures() -> None:
    arrays, meta = explain(LeNet(), PICTURE).to_arrays()
    del meta["kind"]
    assert Explanation.from_arrays(arrays, meta).kind == "pictures"


def test_token_ids_stay_whole_in_a_stored_explanation() -> None:
    arrays, meta = explain(Recurrent(), texts()).to_arrays()
    again = Explanation.from_arrays(arrays, json.loads(json.dumps(meta)))
    assert again.inputs.dtype == np.int64
    np.testing.assert_array_equal(again.inputs, texts())
    assert (again.kind, again.relevance(1).shape) == ("text", (8,))


def test_an_explanation_cannot_be_changed() -> None:
    given = np.ones((1, 2, 3, 4), np.float32)
    found = Explanation(
        attributions=given,
        inputs=given,
        targets=np.array([0]),
        outputs=np.array([1.0], np.float32),
        output_space="logit",
        method="by hand",
        implementation="none",
        seed=0,
        seconds=0.0,
        model_evaluations=0,
    )
    with pytest.raises(AttributeError):
        found.method = "other"  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        found.attributions[0] = 3
    given[:] = 9
    np.testing.assert_array_equal(found.relevance(0), np.full((3, 4), 2))


def test_importing_the_room_loads_no_heavy_library() -> None:
    heavy = ("torch", "captum", "shap", "lime", "matplotlib", "skimage", "sklearn")
    check = (
        "import sys, torchglass.explainers as e; e.method_names(); e.method_names('text'); e.Explanation; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=Path.home())
    assert done.stdout.strip() == "[]"


def test_a_method_loads_its_own_library_alone() -> None:
    check = (
        "import sys, torch; from torchglass.explainers import explain; "
        "explain(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 2)), "
        "torch.rand(1, 1, 8, 8)); print([m for m in ('captum', 'shap', 'lime') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=Path.home())
    assert done.stdout.strip() == "['captum']"

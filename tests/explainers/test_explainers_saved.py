"""An explanation in a file: equal in every field when it comes back, and no other file is taken for one."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shap
import torch
from explainers_written import Recurrent, rows_network, texts
from explainers_zoo import LeNet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from torchglass.errors import ExplainError
from torchglass.explainers import Explanation, explain
from torchglass.explainers.saved import jsonable

SHAPES = {"pictures": (2, 3, 4, 5), "text": (2, 7), "table": (2, 6)}
FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def explanations(draw: st.DrawFn) -> Explanation:
    kind: Any = draw(st.sampled_from(sorted(SHAPES)))
    floats = arrays.arrays(np.float32, SHAPES[kind], elements=st.floats(width=32))
    ids = arrays.arrays(np.int64, SHAPES[kind], elements=st.integers(0, 2**62))
    each = arrays.arrays(np.float32, (2,), elements=st.floats(width=32))
    return Explanation(
        attributions=draw(floats),
        inputs=draw(ids if kind == "text" else floats),
        targets=draw(arrays.arrays(np.int64, (2,))),
        outputs=draw(each),
        output_space=draw(st.sampled_from(["logit", "probability", "value"])),
        method=draw(st.text(max_size=9)),
        implementation=draw(st.text(max_size=9)),
        seed=draw(st.integers(0, 2**64 - 1)),
        seconds=draw(st.floats(0)),
        model_evaluations=draw(st.integers(0)),
        kind=kind,
        base_values=draw(st.none() | each),
        standard_errors=draw(st.none() | floats),
        layer=draw(st.none() | st.text(max_size=9)),
        layer_alternatives=tuple(draw(st.lists(st.text(max_size=5), max_size=3))),
        parameters=draw(st.dictionaries(st.text(max_size=5), FACTS, max_size=3)),
        checks=draw(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=3)),
        options=draw(st.dictionaries(st.text(max_size=5), FACTS, max_size=3)),
    )


def assert_equal(one: Explanation, other: Explanation) -> None:
    for field in fields(Explanation):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right
            assert type(left) is type(right)


@given(explanations())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_loaded_equals_what_was_saved(tmp_path: Path, own: Explanation) -> None:
    assert_equal(own, Explanation.load(own.save(tmp_path / "one.npz")))
    assert [path.name for path in tmp_path.iterdir()] == ["one.npz"]


def test_a_real_explanation_with_numpy_s_options_comes_back(tmp_path: Path) -> None:
    own = explain(LeNet(), torch.rand(1, 1, 32, 32), method="gradcam", relu=np.bool_(True))
    assert own.options == {"relu": True}
    kept = Explanation.load(own.save(tmp_path / "no suffix"))
    assert_equal(own, kept)
    assert not kept.attributions.flags.writeable


def test_facts_become_what_json_holds() -> None:
    given_ = {"a": (1, np.float32(0.5)), 3: np.array([[1, 2]]), "path": Path("x"), "none": None}
    tensors = {"boxes": torch.tensor([[1.0, 2.5]], requires_grad=True), "one": torch.tensor(3)}
    assert jsonable(given_) == {"a": [1, 0.5], "3": [[1, 2]], "path": "x", "none": None}
    assert jsonable(tensors) == {"boxes": [[1.0, 2.5]], "one": 3}


def _torn(path: Path, good: bytes) -> None:
    path.write_bytes(good[: len(good) // 2])


def _flipped(path: Path, good: bytes) -> None:
    middle = good.index(b"attributions.npy") + 60
    path.write_bytes(good[:middle] + bytes(255 - byte for byte in good[middle : middle + 20]) + good[middle + 20 :])


def _objects(path: Path, _good: bytes) -> None:
    np.savez(path.open("wb"), facts=np.array([{"format": "torchglass explanation 1"}], dtype=object))


def _facts(facts: object) -> Callable[[Path, bytes], None]:
    return lambda path, _good: np.savez(path.open("wb"), facts=np.array(json.dumps(facts)))


def _claiming(header: str) -> Callable[[Path, bytes], None]:
    """An array whose header says what it likes."""

    def spoil(path: Path, _good: bytes) -> None:
        with zipfile.ZipFile(path, "w") as written:
            written.writestr(
                "attributions.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
            )

    return spoil


def _words(path: Path, good: bytes) -> None:
    with np.load(io.BytesIO(good)) as stored:
        arrays = dict(stored)
    np.savez(path.open("wb"), **{**arrays, "attributions": np.array(["much"])})


FOREIGN: dict[str, Callable[[Path, bytes], None]] = {
    "torn": _torn,
    "flipped": _flipped,
    "empty": lambda path, _good: path.write_bytes(b""),
    "text": lambda path, _good: path.write_text("attributions"),
    "pickle": lambda path, _good: path.write_bytes(pickle.dumps({"attributions": 1})),
    "one array": lambda path, _good: np.save(path.open("wb"), np.ones(3)),
    "other arrays": lambda path, _good: np.savez(path.open("wb"), attributions=np.ones(3)),
    "objects": _objects,
    "another format": _facts({"format": "torchglass explanation 2", "facts": {}}),
    "a list": _facts([1, 2]),
    "no facts": _facts({"format": "torchglass explanation 1", "facts": {}}),
    "strange facts": _facts({"format": "torchglass explanation 1", "facts": {"colour": "red"}}),
    "terabytes": _claiming("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }\n"),
    "beyond counting": _claiming(f"{{'descr': '<f4', 'fortran_order': False, 'shape': (1{24 * '0'},), }}\n"),
    "an open bracket": _claiming("{'descr': '<f4', 'shape': (((\n"),
    "a well": lambda path, _good: np.savez(path.open("wb"), facts=np.array(20_000 * "[")),
    "words": _words,
    "facts of no kind": _facts({"format": "torchglass explanation 1", "facts": 7}),
}


@pytest.mark.parametrize("spoil", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_torn_or_foreign_file_is_refused_in_one_sentence(
    tmp_path: Path, spoil: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "spoilt.npz"
    own = explain(rows_network(), torch.rand(1, 6), method="occlusion")
    spoil(path, own.save(path).read_bytes())
    with pytest.raises(ExplainError, match="explain again to replace it") as caught:
        Explanation.load(path)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_folder_are_said() -> None:
    with pytest.raises(ExplainError, match=r"nowhere.npz is no file: give one that Explanation\.save wrote"):
        Explanation.load("nowhere.npz")
    own = explain(rows_network(), torch.rand(1, 6), method="occlusion")
    with pytest.raises(ExplainError, match="cannot be written"):
        own.save("no/such/folder/one.npz")


def test_captum_gets_a_tensor_of_its_own() -> None:
    own = explain(LeNet(), torch.rand(2, 1, 32, 32))
    tensor = own.to_captum()
    np.testing.assert_array_equal(tensor, own.attributions)
    tensor.zero_()
    assert own.attributions.any()


def test_shap_gets_rows_with_their_names_and_pictures_with_channels_last() -> None:
    rows = explain(rows_network(), torch.rand(2, 6), method="shap")
    row = rows.to_shap(list("abcdef"))
    assert isinstance(row, shap.Explanation)
    np.testing.assert_array_equal(row.values, rows.attributions)
    np.testing.assert_array_equal(row.data, rows.inputs)
    np.testing.assert_array_equal(row.base_values, rows.base_values)
    assert row[0].feature_names == list("abcdef")
    assert float(row[1].values.sum() + row[1].base_values) == pytest.approx(float(rows.outputs[1]), rel=1e-4)
    pictures = explain(LeNet(), torch.rand(2, 1, 32, 32), method="integrated_gradients", steps=16)
    turned = pictures.to_shap()
    assert turned.values.shape == turned.data.shape == (2, 32, 32, 1)
    np.testing.assert_array_equal(turned.values[1, 3, 7, 0], pictures.attributions[1, 0, 3, 7])
    assert explain(rows_network(), torch.rand(1, 6), method="occlusion").to_shap().base_values is None
    assert explain(Recurrent(), texts(), method="occlusion").to_shap().data.dtype == np.int64

"""The catalogue: what is in it, how a model gets into it, and what reading it must not load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchglass.errors import OptionError
from torchglass.explainers import method_names
from torchglass.reference_models import ReferenceModel, available, exhibits, get
from torchglass.reference_models.data.digits import DIGITS_FORM
from torchglass.reference_models.recipe import SWITCHES

READ_THE_CATALOGUE = """
import sys
from torchglass.reference_models import TrainingOptions, available, get
model = get("lenet5")
assert model.defaults.epochs > 0 and model.datasets == ("digits", "mnist") and model in available()
TrainingOptions(model="lenet5", dataset="mnist", changes={"epochs": 2}).recipe
libraries = {"torch", "sklearn", "gymnasium", "transformers", "optuna", "tqdm", "streamlit", "plotly"}
heavy = ({"torchglass.instrumentation"} | libraries) & set(sys.modules)
assert not heavy, heavy
"""

ONE_MORE_MODEL = """
from dataclasses import replace
from torchglass.reference_models.exhibits.lenet5 import EXHIBIT as LENET
EXHIBIT = replace(LENET, name="another", title="Another")
"""


@pytest.fixture
def lenet() -> ReferenceModel:
    return get("lenet5")


@pytest.fixture
def extra_folder(tmp_path: Path) -> Iterator[Path]:
    """A second folder of exhibits, for one test."""
    exhibits.__path__.append(str(tmp_path))
    available.cache_clear()
    yield tmp_path
    exhibits.__path__.remove(str(tmp_path))
    sys.modules.pop(f"{exhibits.__name__}.another", None)
    available.cache_clear()


def test_reading_the_catalogue_and_checking_options_loads_neither_torch_nor_sklearn() -> None:
    finished = subprocess.run([sys.executable, "-c", READ_THE_CATALOGUE], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_a_file_that_defines_an_exhibit_is_in_the_catalogue_and_named_nowhere_else(extra_folder: Path) -> None:
    (extra_folder / "another.py").write_text(ONE_MORE_MODEL)
    assert {"another", "lenet5"} <= {model.name for model in available()}
    assert get("another").title == "Another"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"'lenet6'.*lenet5"):
        get("lenet6")


def test_an_unknown_data_set_is_answered_with_the_known_ones(lenet: ReferenceModel) -> None:
    with pytest.raises(OptionError, match=r"'cifar10'.*digits, mnist"):
        lenet.load_data("cifar10")


@pytest.mark.parametrize("model", available(), ids=lambda model: model.name)
def test_every_model_keeps_what_its_entry_promises(model: ReferenceModel) -> None:
    assert model.title
    assert model.summary
    assert len(set(model.explain.methods)) >= 3
    assert set(model.explain.methods) <= set(method_names())
    assert len(set(model.datasets)) == len(model.sources) >= 1
    assert {source.needs for source in model.sources} <= {"", "network", "file"}
    assert model.switches is None or model.switches <= {*SWITCHES, "amp", "compile", "ddp"}
    assert "/" in model.bar.metric


def test_lenet5_has_the_weights_of_the_paper_s_shape(lenet: ReferenceModel) -> None:
    sizes = {name: parameter.numel() for name, parameter in lenet.build(DIGITS_FORM).named_parameters()}
    assert sizes["conv1.weight"] + sizes["conv1.bias"] == 156  # C1 in the paper
    assert sizes["fc1.weight"] + sizes["fc1.bias"] == 48_120  # C5
    assert sizes["fc2.weight"] + sizes["fc2.bias"] == 10_164  # F6
    assert sum(sizes.values()) == 61_706

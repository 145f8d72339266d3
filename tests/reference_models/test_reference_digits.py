"""The bundled digits: scaled, enlarged, and split by the seed alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from torchglass.errors import DataError
from torchglass.reference_models import DataRequest, Samples, Split
from torchglass.reference_models.data.digits import enlarge, load_digits_split

WITHOUT_SKLEARN = """
import sys
sys.modules["sklearn"] = None
from torchglass.errors import MissingExtraError
from torchglass.reference_models import get
try:
    get("lenet5").load_data("digits")
except MissingExtraError as error:
    assert "torchglass[models]" in str(error), error
else:
    raise AssertionError("loaded without scikit-learn")
"""


@pytest.fixture(scope="module")
def split() -> Split:
    return load_digits_split(DataRequest())


def as_set(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_pictures_are_32_by_32_floats_from_0_to_1_with_whole_labels(split: Split) -> None:
    assert split.train.inputs.shape == (1437, 1, 32, 32)
    assert split.test.inputs.shape == (360, 1, 32, 32)
    assert split.train.inputs.dtype == torch.float32
    assert split.test.targets.dtype == torch.int64
    assert split.train.inputs.min() == 0
    assert 0.9 < split.train.inputs.max() <= 1


def test_training_and_test_pictures_are_disjoint_and_together_all_of_them(split: Split) -> None:
    both = torch.cat([split.train.inputs, split.test.inputs])
    scans = torch.tensor(load_digits().images, dtype=torch.float32).unsqueeze(1) / 16
    assert as_set(both) == as_set(enlarge(scans))
    assert not as_set(split.train.inputs) & as_set(split.test.inputs)


def test_each_picture_keeps_its_label(split: Split) -> None:
    digits = load_digits()
    label_of = {
        enlarge(torch.tensor(scan / 16, dtype=torch.float32)[None, None])[0].numpy().tobytes(): label
        for scan, label in zip(digits.images, digits.target, strict=True)
    }
    found = [label_of[image.numpy().tobytes()] for image in split.test.inputs]
    assert found == split.test.targets.tolist()


def test_every_digit_is_in_proportion_on_both_sides(split: Split) -> None:
    train, test = (np.bincount(labels, minlength=10) for labels in (split.train.targets, split.test.targets))
    assert np.abs(test - (train + test) * 0.2).max() < 1


def test_the_same_seed_gives_the_same_split_and_another_seed_another(split: Split) -> None:
    again, other = load_digits_split(DataRequest()), load_digits_split(DataRequest(seed=1))
    assert torch.equal(again.test.inputs, split.test.inputs)
    assert torch.equal(again.train.targets, split.train.targets)
    assert as_set(other.test.inputs) != as_set(split.test.inputs)


def test_enlarging_is_bilinear_between_pixel_centres() -> None:
    ramp = torch.arange(8, dtype=torch.float32).expand(1, 1, 8, 8)
    row = enlarge(ramp)[0, 0, 16]
    # Pixel centre k of 32 lies at (k + 0.5) / 4 - 0.5 of 8; beyond the outer centres the border value goes on.
    assert row.tolist() == pytest.approx([min(max((k + 0.5) / 4 - 0.5, 0), 7) for k in range(32)])


def test_without_scikit_learn_the_error_names_the_extra() -> None:
    finished = subprocess.run([sys.executable, "-c", WITHOUT_SKLEARN], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def test_samples_need_as_many_labels_as_pictures_and_some_of_both() -> None:
    images, labels = torch.zeros(3, 1, 32, 32), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(DataError, match="3 samples and 2 labels"):
        Samples(images, labels[:2])
    with pytest.raises(DataError, match="0 samples and 0 labels"):
        Samples(images[:0], labels[:0])


def test_a_limit_takes_the_first_training_samples_and_as_large_a_share_of_the_test(split: Split) -> None:
    limited = split.limited(144)
    assert (len(limited.train), len(limited.test)) == (144, 36)
    assert torch.equal(limited.train.inputs, split.train.inputs[:144])
    assert split.limited(None) is split

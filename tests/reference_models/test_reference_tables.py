"""The bundled tables: split by class, on the scale of the training rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchglass.reference_models.data.request import DataRequest, Load
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.data.tables import load_breast_cancer, load_diabetes, load_wine
from torchglass.reference_models.data.tables_split import classify_table, regress_table, stratified_rows


def rows_of(split: Split) -> torch.Tensor:
    return torch.cat([split.train.inputs, split.test.inputs])


@pytest.mark.parametrize(
    ("load", "rows", "features", "classes"),
    [(load_breast_cancer, 569, 30, 2), (load_wine, 178, 13, 3), (load_diabetes, 442, 10, 0)],
)
def test_a_table_says_its_form_and_loses_no_row(load: Load, rows: int, features: int, classes: int) -> None:
    split = load(DataRequest(seed=1))
    assert split.form.kind == "table"
    assert split.form.task == ("classification" if classes else "regression")
    assert split.form.shape == (features,)
    assert len(split.form.feature_names) == features
    assert len(split.form.class_names) == classes
    assert len(split.train) + len(split.test) == rows
    assert split.train.inputs.dtype == torch.float32
    assert split.train.targets.dtype == (torch.int64 if classes else torch.float32)
    assert split.train.inputs.shape[1:] == (features,)


def test_the_training_rows_have_mean_0_and_deviation_1_and_the_scale_gives_the_raw_values_back() -> None:
    from sklearn.datasets import load_wine as bundled

    split = load_wine(DataRequest(seed=2))
    assert split.scale is not None
    torch.testing.assert_close(split.train.inputs.mean(0), torch.zeros(13), atol=1e-5, rtol=0)
    torch.testing.assert_close(split.train.inputs.std(0, correction=0), torch.ones(13), atol=1e-5, rtol=0)
    raw = rows_of(split).numpy() * split.scale.deviations + split.scale.means
    np.testing.assert_allclose(np.sort(raw, axis=0), np.sort(bundled().data, axis=0), rtol=1e-4, atol=1e-3)


def test_the_test_rows_have_no_say_in_the_scale() -> None:
    features = np.arange(20, dtype=float).reshape(10, 2)
    labels = np.array([0, 1] * 5)
    split = classify_table(features, labels, ("a", "b"), ("no", "yes"), seed=0)
    train, _ = stratified_rows(labels, seed=0)
    assert split.scale is not None
    assert split.scale.means == pytest.approx(features[train].mean(axis=0))
    assert split.scale.deviations == pytest.approx(features[train].std(axis=0))


def test_of_a_number_to_predict_too_the_test_rows_have_no_say_in_the_scale() -> None:
    features = np.random.default_rng(1).normal(size=(10, 2))
    split = regress_table(features, np.arange(10.0), ("a", "b"), seed=0)
    train = split.train.targets.long().numpy()  # a row's target is its number
    assert split.scale is not None
    assert split.scale.means == pytest.approx(features[train].mean(axis=0))
    assert split.scale.deviations == pytest.approx(features[train].std(axis=0))


def test_every_class_is_split_in_proportion_and_the_seed_says_how() -> None:
    labels = np.array([0] * 100 + [1] * 50 + [2] * 2)
    train, test = stratified_rows(labels, seed=3)
    assert np.bincount(labels[test]).tolist() == [20, 10, 1]
    assert np.bincount(labels[train]).tolist() == [80, 40, 1]
    assert sorted(train + test) == list(range(152))
    assert stratified_rows(labels, seed=3) == (train, test)
    assert stratified_rows(labels, seed=4) != (train, test)


def test_a_column_that_never_varies_becomes_zero() -> None:
    features = np.stack([np.full(10, 0.1), np.arange(10.0)], axis=1)
    split = classify_table(features, np.array([0, 1] * 5), ("same", "other"), ("no", "yes"), seed=0)
    torch.testing.assert_close(rows_of(split)[:, 0], torch.zeros(10), atol=1e-7, rtol=0)


def test_a_number_to_predict_stays_in_its_own_units_and_the_form_says_its_scale() -> None:
    targets = np.arange(10.0) * 100
    split = regress_table(np.random.default_rng(0).normal(size=(10, 3)), targets, ("a", "b", "c"), seed=0)
    assert torch.cat([split.train.targets, split.test.targets]).sort().values.tolist() == targets.tolist()
    assert split.form.target_mean == pytest.approx(split.train.targets.mean().item())
    assert split.form.target_deviation == pytest.approx(split.train.targets.std(correction=0).item())


def test_the_first_rows_of_a_sorted_table_stand_for_all_of_it() -> None:
    wine = load_wine(DataRequest()).limited(30)
    assert set(wine.train.targets.tolist()) == set(wine.test.targets.tolist()) == {0, 1, 2}
    rising = np.arange(1000.0)
    split = regress_table(rising[:, None], rising, ("a",), seed=0)
    for part in (split.train, split.test):
        assert part.targets[: len(part) // 4].mean().item() == pytest.approx(500, abs=80)

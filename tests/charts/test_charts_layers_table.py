"""The table of layers adds up to the model, and joins what training recorded of each layer's parameters."""

from __future__ import annotations

from typing import Any

import pytest
from judged import layers_table

from torchglass.charts.layers_table import MODEL, layers_listing
from torchglass.charts.listings import Listing
from torchglass.store import Series


def last(key: str, value: float) -> Series:
    return Series(1, 1, 0, key, "layer", "", 1, 0, value, 0, value, 0, value, value, 5)


def columns(listing: Listing) -> dict[str, tuple[Any, ...]]:
    return {field.title: field.values for field in listing.fields}


def test_rows_are_what_learns_or_holds_nothing_else_and_shares_add_up() -> None:
    found = columns(layers_listing(layers_table(), most=50))
    assert found["Module"] == ("conv1", "conv2", "fc1", "fc2", "fc3", "pool")
    assert found["Parameters"] == (156, 2416, 48120, 10164, 850, 0)
    assert sum(found["Share"]) == pytest.approx(100)
    assert "Gradient norm" not in found


def test_a_container_with_parameters_of_its_own_is_listed_and_the_model_itself_has_a_name() -> None:
    table = layers_table((("", "Net", 3), ("body", "Block", 5), ("body.act", "ReLU", 0), ("empty", "Block", 0)))
    found = columns(layers_listing(table, most=50))
    assert found["Module"] == (MODEL, "body", "body.act", "empty")


def test_norms_of_a_module_are_those_of_its_own_parameters_together() -> None:
    series = [
        last("layers/fc1.weight/gradient_norm", 3.0),
        last("layers/fc1.bias/gradient_norm", 4.0),
        last("layers/fc1.weight/weight_norm", 12.0),
        last("layers/fc1.bias/weight_norm", 5.0),
        last("layers/fc1.weight/update_ratio", 0.1),
        last("layers/fc1.bias/update_ratio", 0.2),
        last("layers/fc10.weight/gradient_norm", 99.0),
    ]
    found = columns(layers_listing(layers_table(), series=series, most=50))
    place = found["Module"].index("fc1")
    assert found["Gradient norm"][place] == pytest.approx(5.0)
    assert found["Weight norm"][place] == pytest.approx(13.0)
    assert found["Update ratio"][place] == pytest.approx((1.2**2 + 1.0**2) ** 0.5 / 13.0)
    assert found["Gradient norm"][found["Module"].index("conv1")] is None


def test_what_is_frozen_says_so() -> None:
    table = layers_table(frozen=("conv1",))
    table["trainable"][2] = 16
    found = columns(layers_listing(table, most=50))
    assert found["Trains"] == ("frozen", "16 of them", "yes", "yes", "yes", "")


def test_shapes_stand_where_they_are_known_and_rows_are_bounded() -> None:
    listing = layers_listing(layers_table(), outputs={"conv1": [64, 6, 28, 28], "fc3": [10]}, most=3)
    assert columns(listing)["Result"] == ("(64, 6, 28, 28)", "", "")
    assert listing.left_out == 3
    assert columns(layers_listing(layers_table(), outputs={"fc3": [10]}, most=9))["Result"][4] == "(10,)"


def test_an_empty_table_is_empty() -> None:
    assert len(layers_listing({}, most=5)) == 0

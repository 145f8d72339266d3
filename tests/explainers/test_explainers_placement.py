"""A map lies where its units look, measured on networks whose receptive fields are known."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchglass.errors import OptionError
from torchglass.explainers import Explanation, explain
from torchglass.explainers.gradients.maps import PLACEMENTS
from torchglass.explainers.gradients.placement import Axis, Placement, find_placement, place
from torchglass.explainers.private.scored_model import ScoredModel


class SpotFinder(nn.Module):
    """Weights set by hand: two unpadded convolutions and a pooling copy the brightest spot; the score is the peak."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 5, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(1, 1, 5, bias=False)
        with torch.no_grad():
            for conv in (self.first, self.last):
                conv.weight.fill_(1e-3)
                conv.weight[0, 0, 2, 2] = 1.0

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = F.relu(self.last(self.pool(F.relu(self.first(pictures)))))
        return torch.stack([maps.amax((1, 2, 3)), maps.mean((1, 2, 3))], dim=1)


def peak(explanation: Explanation) -> npt.NDArray[np.int64]:
    relevance = explanation.relevance(0)
    return np.array(np.unravel_index(relevance.argmax(), relevance.shape))


@pytest.mark.parametrize(
    ("layer", "axis"),
    [
        ("features.0", Axis(2, 1)),
        ("features.1", Axis(2, 1)),
        ("features.4", Axis(6.5, 2)),
        ("features.5", Axis(7.5, 4)),
    ],
)
def test_units_of_a_network_without_padding_are_centred_as_its_strides_say(
    lenet: nn.Module, pictures: Tensor, layer: str, axis: Axis
) -> None:
    assert find_placement(ScoredModel(lenet).eval(), layer, pictures) == Placement(axis, axis)


def test_rows_and_columns_are_measured_apart() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, (3, 5), stride=(2, 3)), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = find_placement(ScoredModel(model).eval(), "0", torch.rand(1, 1, 21, 32))
    assert found == Placement(Axis(1, 2), Axis(2, 3))


def test_the_brightest_spot_is_hot_where_it_is_and_not_where_stretching_puts_it() -> None:
    picture = torch.zeros(1, 1, 32, 32)
    picture[0, 0, 9, 22] = 5.0
    truth = np.array([9, 22])
    placed, stretched = (peak(explain(SpotFinder(), picture, target=0, placement=how)) for how in PLACEMENTS)
    assert np.abs(placed - truth).max() <= 1
    assert np.abs(stretched - truth).max() >= 4


def test_where_units_tile_the_picture_placing_is_bilinear_enlargement() -> None:
    tiles = Axis(offset=1.5, stride=4)
    small = torch.randn(2, 1, 8, 8)
    wanted = F.interpolate(small, size=(32, 32), mode="bilinear")
    torch.testing.assert_close(place(small, Placement(tiles, tiles), (32, 32)), wanted)


def test_beyond_the_last_unit_nothing_is_claimed() -> None:
    axis = Axis(offset=6.5, stride=2)
    placed = place(torch.ones(1, 1, 10, 10), Placement(axis, axis), (32, 32))[0, 0]
    # Units stand at 6.5, 8.5, ... 24.5, and each answers for half a stride to either side.
    assert placed[:, 16].nonzero().flatten().tolist() == list(range(6, 26))
    assert placed.unique().tolist() == [0.0, 1.0]


def test_a_unit_that_sees_the_whole_picture_has_no_place_and_the_map_is_stretched() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 15, padding=7), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    picture = torch.rand(1, 1, 12, 12)
    assert find_placement(ScoredModel(model).eval(), "1", picture) is None
    assert explain(model, picture).parameters["placement"] == "stretched"


def test_an_unknown_placement_is_refused(lenet: nn.Module, pictures: Tensor) -> None:
    with pytest.raises(OptionError, match="placement is 'centre': choose one of receptive_field, stretched"):
        explain(lenet, pictures, placement="centre")

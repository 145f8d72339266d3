"""The planted shortcut is found in a network that was trained on it, and nothing in one trained on the clean twin."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchglass.explainers import find_shortcuts
from torchglass.explainers.changing.regions import Box
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Split
from torchglass.reference_models.data.shapes import shapes_split
from torchglass.reference_models.data.shapes_shortcut import shapes_shortcut_split

TRAIN, TEST = 960, 120
BATCH = 40
MARK = Box(0, 0, 4, 4)  # the mark's pixels 1 to 6 are 0 to 3 of a picture of half the size


@dataclass(frozen=True)
class Learnt:
    """A trained network, pictures (N, 3, 32, 32) that it has and has not seen, and its accuracies."""

    model: nn.Module
    train: Tensor
    test: Tensor
    train_accuracy: float
    test_accuracy: float


def learnt(split: Split, passes: int) -> Learnt:
    """Train three convolutions on pictures of half the size."""

    def block(channels: int, width: int) -> tuple[nn.Module, ...]:
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        return convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)

    train, test = F.avg_pool2d(split.train.inputs, 2), F.avg_pool2d(split.test.inputs, 2)
    labels = split.train.targets
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(*block(3, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Linear(1024, 6))
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
        steps = passes * -(-len(train) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(passes):
            for batch in torch.split(torch.randperm(len(train)), BATCH):
                optimizer.zero_grad()
                F.cross_entropy(model(train[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    model.eval()
    with torch.no_grad():
        right = [
            float((model(pictures).argmax(dim=1) == targets).float().mean())
            for pictures, targets in ((train, labels), (test, split.test.targets))
        ]
    return Learnt(model, train, test, *right)


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> DataRequest:
    return DataRequest(cache=tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def marked(request_: DataRequest) -> Learnt:
    return learnt(shapes_shortcut_split(request_, TRAIN, TEST), passes=3)


@pytest.fixture(scope="module")
def clean(request_: DataRequest) -> Learnt:
    return learnt(shapes_split(request_, TRAIN, TEST), passes=6)


def test_the_planted_mark_is_found_and_confirmed_in_pictures_of_training_and_test(marked: Learnt) -> None:
    assert marked.train_accuracy > 0.98
    assert marked.test_accuracy < 0.25, "the mark tells nothing of the test's pictures"
    pictures = torch.cat((marked.train[:50], marked.test[:50]))
    found = find_shortcuts(marked.model, pictures, controls=19)
    (spot,) = [one for one in found if one.confirmed]
    assert spot.box == MARK
    assert spot.classes == tuple(range(6))
    assert spot.relevance_share > 0.4
    assert spot.erase.low > 0.5
    assert spot.paste.low > 0.8
    assert spot.paste.changed > 0.9
    assert spot.paste.control_changed < 0.1


def test_grad_cam_s_coarse_maps_lead_to_the_mark_as_well(marked: Learnt) -> None:
    found = find_shortcuts(marked.model, marked.train[:100], method="gradcam", layer="2", controls=19)
    confirmed = [one.box for one in found if one.confirmed]
    assert confirmed
    assert all(box.shared(MARK) == box.area for box in confirmed)


def test_the_clean_twin_raises_nothing(clean: Learnt) -> None:
    assert clean.test_accuracy > 0.4, "a network that cannot tell shapes proves nothing"
    found = find_shortcuts(clean.model, torch.cat((clean.train[:50], clean.test[:50])), controls=19)
    assert found
    assert not any(one.confirmed for one in found)
    # Where many shapes lie erasing hides them, which alone would raise an alarm; pasting carries no class over.
    assert max(one.paste.beyond_control for one in found) < 0.1


@pytest.mark.slow
def test_the_clean_twin_raises_nothing_whatever_the_seed_and_the_method(request_: DataRequest) -> None:
    good = learnt(shapes_split(request_, 3000, TEST), passes=10)
    assert good.test_accuracy > 0.75
    for seed in range(5):
        for method, options in (("integrated_gradients", {}), ("gradcam", {"layer": "10"})):
            found = find_shortcuts(good.model, good.train[:240], method=method, seed=seed, **options)  # type: ignore[arg-type]
            assert not any(one.confirmed for one in found)

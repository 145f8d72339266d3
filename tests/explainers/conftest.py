"""Small networks and real digits that the explainers' tests share."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from explainers_zoo import LeNet, TrainedDigits
from sklearn.datasets import load_digits
from torch import Tensor


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    """Draw every test's networks and pictures from the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def digits() -> TrainedDigits:
    scans = load_digits()
    pictures = torch.tensor(scans.images / 16, dtype=torch.float32)[:, None]
    pictures = F.pad(F.interpolate(pictures, size=(28, 28), mode="bilinear"), (2, 2, 2, 2))
    labels = torch.tensor(scans.target)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LeNet()
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for _ in range(6):
            for batch in torch.split(torch.randperm(1400), 50):
                optimizer.zero_grad()
                F.cross_entropy(model(pictures[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    model.zero_grad()
    trained = TrainedDigits(model.eval(), pictures[:1400], pictures[1400:], labels[1400:])
    with torch.no_grad():
        accuracy = (model(trained.test).argmax(1) == trained.test_labels).float().mean()
    assert accuracy > 0.85, "maps of a model that cannot read prove nothing"
    return trained


@pytest.fixture
def lenet() -> LeNet:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return LeNet()


@pytest.fixture
def pictures() -> Tensor:
    """Three noisy pictures (3, 1, 32, 32)."""
    return torch.rand(3, 1, 32, 32, generator=torch.Generator().manual_seed(5))

"""Networks that the explainers' tests share: a LeNet and the awkward ones that explainers are known to break."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LeNet(nn.Module):
    """LeNet-5's shape for (N, 1, 32, 32), with a choice of activation and pooling."""

    def __init__(self, activation: Callable[[], nn.Module] = nn.ReLU, pool: type[nn.Module] = nn.MaxPool2d) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5), activation(), pool(2), nn.Conv2d(6, 16, 5), activation(), pool(2)
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), activation(), nn.Linear(120, 84), activation(), nn.Linear(84, 10)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(pictures))
        return logits


@dataclass(frozen=True)
class TrainedDigits:
    """A LeNet that reads scikit-learn's digits, and the pictures (M, 1, 32, 32) in 0..1 it has and has not seen."""

    model: LeNet
    train: Tensor
    test: Tensor
    test_labels: Tensor


class FunctionalNet(nn.Module):
    """Every activation and pooling is a function, one of them in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.head = nn.Conv2d(1, 4, 5), nn.Conv2d(4, 8, 5), nn.Linear(200, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = F.max_pool2d(F.relu(self.conv1(pictures), inplace=True), 2)
        maps = F.max_pool2d(torch.tanh(self.conv2(maps)), kernel_size=2)
        logits: Tensor = self.head(maps.flatten(1))
        return logits


class ReusedRelu(nn.Module):
    """One in-place ReLU module that serves two convolutions, and a sum in place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(3, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        shortcut = self.relu(self.first(pictures))
        maps = self.second(shortcut).add_(shortcut)
        logits: Tensor = self.head(self.relu(maps).mean((2, 3)))
        return logits


class SharedWeights(nn.Module):
    """One convolution that runs twice, its weights also under a second name."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Conv2d(1, 4, 3)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.alias = self.twice
        self.head = nn.Linear(4, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = F.relu(self.twice(F.relu(self.lift(pictures))))
        logits: Tensor = self.head(F.relu(self.alias(maps)).mean((2, 3)))
        return logits


class BatchNormNet(nn.Module):
    """Batch norm and dropout in train mode, with a frozen submodule in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.5))
        self.frozen = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 5))
        self.train()
        self.frozen.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.frozen(self.body(pictures)))
        return logits


class RestlessNet(nn.Module):
    """Draws random numbers even in eval mode, keeps its last maps, and has a weight-normed layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.weight_norm(nn.Conv2d(1, 4, 3))
        self.head = nn.Linear(4, 5)
        self.last_maps: list[Tensor] = []

    def forward(self, pictures: Tensor) -> Tensor:
        maps = F.dropout(F.relu(self.conv(pictures)), 0.1, training=True)
        self.last_maps = [maps]
        logits: Tensor = self.head(maps.mean((2, 3)))
        return logits


class ParametrizedNet(nn.Module):
    """Weight and spectral norm as parametrizations; the second moves its vectors at every pass in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 4, 3))
        self.relu = nn.ReLU()
        self.head = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5))

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.relu(self.conv(pictures)).mean((2, 3)))
        return logits


class RowReader(nn.Module):
    """An LSTM that reads a picture row by row: no maps, and on CUDA no backward pass in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(32, 6, num_layers=2, dropout=0.5, batch_first=True)
        self.head = nn.Linear(6, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.lstm(pictures[:, 0])[0][:, -1])
        return logits


class PatchReader(nn.Module):
    """A transformer over 16 patches, of torch's own layer with its fused path."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 8, stride=8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(self.patches(pictures).flatten(2).transpose(1, 2)).mean(dim=1))
        return logits


class Casting(nn.Module):
    """A model in half precision that brings pictures to the type of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = LeNet().bfloat16()

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.inner(pictures.to(self.inner.head[1].weight.dtype))
        return logits


class Packed(nn.Module):
    """Returns its scores in something."""

    def __init__(self, pack: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.inner, self.pack = LeNet(), pack

    def forward(self, pictures: Tensor) -> object:
        return self.pack(self.inner(pictures))


def compiled_lenet() -> nn.Module:
    """A compiled network; the first call, with which compiling begins, is the caller's."""
    model = torch.compile(LeNet(), backend="eager")
    assert isinstance(model, nn.Module)
    return model


ZOO: dict[str, Callable[[], nn.Module]] = {
    "in-place ReLU": lambda: LeNet(lambda: nn.ReLU(inplace=True)),
    "functional": FunctionalNet,
    "reused ReLU": ReusedRelu,
    "shared weights": SharedWeights,
    "batch norm and dropout": BatchNormNet,
    "restless": RestlessNet,
}

"""Networks that every method of pictures either explains or refuses for a reason of its own."""

WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "parametrized": ParametrizedNet,
    "recurrent": RowReader,
    "transformer": PatchReader,
    "half precision": Casting,
    "compiled": compiled_lenet,
    "distributed": lambda: nn.parallel.DistributedDataParallel(LeNet()),
    "dict output": lambda: Packed(lambda scores: {"scores": scores}),
    "tuple output": lambda: Packed(lambda scores: (scores, None)),
}
"""More of them; "distributed" needs a process group, and the last two are refused by all that read scores."""

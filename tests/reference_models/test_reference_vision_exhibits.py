"""The picture classifiers as exhibits: built for any of their data, trained by the loop, explained at their layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from torchglass.explainers import explain, method_names
from torchglass.reference_models import get
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.networks.resnet import RESNET18, ResNet

NAMES = ("simple_cnn", "resnet18", "resnet50", "vit_tiny")
CLASSES = ("circle", "ring", "square")
FORMS = {
    "simple_cnn": DataForm("pictures", "classification", (1, 32, 32), CLASSES),
    "resnet18": DataForm("pictures", "classification", (3, 64, 64), CLASSES),
    "resnet50": DataForm("pictures", "classification", (3, 64, 64), CLASSES),
    "vit_tiny": DataForm("pictures", "classification", (3, 64, 64), CLASSES),
}


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def bright_third(count: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Noisy pictures one of whose thirds is brighter, and which one."""
    labels = torch.arange(count) % 3
    pictures = 0.5 * torch.rand(count, *shape)
    edges = [round(shape[2] * third / 3) for third in range(4)]
    for picture, label in zip(pictures, labels.tolist(), strict=True):
        picture[:, :, edges[label] : edges[label + 1]] += 0.5
    return pictures, labels


def textures(count: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy pictures with a square of rows, columns or a checkerboard somewhere; which one, and where (N, H, W)."""
    row, column = torch.meshgrid(torch.arange(12) // 2 % 2, torch.arange(12) // 2 % 2, indexing="ij")
    patterns = torch.stack([row, column, row ^ column]).float()
    labels = torch.arange(count) % 3
    pictures, truth = 0.2 * torch.rand(count, *shape) + 0.4, torch.zeros(count, *shape[1:], dtype=torch.bool)
    for index, label in enumerate(labels.tolist()):
        top, left = torch.randint(0, shape[1] - 12, (2,)).tolist()
        pictures[index, :, top : top + 12, left : left + 12] = patterns[label]
        truth[index, top : top + 12, left : left + 12] = True
    return pictures, labels, truth


def fit(model: nn.Module, pictures: Tensor, labels: Tensor, *, steps: int) -> list[float]:
    """Train on one batch over and over and return the losses."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(steps):
        loss = functional.cross_entropy(model(pictures), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_built_for_the_classes_and_the_size_of_any_of_its_data_sets(name: str) -> None:
    sizes = {(1, 32, 32)} if name == "simple_cnn" else {(3, 64, 64), (3, 32, 32)}
    for shape in sizes:
        model = get(name).build(replace(FORMS[name], shape=shape, class_names=tuple("abcdefg"))).eval()
        assert model(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("name", NAMES)
def test_methods_are_known_and_the_layer_is_the_model_s(name: str) -> None:
    exhibit = get(name)
    assert set(exhibit.explain.methods) <= set(method_names())
    assert len(exhibit.explain.methods) >= 3
    assert exhibit.explain.layer in dict(exhibit.build(FORMS[name]).named_modules())


@pytest.mark.parametrize(("name", "map_size"), [("simple_cnn", 16), ("resnet18", 4), ("resnet50", 4), ("vit_tiny", 8)])
def test_grad_cam_reads_the_layer_that_the_exhibit_names(name: str, map_size: int) -> None:
    exhibit, shape = get(name), FORMS[name].shape
    found = explain(
        exhibit.build(FORMS[name]).eval(), torch.rand(2, *shape), method="gradcam", layer=exhibit.explain.layer
    )
    assert found.layer == exhibit.explain.layer
    assert found.attributions.shape == (2, 1, *shape[1:])
    assert found.parameters["map_size"] == [map_size, map_size]
    assert np.abs(found.attributions).max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_bar_and_the_offline_data_come_first(name: str) -> None:
    exhibit = get(name)
    assert exhibit.bar.metric == "test/accuracy"
    assert exhibit.bar.at_least == {"simple_cnn": 0.97, "vit_tiny": 0.90}.get(name, 0.95)
    assert exhibit.datasets == (
        ("digits", "shapes_shortcut", "mnist") if name == "simple_cnn" else ("shapes", "shapes_shortcut", "cifar10")
    )
    assert [source.needs for source in exhibit.sources] == [""] * (len(exhibit.sources) - 1) + ["network"]


@pytest.mark.parametrize("name", ["simple_cnn", "vit_tiny"])
def test_dropout_is_the_rate_asked_for(name: str) -> None:
    rates = {
        module.p
        for module in get(name).build(FORMS[name], dropout=0.35).modules()
        if isinstance(module, torch.nn.Dropout | torch.nn.Dropout2d)
    }
    assert rates == {0.35}


def test_a_residual_network_begins_with_published_weights_and_a_head_of_its_own(tmp_path: Path) -> None:
    published = ResNet(RESNET18, 1000).state_dict()
    torch.save(published, tmp_path / "resnet18.pth")
    model = get("resnet18").build(FORMS["resnet18"], path=tmp_path / "resnet18.pth")
    state = model.state_dict()
    assert torch.equal(state["layer4.1.conv2.weight"], published["layer4.1.conv2.weight"])
    assert state["fc.weight"].shape == (3, 512)


@pytest.mark.parametrize("name", ["simple_cnn", "vit_tiny"])
def test_the_loss_falls_when_the_bright_third_is_to_be_told(name: str) -> None:
    shape = (FORMS[name].shape[0], 32, 32)
    pictures, labels = bright_third(48, shape)
    losses = fit(get(name).build(replace(FORMS[name], shape=shape), dropout=0.0), pictures, labels, steps=20)
    assert losses[-1] < 0.3 * losses[0]


def test_grad_cam_of_a_trained_network_points_at_the_texture_that_decides() -> None:
    form = FORMS["simple_cnn"]
    pictures, labels, truth = textures(48, form.shape)
    model = get("simple_cnn").build(form, dropout=0.0)
    fit(model, pictures, labels, steps=25)
    layer = get("simple_cnn").explain.layer
    found = explain(model.eval(), pictures, target=labels.tolist(), method="gradcam", layer=layer)
    relevance = found.attributions[:, 0]
    inside = np.array([each[marked].mean() for each, marked in zip(relevance, truth.numpy(), strict=True)])
    outside = np.array([each[~marked].mean() for each, marked in zip(relevance, truth.numpy(), strict=True)])
    assert (inside > outside).mean() > 0.9

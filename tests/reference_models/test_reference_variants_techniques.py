"""Techniques on models of other shapes than LeNet-5, and the reasons that they give where they cannot run."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

from torchglass.errors import MissingExtraError, OptionError
from torchglass.reference_models.variants.learning import gradient, relative_difference
from torchglass.reference_models.variants.registry import get_variants
from torchglass.reference_models.variants.technique import Subject, Variant, plain_learner
from torchglass.reference_models.variants.techniques.compile import compiled

CPU = torch.device("cpu")


class Branching(nn.Module):
    """A model that torch.fx cannot trace: its path depends on the data."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.flat = isinstance(layer, nn.Linear)

    def forward(self, images: Tensor) -> Tensor:
        features = images.flatten(1) if self.flat else images
        outputs: Tensor = self.layer(features)
        return (outputs if outputs.sum() > 0 else outputs + 1).flatten(1)


class Residual(nn.Module):
    """A stem and two blocks in a list, with batch norm, as larger models have."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()) for _ in range(2)]
        )
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        for block in self.blocks:
            features = features + block(features)
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def variant(name: str) -> Variant:
    return get_variants((name,))[-1]


def subject(model: nn.Module, *, device: str = "cpu", shape: tuple[int, ...] = (4, 1, 6, 6)) -> Subject:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return Subject(model, torch.device(device), images, images)


def refused(name: str, given: Subject) -> str:
    technique = variant(name)
    make = technique.predictor or technique.learner
    assert make is not None
    with pytest.raises(OptionError) as caught:
        make(given)
    return str(caught.value)


def test_each_technique_says_what_it_lacks() -> None:
    linear, bare = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), nn.Sequential(nn.Flatten(), nn.ReLU())
    assert "kernels run on the CPU alone and the device is cuda" in refused("int8", subject(linear, device="cuda"))
    assert "mps is not tried with mixed precision" in refused("amp", subject(linear, device="mps"))
    assert "2-d convolutions" in refused("channels_last", subject(linear))
    assert "this model has none" in refused("pruned", subject(bare))
    assert "sequence of blocks" in refused("checkpointed", subject(Branching(nn.Linear(36, 3))))
    assert "no linear layer" in refused("int8", subject(Branching(nn.Conv2d(1, 2, 3)).eval()))


def test_onnx_says_what_is_not_installed_and_which_device_it_cannot_take(monkeypatch: pytest.MonkeyPatch) -> None:
    make = variant("onnx").predictor
    assert make is not None
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).eval()
    with monkeypatch.context() as patched:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            patched.setitem(sys.modules, package, None)
        with pytest.raises(MissingExtraError, match=r"onnx is not installed: pip install 'torchglass\[onnx\]'"):
            make(subject(model))
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    with pytest.raises(OptionError, match="no provider for mps"):
        make(subject(model, device="mps"))


def test_a_model_that_cannot_be_traced_is_quantised_dynamically_and_says_so() -> None:
    make = variant("int8").predictor
    assert make is not None
    model = Branching(nn.Linear(36, 3)).eval()
    given = subject(model)
    expected = model(given.images)
    found = make(given)
    assert "linear layers alone: static failed" in found.notes[0]
    assert found.notes[0].startswith("dynamic")
    assert (found.forward(given.images) - expected).abs().max() < 0.05


def test_blocks_in_a_list_are_checkpointed_with_equal_gradients() -> None:
    torch.manual_seed(0)
    plain, again = Residual(), Residual()
    again.load_state_dict(plain.state_dict())
    make = variant("checkpointed").learner
    assert make is not None
    given = subject(again)
    batch = given.images, torch.tensor([0, 1, 2, 0])
    learner = make(given)
    assert learner.notes[0] == "2 blocks keep their input alone"
    assert "batch norm sees each batch twice" in learner.notes[1]
    original = gradient(plain_learner(plain, plain, CPU), batch)
    assert original.norm() > 0
    assert relative_difference(gradient(learner, batch), original) == 0


def test_a_block_that_stands_in_two_places_is_counted_once_by_the_check() -> None:
    block = nn.Sequential(nn.Flatten(), nn.Linear(36, 36))
    model = nn.Sequential(block, nn.ReLU(), block, nn.Linear(36, 3))
    make = variant("checkpointed").learner
    assert make is not None
    assert len(make(subject(model)).parameters) == len(tuple(model.parameters()))


def test_pruned_weights_stay_zero_while_the_others_learn() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(36, 3)
    model = nn.Sequential(nn.Flatten(), layer)
    names = [tuple(parameter.shape) for parameter in model.parameters()]
    make = variant("pruned").learner
    assert make is not None
    given = subject(model)
    learner = make(given)
    assert [tuple(parameter.shape) for parameter in learner.parameters] == names
    zero = layer.weight.detach().eq(0)
    assert int(zero.sum()) == 54
    found = gradient(learner, (given.images, torch.tensor([0, 1, 2, 0])))
    assert torch.equal(found[: zero.numel()][zero.flatten()], torch.zeros(54, dtype=torch.float64))
    assert (found[: zero.numel()][~zero.flatten()] != 0).all()


def test_code_that_was_not_compiled_is_not_taken_for_compiled() -> None:
    forward = compiled(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)))
    with (
        torch.compiler.set_stance("force_eager"),
        pytest.raises(OptionError, match="found nothing in this model to compile and ran it eagerly"),
    ):
        forward(torch.rand(4, 1, 6, 6))

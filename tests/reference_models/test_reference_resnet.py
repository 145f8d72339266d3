"""Residual networks: torchvision's names and shapes, published weights, a gradient for every weight."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from torchglass.errors import DataError
from torchglass.reference_models.networks.pretrained import load_pretrained, read_tensors
from torchglass.reference_models.networks.resnet import RESNET18, RESNET50, Plan, ResNet, stem_stride_for

PLANS = {"resnet18": RESNET18, "resnet50": RESNET50}
Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def shapes_of(state: dict[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def batch_norm(name: str, channels: int) -> Shapes:
    sized = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**sized, f"{name}.num_batches_tracked": ()}


def torchvision_shapes(bottleneck: bool, depths: tuple[int, ...], classes: int) -> Shapes:
    """Write down the state of torchvision's networks, stage by stage: widths 64 to 512, four times that when wide."""
    wanted: Shapes = {"conv1.weight": (64, 3, 7, 7), **batch_norm("bn1", 64)}
    entering = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        leaving = 4 * width if bottleneck else width
        for index in range(depth):
            block = f"layer{stage + 1}.{index}"
            if bottleneck:
                wanted[f"{block}.conv1.weight"] = (width, entering, 1, 1)
                wanted[f"{block}.conv2.weight"] = (width, width, 3, 3)
                wanted[f"{block}.conv3.weight"] = (leaving, width, 1, 1)
                wanted |= batch_norm(f"{block}.bn3", leaving)
            else:
                wanted[f"{block}.conv1.weight"] = (width, entering, 3, 3)
                wanted[f"{block}.conv2.weight"] = (width, width, 3, 3)
            wanted |= batch_norm(f"{block}.bn1", width) | batch_norm(f"{block}.bn2", width)
            if index == 0 and (bottleneck or stage > 0):
                wanted[f"{block}.downsample.0.weight"] = (leaving, entering, 1, 1)
                wanted |= batch_norm(f"{block}.downsample.1", leaving)
            entering = leaving
    return {**wanted, "fc.weight": (classes, entering), "fc.bias": (classes,)}


@pytest.mark.parametrize(
    ("name", "bottleneck", "depths", "tensors", "parameters"),
    [("resnet18", False, (2, 2, 2, 2), 122, 11_689_512), ("resnet50", True, (3, 4, 6, 3), 320, 25_557_032)],
)
def test_names_shapes_and_counts_are_torchvision_s(
    name: str, bottleneck: bool, depths: tuple[int, ...], tensors: int, parameters: int
) -> None:
    network = ResNet(PLANS[name], 1000)
    wanted = torchvision_shapes(bottleneck, depths, 1000)
    assert shapes_of(network.state_dict()) == wanted
    assert len(wanted) == tensors
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    network.load_state_dict({each: torch.zeros(shape) for each, shape in wanted.items()}, strict=True)


def test_a_bottleneck_halves_the_resolution_in_its_3x3_convolution() -> None:
    first = ResNet(RESNET50, 10).layer2.get_submodule("0")
    strides = {
        each: module.stride
        for each, module in first.named_modules()
        if isinstance(module, nn.Conv2d) and "conv" in each
    }
    assert strides == {"conv1": (1, 1), "conv2": (2, 2), "conv3": (1, 1)}


@pytest.mark.parametrize(("plan", "widened"), [(RESNET18, 1), (RESNET50, 4)], ids=PLANS)
def test_each_stage_halves_the_resolution_and_doubles_the_maps(plan: Plan, widened: int) -> None:
    network = ResNet(plan, 7).eval()
    sizes: dict[str, tuple[int, ...]] = {}

    def note(module: nn.Module, _inputs: object, output: Tensor) -> None:
        sizes[names[module]] = tuple(output.shape[1:])

    names = {network.get_submodule(name): name for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")}
    for module in names:
        module.register_forward_hook(note)
    with torch.no_grad():
        assert network(torch.rand(2, 3, 64, 96)).shape == (2, 7)
    assert sizes == {
        "conv1": (64, 32, 48),
        "maxpool": (64, 16, 24),
        "layer1": (64 * widened, 16, 24),
        "layer2": (128 * widened, 8, 12),
        "layer3": (256 * widened, 4, 6),
        "layer4": (512 * widened, 2, 3),
    }


def test_small_pictures_keep_their_resolution_in_the_stem_with_weights_of_the_same_shapes() -> None:
    assert [stem_stride_for(side) for side in (32, 63, 64, 224)] == [1, 1, 2, 2]
    small = ResNet(RESNET18, 10, stem_stride=1).eval()
    assert shapes_of(small.state_dict()) == shapes_of(ResNet(RESNET18, 10).state_dict())
    stem = nn.Sequential(small.conv1, small.bn1, small.relu, small.maxpool)
    assert stem(torch.rand(1, 3, 32, 32)).shape == (1, 64, 16, 16)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_parameter_has_a_gradient(plan: Plan) -> None:
    network = ResNet(plan, 5)
    functional.cross_entropy(network(torch.rand(3, 3, 64, 64)), torch.tensor([0, 1, 4])).backward()  # type: ignore[no-untyped-call]
    still = [
        name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert still == []


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_no_module_works_in_place_or_is_called_twice(plan: Plan) -> None:
    network = ResNet(plan, 5).eval()
    calls: dict[nn.Module, int] = {}

    def count(module: nn.Module, _inputs: object, _output: object) -> None:
        calls[module] = calls.get(module, 0) + 1

    for module in network.modules():
        assert not getattr(module, "inplace", False)
        module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64))
    assert set(calls.values()) == {1}
    assert len(calls) == len(list(network.modules()))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_with_the_last_gain_at_zero_each_block_passes_its_input_on(plan: Plan) -> None:
    maps = torch.rand(2, 64 * plan.block.expansion, 6, 6)  # above zero, so the ReLU after the sum changes nothing
    assert torch.equal(ResNet(plan, 5, zero_last=True).layer1.get_submodule("1")(maps), maps)
    assert not torch.allclose(ResNet(plan, 5).layer1.get_submodule("1")(maps), maps)


@pytest.fixture
def published() -> dict[str, Tensor]:
    return ResNet(RESNET18, 1000).state_dict()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_weights_load_by_name(published: dict[str, Tensor], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"resnet18{suffix}"
    save_file(published, path) if suffix == ".safetensors" else torch.save(published, path)
    network = ResNet(RESNET18, 1000)
    load_pretrained(network, path, head="fc")
    assert all(torch.equal(tensor, published[name]) for name, tensor in network.state_dict().items())


def test_weights_for_other_classes_are_refused_until_a_new_head_is_asked_for(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(published, tmp_path / "resnet18.pt")
    network = ResNet(RESNET18, 6)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(DataError, match=r"tells 1000 classes apart and the data has 6"):
        load_pretrained(network, tmp_path / "resnet18.pt", head="fc")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    load_pretrained(network, tmp_path / "resnet18.pt", head="fc", new_head=True)
    expected = published | {name: before[name] for name in ("fc.weight", "fc.bias")}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.state_dict().items())


def test_files_from_before_batch_norm_counted_batches_load(published: dict[str, Tensor], tmp_path: Path) -> None:
    old = {name: tensor for name, tensor in published.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    network = ResNet(RESNET18, 1000)
    load_pretrained(network, tmp_path / "old.pth", head="fc")
    assert torch.equal(network.layer4.get_submodule("1.bn2").running_var, published["layer4.1.bn2.running_var"])  # type: ignore[arg-type]


def test_weights_of_another_architecture_are_refused_by_name(published: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(published, tmp_path / "resnet18.pt")
    with pytest.raises(DataError, match=r"another architecture than ResNet: .*layer1\.0\.bn3\.bias.* more do not fit"):
        load_pretrained(ResNet(RESNET50, 6), tmp_path / "resnet18.pt", head="fc", new_head=True)


@pytest.mark.parametrize("name", ["text.pt", "text.safetensors", "missing.pt", "list.pt", "numbered.pt"])
def test_a_file_that_holds_no_weights_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    torch.save({"conv1.weight": torch.zeros(2), 1: torch.zeros(2)}, tmp_path / "numbered.pt")
    with pytest.raises(DataError, match=name):
        read_tensors(tmp_path / name)


def test_a_file_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    torch.save(ResNet(RESNET18, 3), tmp_path / "module.pt")
    with pytest.raises(DataError, match="cannot be read as weights"):
        read_tensors(tmp_path / "module.pt")


def test_sixty_four_noisy_pictures_are_learnt_by_heart_in_a_few_steps() -> None:
    pictures, labels = torch.rand(64, 3, 32, 32), torch.randint(0, 4, (64,))
    network = ResNet(RESNET18, 4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        loss = functional.cross_entropy(network(pictures), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 1.0
    assert losses[-1] < 0.1

"""Residual networks (He, Zhang, Ren, Sun 2016, "Deep residual learning", arXiv 1512.03385), of 18 and 50 layers.

Parameters and buffers carry torchvision's names and shapes, so weights published for it load by name (pretrained.py).
Like there, a bottleneck halves the resolution in its 3x3 convolution ("v1.5"), not in the first 1x1 as in the paper,
which would throw three quarters of the places away unseen.
No ReLU works in place and none is called twice: hooks and explainers see each activation under a name of its own.
"""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.networks.pretrained import load_pretrained

SMALL_PICTURE_PIXELS = 64  # below this side the stem keeps the resolution: the last stage would see a single place


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is carried: (N, C, H, W) to (N, width, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = _convolution(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(channels, width * self.expansion, stride)
        self.relu2 = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Add what the two convolutions found to what came in."""
        found = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(maps)))))
        summed: Tensor = self.relu2(found + self.downsample(maps))
        return summed


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 that narrow and widen: (N, C, H, W) to (N, 4 width, H / stride, W / stride)."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = _convolution(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = _convolution(width, width * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _shortcut(channels, width * self.expansion, stride)
        self.relu3 = nn.ReLU()

    def forward(self, maps: Tensor) -> Tensor:
        """Add what the three convolutions found to what came in."""
        narrowed = self.relu1(self.bn1(self.conv1(maps)))
        found = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(narrowed)))))
        summed: Tensor = self.relu3(found + self.downsample(maps))
        return summed


@dataclass(frozen=True)
class Plan:
    """How a residual network is put together: its block and how many of them each of the four stages has."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]


RESNET18 = Plan(BasicBlock, (2, 2, 2, 2))
RESNET50 = Plan(Bottleneck, (3, 4, 6, 3))


class ResNet(nn.Module):
    """A residual network: pictures (N, channels, H, W) in 0..1 to logits (N, classes).

    `stem_stride` 2 is the paper's; 1 keeps the resolution of small pictures with the same weights.
    `zero_last` begins each block as the identity (last batch norm's gain zero; Goyal et al. 2017, arXiv 1706.02677).
    The stages `layer1` to `layer4` are plain sequences of blocks, so each block can be checkpointed.
    """

    def __init__(
        self, plan: Plan, classes: int, *, channels: int = 3, stem_stride: int = 2, zero_last: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, 64, 7, stem_stride)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        widened = plan.block.expansion
        self.layer1 = _stage(plan.block, plan.depths[0], 64, 64, stride=1)
        self.layer2 = _stage(plan.block, plan.depths[1], 64 * widened, 128, stride=2)
        self.layer3 = _stage(plan.block, plan.depths[2], 128 * widened, 256, stride=2)
        self.layer4 = _stage(plan.block, plan.depths[3], 256 * widened, 512, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(512 * widened, classes)
        _initialize(self, zero_last)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits (N, classes) of pictures (N, channels, H, W)."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(pictures))))
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        logits: Tensor = self.fc(self.flatten(self.avgpool(maps)))
        return logits


def resnet_for(plan: Plan, form: DataForm, weights: Path | None = None) -> ResNet:
    """Build a network for pictures of that form; it begins with published weights and a fresh head where given.

    Raises:
        DataError: when the file of weights does not fit.
    """
    channels, height, width = form.shape
    network = ResNet(plan, form.outputs, channels=channels, stem_stride=stem_stride_for(min(height, width)))
    if weights is not None:
        load_pretrained(network, weights, head="fc", new_head=True)
    return network


def stem_stride_for(side_pixels: int) -> int:
    """Return the stem's stride for pictures of that side: the paper's 2, or 1 for small ones such as CIFAR's."""
    return 1 if side_pixels < SMALL_PICTURE_PIXELS else 2


def _convolution(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    # Batch norm follows and has an offset of its own, so a bias would change nothing.
    return nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(_convolution(channels, width, 1, stride), nn.BatchNorm2d(width))


def _stage(
    block: type[BasicBlock] | type[Bottleneck], depth: int, channels: int, width: int, stride: int
) -> nn.Sequential:
    first = block(channels, width, stride)
    return nn.Sequential(first, *(block(width * block.expansion, width, 1) for _ in range(depth - 1)))


def _initialize(network: ResNet, zero_last: bool) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif zero_last and isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif zero_last and isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)

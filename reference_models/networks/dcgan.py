"""DCGAN (Radford, Metz, Chintala 2015, "Unsupervised representation learning with deep convolutional GANs").

The paper's rules are kept: strided convolutions instead of pooling, batch norm everywhere but at the generator's output
and the discriminator's input, ReLU in one and leaky ReLU in the other, weights drawn from N(0, 0.02). Sizes are an
eighth of the paper's, which painted bedrooms; and pictures are 0..1 outside, as everywhere here, -1..1 within.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

SIDE_PIXELS: Final = 32  # three doublings of 4x4
INITIAL_DEVIATION = 0.02
SLOPE = 0.2  # of the leaky ReLU below zero


class Generator(nn.Module):
    """Latent vectors (N, latent) -> pictures (N, channels, 32, 32) in 0..1."""

    def __init__(self, channels: int, latent: int, width: int) -> None:
        super().__init__()
        self.latent = latent
        self.project = nn.ConvTranspose2d(latent, 4 * width, kernel_size=4, bias=False)  # (N, 4w, 4, 4)
        self.norm1 = nn.BatchNorm2d(4 * width)
        self.relu1 = nn.ReLU()
        self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, kernel_size=4, stride=2, padding=1, bias=False)  # 8x8
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.relu2 = nn.ReLU()
        self.up2 = nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1, bias=False)  # 16x16
        self.norm3 = nn.BatchNorm2d(width)
        self.relu3 = nn.ReLU()
        self.up3 = nn.ConvTranspose2d(width, channels, kernel_size=4, stride=2, padding=1)  # 32x32
        self.tanh = nn.Tanh()

    def forward(self, latents: Tensor) -> Tensor:
        maps = self.relu1(self.norm1(self.project(latents[:, :, None, None])))
        maps = self.relu2(self.norm2(self.up1(maps)))
        maps = self.relu3(self.norm3(self.up2(maps)))
        pictures: Tensor = (self.tanh(self.up3(maps)) + 1) / 2
        return pictures


class Discriminator(nn.Module):
    """Pictures (N, channels, 32, 32) in 0..1 -> the logit that each is real (N, 1)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(channels, width, kernel_size=4, stride=2, padding=1)  # (N, w, 16, 16)
        self.leaky1 = nn.LeakyReLU(SLOPE)
        self.down2 = nn.Conv2d(width, 2 * width, kernel_size=4, stride=2, padding=1, bias=False)  # 8x8
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.leaky2 = nn.LeakyReLU(SLOPE)
        self.down3 = nn.Conv2d(2 * width, 4 * width, kernel_size=4, stride=2, padding=1, bias=False)  # 4x4
        self.norm3 = nn.BatchNorm2d(4 * width)
        self.leaky3 = nn.LeakyReLU(SLOPE)
        self.judge = nn.Conv2d(4 * width, 1, kernel_size=4)  # (N, 1, 1, 1)
        self.flatten = nn.Flatten()

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.leaky1(self.down1(2 * pictures - 1))
        maps = self.leaky2(self.norm2(self.down2(maps)))
        maps = self.leaky3(self.norm3(self.down3(maps)))
        logits: Tensor = self.flatten(self.judge(maps))
        return logits


class Adversaries(nn.Module):
    """A generator and the discriminator it learns from: two networks that are called by themselves, never together."""

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator


def adversaries(channels: int, latent: int = 32, width: int = 16) -> Adversaries:
    """Make both for pictures (N, channels, 32, 32), with fresh weights."""
    pair = Adversaries(Generator(channels, latent, width), Discriminator(channels, width))
    pair.apply(draw_weights)
    return pair


@torch.no_grad()
def draw_weights(module: nn.Module) -> None:
    """Draw a layer's weights as the paper does: N(0, 0.02), around 1 for the gain of a batch norm; biases are zero."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
        center = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
        nn.init.normal_(module.weight, center, INITIAL_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946)."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import Classifier, ConvNorm, SqueezeExcite
from bench.spec import Size, Variant

STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
"""Expansion, kernel, channels, blocks and first stride of each stage: table 1 of the paper."""


class MobileBlock(nn.Module):
    """1x1 that expands, depthwise convolution, squeeze-and-excitation, linear 1x1, and a shortcut where it fits."""

    def __init__(self, num_in: int, num_out: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = num_in * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [ConvNorm(num_in, inner, activation=nn.SiLU)]
        layers.append(ConvNorm(inner, inner, kernel, stride=stride, groups=inner, activation=nn.SiLU))
        layers.append(SqueezeExcite(inner, max(1, num_in // 4), nn.SiLU))
        self.body = nn.Sequential(*layers, ConvNorm(inner, num_out, activation=None))
        self.has_shortcut = stride == 1 and num_in == num_out

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, num_in, H, W] to [N, num_out, H / stride, W / stride]."""
        y: Tensor = self.body(x)
        return x + y if self.has_shortcut else y


def efficientnet_b0(variant: Variant) -> nn.Module:
    """Return EfficientNet-B0; a small variant has the first two stages only."""
    layers: list[nn.Module] = [ConvNorm(3, 32, 3, stride=2, activation=nn.SiLU)]
    num_in = 32
    for expansion, kernel, num_out, num_blocks, first in STAGES[:2] if variant.size is Size.SMALL else STAGES:
        for index in range(num_blocks):
            stride = 1 if index else first
            layers.append(MobileBlock(num_in, num_out, kernel=kernel, stride=stride, expansion=expansion))
            num_in = num_out
    return nn.Sequential(*layers, ConvNorm(num_in, 1280, activation=nn.SiLU), Classifier(1280))

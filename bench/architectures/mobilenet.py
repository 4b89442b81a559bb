"""MobileNet v2 (Sandler et al. 2018, arXiv 1801.04381)."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import Classifier, ConvNorm
from bench.spec import Size, Variant

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and first stride of each stage: table 2 of the paper."""


class InvertedResidual(nn.Module):
    """1x1 that expands, depthwise 3x3, linear 1x1 that projects, and a shortcut where the shape stays."""

    def __init__(self, num_in: int, num_out: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        inner = num_in * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [ConvNorm(num_in, inner, activation=nn.ReLU6)]
        layers.append(ConvNorm(inner, inner, 3, stride=stride, groups=inner, activation=nn.ReLU6))
        self.body = nn.Sequential(*layers, ConvNorm(inner, num_out, activation=None))
        self.has_shortcut = stride == 1 and num_in == num_out

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, num_in, H, W] to [N, num_out, H / stride, W / stride]."""
        y: Tensor = self.body(x)
        return x + y if self.has_shortcut else y


def mobilenet_v2(variant: Variant) -> nn.Module:
    """Return MobileNet v2 of width 1; a small variant has the first two stages only."""
    layers: list[nn.Module] = [ConvNorm(3, 32, 3, stride=2, activation=nn.ReLU6)]
    num_in = 32
    for expansion, num_out, num_blocks, first_stride in STAGES[:2] if variant.size is Size.SMALL else STAGES:
        for index in range(num_blocks):
            stride = 1 if index else first_stride
            layers.append(InvertedResidual(num_in, num_out, stride=stride, expansion=expansion))
            num_in = num_out
    return nn.Sequential(*layers, ConvNorm(num_in, 1280, activation=nn.ReLU6), Classifier(1280))

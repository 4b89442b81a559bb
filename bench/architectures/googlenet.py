"""GoogLeNet (Szegedy et al. 2015, arXiv 1409.4842) with batch norm, as it is trained today."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import Classifier, ConvNorm
from bench.spec import Size, Variant

STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Channels of each inception block: 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, pooled; table 1 of the paper."""


class Inception(nn.Module):
    """Four branches side by side: 1x1, 3x3, 5x5 and pooling."""

    def __init__(self, num_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        direct, reduced_3x3, wide_3x3, reduced_5x5, wide_5x5, pooled = widths
        self.branches = nn.ModuleList(
            [
                ConvNorm(num_in, direct),
                nn.Sequential(ConvNorm(num_in, reduced_3x3), ConvNorm(reduced_3x3, wide_3x3, 3)),
                nn.Sequential(ConvNorm(num_in, reduced_5x5), ConvNorm(reduced_5x5, wide_5x5, 5)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvNorm(num_in, pooled)),
            ]
        )

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, num_in, H, W] to [N, sum of the branches, H, W]."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def googlenet(variant: Variant) -> nn.Module:
    """Return GoogLeNet without its auxiliary heads; a small variant has the first stage only."""
    layers: list[nn.Module] = [
        ConvNorm(3, 64, 7, stride=2),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        ConvNorm(64, 64),
        ConvNorm(64, 192, 3),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    ]
    num_in = 192
    for index, stage in enumerate(STAGES[:1] if variant.size is Size.SMALL else STAGES):
        if index:
            layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
        for widths in stage:
            layers.append(Inception(num_in, widths))
            num_in = widths[0] + widths[2] + widths[4] + widths[5]
    return nn.Sequential(*layers, Classifier(num_in))

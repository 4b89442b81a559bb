"""SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.spec import Size, Variant

FIRE_STAGES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
"""The squeezed and the expanded channels of each fire module, by stage; a pooling follows each stage but the last."""


class Fire(nn.Module):
    """A 1x1 convolution that squeezes, then a 1x1 and a 3x3 side by side that expand."""

    def __init__(self, num_in: int, num_squeezed: int, num_expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(num_in, num_squeezed, 1)
        self.expand_1x1 = nn.Conv2d(num_squeezed, num_expanded, 1)
        self.expand_3x3 = nn.Conv2d(num_squeezed, num_expanded, 3, padding=1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, num_in, H, W] to [N, 2 num_expanded, H, W]."""
        squeezed: Tensor = self.squeeze(x).relu()
        return torch.cat([self.expand_1x1(squeezed).relu(), self.expand_3x3(squeezed).relu()], dim=1)


def squeezenet(variant: Variant) -> nn.Module:
    """Return SqueezeNet 1.1; a small variant has the first stage only."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True)]
    num_in = 64
    stages = FIRE_STAGES[:1] if variant.size is Size.SMALL else FIRE_STAGES
    for index, stage in enumerate(stages):
        if index:
            layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
        for num_squeezed, num_expanded in stage:
            layers.append(Fire(num_in, num_squeezed, num_expanded))
            num_in = 2 * num_expanded
    return nn.Sequential(*layers, nn.Conv2d(num_in, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

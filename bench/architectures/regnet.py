"""RegNet (Radosavovic et al. 2020, arXiv 2003.13678), tables 5 and 6."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import Classifier, ConvNorm, SqueezeExcite
from bench.architectures.resnet import shortcut
from bench.spec import Size, Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class RegNetConfig:
    """One member of the family.

    Attributes:
        depths: Blocks of each stage.
        widths: Channels of each stage.
        group_width: Channels of a group.
        has_squeeze: RegNetY (with squeeze-and-excitation), not RegNetX.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    group_width: int
    has_squeeze: bool


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3, squeeze-and-excitation and 1x1, and a shortcut."""

    def __init__(self, num_in: int, num_out: int, *, stride: int, config: RegNetConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            ConvNorm(num_in, num_out),
            ConvNorm(num_out, num_out, 3, stride=stride, groups=num_out // config.group_width),
        ]
        if config.has_squeeze:
            layers.append(SqueezeExcite(num_out, num_in // 4))
        self.body = nn.Sequential(*layers, ConvNorm(num_out, num_out, activation=None))
        self.shortcut = shortcut(num_in, num_out, stride)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, num_in, H, W] to [N, num_out, H / stride, W / stride]."""
        total: Tensor = self.body(x) + self.shortcut(x)
        return total.relu()


def build(config: RegNetConfig, variant: Variant) -> nn.Module:
    """Return the network of a configuration; a small variant has one block in each of the first two stages."""
    depths = (1, 1) if variant.size is Size.SMALL else config.depths
    layers: list[nn.Module] = [ConvNorm(3, 32, 3, stride=2)]
    num_in = 32
    for depth, width in zip(depths, config.widths[: len(depths)], strict=True):
        for index in range(depth):
            layers.append(RegNetBlock(num_in, width, stride=1 if index else 2, config=config))
            num_in = width
    return nn.Sequential(*layers, Classifier(num_in))


def regnet_y_400mf(variant: Variant) -> nn.Module:
    """Return RegNetY-400MF."""
    config = RegNetConfig(depths=(1, 3, 6, 6), widths=(48, 104, 208, 440), group_width=8, has_squeeze=True)
    return build(config, variant)


def regnet_x_400mf(variant: Variant) -> nn.Module:
    """Return RegNetX-400MF."""
    config = RegNetConfig(depths=(1, 2, 7, 12), widths=(32, 64, 160, 400), group_width=16, has_squeeze=False)
    return build(config, variant)

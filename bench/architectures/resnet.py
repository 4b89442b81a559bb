"""ResNet (He et al. 2016, arXiv 1512.03385) and ResNeXt (Xie et al. 2017, arXiv 1611.05431)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import Classifier, ConvNorm
from bench.spec import Size, Variant

WIDTHS = (64, 128, 256, 512)
EXPANSION = 4


class SplitConv(nn.Module):
    """A grouped 3x3 convolution the way older exporters write it: split, one convolution a group, concatenate."""

    def __init__(self, num_channels: int, *, stride: int, groups: int) -> None:
        super().__init__()
        width = num_channels // groups
        self.width = width
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False) for _ in range(groups)
        )
        self.norm = nn.BatchNorm2d(num_channels)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C, H / stride, W / stride]."""
        parts = torch.split(x, self.width, dim=1)
        joined = torch.cat([conv(part) for conv, part in zip(self.convs, parts, strict=True)], dim=1)
        normed: Tensor = self.norm(joined)
        return normed.relu()


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, num_in: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvNorm(num_in, width, 3, stride=stride), ConvNorm(width, width, 3, activation=None))
        self.shortcut = shortcut(num_in, width, stride)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, num_in, H, W] to [N, width, H / stride, W / stride]."""
        total: Tensor = self.body(x) + self.shortcut(x)
        return total.relu()


class Bottleneck(nn.Module):
    """1x1, 3x3 (grouped in ResNeXt) and 1x1 convolutions and a shortcut."""

    def __init__(
        self, num_in: int, width: int, *, stride: int, groups: int = 1, group_width: int = 64, is_split: bool = False
    ) -> None:
        super().__init__()
        inner = width * group_width // 64 * groups
        middle = (
            SplitConv(inner, stride=stride, groups=groups)
            if is_split
            else ConvNorm(inner, inner, 3, stride=stride, groups=groups)
        )
        self.body = nn.Sequential(ConvNorm(num_in, inner), middle, ConvNorm(inner, width * EXPANSION, activation=None))
        self.shortcut = shortcut(num_in, width * EXPANSION, stride)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, num_in, H, W] to [N, 4 width, H / stride, W / stride]."""
        total: Tensor = self.body(x) + self.shortcut(x)
        return total.relu()


def shortcut(num_in: int, num_out: int, stride: int) -> nn.Module:
    """Return the identity where it fits, else a strided 1x1 convolution."""
    if stride == 1 and num_in == num_out:
        return nn.Identity()
    return ConvNorm(num_in, num_out, stride=stride, activation=None)


class ResNet(nn.Sequential):
    """Stem, four stages of ``depths`` blocks, classifier: [N, 3, H, W] to [N, 1000]."""

    def __init__(self, block: Callable[..., nn.Module], depths: tuple[int, ...], *, expansion: int) -> None:
        layers: list[nn.Module] = [ConvNorm(3, 64, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)]
        num_in = 64
        for stage, depth in enumerate(depths):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                layers.append(block(num_in, WIDTHS[stage], stride=stride))
                num_in = WIDTHS[stage] * expansion
        super().__init__(*layers, Classifier(num_in))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetConfig:
    """One member of the family.

    Attributes:
        depths: Blocks of each of the four stages; a small variant has one a stage and two stages.
        is_bottleneck: 1x1-3x3-1x1 blocks, not 3x3-3x3.
        groups: Groups of the 3x3 convolution.
        group_width: Channels of a group in the first stage.
        is_split: Groups written as split, convolutions and concatenation.
    """

    depths: tuple[int, ...]
    is_bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    is_split: bool = False


def build(config: ResNetConfig, variant: Variant) -> nn.Module:
    """Return the network of a configuration."""
    depths = (1, 1) if variant.size is Size.SMALL else config.depths
    if not config.is_bottleneck:
        return ResNet(BasicBlock, depths, expansion=1)
    block = partial(Bottleneck, groups=config.groups, group_width=config.group_width, is_split=config.is_split)
    return ResNet(block, depths, expansion=EXPANSION)


def resnet18(variant: Variant) -> nn.Module:
    """Return ResNet-18."""
    return build(ResNetConfig(depths=(2, 2, 2, 2), is_bottleneck=False), variant)


def resnet50(variant: Variant) -> nn.Module:
    """Return ResNet-50, the stride in the 3x3 convolution."""
    return build(ResNetConfig(depths=(3, 4, 6, 3)), variant)


def resnet101(variant: Variant) -> nn.Module:
    """Return ResNet-101, the stride in the 3x3 convolution."""
    return build(ResNetConfig(depths=(3, 4, 23, 3)), variant)


def resnext50(variant: Variant) -> nn.Module:
    """Return ResNeXt-50 32x4d with grouped convolutions."""
    return build(ResNetConfig(depths=(3, 4, 6, 3), groups=32, group_width=4), variant)


def resnext50_split(variant: Variant) -> nn.Module:
    """Return ResNeXt-50 32x4d with each grouped convolution written as 32 convolutions."""
    return build(ResNetConfig(depths=(3, 4, 6, 3), groups=32, group_width=4, is_split=True), variant)

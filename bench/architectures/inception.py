"""Inception v3 (Szegedy et al. 2016, arXiv 1512.00567)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.architectures.layers import Classifier, ConvNorm
from bench.spec import Size, Variant

conv = partial(ConvNorm, eps=1e-3)


class Branches(nn.Module):
    """Branches side by side, their channels concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the concatenation of what the branches make of it."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def average_pool() -> nn.Module:
    """Return the 3x3 average pooling of the pooled branches."""
    return nn.AvgPool2d(3, stride=1, padding=1)


def block_35(num_in: int, num_pooled: int) -> nn.Module:
    """Return a block of the 35x35 stage (figure 5): 224 + ``num_pooled`` channels."""
    return Branches(
        conv(num_in, 64),
        nn.Sequential(conv(num_in, 48), conv(48, 64, 5)),
        nn.Sequential(conv(num_in, 64), conv(64, 96, 3), conv(96, 96, 3)),
        nn.Sequential(average_pool(), conv(num_in, num_pooled)),
    )


def reduction_17(num_in: int) -> nn.Module:
    """Return the reduction from 35x35 to 17x17: ``num_in`` + 480 channels."""
    return Branches(
        conv(num_in, 384, 3, stride=2, padding=0),
        nn.Sequential(conv(num_in, 64), conv(64, 96, 3), conv(96, 96, 3, stride=2, padding=0)),
        nn.MaxPool2d(3, stride=2),
    )


def block_17(num_in: int, width: int) -> nn.Module:
    """Return a block of the 17x17 stage (figure 6), 7x7 as 1x7 and 7x1: 768 channels."""
    row, column = (1, 7), (7, 1)
    return Branches(
        conv(num_in, 192),
        nn.Sequential(conv(num_in, width), conv(width, width, row), conv(width, 192, column)),
        nn.Sequential(
            conv(num_in, width),
            conv(width, width, column),
            conv(width, width, row),
            conv(width, width, column),
            conv(width, 192, row),
        ),
        nn.Sequential(average_pool(), conv(num_in, 192)),
    )


def reduction_8(num_in: int) -> nn.Module:
    """Return the reduction from 17x17 to 8x8: ``num_in`` + 512 channels."""
    return Branches(
        nn.Sequential(conv(num_in, 192), conv(192, 320, 3, stride=2, padding=0)),
        nn.Sequential(
            conv(num_in, 192), conv(192, 192, (1, 7)), conv(192, 192, (7, 1)), conv(192, 192, 3, stride=2, padding=0)
        ),
        nn.MaxPool2d(3, stride=2),
    )


def block_8(num_in: int) -> nn.Module:
    """Return a block of the 8x8 stage (figure 7): 2048 channels."""

    def fork() -> nn.Module:
        return Branches(conv(384, 384, (1, 3)), conv(384, 384, (3, 1)))

    return Branches(
        conv(num_in, 320),
        nn.Sequential(conv(num_in, 384), fork()),
        nn.Sequential(conv(num_in, 448), conv(448, 384, 3), fork()),
        nn.Sequential(average_pool(), conv(num_in, 192)),
    )


def inception_v3(variant: Variant) -> nn.Module:
    """Return Inception v3 without its auxiliary head; a small variant ends after the first block."""
    blocks: tuple[Callable[[], nn.Module], ...] = (
        partial(block_35, 192, 32),
        partial(block_35, 256, 64),
        partial(block_35, 288, 64),
        partial(reduction_17, 288),
        partial(block_17, 768, 128),
        partial(block_17, 768, 160),
        partial(block_17, 768, 160),
        partial(block_17, 768, 192),
        partial(reduction_8, 768),
        partial(block_8, 1280),
        partial(block_8, 2048),
    )
    is_small = variant.size is Size.SMALL
    stem = (
        conv(3, 32, 3, stride=2, padding=0),
        conv(32, 32, 3, padding=0),
        conv(32, 64, 3),
        nn.MaxPool2d(3, stride=2),
        conv(64, 80),
        conv(80, 192, 3, padding=0),
        nn.MaxPool2d(3, stride=2),
    )
    body = [make() for make in (blocks[:1] if is_small else blocks)]
    return nn.Sequential(*stem, *body, Classifier(256 if is_small else 2048))

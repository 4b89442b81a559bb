"""Layers that several architectures share."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.spec import Attention


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm and, unless ``activation`` is None, an activation.

    Maps [N, ``num_in``, H, W] to [N, ``num_out``, H / stride, W / stride]; the padding keeps the size at stride 1.
    """

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: int | tuple[int, int] | None = None,
        groups: int = 1,
        activation: type[nn.Module] | None = nn.ReLU,
        eps: float = 1e-5,
    ) -> None:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        pad = (size[0] // 2, size[1] // 2) if padding is None else padding
        conv = nn.Conv2d(num_in, num_out, size, stride=stride, padding=pad, groups=groups, bias=False)
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(num_out, eps=eps)]
        if activation is not None:
            layers.append(activation())
        super().__init__(*layers)


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al. 2018, arXiv 1709.01507): x * sigmoid(W2 act(W1 mean(x))), [N, C, H, W] kept."""

    def __init__(self, num_channels: int, num_squeezed: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(num_channels, num_squeezed, 1)
        self.activation = activation()
        self.excite = nn.Conv2d(num_squeezed, num_channels, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with each channel scaled by its gate."""
        gate: Tensor = self.excite(self.activation(self.squeeze(self.pool(x))))
        return x * gate.sigmoid()


class Classifier(nn.Sequential):
    """Global average pooling and a linear layer: [N, C, H, W] to [N, num_classes]."""

    def __init__(self, num_channels: int, num_classes: int = 1000) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(num_channels, num_classes))


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Return [N, T, hidden] as [N, heads, T, hidden / heads]."""
    return torch.unflatten(x, 2, (num_heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Return [N, heads, T, width] as [N, T, heads * width]."""
    return x.transpose(1, 2).flatten(2)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, attention: Attention) -> Tensor:
    """Return softmax(q k^T / sqrt(width) + bias) v; each is [N, heads, T, width], the bias broadcasts to [.., T, T]."""
    match attention:
        case Attention.SDPA:
            return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        case Attention.EAGER:
            scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5 + bias
            mixed: Tensor = scores.softmax(dim=-1) @ value
            return mixed
        case _:
            assert_never(attention)

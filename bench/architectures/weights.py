"""Random weights that make every part of a model matter to its output.

Libraries initialise biases to zero, norms to the identity and running statistics to (0, 1). An optimiser that drops a
bias or folds a batch norm wrongly would go unnoticed on those, so everything is drawn here. Running statistics are
then measured, as training does: with invented ones a deep network forgets its input on the way, and an optimiser that
ruins its first layers would go unnoticed too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.gain import RELU_GAIN


def draw_weights(module: nn.Module, *, seed: int) -> None:
    """Draw every parameter of ``module`` in place, the same for the same seed and module.

    Matrices are normal with variance 1 / fan_in, embeddings with standard deviation 0.5, biases with 0.1; scales are in
    [0.5, 1]. Kernels of convolutions are normal with variance 2 / (1 - 1 / pi) / fan_in and zero mean for each output:
    the mean of what a ReLU lets through is the same for every image, and would drown the rest (Qiao et al. 2019, arXiv
    1903.10520).
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings = {id(child.weight) for child in module.modules() if isinstance(child, nn.Embedding)}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim >= 2:
                is_kernel = parameter.ndim > 2
                gain = RELU_GAIN if is_kernel else 1.0
                std = 0.5 if id(parameter) in embeddings else (gain / parameter[0].numel()) ** 0.5
                parameter.normal_(0.0, std, generator=generator)
                if is_kernel and parameter[0].numel() > 1:
                    parameter.sub_(parameter.flatten(1).mean(dim=1).reshape(-1, *[1] * (parameter.ndim - 1)))
            elif name.endswith("weight") or "scale" in name:
                parameter.uniform_(0.5, 1.0, generator=generator)
            else:
                parameter.normal_(0.0, 0.1, generator=generator)


def measure_statistics(module: nn.Module, arguments: Sequence[Tensor]) -> None:
    """Set the running statistics of every batch norm to those of one pass over ``arguments``, in place.

    Args:
        module: The network, in eval mode.
        arguments: A batch of its inputs.
    """
    norms = [child for child in module.modules() if isinstance(child, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    with torch.no_grad():
        module(*arguments)
    for norm in norms:
        norm.eval()

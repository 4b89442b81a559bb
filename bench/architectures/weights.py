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


def draw_weights(module: nn.Module, *, seed: int) -> None:
    """Draw every parameter of ``module`` in place, the same for the same seed and module.

    Matrices and kernels are normal with standard deviation sqrt(g / fan_in), where g is 2 for kernels (He et al. 2015,
    arXiv 1502.01852) and 1 for matrices, and embeddings are normal with standard deviation 0.5; scales are in
    [0.5, 1], biases normal with standard deviation 0.1.
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings = {id(child.weight) for child in module.modules() if isinstance(child, nn.Embedding)}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim >= 2:
                fan_in = parameter[0].numel()
                gain = 2.0 if parameter.ndim > 2 else 1.0
                std = 0.5 if id(parameter) in embeddings else (gain / fan_in) ** 0.5
                parameter.normal_(0.0, std, generator=generator)
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

"""Random weights that make every part of a model matter to its output.

Libraries initialise biases to zero, norms to the identity and running statistics to (0, 1). An optimiser that drops a
bias or folds a batch norm wrongly would go unnoticed on those, so everything is drawn here.
"""

from __future__ import annotations

import torch
from torch import nn


def draw_weights(module: nn.Module, *, seed: int) -> None:
    """Draw every parameter and running statistic of ``module`` in place, the same for the same seed and module.

    Matrices and kernels are normal with standard deviation sqrt(g / fan_in), where g is 2 for kernels (He et al. 2015,
    arXiv 1502.01852) and 1 for matrices, and embeddings are standard normal; scales are in [0.5, 1], biases normal
    with standard deviation 0.1, running means the same, running variances in [0.75, 1.5].
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
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0.0, 0.1, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.75, 1.5, generator=generator)

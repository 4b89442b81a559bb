"""From a row of the table to a torch module."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bench.architectures.weights import draw_weights

if TYPE_CHECKING:
    from torch import nn

    from bench.spec import ModelSpec, Variant


def build_module(spec: ModelSpec, variant: Variant, *, seed: int) -> nn.Module:
    """Return the module of a variant in eval mode, with weights drawn from ``seed``."""
    module_name, _, function_name = spec.architecture.partition(":")
    architecture = importlib.import_module(f"bench.architectures.{module_name}")
    module: nn.Module = getattr(architecture, function_name)(variant)
    draw_weights(module, seed=seed)
    return module.eval()

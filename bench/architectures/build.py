"""From a row of the table to a torch module."""

from __future__ import annotations

import importlib

import torch
from torch import nn

from bench.architectures.weights import draw_weights, measure_statistics
from bench.inputs import sample
from bench.spec import ModelSpec, Variant

STATISTICS_BATCH = 4


def build_module(spec: ModelSpec, variant: Variant, *, seed: int) -> nn.Module:
    """Return the module of a variant in eval mode, its weights drawn and its statistics measured from ``seed``."""
    module_name, _, function_name = spec.architecture.partition(":")
    architecture = importlib.import_module(f"bench.architectures.{module_name}")
    module: nn.Module = getattr(architecture, function_name)(variant)
    module.eval()
    draw_weights(module, seed=seed)
    feeds = sample(spec.inputs(variant), axes={"batch": STATISTICS_BATCH}, seed=seed)
    measure_statistics(module, [torch.from_numpy(array) for array in feeds.values()])
    return module

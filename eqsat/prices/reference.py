"""Prices of kernels on the device of reference, with which beliefs about another begin.

``python -m bench.kernels`` measures them.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final

from eqsat.prices.beliefs import KERNEL_VERSION, Kernel

DATA: Final = "kernels.json"


@cache
def reference_prices(provider: str) -> tuple[tuple[Kernel, float], ...]:
    """Return prices in microseconds, and what they are of; none where the provider was not measured, or by other names.

    Args:
        provider: Execution provider of ONNX Runtime.
    """
    document = json.loads(files(__package__).joinpath(DATA).read_text(encoding="utf-8"))
    if provider != document["provider"] or document["version"] != KERNEL_VERSION:
        return ()
    return tuple(
        (Kernel(name, roofline_us), price_us)
        for name, prices in document["kernels"].items()
        for roofline_us, price_us in prices
    )

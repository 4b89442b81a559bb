"""The prices of reference are there, and say how kernels compare."""

from __future__ import annotations

import math

from eqsat.prices.beliefs import Beliefs, Kernel
from eqsat.prices.reference import reference_prices
from eqsat.runtime import CPU_PROVIDER


def test_common_kernels_have_prices_of_several_sizes() -> None:
    prices = reference_prices(CPU_PROVIDER)
    assert all(math.isfinite(price_us) and kernel.roofline_us > 0.0 for kernel, price_us in prices)
    for name in ("MatMul", "MatMul/weight", "Add", "Mul", "Softmax", "LayerNormalization", "Conv", "Transpose/rows"):
        sizes = [kernel.roofline_us for kernel, _ in prices if kernel.name == name]
        assert sizes == sorted(sizes)
        assert len(sizes) > 2


def test_a_provider_that_was_not_measured_has_none() -> None:
    assert reference_prices("NoSuchExecutionProvider") == ()


def test_beliefs_that_begin_with_them_are_surer() -> None:
    asked = [Kernel("Softmax", 50.0), Kernel("MatMul/weight", 500.0)]
    first, later = Beliefs().about(asked), Beliefs(reference_prices(CPU_PROVIDER)).about(asked)
    difference = [1.0, -1.0]
    assert difference @ later.covariance @ difference < 0.5 * (difference @ first.covariance @ difference)

"""What ONNX Runtime fuses after us, as far as prices need to know it.

Where the provider runs a pair of nodes as one kernel, the pair gets a price of its own: the extraction sees a cluster,
one choice that stands for both e-nodes and is written as the plain pair. A forced fusion is one that the provider
makes whether it pays or not, so the plain price of the outer node does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """A pair of operators that a provider runs as one kernel.

    Attributes:
        outer: Operator that uses the other's result.
        position: Input of ``outer`` at which the result arrives; None for any.
        inner: Operator whose result is used.
        is_forced: True where the provider fuses although the pair apart may be faster.
        needs_constant: True where the other input of ``outer`` must be constant (a bias, a scale).
    """

    outer: str
    position: int | None
    inner: str
    is_forced: bool = False
    needs_constant: bool = False


_ACTIVATIONS: Final = ("Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid")

FUSIONS: Final[tuple[Fusion, ...]] = (
    *(Fusion(outer=activation, position=0, inner="Conv") for activation in _ACTIVATIONS),
    Fusion(outer="Add", position=None, inner="Conv"),
    Fusion(outer="Add", position=None, inner="MatMul", needs_constant=True),
    Fusion(outer="LayerNormalization", position=0, inner="Add", is_forced=True),
    Fusion(outer="SimplifiedLayerNormalization", position=0, inner="Add", is_forced=True),
    Fusion(outer="MsGelu", position=0, inner="Add", needs_constant=False),
    Fusion(outer="Gelu", position=0, inner="Add", needs_constant=False),
    Fusion(outer="Mul", position=None, inner="Sigmoid"),
    Fusion(outer="MatMul", position=None, inner="Transpose"),
    *(Fusion(outer=activation, position=0, inner="Gemm") for activation in _ACTIVATIONS),
)
"""What ONNX Runtime fuses on the CPU and on CUDA devices alike."""

"""Graphs without the plan of a known network: random algebra, and chains of normalisations and activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rl.families.choices import chance, pick
from rl.families.text import activated, normalised

if TYPE_CHECKING:
    import numpy as np

    from rl.families.sketch import Sketch

_WINDOW: Final = 5
_FORMS: Final = ("Relu", "Relu", "Tanh", "Sigmoid", "silu", "quick", "erf", "Neg", "Abs")


def algebra(sketch: Sketch, num_values: int) -> list[str]:
    """Return the results of random products, sums, activations, concatenations and pieces.

    Args:
        sketch: The graph.
        num_values: Values from which on nothing is added.
    """
    rng = sketch.rng
    width = pick(rng, (16, 32, 64))
    rows = pick(rng, (1, 4, 16, 64))
    values = [sketch.input(rows, width) for _ in range(pick(rng, (1, 2, 3)))]
    while sketch.num_values < num_values:
        recent = values[-_WINDOW:]
        values.append(pick(rng, _STEPS)(sketch, pick(rng, recent), pick(rng, recent)))
    return values[-_WINDOW:]


def _product(sketch: Sketch, one: str, _: str) -> str:
    width = sketch.shape(one)[1]
    return sketch.apply("MatMul", one, sketch.weight(width, width))


def _sum(sketch: Sketch, one: str, two: str) -> str:
    return sketch.apply(pick(sketch.rng, ("Add", "Add", "Mul", "Sub")), one, two)


def _activation(sketch: Sketch, one: str, _: str) -> str:
    return activated(sketch, one, pick(sketch.rng, _FORMS))


def _gate(sketch: Sketch, one: str, two: str) -> str:
    total = sketch.apply("Add", _product(sketch, one, two), _product(sketch, two, one))
    return activated(sketch, total, pick(sketch.rng, ("Tanh", "Sigmoid", "Relu")))


def _side_by_side(sketch: Sketch, one: str, _: str) -> str:
    half = sketch.shape(one)[1] // 2
    parts = [sketch.linear(one, half, has_bias=chance(sketch.rng, 0.5)) for _ in range(2)]
    return sketch.apply("Concat", *parts, axis=1)


def _pieces(sketch: Sketch, one: str, _: str) -> str:
    half = sketch.shape(one)[1] // 2
    first, second = sketch.split(one, 1, half, half)
    return sketch.apply("Concat", second, activated(sketch, first, pick(sketch.rng, ("Relu", "Tanh"))), axis=1)


def _scale(sketch: Sketch, one: str, _: str) -> str:
    is_vector = chance(sketch.rng, 0.5)
    factor = sketch.weight(sketch.shape(one)[1]) if is_vector else sketch.number(pick(sketch.rng, (0.5, 2.0, 0.125)))
    return sketch.apply(pick(sketch.rng, ("Mul", "Add", "Div")), one, factor)


def _turn(sketch: Sketch, one: str, _: str) -> str:
    turned = sketch.transpose(one, 1, 0)
    made = sketch.apply("Relu", turned) if chance(sketch.rng, 0.5) else sketch.apply("Add", turned, turned)
    return sketch.transpose(made, 1, 0)


_STEPS: Final = (_product, _sum, _activation, _gate, _side_by_side, _pieces, _scale, _turn)
"""What makes one more value of two, [rows, width] like all others."""


def chain(sketch: Sketch, source: str) -> str:
    """Return a value after one of the chains of small nodes that exporters write for one operator."""
    return pick(sketch.rng, _CHAINS)(sketch, source)


def _norm_chain(sketch: Sketch, source: str) -> str:
    return normalised(sketch, source, pick(sketch.rng, ("layer", "rms", "rms-first")))


def _activation_chain(sketch: Sketch, source: str) -> str:
    return activated(sketch, source, pick(sketch.rng, ("erf", "tanh", "quick", "silu")))


def _softmax_chain(sketch: Sketch, source: str) -> str:
    apart = sketch.apply("Sub", source, sketch.apply("ReduceMax", source, axes=(-1,)))
    exponent = sketch.apply("Exp", apart)
    return sketch.apply("Div", exponent, sketch.apply("ReduceSum", exponent, axes=(-1,)))


def _scale_chain(sketch: Sketch, source: str) -> str:
    size = sketch.shape(source)[-1]
    return sketch.apply("Add", sketch.apply("Mul", source, sketch.weight(size)), sketch.weight(size))


def _mean_chain(sketch: Sketch, source: str) -> str:
    total = sketch.apply("ReduceSum", source, axes=(-1,))
    mean = sketch.apply("Div", total, sketch.number(float(sketch.shape(source)[-1])))
    return sketch.apply("Sub", source, mean)


def _clip_chain(sketch: Sketch, source: str) -> str:
    low = sketch.apply("Max", source, sketch.number(0.0))
    return sketch.apply("Min", low, sketch.number(6.0)) if chance(sketch.rng, 0.5) else low


def _linear_chain(sketch: Sketch, source: str) -> str:
    return sketch.linear(source, sketch.shape(source)[-1])


_CHAINS: Final = (
    *(_norm_chain, _activation_chain, _softmax_chain),
    *(_scale_chain, _mean_chain, _clip_chain, _linear_chain),
)


def cell(sketch: Sketch, step: str, state: str, plan: np.random.Generator) -> str:
    """Return the next state of a recurrent cell: a random tree of gates, each a sum of two products.

    Args:
        sketch: The graph.
        step: Input of this step, [rows, width].
        state: State before it, of the same shape.
        plan: Draws the tree; equal generators give equal trees.
    """
    width = sketch.shape(state)[1]
    num_gates = pick(plan, (4, 4, 6, 8))
    level = []
    for _ in range(num_gates):
        products = (sketch.apply("MatMul", each, sketch.weight(width, width)) for each in (step, state))
        level.append(sketch.apply(pick(plan, ("Tanh", "Sigmoid", "Relu")), sketch.apply("Add", *products)))
    while len(level) > 1:
        pairs = [
            sketch.apply(pick(plan, ("Add", "Mul")), first, second)
            for first, second in zip(level[::2], level[1::2], strict=False)
        ]
        rest = level[len(pairs) * 2 :]
        level = [sketch.apply(pick(plan, ("Tanh", "Sigmoid")), each) for each in pairs] + rest
    return level[0]


def windows(sketch: Sketch, source: str) -> str:
    """Return a value rolled along its positions, as models with shifted windows do, between two products."""
    _, length, hidden = sketch.shape(source)
    shift = length // 4
    rolled = sketch.apply("Concat", sketch.slice(source, 1, shift, length), sketch.slice(source, 1, 0, shift), axis=1)
    parts = sketch.reshape(rolled, 1, 4, length // 4, hidden)
    made = activated(sketch, sketch.linear(parts, hidden), pick(sketch.rng, ("erf", "Relu")))
    back = sketch.reshape(made, 1, length, hidden)
    unrolled = sketch.apply(
        "Concat", sketch.slice(back, 1, length - shift, length), sketch.slice(back, 1, 0, length - shift), axis=1
    )
    return normalised(sketch, sketch.apply("Add", source, unrolled), "LayerNormalization")

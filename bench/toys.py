"""The graphs on which searches over TASO's substitutions are compared, rebuilt as ONNX at a size that fits a test.

    python -m bench.toys nasrnn -o nasrnn.onnx

They are what the literature calls BERT, NASRNN, NASNet-A, ResNeXt-50, SqueezeNet and Inception-v3, each as its own
benchmark has it (Jia et al. 2019, SOSP; Yang et al. 2021, MLSys): without normalisation, with few or no biases, and the
"BERT" without softmax. They compare searches with each other, and say nothing about real models of these names.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from ir.reader import read
from rl.env.prices import PriceSource, TablePrices
from rl.env.tasks import Task
from rl.families.files import save
from rl.families.regimes import Regime, rules_of
from rl.families.sketch import OPSET, Sketch

if TYPE_CHECKING:
    from ir.graph import Graph

MAX_ENODES: Final = 2_000
"""The node limit of Hartmann, He and Yoneki (2024)."""


def bert(sketch: Sketch) -> list[str]:
    """Eight blocks of products; what attention gives is an output, and a product of the input goes on."""
    length, hidden, heads = 64, 256, 4
    value = sketch.apply("Relu", sketch.input(length, hidden))
    outputs = []
    for _ in range(8):
        query, key, content = (
            sketch.transpose(
                sketch.reshape(sketch.linear(value, hidden, has_bias=False), length, heads, hidden // heads), 1, 0, 2
            )
            for _ in range(3)
        )
        mixed = sketch.apply("MatMul", sketch.apply("MatMul", query, key), content)
        outputs.append(sketch.reshape(sketch.transpose(mixed, 1, 0, 2), length, hidden))
        value = sketch.linear(value, hidden, has_bias=False)
    return [*outputs, value]


def nasrnn(sketch: Sketch) -> list[str]:
    """The cell of Zoph and Le (2017, arXiv 1611.01578), five times, with weights of its own each time."""
    hidden = 128
    state = sketch.input(1, hidden)
    for _ in range(5):
        state = _nas_cell(sketch, sketch.input(1, hidden), state)
    return [state]


def _nas_cell(sketch: Sketch, step: str, state: str) -> str:
    hidden = sketch.shape(state)[1]

    def apply(operator: str, *values: str) -> str:
        return sketch.apply(operator, *values)

    gates = [apply("Add", *(sketch.linear(value, hidden, has_bias=False) for value in (step, state))) for _ in range(8)]
    first = apply("Add", apply("Relu", gates[0]), apply("Sigmoid", gates[3]))
    second = apply("Add", apply("Sigmoid", gates[1]), apply("Tanh", gates[2]))
    third = apply("Mul", apply("Sigmoid", gates[4]), apply("Tanh", gates[5]))
    fourth = apply("Mul", apply("Sigmoid", gates[6]), apply("Relu", gates[7]))
    left = apply("Add", apply("Sigmoid", second), apply("Tanh", third))
    right = apply("Mul", apply("Tanh", first), apply("Tanh", fourth))
    return apply("Tanh", apply("Mul", apply("Tanh", left), apply("Tanh", right)))


def nasnet(sketch: Sketch) -> list[str]:
    """Two normal cells and a reduction cell of NASNet-A (Zoph et al. 2018, arXiv 1707.07012)."""
    channels = 32
    previous = current = sketch.input(1, channels, 14, 14)
    for _ in range(2):
        previous, current = current, _normal_cell(sketch, previous, current, channels)
    return [_reduction_cell(sketch, previous, current, 2 * channels)]


def _convolution(sketch: Sketch, value: str, num_out: int, kernel: int = 1, *, groups: int = 1, stride: int = 1) -> str:
    """Return a convolution without a bias, and the ReLU behind it."""
    made = sketch.convolution(value, num_out, kernel, groups=groups, stride=stride, has_bias=False)
    return sketch.apply("Relu", made)


def _separable(sketch: Sketch, value: str, kernel: int, stride: int = 1) -> str:
    channels = sketch.shape(value)[1]
    depthwise = sketch.convolution(value, channels, kernel, groups=channels, stride=stride, has_bias=False)
    return sketch.convolution(depthwise, channels, has_bias=False)


def _normal_cell(sketch: Sketch, previous: str, current: str, channels: int) -> str:
    current, previous = (_convolution(sketch, value, channels) for value in (current, previous))
    averages = [sketch.pool(value, "AveragePool") for value in (current, previous, previous)]
    pairs = (
        (_separable(sketch, current, 3), current),
        (_separable(sketch, previous, 3), _separable(sketch, current, 3)),
        (averages[0], previous),
        (averages[1], averages[2]),
        (_separable(sketch, previous, 3), _separable(sketch, previous, 3)),
    )
    return sketch.apply("Concat", *(sketch.apply("Add", *pair) for pair in pairs), axis=1)


def _reduction_cell(sketch: Sketch, previous: str, current: str, channels: int) -> str:
    current, previous = (_convolution(sketch, value, channels) for value in (current, previous))

    def add(one: str, two: str) -> str:
        return sketch.apply("Add", one, two)

    def separable(value: str, kernel: int, stride: int = 2) -> str:
        return _separable(sketch, value, kernel, stride)

    first = add(separable(previous, 7), separable(current, 5))
    second = add(sketch.pool(current, stride=2), separable(previous, 7))
    third = add(sketch.pool(current, "AveragePool", stride=2), separable(previous, 5))
    fourth = add(sketch.pool(current, stride=2), separable(first, 3, 1))
    fifth = add(sketch.pool(first, "AveragePool"), second)
    return sketch.apply("Concat", first, second, third, fourth, fifth, axis=1)


def resnext(sketch: Sketch) -> list[str]:
    """Three blocks of ResNeXt (Xie et al. 2017, arXiv 1611.05431), the first with a convolution beside it."""
    value = sketch.input(1, 32, 14, 14)
    for _ in range(3):
        inner = _convolution(sketch, _convolution(sketch, value, 64), 64, 3, groups=8)
        beside = value if sketch.shape(value)[1] == 128 else _convolution(sketch, value, 128)
        made = sketch.convolution(inner, 128, has_bias=False)
        value = sketch.apply("Relu", sketch.apply("Add", beside, made))
    return [value]


def squeezenet(sketch: Sketch) -> list[str]:
    """Four fire modules of SqueezeNet (Iandola et al. 2016, arXiv 1602.07360)."""
    value = sketch.input(1, 32, 28, 28)
    for squeezed, expanded in ((8, 32), (8, 32), (16, 64), (16, 64)):
        if expanded == 64 and sketch.shape(value)[2] == 28:
            value = sketch.pool(value, stride=2)
        few = _convolution(sketch, value, squeezed)
        both = (_convolution(sketch, few, expanded, kernel) for kernel in (1, 3))
        value = sketch.apply("Concat", *both, axis=1)
    return [value]


def inception(sketch: Sketch) -> list[str]:
    """Three blocks of the first kind of Inception-v3 (Szegedy et al. 2016, arXiv 1512.00567)."""
    value = sketch.input(1, 48, 14, 14)
    for _ in range(3):
        wide = _convolution(sketch, _convolution(sketch, value, 24), 32, 5)
        deep = _convolution(sketch, _convolution(sketch, _convolution(sketch, value, 32), 48, 3), 48, 3)
        pooled = _convolution(sketch, sketch.pool(value, "AveragePool"), 16)
        value = sketch.apply("Concat", _convolution(sketch, value, 32), wide, deep, pooled, axis=1)
    return [value]


TOYS: Final[Mapping[str, Callable[[Sketch], list[str]]]] = MappingProxyType(
    {
        "bert": bert,
        "nasrnn": nasrnn,
        "nasnet-a": nasnet,
        "resnext": resnext,
        "squeezenet": squeezenet,
        "inception": inception,
    }
)


def toy_graph(name: str, *, seed: int = 0) -> Graph:
    """Return a toy as it is drawn.

    Args:
        name: One of :data:`TOYS`.
        seed: Seed of its weights.
    """
    sketch = Sketch(np.random.default_rng(seed))
    return sketch.graph(*TOYS[name](sketch))


def toy_task(name: str, prices: PriceSource | None = None) -> Task:
    """Return the task of a toy, read back from its ONNX file, with the rules that TASO has.

    Args:
        name: One of :data:`TOYS`.
        prices: What e-nodes cost; the fixed table where it is left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        save(toy_graph(name), path)
        graph = read(path)
    return Task(name=name, graph=graph, rules=rules_of(Regime.TASO, OPSET), prices=prices or TablePrices(), sizes={})


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a toy to a file."""
    parser = argparse.ArgumentParser(prog="python -m bench.toys", description="Write a toy graph of the literature.")
    parser.add_argument("name", choices=tuple(TOYS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    save(toy_graph(given.name), given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

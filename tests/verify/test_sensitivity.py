"""What a model's structure says about the rounding of its outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from eqsat.verify.sensitivity import FULL_PRECISION, Sensitivity, output_sensitivities
from ir.reader import read
from tests.verify.models import FLOAT, FLOAT16, INT64, Dims, node, save, weights


def sensitivity(
    tmp_path: Path,
    nodes: list[onnx.NodeProto],
    shape: Dims = (2, 3, 8, 8),
    output: int = FLOAT,
    constants: dict[str, np.ndarray] | None = None,
) -> Sensitivity:
    graph = read(save(tmp_path / "m.onnx", nodes, [("x", FLOAT, shape)], [("y", output, None)], constants))
    return output_sensitivities(graph, {})["y"]


@pytest.mark.parametrize(
    ("nodes", "shape", "length"),
    [
        ([node("Relu", "x", "y")], (2, 8), 1),
        ([node("Exp", "x", "y")], (2, 8), 1),
        ([node("MatMul", "x w", "y")], (2, 8), 8),
        ([node("Gemm", "x w", "y")], (2, 8), 8),
        ([node("Gemm", "x w", "y", transA=1)], (8, 2), 8),
        ([node("Conv", "x k", "y")], (2, 3, 8, 8), 27),
        ([node("ConvTranspose", "x t", "y")], (2, 3, 8, 8), 27),
        ([node("GlobalAveragePool", "x", "y")], (2, 3, 8, 8), 64),
        ([node("AveragePool", "x", "y", kernel_shape=[2, 3])], (2, 3, 8, 8), 6),
        ([node("ReduceMean", "x", "y", keepdims=0)], (2, 3, 8, 8), 384),
        ([node("ReduceSum", "x axes", "y")], (2, 3, 8, 8), 64),
        ([node("ReduceMax", "x", "y")], (2, 3, 8, 8), 1),
        ([node("Softmax", "x", "y")], (2, 3, 8, 5), 5),
        ([node("LayerNormalization", "x ln", "y", axis=2)], (2, 3, 8, 8), 64),
        ([node("Einsum", "x w", "y", equation="ab,bc->ac")], (2, 8), 8),
        ([node("LRN", "x", "y", size=5)], (2, 8, 8, 8), 5),
    ],
)
def test_lengths_of_reductions(tmp_path: Path, nodes: list[onnx.NodeProto], shape: Dims, length: int) -> None:
    constants = {
        "w": weights(8, 5),
        "k": weights(4, 3, 3, 3),
        "t": weights(3, 4, 3, 3),
        "ln": weights(8, 8),
        "axes": np.array([2, 3]),
    }
    assert sensitivity(tmp_path, nodes, shape, constants=constants).reduction_length == length


def test_a_symbolic_length_counts_with_its_size(tmp_path: Path) -> None:
    nodes = [node("ReduceSum", "x", "y", keepdims=0)]
    graph = read(save(tmp_path / "m.onnx", nodes, [("x", FLOAT, ("n",))], [("y", FLOAT, ())]))
    assert output_sensitivities(graph, {graph.symbols.intern("n"): 50})["y"].reduction_length == 50


def test_reductions_are_counted_along_the_longest_path(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x w", "a"),
        node("Relu", "a", "b"),
        node("MatMul", "b w", "c"),
        node("Add", "c x", "y"),
    ]
    found = sensitivity(tmp_path, nodes, (2, 8), constants={"w": weights(8, 8)})
    assert (found.num_reductions, found.precision_bits, found.has_jumps) == (2, 24, False)


def test_moving_elements_rounds_nothing(tmp_path: Path) -> None:
    nodes = [node("Transpose", "x", "a"), node("Relu", "a", "b"), node("Concat", "b b", "y", axis=0)]
    assert sensitivity(tmp_path, nodes) == Sensitivity()


def test_the_least_precise_float_on_the_way_counts(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "h", to=FLOAT16), node("Cast", "h", "y", to=FLOAT)]
    assert sensitivity(tmp_path, nodes).precision_bits == 11
    widened = [node("Cast", "x", "y", to=onnx.TensorProto.DOUBLE)]
    assert sensitivity(tmp_path, widened, output=onnx.TensorProto.DOUBLE).precision_bits == FULL_PRECISION


@pytest.mark.parametrize(
    ("last", "output"),
    [
        (node("ArgMax", "a", "y"), INT64),
        (node("Round", "a", "y"), FLOAT),
        (node("Floor", "a", "y"), FLOAT),
        (node("Cast", "a", "y", to=INT64), INT64),
        (node("TopK", "a k", "v y", axis=1), INT64),
        (node("Greater", "a zero", "y"), onnx.TensorProto.BOOL),
    ],
)
def test_jumps_count_where_a_rounded_float_decides_them(tmp_path: Path, last: onnx.NodeProto, output: int) -> None:
    constants = {"k": np.array([2]), "zero": np.zeros((), np.float32)}
    rounded = sensitivity(tmp_path, [node("Exp", "x", "a"), last], output=output, constants=constants)
    assert rounded.has_jumps
    exact = sensitivity(tmp_path, [node("Transpose", "x", "a"), last], output=output, constants=constants)
    assert not exact.has_jumps


def test_what_follows_a_jump_still_has_it(tmp_path: Path) -> None:
    nodes = [node("Exp", "x", "a"), node("Round", "a", "b"), node("Mul", "b a", "y")]
    assert sensitivity(tmp_path, nodes).has_jumps

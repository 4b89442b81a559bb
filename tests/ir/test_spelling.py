"""A node that no rule has changed is written in the words of the model, which ONNX Runtime may take in its own way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from eqsat.egraph.session import Session
from ir.assembly import assemble
from ir.graph import Graph
from ir.normal_form import schema_named
from ir.onnx_file import write_model
from ir.operators import OPERATORS, Kind
from tests.egraph.sessions import first_choice, rules, written
from tests.ir.graphs import INT64, assert_same_results, make_model, read_proto, run, session_of, value, write_back

N = helper.make_node
SIZES: Final = (0, 1, 3)
RANK: Final = 3
REDUCTIONS: Final = frozenset(name for name in OPERATORS if name.startswith(("Reduce", "Arg")))
AXIS_KINDS: Final = frozenset({Kind.AXIS, Kind.LAST, Kind.AXES, Kind.LASTS})
WITH_AXES: Final = sorted(
    {name for name, row in OPERATORS.items() if any(column.kind in AXIS_KINDS for column in row.attributes)}
    - {"SimplifiedLayerNormalization"}
    | {"Squeeze", "Unsqueeze", "Flatten"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a node along an axis is said."""

    constants: dict[str, np.ndarray] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("x",)
    outputs: tuple[str, ...] = ("y",)


def _ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


_PLACES: Final = np.zeros((1, 1, 1), dtype=np.int64)
_HALVES: Final = (_ints(1, 1), _ints(1, 2), _ints(2, 2))
_UPDATES: Final = np.ones((1, 1, 1), dtype=np.float32)


def _norm(axis: int) -> Words:
    scale = np.full((2, 1, 4)[axis % RANK :], 0.5, dtype=np.float32)
    return Words(constants={"s": scale}, attributes={"axis": axis})


_WORDS: Final[Mapping[str, Callable[[int], Words]]] = {
    "MeanVarianceNormalization": lambda axis: Words(attributes={"axes": [axis]}),
    "LayerNormalization": _norm,
    "RMSNormalization": _norm,
    "TopK": lambda axis: Words(constants={"k": _ints(1)}, attributes={"axis": axis}, outputs=("y", "places")),
    "Concat": lambda axis: Words(attributes={"axis": axis}, inputs=("x", "x")),
    "Split": lambda axis: Words(constants={"s": _HALVES[axis % RANK]}, attributes={"axis": axis}, outputs=("y", "z")),
    "Slice": lambda axis: Words(constants={"b": _ints(0), "e": _ints(-1), "a": _ints(axis)}),
    "Gather": lambda axis: Words(constants={"i": _ints(0)}, attributes={"axis": axis}),
    "GatherElements": lambda axis: Words(constants={"i": _PLACES}, attributes={"axis": axis}),
    "ScatterElements": lambda axis: Words(constants={"i": _PLACES, "u": _UPDATES}, attributes={"axis": axis}),
    "Squeeze": lambda axis: Words(constants={"a": _ints(axis)}),
    "Unsqueeze": lambda axis: Words(constants={"a": _ints(axis)}),
}


def _shorts(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def _words(op_type: str, axis: int, opset: int) -> Words:
    """How an operator on x of shape [2, n, 4] says an axis."""
    if not op_type.startswith("Reduce"):
        words = _WORDS.get(op_type)
        return Words(attributes={"axis": axis}) if words is None else words(axis)
    keepdims = {"keepdims": axis % RANK % 2}
    if opset >= 18 or op_type == "ReduceSum":
        return Words(constants={"a": _ints(axis)}, attributes=keepdims)
    return Words(attributes={"axes": [axis], **keepdims})


def _model(op_type: str, axis: int, opset: int) -> onnx.ModelProto:
    said = _words(op_type, axis, opset)
    shape: list[int | str | None] = [2, "n", 4]
    if op_type == "Squeeze":
        shape[axis % RANK] = 1
    node = N(op_type, [*said.inputs, *said.constants], said.outputs, **said.attributes)
    outputs = [onnx.ValueInfoProto(name=name) for name in said.outputs]
    return make_model([node], [value("x", shape)], outputs, said.constants, opset=opset)


def _results(model: onnx.ModelProto) -> list[list[tuple[tuple[int, ...], bytes]] | str]:
    """For each size the shapes and bits of the outputs, or the kind of error."""
    session = session_of(model)
    dims = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    found: list[list[tuple[tuple[int, ...], bytes]] | str] = []
    for size in SIZES:
        feed = np.random.default_rng(size).standard_normal([dim or size for dim in dims]).astype(np.float32)
        try:
            found.append([(array.shape, array.tobytes()) for array in session.run(None, {"x": feed})])
        except Exception as error:  # noqa: BLE001 -- the errors of ONNX Runtime share no base
            found.append(type(error).__name__)
    return found


def _cases() -> Iterator[tuple[str, int]]:
    for op_type in WITH_AXES:
        opsets = [opset for opset in (13, 18) if schema_named(op_type, opset) is not None]
        for opset in opsets or [OPERATORS[op_type].since]:
            yield op_type, opset


def _in_new_words(graph: Graph, folder: Path) -> onnx.ModelProto:
    """The graph as if rules had made it."""
    nodes = [node if node.is_opaque else replace(node, source=None, spelling=None) for node in graph.nodes]
    write_model(assemble(graph, nodes, graph.constants, graph.types), folder / "new.onnx", is_durable=False)
    return onnx.load(folder / "new.onnx")


@pytest.mark.parametrize(("op_type", "opset"), list(_cases()))
def test_axes_mean_the_same_in_every_size(op_type: str, opset: int, tmp_path: Path) -> None:
    num_run = 0
    for axis in range(-RANK, RANK):
        model = _model(op_type, axis, opset)
        graph = read_proto(model, tmp_path)
        as_read = write_back(graph, tmp_path / "n.onnx")
        assert as_read.graph.node[0].attribute == model.graph.node[0].attribute
        assert as_read.graph.node[0].input == model.graph.node[0].input
        new = _in_new_words(graph, tmp_path)
        from_front = _model(op_type, axis % RANK if op_type != "Unsqueeze" else axis, opset)
        before = _results(model)
        num_run += sum(not isinstance(result, str) for result in before)
        assert _results(as_read) == before
        assert _results(new) == _results(from_front)
    assert num_run >= 2 * RANK


@pytest.mark.parametrize("op_type", sorted(REDUCTIONS))
def test_new_reductions_of_nothing_have_the_shape_that_numpy_gives(op_type: str, tmp_path: Path) -> None:
    new = _in_new_words(read_proto(_model(op_type, -1, 18), tmp_path), tmp_path)
    (result,) = run(new, {"x": np.zeros((2, 0, 4), dtype=np.float32)})
    assert result.shape[:2] == (2, 0)
    assert result.shape[2:] in {(), (1,)}


@pytest.mark.parametrize("opset", [12, 13])
@pytest.mark.parametrize(
    ("op_type", "shape", "axes"),
    [
        ("Unsqueeze", ("n", "m"), [1, 2]),
        ("Unsqueeze", ("n", "m", 1), [0]),
        ("Squeeze", ("n", 1, "m", 1), [1]),
        ("Squeeze", (1, "n", 1, "m"), [0, 2]),
    ],
)
def test_new_reshapes_of_nothing_run(op_type: str, shape: Any, axes: list[int], opset: int, tmp_path: Path) -> None:
    constants = {"a": _ints(*axes)} if opset >= 13 else {}
    attributes: dict[str, Any] = {} if opset >= 13 else {"axes": axes}
    node = N(op_type, ["x", *constants], ["y"], **attributes)
    model = make_model([node], [value("x", shape)], [onnx.ValueInfoProto(name="y")], constants, opset=opset)
    graph = read_proto(model, tmp_path)
    assert graph.nodes[0].operator == "Reshape"
    new = _in_new_words(graph, tmp_path)
    for sizes in ((0, 3), (3, 0), (2, 3), (1, 1)):
        dims = [{"n": sizes[0], "m": sizes[1]}.get(dim, 1) for dim in shape]
        assert_same_results(model, new, {"x": np.ones(dims, dtype=np.float32)})


def test_a_new_reshape_beside_a_dimension_of_0_that_is_known_runs(tmp_path: Path) -> None:
    node = N("Squeeze", ["x", "a"], ["y"])
    model = make_model([node], [value("x", (0, 1, "m"))], [onnx.ValueInfoProto(name="y")], {"a": _ints(1)})
    new = _in_new_words(read_proto(model, tmp_path), tmp_path)
    for m in (0, 3):
        assert_same_results(model, new, {"x": np.ones((0, 1, m), dtype=np.float32)})


def test_new_reshapes_to_computed_shapes_of_nothing_have_these_shapes(tmp_path: Path) -> None:
    nodes = [N("Shape", ["t"], ["s"]), N("Reshape", ["x", "s"], ["y"], allowzero=1)]
    inputs = [value("x", ("n", "m", 2)), value("t", ("m", 2, "n"))]
    model = make_model(nodes, inputs, [value("y", ("m", 2, "n"))])
    new = _in_new_words(read_proto(model, tmp_path), tmp_path)
    for n, m in ((0, 3), (3, 0), (2, 3)):
        feeds = {"x": np.ones((n, m, 2), dtype=np.float32), "t": np.ones((m, 2, n), dtype=np.float32)}
        assert_same_results(model, new, feeds)


@pytest.mark.parametrize(
    ("node", "opset", "shapes", "constants"),
    [
        (N("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER", strides=[2, 2]), 13, ((1, 2, 5, 5), (1, 3, 3, 3)), {}),
        (N("Conv", ["x", "w"], ["y"], group=1, pads=[1, 1, 1, 1]), 13, ((1, 2, 5, 5), (1, 3, 6, 6)), {}),
        (
            N("MaxPool", ["x"], ["y", "unread"], kernel_shape=[2, 2], storage_order=0),
            13,
            ((1, 2, 5, 5), (1, 2, 4, 4)),
            {},
        ),
        (N("BatchNormalization", ["x", *"vvvv"], ["y"], momentum=0.5), 14, ((1, 2, 5, 5), (1, 2, 5, 5)), {}),
        (N("Flatten", ["x"], ["y"], axis=-1), 13, ((2, 3, 4), (6, 4)), {}),
        (N("Squeeze", ["x"], ["y"]), 13, ((1, 3, 1), (3,)), {}),
        (N("Unsqueeze", ["x", "a"], ["y"]), 13, ((2, 3), (2, 1, 3)), {"a": _ints(-2)}),
        (N("Unsqueeze", ["x"], ["y"], axes=[1, 0]), 12, ((2, 3), (1, 1, 2, 3)), {}),
        (N("Reshape", ["x", "a"], ["y"], allowzero=0), 14, ((2, 3, 4), (2, 12)), {"a": _ints(0, -1)}),
        (N("Expand", ["x", "a"], ["y"]), 13, ((2, 1), (2, 3)), {"a": _ints(1, 3)}),
        (
            N("Slice", ["x", "b", "e"], ["y"]),
            13,
            ((4, 5), (2, 5)),
            {"b": _shorts(-3), "e": _shorts(-1)},
        ),
        (
            N("Slice", ["x", "b", "e", "", "s"], ["y"]),
            13,
            ((4, 5), (2, 5)),
            {"b": _ints(0), "e": _ints(9), "s": _ints(2)},
        ),
        (N("Slice", ["x"], ["y"], starts=[-2], ends=[99], axes=[-1]), 9, ((4, 5), (4, 2)), {}),
        (N("Pad", ["x", "a", "", "b"], ["y"]), 18, ((2, 3), (2, 5)), {"a": _ints(1, 1), "b": _ints(-1)}),
        (N("Pad", ["x"], ["y"], pads=[0, 1, 0, 1], value=2.0), 10, ((2, 3), (2, 5)), {}),
        (N("Clip", ["x"], ["y"], min=-0.5), 6, ((2, 3), (2, 3)), {}),
        (N("Dropout", ["x"], ["y", "unread"], ratio=0.25), 10, ((2, 3), (2, 3)), {}),
        (N("Split", ["x"], ["y", "unread"], axis=-1), 13, ((2, 4), (2, 2)), {}),
        (N("Split", ["x"], ["y", "unread"], axis=1, split=[1, 3]), 11, ((2, 4), (2, 1)), {}),
        (N("Softmax", ["x"], ["y"], axis=1), 11, ((2, 4), (2, 4)), {}),
        (N("Gemm", ["x", "g"], ["y"], alpha=1.0, beta=1.0), 13, ((2, 3), (2, 2)), {}),
        (N("ReduceSum", ["x"], ["y"], keepdims=0), 13, ((2, 3), ()), {}),
        (N("ReduceMax", ["x", ""], ["y"], noop_with_empty_axes=0), 18, ((2, 3), (1, 1)), {}),
        (N("Shape", ["x"], ["y"], start=-1), 15, ((2, 3), (1,)), {}),
        (N("Cast", ["x"], ["y"], to=TensorProto.DOUBLE, saturate=1), 19, ((2, 3), (2, 3)), {}),
        (N("ConstantOfShape", ["a"], ["y"]), 13, ((2, 3), (1, 2)), {"a": _ints(1, 2)}),
        (N("Tile", ["x", "a"], ["y"]), 13, ((2, 3), (2, 6)), {"a": _ints(1, 2)}),
        (N("Transpose", ["x"], ["y"]), 13, ((2, 3), (3, 2)), {}),
        (N("Einsum", ["x", "g"], ["y"], equation="ij , jk"), 13, ((2, 3), (2, 2)), {}),
    ],
    ids=lambda case: case.op_type if isinstance(case, onnx.NodeProto) else "",
)
def test_nodes_keep_their_words(
    node: onnx.NodeProto, opset: int, shapes: Any, constants: dict[str, np.ndarray], tmp_path: Path
) -> None:
    weights = {
        "w": np.ones((3, 2, 2, 2), dtype=np.float32),
        "v": np.ones(2, dtype=np.float32),
        "g": np.ones((3, 2), dtype=np.float32),
    }
    used = {name: array for name, array in (weights | constants).items() if name in node.input}
    dtype = {"Shape": INT64, "Cast": TensorProto.DOUBLE}.get(node.op_type, TensorProto.FLOAT)
    model = make_model([node], [value("x", shapes[0])], [value("y", shapes[1], dtype)], used, opset=opset)
    graph = read_proto(model, tmp_path)
    assert not graph.nodes[0].is_opaque
    session = Session(graph, rules())
    after = written(session, first_choice(session), tmp_path)
    assert list(after.graph.node) == [node]
    assert {tensor.name for tensor in after.graph.initializer} == used.keys()
    assert_same_results(model, after, {"x": np.random.default_rng(0).standard_normal(shapes[0]).astype(np.float32)})


def test_a_shape_that_is_computed_is_said_anew(tmp_path: Path) -> None:
    nodes = [N("Shape", ["x"], ["s"]), N("Reshape", ["z", "s"], ["y"])]
    model = make_model(nodes, [value("x", (2, 3)), value("z", (3, 2))], [value("y", (2, 3))])
    graph = read_proto(model, tmp_path)
    assert [node.spelling is None for node in graph.nodes] == [False, True]
    feeds = {"x": np.ones((2, 3), dtype=np.float32), "z": np.arange(6, dtype=np.float32).reshape(3, 2)}
    assert_same_results(model, write_back(graph, tmp_path / "n.onnx"), feeds)


def test_a_constant_of_the_words_that_something_else_computes_is_written_anew(tmp_path: Path) -> None:
    nodes = [N("Neg", ["m"], ["k"]), N("TopK", ["x", "c"], ["y", "i"]), N("Add", ["i", "k"], ["j"])]
    constants = {"m": _ints(-1), "c": _ints(1)}
    outputs = [value("y", (2, 1)), value("j", (2, 1), INT64)]
    model = make_model(nodes, [value("x")], outputs, constants)
    graph = read_proto(model, tmp_path)
    renamed = [replace(node, outputs=("c",)) if node.operator == "Neg" else node for node in graph.nodes]
    renamed = [replace(node, inputs=("i", "c")) if node.operator == "Add" else node for node in renamed]
    types = {**graph.types, "c": graph.types["k"]}
    kept = {name: constant for name, constant in graph.constants.items() if name != "c"}
    write_model(assemble(graph, renamed, kept, types), tmp_path / "n.onnx", is_durable=False)
    after = onnx.load(tmp_path / "n.onnx")
    assert after.graph.node[1].input[1] != "c"
    assert_same_results(model, after, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})

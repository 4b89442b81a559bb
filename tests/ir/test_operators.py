"""Every row of the operator table, at every opset at which its schema changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.defs
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ir.graph import AttributeValue, Node
from ir.inference import TypeInference, TypeInferenceError, node_proto
from ir.normalise import schema_of
from ir.operators import MICROSOFT, OPERATORS, Operator
from ir.types import Symbols, TensorType
from ir.writer import Surroundings, write_node
from tests.ir.graphs import read_proto, write_back
from tests.ir.recipes import RECIPES, Recipe

_NEWEST = onnx.defs.onnx_opset_version()


def test_every_row_has_a_recipe() -> None:
    assert set(RECIPES) == set(OPERATORS)


def _opsets(operator: Operator, recipe: Recipe) -> list[int]:
    """The opsets at which the operator changed, and the newest."""
    if operator.is_provider:
        return [17]
    found = {
        schema.since_version
        for opset in range(max(operator.since, recipe.since), _NEWEST + 1)
        if (schema := schema_of(operator, opset)) is not None
    }
    return sorted({max(each, operator.since) for each in found} | {_NEWEST})


WRITTEN_AS_OTHERS = frozenset({"SimplifiedLayerNormalization"})
"""Operators that are written as the chain of others that defines them."""


def _cases() -> Iterator[object]:
    for name, recipe in RECIPES.items():
        if name in WRITTEN_AS_OTHERS:
            continue
        for opset in _opsets(OPERATORS[name], recipe):
            yield pytest.param(name, opset, id=f"{name}-{opset}")


def _attributes(operator: Operator, recipe: Recipe) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    for column in operator.attributes:
        value = recipe.attributes.get(column.name, column.default)
        assert value is not None, f"{operator.name} needs {column.name}"
        attributes[column.name] = value
    return attributes


def _dims(type_: TensorType) -> list[int | None]:
    return [dim if dim >= 0 else None for dim in type_.shape]


def _proto(node: Node, recipe: Recipe, types: dict[str, TensorType], opset: int) -> onnx.ModelProto:
    """The model of one node, every input and output declared with its type."""
    arrays = {f"x{position}": np.asarray(array) for position, array in recipe.constants.items()}
    around = Surroundings(opset=opset, type_of=types.get, constant=arrays.get)
    written = write_node(node.operator, node.inputs, node.outputs, node.attributes, around)
    inputs = [name for name in node.inputs if name and name not in arrays]
    constants = {**arrays, **written.constants}
    return helper.make_model(
        helper.make_graph(
            [node_proto(raw) for raw in written.nodes],
            "g",
            [helper.make_tensor_value_info(name, types[name].dtype, types[name].shape) for name in inputs],
            [helper.make_tensor_value_info(name, types[name].dtype, _dims(types[name])) for name in node.outputs],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=max(4, min(opset - 8, onnx.IR_VERSION)) if opset > 12 else 4,
    )


@pytest.mark.parametrize(("name", "opset"), list(_cases()))
def test_the_normal_form_is_written_read_and_typed(name: str, opset: int, tmp_path: Path) -> None:
    operator, recipe = OPERATORS[name], RECIPES[name]
    attributes = _attributes(operator, recipe)
    padded = (*recipe.inputs, *[None] * (operator.num_inputs - len(recipe.inputs)))
    inputs = tuple("" if type_ is None else f"x{position}" for position, type_ in enumerate(padded))
    outputs = tuple(f"y{position}" for position in range(recipe.num_outputs))
    node = Node(operator=name, inputs=inputs, outputs=outputs, attributes=attributes)
    types = {f"x{position}": type_ for position, type_ in enumerate(recipe.inputs) if type_ is not None}

    known = _UNTYPED.get((name, opset), "Newer" if name in {"Clip", "Pad"} and opset < 11 else "")
    if known:
        with pytest.raises(TypeInferenceError):
            TypeInference(opset, Symbols())(name, attributes, padded, recipe.num_outputs)
        found = TypeInference(_NEWEST, Symbols())(name, attributes, padded, recipe.num_outputs)
    else:
        found = TypeInference(opset, Symbols())(name, attributes, padded, recipe.num_outputs)
    types.update(zip(outputs, found, strict=True))
    proto = _proto(node, recipe, types, opset)
    if not operator.is_provider:
        onnx.checker.check_model(proto)
        onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)  # contradicts no type found
    graph = read_proto(proto, tmp_path)

    (again,) = graph.nodes
    assert again.operator == name
    assert again.attributes == attributes
    second = write_back(graph, tmp_path / "written.onnx")
    assert _stripped(second) == _stripped(proto)


@pytest.mark.parametrize("opset", [11, 13, 18, _NEWEST])
@pytest.mark.parametrize("dtype", [1, 10, 11])
def test_a_norm_that_onnx_does_not_know_is_written_as_its_definition(opset: int, dtype: int) -> None:
    kind = np.dtype(helper.tensor_dtype_to_np_dtype(dtype))
    types = {"x0": TensorType(dtype, (2, 3, 8)), "x1": TensorType(dtype, (8,)), "y0": TensorType(dtype, (2, 3, 8))}
    attributes: dict[str, AttributeValue] = {"axis": -1, "epsilon": 1e-2, "stash_type": 1}
    node = Node(operator="SimplifiedLayerNormalization", inputs=("x0", "x1"), outputs=("y0",), attributes=attributes)
    proto = _proto(node, RECIPES[node.operator], types, opset)
    onnx.checker.check_model(proto, full_check=True)

    rng = np.random.default_rng(0)
    x, scale = 300 * rng.standard_normal((2, 3, 8)), rng.standard_normal(8)
    feeds = {"x0": x.astype(kind), "x1": scale.astype(kind)}
    (found,) = ReferenceEvaluator(proto).run(None, feeds)
    wanted = x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-2) * scale
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=1e-2 if dtype == 10 else 1e-5, atol=1e-2)


_OLD = (
    "Abs Ceil Exp Floor Log Neg Reciprocal Relu Sigmoid Sqrt Tanh Elu LeakyRelu HardSigmoid GlobalLpPool "
    "InstanceNormalization"
)
_UNTYPED = {
    **{(name, 1): "no inference" for name in _OLD.split()},
    ("NonMaxSuppression", 10): "no inference",
    ("GreaterOrEqual", 12): "no inference",
    ("LessOrEqual", 12): "no inference",
}
"""Where ONNX's inference finds nothing: a rule cannot make such a node, a model may hold it."""


def _stripped(model: onnx.ModelProto) -> list[tuple[str, list[tuple[str, object]], int]]:
    """Nodes without names, which may change."""
    return [
        (
            node.op_type,
            sorted((each.name, _plain(helper.get_attribute_value(each))) for each in node.attribute),
            sum(bool(name) for name in node.input),
        )
        for node in model.graph.node
    ]


def _plain(value: object) -> object:
    return numpy_helper.to_array(value).tolist() if isinstance(value, onnx.TensorProto) else value


def test_what_is_written_into_onnx_s_own_domain_is_known_there() -> None:
    rows = [row for row in OPERATORS.values() if row.is_provider and not row.domain]
    assert rows
    for row in rows:
        recipe = RECIPES[row.name]
        types = {f"x{position}": type_ for position, type_ in enumerate(recipe.inputs) if type_ is not None}
        around = Surroundings(opset=17, type_of=types.get)
        written = write_node(row.name, tuple(types), ("y0",), _attributes(row, recipe), around)
        assert all(onnx.defs.has(node.op_type, 17, node.domain) for node in written.nodes)

"""A signature is equal where the price is; a micro-model has real sizes, weights as initializers, and runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from eqsat.egraph.enode import ENode
from eqsat.egraph.session import Session
from eqsat.prices.micro import Cluster, Micro, MicroMaker, UnpriceableError, feeds_for
from tests.pipeline import models

NO_RULES = models.rules()


def enodes(session: Session, operator: str) -> list[ENode]:
    return [enode for enode in session.mirror.enodes if enode.operator == operator]


def micros(folder: Path, model: onnx.ModelProto, operator: str, sizes: dict[str, int] | None = None) -> list[Micro]:
    session = models.session(folder, model, NO_RULES)
    symbols = {session.graph.symbols.intern(name): size for name, size in (sizes or {}).items()}
    maker = MicroMaker(session, symbols)
    return [maker.micro(Cluster((enode,))) for enode in enodes(session, operator)]


def run(micro: Micro, opset: int = 18) -> onnx.ModelProto:
    """Run the micro-model in ONNX Runtime and return it."""
    model = micro.build(opset)
    session = onnxruntime.InferenceSession(model.proto, providers=["CPUExecutionProvider"])
    session.run(None, feeds_for(model))
    return onnx.load_model_from_string(model.proto)


def test_equal_places_have_one_signature(tmp_path: Path) -> None:
    nodes = [
        models.node("MatMul", "x w1", "a"),
        models.node("Relu", "a", "b"),
        models.node("MatMul", "b w2", "y"),
    ]
    constants = {"w1": models.weights(4, 4, seed=1), "w2": models.weights(4, 4, seed=2)}
    one, two = micros(tmp_path, models.make(nodes, [("x", [2, 4])], [("y", [2, 4])], constants), "MatMul")
    assert one.signature == two.signature


@pytest.mark.parametrize(
    ("one", "two"),
    [
        pytest.param(models.node("Softmax", "x", "y", axis=0), models.node("Softmax", "x", "y", axis=1), id="axis"),
        pytest.param(models.node("Elu", "x", "y", alpha=1.0), models.node("Elu", "x", "y", alpha=2.0), id="alpha"),
        pytest.param(models.node("Pow", "x two", "y"), models.node("Pow", "x three", "y"), id="small constant"),
        pytest.param(models.node("Add", "x x", "y"), models.node("Add", "x z", "y"), id="the same input twice"),
        pytest.param(models.node("Add", "x z", "y"), models.node("Add", "x row", "y"), id="constant or input"),
        pytest.param(models.node("Relu", "x", "y"), models.node("Abs", "x", "y"), id="operator"),
    ],
)
def test_what_may_cost_more_has_another_signature(tmp_path: Path, one: onnx.NodeProto, two: onnx.NodeProto) -> None:
    constants = {
        "two": np.array(2, np.float32),
        "three": np.array(3, np.float32),
        "row": models.weights(2, 3),
    }
    inputs: list[models.Value] = [("x", [2, 3]), ("z", [2, 3])]
    found = []
    for number, node in enumerate((one, two)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (micro,) = micros(folder, models.make([node], inputs, [("y", [2, 3])], constants), node.op_type)
        found.append(micro.signature)
    assert found[0] != found[1]


@pytest.mark.parametrize("shape", [[3, 2], [2, 3, 1]])
def test_other_sizes_have_another_signature(tmp_path: Path, shape: list[int]) -> None:
    found = []
    for number, each in enumerate(([2, 3], shape)):
        folder = tmp_path / str(number)
        folder.mkdir()
        model = models.make([models.node("Relu", "x", "y")], [("x", each)], [("y", each)])
        found += [micro.signature for micro in micros(folder, model, "Relu")]
    assert found[0] != found[1]


def test_symbolic_dimensions_get_their_sizes(tmp_path: Path) -> None:
    nodes = [models.node("MatMul", "x w", "y")]
    model = models.make(nodes, [("x", ["batch", 4])], [("y", ["batch", 3])], {"w": models.weights(4, 3)})
    (micro,) = micros(tmp_path, model, "MatMul", {"batch": 7})
    (value,) = run(micro).graph.input
    assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == [7, 4]


def test_a_dimension_without_a_size_has_no_micro_model(tmp_path: Path) -> None:
    model = models.make([models.node("Relu", "x", "y")], [("x", ["batch", 4])], [("y", ["batch", 4])])
    with pytest.raises(UnpriceableError, match="no size"):
        micros(tmp_path, model, "Relu")


def test_weights_are_initializers(tmp_path: Path) -> None:
    nodes = [models.node("Conv", "x w b", "y", pads=[1, 1, 1, 1])]
    constants = {"w": models.weights(8, 3, 3, 3), "b": models.weights(8)}
    model = models.make(nodes, [("x", [1, 3, 6, 6])], [("y", [1, 8, 6, 6])], constants)
    (micro,) = micros(tmp_path, model, "Conv")
    proto = run(micro)
    assert [list(tensor.dims) for tensor in proto.graph.initializer] == [[8, 3, 3, 3], [8]]
    assert len(proto.graph.input) == 1


def test_small_constants_keep_their_elements(tmp_path: Path) -> None:
    constants = {"low": np.array(-2, np.float32), "high": np.array(6, np.float32)}
    nodes = [models.node("Clip", "x low high", "y")]
    (micro,) = micros(tmp_path, models.make(nodes, [("x", [2])], [("y", [2])], constants), "Clip")
    elements = [onnx.numpy_helper.to_array(tensor).item() for tensor in run(micro).graph.initializer]
    assert elements == [-2, 6]


def test_several_outputs_and_lists(tmp_path: Path) -> None:
    nodes = [
        models.node("Split", "x sizes", "a b c", axis=0),
        models.node("Concat", "c a b", "y", axis=1),
    ]
    constants = {"sizes": np.array([2, 2, 2], np.int64)}
    model = models.make(nodes, [("x", [6, 3])], [("y", [2, 9])], constants)
    (split,) = micros(tmp_path, model, "Split")
    (concat,) = micros(tmp_path, model, "Concat")
    assert len(run(split).graph.output) == 3
    assert len(run(concat).graph.input) == 3


def test_a_cluster_is_one_model(tmp_path: Path) -> None:
    nodes = [models.node("Conv", "x w", "h"), models.node("Relu", "h", "y")]
    model = models.make(nodes, [("x", [1, 3, 6, 6])], [("y", [1, 8, 4, 4])], {"w": models.weights(8, 3, 3, 3)})
    session = models.session(tmp_path, model, NO_RULES)
    (relu,), (conv,) = enodes(session, "Relu"), enodes(session, "Conv")
    cluster = Cluster((relu, conv), (session.mirror.enodes[conv],))
    proto = run(MicroMaker(session, {}).micro(cluster))
    assert [node.op_type for node in proto.graph.node] == ["Conv", "Relu"]
    assert len(proto.graph.output) == 1
    assert set(cluster.external_children()) == set(conv.children)


def test_integer_inputs_are_valid_indices(tmp_path: Path) -> None:
    graph = models.make([models.node("Gather", "w i", "y")], [], [("y", [2, 4])], {"w": models.weights(5, 4)})
    graph.graph.input.append(onnx.helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [2]))
    (micro,) = micros(tmp_path, graph, "Gather")
    run(micro)

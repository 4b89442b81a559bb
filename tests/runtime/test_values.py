"""Whatever a plain session runs is run, and comes back as tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from eqsat.runtime import Contender, Runtime, SessionFailedError, SessionSettings, UnsupportedValueError
from eqsat.runtime.values import output_of, tensors_of
from tests.runtime.models import floats

X = np.arange(6, dtype=np.float32).reshape(2, 3)
FLOAT = TensorProto.FLOAT
TENSOR = helper.make_tensor_type_proto(FLOAT, [2, 3])


def info(name: str, type_: onnx.TypeProto) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, type_)


def save(
    folder: Path, nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
) -> Path:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    path = folder / "model.onnx"
    onnx.save_model(
        helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opsets, ir_version=8), path
    )
    return path


def listed(found: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: array.tolist() for name, array in found.items()}


def zip_map(**labels: Any) -> tuple[onnx.NodeProto, onnx.ValueInfoProto]:
    key = TensorProto.STRING if "classlabels_strings" in labels else TensorProto.INT64
    map_type = helper.make_map_type_proto(key, helper.make_tensor_type_proto(FLOAT, []))
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels)
    return node, info("y", helper.make_sequence_type_proto(map_type))


@pytest.mark.parametrize("labels", [{"classlabels_strings": ["a", "ß", "c"]}, {"classlabels_int64s": [7, -1, 2**40]}])
def test_maps_come_as_their_keys_and_values(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path, labels: dict[str, list[Any]]
) -> None:
    node, output = zip_map(**labels)
    path = save(tmp_path, [node], [floats("x", 2, 3)], [output])
    found = runtime.outputs(path, {"x": X}, settings)
    (keys,) = labels.values()
    assert found["y[lengths]"].tolist() == [3, 3]
    pairs = list(zip(found["y[keys]"].tolist(), found["y[values]"].tolist(), strict=True))
    for row, part in zip(X.tolist(), (pairs[:3], pairs[3:]), strict=True):
        assert dict(part) == dict(zip(keys, row, strict=True))
    assert found["y[values]"].dtype == np.float32


def test_sequences_come_as_their_elements(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    output = helper.make_tensor_sequence_value_info("y", FLOAT, None)
    path = save(tmp_path, [helper.make_node("SplitToSequence", ["x"], ["y"])], [floats("x", 2, 3)], [output])
    found = runtime.outputs(path, {"x": X}, settings)
    assert listed(found) == {"y[length]": 2, "y[0]": X[:1].tolist(), "y[1]": X[1:].tolist()}


@pytest.mark.parametrize("is_full", [True, False])
def test_optionals_come_as_what_they_hold(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path, is_full: bool
) -> None:
    node = (
        helper.make_node("Optional", ["x"], ["y"]) if is_full else helper.make_node("Optional", [], ["y"], type=TENSOR)
    )
    nodes = [node, helper.make_node("Neg", ["x"], ["z"])]
    path = save(
        tmp_path, nodes, [floats("x", 2, 3)], [info("y", helper.make_optional_type_proto(TENSOR)), floats("z", 2, 3)]
    )
    found = runtime.outputs(path, {"x": X}, settings)
    assert listed(found) == ({"y": X.tolist()} if is_full else {"y[absent]": True}) | {"z": (-X).tolist()}


def test_a_tensor_goes_in_for_an_optional(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    node = helper.make_node("OptionalGetElement", ["x"], ["y"])
    path = save(tmp_path, [node], [info("x", helper.make_optional_type_proto(TENSOR))], [floats("y", 2, 3)])
    assert listed(runtime.outputs(path, {"x": X}, settings)) == {"y": X.tolist()}


def contradicting(folder: Path, declared: list[int | str]) -> Path:
    """A model that gives back its input in a shape of one dimension, whatever it declares."""
    inputs = [floats("x", 2, 3), helper.make_tensor_value_info("shape", TensorProto.INT64, ["rank"])]
    output = helper.make_tensor_value_info("y", FLOAT, declared)
    return save(folder, [helper.make_node("Reshape", ["x", "shape"], ["y"])], inputs, [output])


@pytest.mark.parametrize("declared", [["rows", "columns"], [5], []], ids=str)
def test_an_output_that_contradicts_its_declared_shape_is_run_and_timed(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path, declared: list[int | str]
) -> None:
    path = contradicting(tmp_path, declared)
    feeds = {"x": X, "shape": np.array([6])}
    assert listed(runtime.outputs(path, feeds, settings)) == {"y": X.reshape(-1).tolist()}
    assert runtime.profile(path, feeds, settings, max_seconds=0.01).wall_us > 0
    contenders = [Contender(path=path, settings=settings)] * 2
    found = runtime.compare(contenders, feeds, num_pairs=1, rounds=3, min_run_s=1e-5)
    assert set(found.results) == {0, 1}
    assert not found.failures


def test_maps_are_timed(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    node, output = zip_map(classlabels_int64s=[1, 2, 3])
    path = save(tmp_path, [node], [floats("x", 2, 3)], [output])
    contenders = [Contender(path=path, settings=settings)] * 2
    found = runtime.compare(contenders, {"x": X}, num_pairs=1, rounds=3, min_run_s=1e-5)
    assert set(found.results) == {0, 1}


def test_a_run_that_fails_says_why_it_failed_first(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    path = contradicting(tmp_path, ["rows", "columns"])
    with pytest.raises(SessionFailedError, match="Reshape"):
        runtime.outputs(path, {"x": X, "shape": np.array([7])}, settings)


@pytest.mark.parametrize(
    ("node", "given"),
    [
        (helper.make_node("SequenceAt", ["s", "i"], ["y"]), helper.make_sequence_type_proto(TENSOR)),
        (
            helper.make_node("DictVectorizer", ["s"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a"]),
            helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, [])),
        ),
    ],
    ids=["sequence", "map"],
)
def test_what_no_tensor_stands_for_cannot_go_in(
    runtime: Runtime, settings: SessionSettings, tmp_path: Path, node: onnx.NodeProto, given: onnx.TypeProto
) -> None:
    inputs = [info("s", given), helper.make_tensor_value_info("i", TensorProto.INT64, [])]
    path = save(tmp_path, [node], inputs, [helper.make_tensor_value_info("y", FLOAT, None)])
    with pytest.raises(UnsupportedValueError, match=r"input 's' is a .*; only tensors can be given"):
        runtime.outputs(path, {"s": X, "i": np.array(0)}, settings)
    assert runtime.device("CPUExecutionProvider").name


def test_elements_of_half_a_byte_cannot_leave(runtime: Runtime, settings: SessionSettings, tmp_path: Path) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT4)
    output = helper.make_tensor_value_info("y", TensorProto.INT4, [2, 3])
    graph = helper.make_graph([node], "g", [floats("x", 2, 3)], [output])
    path = tmp_path / "model.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    with pytest.raises(UnsupportedValueError, match=r"output 'y' is a .*int4"):
        runtime.outputs(path, {"x": X}, settings)


def test_maps_of_several_lengths_are_told_apart() -> None:
    type_name = "seq(map(string,tensor(double)))"
    one = tensors_of("y", [{"a": 0.1}, {"b": 0.2, "c": 0.3}], type_name)
    other = tensors_of("y", [{"a": 0.1, "b": 0.2}, {"c": 0.3}], type_name)
    assert listed(one) == {"y[lengths]": [1, 2], "y[keys]": ["a", "b", "c"], "y[values]": [0.1, 0.2, 0.3]}
    assert listed(other)["y[lengths]"] == [2, 1]
    assert one["y[values]"].dtype == np.float64
    assert listed(tensors_of("y", {3: "drei"}, "map(int64,tensor(string))")) == {"y[keys]": [3], "y[values]": ["drei"]}
    assert listed(tensors_of("y", [], "seq(tensor(float))")) == {"y[length]": 0}


def test_a_part_belongs_to_its_output() -> None:
    outputs = {"y", "y[0]", "z"}
    assert [output_of(name, outputs) for name in ("y", "y[keys]", "y[0]", "y[0][keys]", "z[12]")] == [
        "y",
        "y",
        "y[0]",
        "y[0]",
        "z",
    ]

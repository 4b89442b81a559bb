"""What is read and written without ONNX Runtime: frames, protobuf, probe models, profiles."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from eqsat.runtime.fingerprint import LARGE_BYTES, model_fingerprint
from eqsat.runtime.probe import PROBE_INPUT, probe_feeds, probe_model
from eqsat.runtime.trace import watched_nodes
from eqsat.runtime.wire import ELEMENT_TYPES, Frame, Reply, Request, read_frame, write_frame
from ir.protobuf import parse
from tests.runtime import models


def travel(frame: Frame) -> Frame:
    stream = io.BytesIO()
    write_frame(stream, frame)
    stream.seek(0)
    return read_frame(stream)


@pytest.mark.parametrize("dtype", ELEMENT_TYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)], ids=str)
def test_tensors_travel_unchanged(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
    arrived = travel(Frame(kind=Reply.OK, tensors={"first": array.T, "second": array})).tensors
    assert list(arrived) == ["first", "second"]
    assert arrived["second"].dtype == dtype
    assert arrived["first"].shape == shape[::-1]
    assert arrived["second"].tolist() == array.tolist()
    assert arrived["first"].tolist() == array.T.tolist()


def test_a_whole_frame_travels_unchanged() -> None:
    frame = Frame(
        kind=Request.PROFILE,
        fields={"path": "größe.onnx", "min_runs": 3},
        model=b"\x00\xff" * 70_000,
        tensors={"text": np.array([["a", "ß"]], dtype=object)},
    )
    arrived = travel(frame)
    assert (arrived.kind, arrived.fields, arrived.model) == (frame.kind, frame.fields, frame.model)
    assert arrived.tensors["text"].tolist() == [["a", "ß"]]


def test_a_frame_cut_short_is_the_end() -> None:
    stream = io.BytesIO()
    write_frame(stream, Frame(kind=Reply.OK, tensors={"x": np.ones(9)}))
    for length in (0, 7, 20, len(stream.getvalue()) - 1):
        with pytest.raises(EOFError):
            read_frame(io.BytesIO(stream.getvalue()[:length]))


@pytest.mark.parametrize("num_nodes", [1, 200])
def test_probe_models_are_valid_chains_of_neg(num_nodes: int) -> None:
    model = onnx.load_model_from_string(probe_model(num_nodes))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Neg"] * num_nodes
    assert [value.name for value in model.graph.input] == [PROBE_INPUT] == list(probe_feeds())


def fingerprint(model: bytes) -> str:
    return model_fingerprint(memoryview(model))


def relus(*edges: tuple[str, str], operator: str = "Relu") -> bytes:
    nodes = [helper.make_node(operator, [a], [b]) for a, b in edges]
    return models.model_bytes(nodes, [models.floats("x", 2)], [models.floats("y", 2), models.floats("z", 2)])


def test_fingerprints_ignore_names_and_order_only() -> None:
    first = fingerprint(relus(("x", "a"), ("a", "y"), ("x", "z")))
    assert fingerprint(relus(("x", "z"), ("x", "q"), ("q", "y"))) == first
    assert fingerprint(relus(("x", "a"), ("x", "y"), ("a", "z"))) != first, "outputs are ordered"
    assert fingerprint(relus(("x", "y"), ("x", "z"))) != first
    assert fingerprint(relus(("x", "a"), ("a", "y"), ("x", "z"), operator="Neg")) != first


def test_fingerprints_count_repeated_work() -> None:
    shared = relus(("x", "a"), ("a", "y"), ("a", "z"))
    repeated = relus(("x", "a"), ("x", "b"), ("a", "y"), ("b", "z"))
    assert fingerprint(shared) != fingerprint(repeated)


def elu(alpha: float) -> bytes:
    node = helper.make_node("Elu", ["x"], ["y"], alpha=alpha)
    return models.model_bytes([node], [models.floats("x", 2)], [models.floats("y", 2)])


def test_fingerprints_see_attributes_and_small_constants() -> None:
    soft = [fingerprint(elu(alpha)) for alpha in (0.5, 0.5, 0.6)]
    assert soft[0] == soft[1] != soft[2]
    small, other = models.matmul(size=8, seed=0), models.matmul(size=8, seed=1)
    assert LARGE_BYTES > 8 * 8 * 4
    assert fingerprint(small) != fingerprint(other)


def test_fingerprints_look_into_subgraphs() -> None:
    loop = models.endless()
    assert fingerprint(loop) == fingerprint(loop.replace(b"a_in", b"b_in"))
    assert fingerprint(loop) != fingerprint(loop.replace(b"Neg", b"Abs"))


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0b", b"", models.matmul()[:-9]])
def test_broken_models_have_no_fingerprint(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        fingerprint(data)


def test_fixed_width_fields_are_read() -> None:
    attribute = helper.make_node("Elu", ["x"], ["y"], alpha=0.5).attribute[0]
    (value,) = parse(memoryview(attribute.SerializeToString()))[2]
    assert isinstance(value, memoryview)
    assert np.frombuffer(value, np.float32) == 0.5


def kernel(name: str, op: str, start: int, duration: int) -> dict[str, Any]:
    arguments = {"op_name": op, "provider": "CPUExecutionProvider", "node_index": "0"}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration, "args": arguments}


def run_end(start: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": 9, "args": {}}


def test_a_profile_gives_medians_of_its_last_runs_and_half_a_microsecond_back() -> None:
    events = [kernel("a", "Add", 0, 900), run_end(0)]
    for duration in (1, 9, 2):
        events += [kernel("a", "Add", 1000, duration), kernel("b", "Mul", 1100, 4), run_end(1000)]
    nodes = watched_nodes(events, num_last_runs=3)
    assert [(node.name, node.op_type, node.watched_us) for node in nodes] == [("a", "Add", 2.5), ("b", "Mul", 4.5)]


def test_nodes_inside_a_loop_belong_to_the_loop() -> None:
    events = [
        kernel("inner", "Neg", 10, 5),
        kernel("inner", "Neg", 20, 5),
        kernel("loop", "Loop", 5, 30),
        kernel("after", "Neg", 35, 0),
        run_end(0),
    ]
    assert [node.name for node in watched_nodes(events, num_last_runs=1)] == ["loop", "after"]


def test_no_run_means_no_node() -> None:
    assert watched_nodes([kernel("a", "Add", 0, 1), run_end(0)], num_last_runs=0) == ()

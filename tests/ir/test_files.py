"""Files: what is refused, and how one line says why; what is written, and when it appears."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from ir import onnx_file, streaming
from ir.atomic_file import replacing
from ir.errors import InvalidModelError, UnsupportedModelError
from ir.onnx_file import (
    copy_model,
    external_files,
    load_model,
    model_to_path,
    move_model,
    path_to_model,
    write_model,
    written_bytes,
)
from ir.tensor_data import tensors_of
from tests.ir.graphs import assert_same_results, make_model, save, value

WEIGHTS = np.arange(600, dtype=np.float32).reshape(2, 300)
FEEDS = {"x": np.ones((2, 300), dtype=np.float32)}


def _model() -> onnx.ModelProto:
    return make_model(
        [helper.make_node("Add", ["x", "w"], ["y"])], [value("x", (2, 300))], [value("y", (2, 300))], {"w": WEIGHTS}
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _external(folder: Path, name: str = "m.onnx", location: str = "m.bin") -> Path:
    onnx.save(_model(), folder / name, save_as_external_data=True, location=location, size_threshold=0)
    return folder / name


def _relocated(path: Path, **entries: str) -> Path:
    """Change what a model says of its external data."""
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("data", [b"", b"garbage" * 50, b"\x08"])
def test_what_is_no_model_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidModelError) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="no such file"):
        load_model(tmp_path / "m.onnx")
    with pytest.raises(InvalidModelError, match="folder"):
        load_model(tmp_path)


def test_a_model_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    data = _model().SerializeToString()
    path = tmp_path / "m.onnx"
    for end in range(1, len(data) - 1, 97):
        path.write_bytes(data[:end])
        with pytest.raises(InvalidModelError):
            load_model(path)


def test_flipped_bytes_make_no_other_error(tmp_path: Path) -> None:
    data = bytearray(_model().SerializeToString())
    rng = np.random.default_rng(0)
    path = tmp_path / "m.onnx"
    num_refused = 0
    for _ in range(200):
        changed = bytearray(data)
        for position in rng.integers(0, 140, size=2):
            changed[position] = rng.integers(256)
        path.write_bytes(changed)
        try:
            load_model(path)
        except InvalidModelError:
            num_refused += 1
    assert num_refused > 50


def _with_opset(version: int) -> onnx.ModelProto:
    model = _model()
    model.opset_import[0].version = version
    return model


def _changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = _model()
    change(model)
    return model


def _with_attribute(attribute: onnx.AttributeProto) -> onnx.ModelProto:
    return _changed(lambda model: model.graph.node[0].attribute.append(attribute))


def _sparse() -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.ones(1, dtype=np.float32), "s")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, dtype=np.int64)), [4])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (_with_opset(0), "opset 0"),
        (_with_opset(999), "opset 999 is not known"),
        (_changed(lambda m: setattr(m, "ir_version", 999)), "IR version 999"),
        (_changed(lambda m: m.ClearField("opset_import")), "operator set"),
        (_changed(lambda m: m.ClearField("graph")), "not an ONNX model"),
        (_changed(lambda m: m.graph.ClearField("output")), "no output"),
        (_changed(lambda m: m.graph.node[0].input.append("nowhere")), "'nowhere' is used and never defined"),
        (_changed(lambda m: setattr(m.graph.output[0], "name", "nowhere")), "'nowhere' is used and never defined"),
        (_changed(lambda m: m.graph.node.append(m.graph.node[0])), "'y' is defined twice"),
        (_changed(lambda m: m.graph.input.append(m.graph.input[0])), "'x' is defined twice"),
        (_changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])), "'w' is defined twice"),
        (_changed(lambda m: setattr(m.graph.initializer[0], "name", "")), "no name"),
        (_with_attribute(onnx.AttributeProto(name="a", type=onnx.AttributeProto.TENSOR)), "'a' of a Add holds nothing"),
        (_with_attribute(helper.make_attribute("s", _sparse())), "sparse attribute"),
    ],
)
def test_what_is_broken_or_cannot_be_rewritten_is_refused(model: onnx.ModelProto, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=reason) as caught:
        load_model(save(model, tmp_path))
    assert "\n" not in str(caught.value)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["y"]), helper.make_node("Abs", ["y"], ["b"])]
    with pytest.raises(UnsupportedModelError, match="cycle"):
        load_model(save(make_model(nodes, [value("x")], [value("y")]), tmp_path))


def test_nodes_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Abs", ["x"], ["a"])]
    model = load_model(save(make_model(nodes, [value("x")], [value("y")]), tmp_path))
    assert [node.op_type for node in model.graph] == ["Abs", "Relu"]


@pytest.mark.parametrize("location", ["../m.bin", "/etc/passwd", "sub/../../m.bin", "nothing.bin", ""])
def test_external_data_outside_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "m.bin").write_bytes(bytes(2400))
    path = _relocated(_external(folder), location=location)
    with pytest.raises(InvalidModelError, match="folder"):
        load_model(path)


def _everywhere() -> onnx.ModelProto:
    """A model with a tensor in every place where one can stand."""

    def constant(name: str, output: str) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [output], value=numpy_helper.from_array(WEIGHTS, name))

    def graph(name: str) -> onnx.GraphProto:
        inner = helper.make_graph([constant(f"{name}-node", "k")], name, [], [value("k", None)])
        inner.initializer.append(numpy_helper.from_array(WEIGHTS, f"{name}-initializer"))
        return inner

    defaults = [
        helper.make_attribute("one", numpy_helper.from_array(WEIGHTS, "default")),
        helper.make_attribute("many", [numpy_helper.from_array(WEIGHTS, f"default-{place}") for place in range(2)]),
        helper.make_attribute("deep", graph("default-graph")),
    ]
    branches = {f"{name}_branch": graph(f"{name}-in-function") for name in ("then", "else")}
    body = [constant("in-function", "c"), helper.make_node("If", ["b"], ["i"], **branches)]
    body.append(helper.make_node("Add", ["a", "c"], ["s"]))
    function = helper.make_function("d", "F", ["a", "b"], ["s", "i"], body, [helper.make_opsetid("", 18)], [], defaults)
    nodes = [helper.make_node("F", ["x", "b"], ["y", "z"], domain="d")]
    model = make_model(
        nodes, [value("x", (2, 300)), value("b", (), TensorProto.BOOL)], [value("y", None), value("z", None)],
        {"unused": WEIGHTS}, domains=["d"], functions=[function],
    )  # fmt: skip
    model.training_info.add(algorithm=graph("training"))
    return model


NUM_PLACES = 13


def _all_external(model: onnx.ModelProto, folder: Path) -> Path:
    """Move every tensor of a model to a file beside it."""
    data = bytearray()
    for tensor in tensors_of(model):
        raw = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, number in (("offset", len(data)), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(number))
        tensor.external_data.add(key="location", value="all.bin")
        data += raw
    (folder / "all.bin").write_bytes(data)
    return save(model, folder)


def test_external_tensors_of_every_place_come_along(tmp_path: Path) -> None:
    model = _everywhere()
    path = _all_external(copy.deepcopy(model), tmp_path)
    assert external_files(path) == (tmp_path / "all.bin",)
    (tmp_path / "out").mkdir()
    write_model(load_model(path), tmp_path / "out" / "n.onnx")
    copy_model(path, tmp_path / "out" / "c.onnx")
    (tmp_path / "all.bin").unlink()
    for name in ("n.onnx", "c.onnx"):
        found = [numpy_helper.to_array(tensor, str(tmp_path / "out")) for tensor in _tensors(tmp_path / "out" / name)]
        assert len(found) == NUM_PLACES
        assert all(np.array_equal(array, WEIGHTS) for array in found)
    feeds = {**FEEDS, "b": np.array(True)}
    assert_same_results(model, onnx.load(tmp_path / "out" / "n.onnx"), feeds)


def _tensors(path: Path) -> list[TensorProto]:
    return list(tensors_of(onnx.load(path, load_external_data=False)))


@pytest.mark.parametrize("place", range(NUM_PLACES))
@pytest.mark.parametrize("location", ["../all.bin", "hard.bin", "soft.bin"])
def test_no_tensor_of_any_place_lies_outside_the_folder(place: int, location: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    path = _all_external(_everywhere(), folder)
    (tmp_path / "all.bin").write_bytes((folder / "all.bin").read_bytes())
    os.link(tmp_path / "all.bin", folder / "hard.bin")
    (folder / "soft.bin").symlink_to(tmp_path / "all.bin")
    model = onnx.load(path, load_external_data=False)
    tensor = list(tensors_of(model))[place]
    next(entry for entry in tensor.external_data if entry.key == "location").value = location
    with pytest.raises(InvalidModelError, match="leaves the model's folder"):
        external_files(save(model, folder))


def _tensor(dtype: int, dims: list[int], **fields: Any) -> TensorProto:
    return TensorProto(name="t", data_type=dtype, dims=dims, **fields)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (_tensor(TensorProto.FLOAT, [5], raw_data=bytes(19)), "19 bytes of data where .5. needs 20"),
        (_tensor(TensorProto.FLOAT, [5], raw_data=bytes(24)), "24 bytes"),
        (_tensor(TensorProto.FLOAT, [5]), "0 elements in float_data"),
        (_tensor(TensorProto.DOUBLE, [2], float_data=[1, 2]), "elements in float_data beside those in double_data"),
        (_tensor(TensorProto.COMPLEX64, [2], float_data=[1, 2]), "needs 4"),
        (_tensor(TensorProto.FLOAT16, [2, 2], int32_data=[1, 2]), "2 elements in int32_data where .2, 2. needs 4"),
        (_tensor(TensorProto.UINT32, [1], int64_data=[1]), "elements in int64_data beside those in uint64_data"),
        (_tensor(TensorProto.FLOAT, [], float_data=[1], int32_data=[1, 2]), "elements in int32_data beside"),
        (_tensor(TensorProto.INT4, [5], raw_data=bytes(2)), "needs 3"),
        (_tensor(TensorProto.INT4, [5], int32_data=[1, 2]), "needs 3"),
        (_tensor(TensorProto.STRING, [2], string_data=[b"a"]), "1 elements in string_data"),
        (_tensor(TensorProto.STRING, [1], raw_data=b"a"), "strings"),
        (_tensor(TensorProto.INT64, [-1], int64_data=[1]), "no dimensions"),
        (_tensor(TensorProto.UNDEFINED, [1], raw_data=b"a"), "no element type"),
        (_tensor(TensorProto.FLOAT, [], raw_data=b""), "needs 4"),
    ],
)
@pytest.mark.parametrize("is_attribute", [False, True])
def test_data_that_do_not_fit_their_tensor_are_refused(
    tensor: TensorProto, reason: str, is_attribute: bool, tmp_path: Path
) -> None:
    model = _model()
    if is_attribute:
        model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    else:
        model.graph.initializer.append(tensor)
    with pytest.raises(InvalidModelError, match=f"tensor 't': .*{reason}") as caught:
        load_model(save(model, tmp_path))
    assert not isinstance(caught.value, UnsupportedModelError)


def test_an_element_type_of_a_newer_onnx_can_be_copied_but_not_rewritten(tmp_path: Path) -> None:
    model = _changed(lambda m: m.graph.initializer.append(_tensor(77, [3], raw_data=b"ab")))
    path = save(model, tmp_path)
    assert external_files(path) == ()
    with pytest.raises(UnsupportedModelError, match="element type 77 of 't'"):
        load_model(path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_linked_external_data_is_refused(link: Callable[[Path, Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    path = _external(folder)
    (folder / "m.bin").rename(tmp_path / "secret.bin")
    link(tmp_path / "secret.bin", folder / "m.bin")
    with pytest.raises(InvalidModelError, match="links are refused"):
        load_model(path)


def test_external_data_in_a_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "models").mkdir()
    path = _relocated(_external(tmp_path / "models"), location="sub/m.bin")
    (tmp_path / "models" / "m.bin").rename(tmp_path / "elsewhere" / "m.bin")
    (tmp_path / "models" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidModelError, match="leaves the model's folder"):
        load_model(path)


@pytest.mark.parametrize("entries", [{"offset": "8"}, {"offset": "-8"}, {"length": "8"}, {"length": "99999"}])
def test_external_data_that_is_too_short_is_refused(entries: dict[str, str], tmp_path: Path) -> None:
    path = _relocated(_external(tmp_path), **entries)
    with pytest.raises(InvalidModelError):
        load_model(path)


def test_a_written_model_stands_alone(tmp_path: Path) -> None:
    source = _external(tmp_path)
    target = tmp_path / "out" / "copy.onnx"
    target.parent.mkdir()
    write_model(load_model(source), target)
    (tmp_path / "m.bin").unlink()
    assert _names(target.parent) == ["copy.onnx"]
    assert_same_results(_model(), onnx.load(target), FEEDS)


@pytest.mark.parametrize("streamed_bytes", [0, streaming.STREAMED_BYTES])
def test_a_big_model_has_its_tensors_beside_it(
    streamed_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "MAX_PROTO_BYTES", 1000)
    monkeypatch.setattr(streaming, "STREAMED_BYTES", streamed_bytes)
    source = save(_model(), tmp_path)
    target = tmp_path / "big.onnx"
    write_model(load_model(source), target)
    (tensor,) = onnx.load(target, load_external_data=False).graph.initializer
    assert {entry.key: entry.value for entry in tensor.external_data}["location"] == "big.onnx.data"
    assert_same_results(_model(), onnx.load(target), FEEDS)
    write_model(load_model(target), target)  # onto the very files it is read from
    assert_same_results(_model(), onnx.load(target), FEEDS)


def test_a_model_that_moves_takes_its_tensors_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_PROTO_BYTES", 1000)
    source = tmp_path / "source.onnx"
    write_model(load_model(save(_model(), tmp_path)), source)
    assert written_bytes(source) == source.stat().st_size + (tmp_path / "source.onnx.data").stat().st_size
    (tmp_path / "out").mkdir()
    move_model(source, tmp_path / "out" / "moved.onnx")
    assert _names(tmp_path / "out") == ["moved.onnx", "moved.onnx.data"]
    assert_same_results(_model(), onnx.load(tmp_path / "out" / "moved.onnx"), FEEDS)


def test_a_copy_has_the_same_bytes(tmp_path: Path) -> None:
    source = _external(tmp_path)
    (tmp_path / "out").mkdir()
    for _ in range(2):
        copy_model(source, tmp_path / "out" / "copy.onnx")
    assert (tmp_path / "out" / "copy.onnx").read_bytes() == source.read_bytes()
    assert (tmp_path / "out" / "m.bin").read_bytes() == (tmp_path / "m.bin").read_bytes()


def test_a_copy_leaves_the_tensors_of_other_models_alone(tmp_path: Path) -> None:
    source = _external(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "m.bin").write_bytes(b"another model's")
    copy_model(source, tmp_path / "out" / "copy.onnx")
    assert (tmp_path / "out" / "m.bin").read_bytes() == b"another model's"
    assert_same_results(_model(), onnx.load(tmp_path / "out" / "copy.onnx"), FEEDS)


@pytest.mark.parametrize("limit", [1000, onnx_file.MAX_PROTO_BYTES])
def test_a_model_in_memory_becomes_a_file(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_PROTO_BYTES", limit)
    path = model_to_path(_model(), tmp_path)
    assert_same_results(_model(), path_to_model(path), FEEDS)


def test_a_big_broken_model_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MAX_PROTO_BYTES", 1000)
    model = _changed(lambda m: m.graph.node.append(m.graph.node[0]))
    with pytest.raises(InvalidModelError):
        model_to_path(model, tmp_path)


@pytest.mark.parametrize(("limit", "is_outer"), [(2400, True), (2401, False)])
def test_tensors_that_lay_outside_stay_outside_where_they_are_many(
    limit: int, is_outer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "MIN_OUTER_BYTES", limit)
    target = tmp_path / "out.onnx"
    write_model(load_model(_external(tmp_path)), target)
    assert (tmp_path / "out.onnx.data").exists() == is_outer
    assert external_files(target) == (tmp_path / "out.onnx.data",) * is_outer
    assert_same_results(_model(), path_to_model(target), FEEDS)


def _write_half(target: Path) -> None:
    with replacing(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "t"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(target)
    assert target.read_text() == "old"
    assert _names(tmp_path) == ["t"]
    with replacing(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


@pytest.mark.parametrize(("is_durable", "count"), [(True, 2), (False, 0)])
def test_only_durable_files_wait_for_the_disk(
    is_durable: bool, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    monkeypatch.setattr(onnx_file, "MAX_PROTO_BYTES", 1000)
    write_model(load_model(save(_model(), tmp_path)), tmp_path / "big.onnx", is_durable=is_durable)
    assert len(calls) == count


@pytest.mark.parametrize("streamed_bytes", [0, 2, streaming.STREAMED_BYTES])
def test_tensors_of_every_type_survive(streamed_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STREAMED_BYTES", streamed_bytes)
    names = ("BFLOAT16", "FLOAT8E4M3FN", "FLOAT16", "INT4", "UINT4", "INT8", "COMPLEX64", "DOUBLE", "UINT64", "BOOL")
    tensors = [helper.make_tensor(name, getattr(TensorProto, name), [3], [1, 0, 1]) for name in names]
    tensors.append(numpy_helper.from_array(np.array(["one", "zwölf"], dtype=object), "STRING"))
    tensors.append(helper.make_tensor("SCALAR", TensorProto.FLOAT, [], [2.5]))
    tensors.append(helper.make_tensor("EMPTY", TensorProto.FLOAT, [0, 3], []))
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [value("x")], [value("y")])
    model.graph.initializer.extend(tensors)
    target = tmp_path / "n.onnx"
    write_model(load_model(save(model, tmp_path)), target)
    found = {tensor.name: tensor for tensor in onnx.load(target).graph.initializer}
    assert list(found) == [tensor.name for tensor in tensors]
    for tensor in tensors:
        assert found[tensor.name].data_type == tensor.data_type
        np.testing.assert_array_equal(numpy_helper.to_array(found[tensor.name]), numpy_helper.to_array(tensor))


@pytest.mark.parametrize("size", [1, 30, 40, 4000, 70_000])
def test_what_is_streamed_reads_as_what_is_not(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model()
    described = numpy_helper.from_array(np.arange(size, dtype=np.int16), "described")
    described.doc_string = "counts"
    model.graph.initializer.append(described)
    model.metadata_props.add(key="author", value="somebody")
    loaded = load_model(save(model, tmp_path))
    monkeypatch.setattr(streaming, "STREAMED_BYTES", 0)
    write_model(loaded, tmp_path / "streamed.onnx")
    assert onnx.load(tmp_path / "streamed.onnx") == onnx_ir.to_proto(loaded)


def test_a_tensor_of_another_size_than_it_says_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(save(_model(), tmp_path, "in.onnx"))
    weights = model.graph.initializers["w"]
    weights.const_value = onnx_ir.LazyTensor(
        lambda: onnx_ir.tensor(WEIGHTS[:1]), dtype=onnx_ir.DataType.FLOAT, shape=onnx_ir.Shape(WEIGHTS.shape)
    )
    monkeypatch.setattr(streaming, "STREAMED_BYTES", 0)
    with pytest.raises(ValueError, match="1200 bytes instead of 2400"):
        write_model(model, tmp_path / "out.onnx")
    assert _names(tmp_path) == ["in.onnx"]


def test_a_model_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(save(_model(), tmp_path, "in.onnx"))

    def fail(*arguments: object, **settings: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_ir, "to_proto", fail)
    with pytest.raises(OSError, match="space"):
        write_model(model, tmp_path / "out.onnx")
    assert _names(tmp_path) == ["in.onnx"]

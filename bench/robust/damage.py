"""Damaged model files: small models of ONNX's own test suite, each with one thing about it made wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import onnx

NUM_MODELS: Final = 60
"""Models that are damaged."""

MAX_DEPTH: Final = 25
"""Subgraphs in each other; protobuf itself reads no deeper than 100 messages, three a subgraph."""

_NODE_TESTS: Final = (
    "if",
    "if_seq",
    "loop11",
    "loop13_seq",
    "scan_sum",
    "sequence_map_identity_1_sequence_expanded",
    "layer_normalization_2d_axis0_expanded",
    "gelu_default_1_expanded",
    "dequantizelinear_axis",
    "qlinearconv",
    "lstm_with_initial_bias",
    "string_concat",
    "optional_get_element_tensor",
    "resize_upsample_sizes_nearest",
    "einsum_batch_matmul",
    "attention_4d",
)
"""Tests of single operators whose models hold subgraphs, functions or values that are no tensors."""


@cache
def models() -> tuple[onnx.ModelProto, ...]:
    """Return the models that are damaged, the same in every run."""
    from onnx.backend.test import loader

    found = [
        case.model if case.model is not None else onnx.load(Path(case.model_dir or "") / "model.onnx")
        for kind in ("simple", "pytorch-converted", "pytorch-operator")
        for case in loader.load_model_tests(kind=kind)
    ]
    wanted = {f"test_{name}" for name in _NODE_TESTS}
    nodes = [
        case.model for case in loader.load_model_tests(kind="node") if case.name in wanted and case.model is not None
    ]
    step = max(1, len(found) // (NUM_MODELS - len(nodes)))
    return (*found[::step], *nodes)[:NUM_MODELS]


def damaged(seed: int) -> tuple[str, bytes]:
    """Return the name of a damage and a file that has it; the same seed makes the same file."""
    rng = random.Random(seed)
    model = onnx.ModelProto()
    model.CopyFrom(rng.choice(models()))
    name = rng.choice(list(DAMAGES))
    return name, DAMAGES[name](model, rng)


# --- the bytes --------------------------------------------------------------------------------------------------


def _cut(model: onnx.ModelProto, rng: random.Random) -> bytes:
    data: bytes = model.SerializeToString()
    return data[: rng.randrange(len(data))]


def _flipped(model: onnx.ModelProto, rng: random.Random) -> bytes:
    data = bytearray(model.SerializeToString())
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _overwritten(model: onnx.ModelProto, rng: random.Random) -> bytes:
    data = bytearray(model.SerializeToString())
    start = rng.randrange(len(data))
    length = min(rng.randrange(1, 65), len(data) - start)
    data[start : start + length] = (
        rng.choice((b"\x00", b"\xff", b"a")) * length if rng.random() < 0.5 else rng.randbytes(length)
    )
    return bytes(data)


def _inserted(model: onnx.ModelProto, rng: random.Random) -> bytes:
    data: bytes = model.SerializeToString()
    start = rng.randrange(len(data))
    return data[:start] + rng.randbytes(rng.randrange(1, 32)) + data[start:]


def _twice(model: onnx.ModelProto, _rng: random.Random) -> bytes:
    """Two models in one file are one to protobuf: their graphs are merged."""
    return bytes(model.SerializeToString() * 2)


def _another_message(model: onnx.ModelProto, rng: random.Random) -> bytes:
    parts = [model.graph.SerializeToString(), *(node.SerializeToString() for node in model.graph.node)]
    others = [b"\x0a" * 40, b"{}", rng.randbytes(200), str(model).encode()]
    return bytes(rng.choice([*parts, *others]))


# --- the messages -----------------------------------------------------------------------------------------------

Change = Callable[[onnx.ModelProto, random.Random], None]


def _changed(change: Change) -> Callable[[onnx.ModelProto, random.Random], bytes]:
    def damage(model: onnx.ModelProto, rng: random.Random) -> bytes:
        change(model, rng)
        return bytes(model.SerializeToString())

    return damage


def _tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """All tensors; one is added where there is none."""
    found = list(model.graph.initializer)
    found += [attribute.t for node in model.graph.node for attribute in node.attribute if attribute.HasField("t")]
    if not found:
        model.graph.initializer.append(onnx.helper.make_tensor("added", onnx.TensorProto.FLOAT, [2], [1.0, 2.0]))
        model.graph.node.append(onnx.helper.make_node("Identity", ["added"], ["added_too"]))
        found = list(model.graph.initializer)
    return found


_SIZES: Final = (2**62, 2**40, 2**31, -1, -(2**63), 0, 7)


def _tensor_dims(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(_tensors(model))
    if tensor.dims and rng.random() < 0.7:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(_SIZES)
    else:
        tensor.dims.extend([rng.choice(_SIZES)] * rng.choice((1, 70)))


def _tensor_type(model: onnx.ModelProto, rng: random.Random) -> None:
    rng.choice(_tensors(model)).data_type = rng.choice((0, 1, 7, 8, 9, 10, 11, 14, 16, 17, 22, 23, 25, 99, -1))


def _tensor_data(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(_tensors(model))
    data = tensor.raw_data or b"\x00" * 8
    match rng.randrange(5):
        case 0:
            tensor.raw_data = data[: len(data) // 2]
        case 1:
            tensor.raw_data = data + b"\x01\x02\x03"
        case 2:
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.ClearField("int64_data")
        case 3:
            tensor.int32_data.extend([1, 2, 3])
        case _:
            tensor.string_data.extend([b"\xff\xfe", b"text"])


def _external_data(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = rng.choice(_tensors(model))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    places = ("nowhere.bin", "../escape.bin", "/etc/passwd", "", ".", "a/../../b", "model.onnx", "\x00")
    entries = {"location": rng.choice(places), "offset": rng.choice(("0", "-1", "9" * 30, "x")), "length": "8"}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def _node(model: onnx.ModelProto, rng: random.Random) -> onnx.NodeProto:
    if not model.graph.node:
        model.graph.node.append(onnx.helper.make_node("Relu", ["nowhere"], ["added"]))
    node: onnx.NodeProto = rng.choice(model.graph.node)
    return node


def _unknown_input(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if node.input and rng.random() < 0.7:
        node.input[rng.randrange(len(node.input))] = rng.choice(("nowhere", ""))
    elif node.input:
        del node.input[rng.randrange(len(node.input)) :]
    else:
        node.input.extend(["nowhere"] * 3)


def _cycle(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    source = rng.choice([name for each in model.graph.node for name in each.output] or ["y"])
    if node.input:
        node.input[0] = rng.choice((source, node.output[0] if node.output else "y"))


def _same_names(model: onnx.ModelProto, rng: random.Random) -> None:
    graph = model.graph
    match rng.randrange(5):
        case 0:
            node = _node(model, rng)
            graph.node.append(node)
        case 1 if graph.input:
            graph.input.append(graph.input[0])
        case 2 if graph.output:
            graph.output.append(graph.output[0])
        case 3 if graph.initializer:
            graph.initializer.append(graph.initializer[0])
        case _:
            node = _node(model, rng)
            if node.output and graph.input:
                node.output[0] = graph.input[0].name


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if rng.random() < 0.7:
        node.op_type = rng.choice(("", "Relu6", "Conv", "If", "Loop", "Constant", "Reshape", "Einsum", "Split", "é\n"))
    else:
        node.domain = rng.choice(("nowhere", "com.microsoft", "ai.onnx.ml", "\n"))


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    with_some = [node for node in model.graph.node if node.attribute]
    if not with_some:
        _node(model, rng).attribute.append(onnx.helper.make_attribute("axis", 2**62))
        return
    node = rng.choice(with_some)
    attribute = rng.choice(node.attribute)
    match rng.randrange(6):
        case 0:
            attribute.type = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14))
        case 1:
            attribute.ClearField("type")
        case 2:
            attribute.i = rng.choice(_SIZES)
        case 3:
            attribute.ints.extend(rng.choice(_SIZES) for _ in range(3))
        case 4:
            node.attribute.remove(attribute)
        case _:
            attribute.s = b"\xff\x00 not a word"
            attribute.type = onnx.AttributeProto.STRING


def _versions(model: onnx.ModelProto, rng: random.Random) -> None:
    match rng.randrange(4):
        case 0:
            model.ir_version = rng.choice((0, -1, 2, 99, 2**62))
        case 1 if model.opset_import:
            model.opset_import[0].version = rng.choice((0, -5, 1, 99, 2**62))
        case 2:
            del model.opset_import[:]
        case _:
            model.opset_import.add(domain=rng.choice(("", "nowhere")), version=rng.choice((1, 7, 99)))


def _interface(model: onnx.ModelProto, rng: random.Random) -> None:
    graph = model.graph
    match rng.randrange(6):
        case 0:
            del graph.output[:]
        case 1:
            del graph.input[:]
        case 2 if graph.output:
            graph.output[0].name = rng.choice(("nowhere", ""))
        case 3 if graph.input:
            graph.input[0].ClearField("type")
        case 4 if graph.input:
            graph.input[0].type.tensor_type.elem_type = rng.choice((0, 8, 14, 16, 99))
        case _ if graph.output:
            graph.output[0].type.tensor_type.elem_type = rng.choice((0, 7, 9, 99))
        case _:
            model.ClearField("graph")


def _shapes(model: onnx.ModelProto, rng: random.Random) -> None:
    values = [*model.graph.input, *model.graph.output]
    if not values:
        return
    dims = rng.choice(values).type.tensor_type.shape.dim
    match rng.randrange(4):
        case 0 if dims:
            rng.choice(dims).dim_value = rng.choice(_SIZES)
        case 1 if dims:
            rng.choice(dims).dim_param = rng.choice(("", "?", "9*9*9*9*9*9", "N" * 300, "\x1b[31m"))
        case 2:
            dims.add().dim_value = rng.choice(_SIZES)
        case _:
            for _ in range(40):
                dims.add().dim_value = 2


def _emptied(model: onnx.ModelProto, rng: random.Random) -> None:
    match rng.randrange(4):
        case 0:
            del model.graph.node[:]
        case 1:
            model.graph.Clear()
        case 2 if model.graph.initializer:
            del model.graph.initializer[rng.randrange(len(model.graph.initializer))]
        case _:
            del model.graph.node[rng.randrange(max(len(model.graph.node), 1)) :]


def _nested(model: onnx.ModelProto, rng: random.Random) -> None:
    """Functions that call each other without end, or subgraphs far down."""
    if rng.random() < 0.5:
        for name, other in (("F", "G"), ("G", "F")):
            call = onnx.helper.make_node(other, ["x"], ["y"], domain="own")
            imports = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("own", 1)]
            model.functions.append(onnx.helper.make_function("own", name, ["x"], ["y"], [call], imports))
        model.opset_import.add(domain="own", version=1)
        if model.graph.node and model.graph.node[0].input:
            first = model.graph.node[0].input[0]
            model.graph.node.append(onnx.helper.make_node("F", [first], ["called"], domain="own"))
        return
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["nowhere"], ["r"])], "g", [], [onnx.ValueInfoProto(name="r")]
    )
    for depth in range(MAX_DEPTH):
        node = onnx.helper.make_node("If", ["c"], [f"r{depth}"], then_branch=graph)
        graph = onnx.helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name=f"r{depth}")])
    model.graph.node.extend(graph.node)


DAMAGES: Final[Mapping[str, Callable[[onnx.ModelProto, random.Random], bytes]]] = MappingProxyType(
    {
        "cut off": _cut,
        "bits flipped": _flipped,
        "overwritten": _overwritten,
        "bytes inserted": _inserted,
        "twice": _twice,
        "another message": _another_message,
        "tensor dims": _changed(_tensor_dims),
        "tensor type": _changed(_tensor_type),
        "tensor data": _changed(_tensor_data),
        "external data": _changed(_external_data),
        "unknown input": _changed(_unknown_input),
        "cycle": _changed(_cycle),
        "same names": _changed(_same_names),
        "operator": _changed(_operator),
        "attribute": _changed(_attribute),
        "versions": _changed(_versions),
        "interface": _changed(_interface),
        "shapes": _changed(_shapes),
        "emptied": _changed(_emptied),
        "nested": _changed(_nested),
    }
)
"""Every way of damaging a model, by name."""


def files(folder: Path, seeds: Sequence[int]) -> dict[int, Path]:
    """Write the damaged files of some seeds and return their paths."""
    paths = {}
    for seed in seeds:
        name, data = damaged(seed)
        paths[seed] = folder / f"{seed}-{name.replace(' ', '-')}.onnx"
        paths[seed].write_bytes(data)
    return paths

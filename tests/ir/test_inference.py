"""Types of single nodes: what cannot exist is refused, and what is not known is not claimed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest
from onnx.parser import parse_model

from ir.graph import AttributeValue
from ir.inference import TypeInference, TypeInferenceError
from ir.reader import read
from ir.types import Symbols, TensorType

F, I64, BOOL = 1, 7, 9


def _infer(
    operator: str, *inputs: TensorType | None, attributes: Mapping[str, AttributeValue] | None = None, opset: int = 18
) -> tuple[TensorType, ...]:
    return TypeInference(opset, Symbols())(operator, attributes or {}, inputs)


def _float(*shape: int) -> TensorType:
    return TensorType(F, shape)


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Add", [_float(2, 3), _float(4)], {}),
        ("Add", [_float(2), TensorType(I64, (2,))], {}),
        ("Add", [TensorType(BOOL, (2,)), TensorType(BOOL, (2,))], {}),
        ("Where", [_float(2), _float(2), _float(2)], {}),
        ("Max", [_float(2), TensorType(I64, (2,))], {}),
        ("MatMul", [_float(2, 3), _float(2, 3)], {}),
        ("MatMul", [_float(2, 3), None], {}),
        ("Concat", [_float(2, 3), _float(3, 3)], {"axis": 1}),
        ("Transpose", [_float(2, 3)], {"perm": (0, 2)}),
        ("Reshape", [_float(2, 3)], {"shape": (7,)}),
        ("Expand", [_float(2, 3)], {"shape": (4, 3)}),
        ("Split", [_float(2, 3)], {"axis": 1, "split": (1, 1)}),
        ("Gelu", [_float(2)], {"approximate": "none"}),
        ("MsBiasGelu", [_float(2, 3), _float(2)], {}),
        (
            "MsFusedMatMul",
            [_float(2, 3), _float(2, 3)],
            {"alpha": 1.0, "transA": 0, "transB": 0, "transBatchA": 0, "transBatchB": 0},
        ),
        ("MsAttention", [_float(1, 5, 8), _float(8, 20)], {"num_heads": 2, "scale": 0.0, "unidirectional": 0}),
        ("MsSkipLayerNormalization", [_float(2, 3), _float(3), _float(3)], {"epsilon": 1e-5}),
    ],
)
def test_what_cannot_exist_is_refused(
    operator: str, inputs: list[TensorType | None], attributes: dict[str, AttributeValue]
) -> None:
    with pytest.raises(TypeInferenceError):
        _infer(operator, *inputs, attributes=attributes)


def test_types_may_depend_on_the_opset() -> None:
    integers = TensorType(I64, (2,))
    assert _infer("Max", integers, integers, opset=12) == (integers,)
    with pytest.raises(TypeInferenceError):
        _infer("Max", integers, integers, opset=11)


def test_symbols_pass_through() -> None:
    symbols = Symbols()
    batch = symbols.intern("batch")
    infer = TypeInference(18, symbols)
    (product,) = infer("MatMul", {}, [_float(batch, 2, 3), _float(3, 4)])
    assert product == _float(batch, 2, 4)
    (turned,) = infer("Transpose", {"perm": (1, 0)}, [_float(batch, 2)])
    assert turned == _float(2, batch)


def test_equal_types_give_equal_sizes_only_where_elements_do_not_matter() -> None:
    infer = TypeInference(18, Symbols())
    one, two = (infer("NonZero", {}, [_float(2, 3)])[0].shape for _ in range(2))
    assert one[0] == two[0] == 2
    assert one[1] != two[1]
    batch = infer("Concat", {"axis": 0}, [_float(-2000, 3), _float(1, 3)])
    assert batch == infer("Concat", {"axis": 0}, [_float(-2000, 3), _float(1, 3)])


def test_equal_symbols_cancel_in_a_reshape() -> None:
    assert _infer("Reshape", _float(-2000, 2, 3), attributes={"shape": (6, -2000)}) == (_float(6, -2000),)
    with pytest.raises(TypeInferenceError):
        _infer("Reshape", _float(-2000, 2, 3), attributes={"shape": (7, -2000)})


@pytest.mark.parametrize(
    "node",
    [
        "EyeLike <dtype: int = 7> (x)",
        'RegexFullMatch <pattern: string = "a"> (x)',
        'ai.onnx.ml.LabelEncoder <classes_strings: strings = ["a"]> (x)',
        'ai.onnx.ml.DictVectorizer <string_vocabulary: strings = ["a"]> (x)',
    ],
)
def test_a_node_behind_an_unknown_operator_does_not_crash_inference(node: str, tmp_path: Path) -> None:
    opsets = '"" : 20, "custom" : 1, "ai.onnx.ml" : 1'
    nodes = f"x = custom.What(a) y = {node}"
    text = f"<ir_version: 8, opset_import: [{opsets}]> g (float[2,3] a) => (int64[n] y) {{ {nodes} }}"
    path = tmp_path / "model.onnx"
    onnx.save(parse_model(text), path)
    graph = read(path)
    assert graph.outputs == ("y",)
    assert "x" not in graph.types


def test_such_a_node_is_typed_where_its_input_is(tmp_path: Path) -> None:
    nodes = "x = EyeLike <dtype: int = 7> (a) y = Neg (x)"
    text = f'<ir_version: 8, opset_import: ["" : 20]> g (float[2,3] a) => (int64[n,m] y) {{ {nodes} }}'
    path = tmp_path / "model.onnx"
    onnx.save(parse_model(text), path)
    assert read(path).types["x"] == TensorType(7, (2, 3))

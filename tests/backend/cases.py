"""ONNX's own backend test suite: models with inputs and the outputs that are right."""

from __future__ import annotations

import ctypes
import functools
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime as ort
from onnx.backend.test import loader
from onnx.backend.test.case.test_case import TestCase

Value: TypeAlias = Any
"""A tensor as an array, a sequence as a list, a missing optional value as None."""

KINDS: Final = ("node", "simple", "pytorch-converted", "pytorch-operator")
"""The kinds whose models come with the onnx package; the others are downloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model and what it must compute.

    Attributes:
        name: Unique name, ``kind/test``.
        proto: The model.
        data: Pairs of inputs and outputs, in the order of the model's own.
        rtol: Relative tolerance that the suite states.
        atol: Absolute tolerance that the suite states.
    """

    name: str
    proto: onnx.ModelProto
    data: tuple[tuple[tuple[Value, ...], tuple[Value, ...]], ...]
    rtol: float
    atol: float


@functools.cache
def load_cases() -> tuple[Case, ...]:
    """Return every case that needs no download."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the suite computes infinities on purpose
        found = [case for kind in KINDS for case in loader.load_model_tests(kind=kind)]
    return tuple(_case(case) for case in found)


def share(cases: Sequence[Case], part: int, num_parts: int) -> list[Case]:
    """Return one of ``num_parts`` shares of the cases, the same in every run."""
    return [case for case in cases if zlib.crc32(case.name.encode()) % num_parts == part]


def _case(case: TestCase) -> Case:
    name = f"{case.kind}/{case.name}"
    if case.model is not None:
        data = tuple((_plain(inputs), _plain(outputs)) for inputs, outputs in case.data_sets or ())
        return Case(name=name, proto=case.model, data=data, rtol=case.rtol, atol=case.atol)
    folder = Path(case.model_dir or "")
    proto = onnx.load(folder / "model.onnx")
    inputs = [value.type for value in proto.graph.input]
    outputs = [value.type for value in proto.graph.output]
    pairs = tuple(
        (_stored(data, "input", inputs), _stored(data, "output", outputs))
        for data in sorted(folder.glob("test_data_set_*"))
    )
    return Case(name=name, proto=proto, data=pairs, rtol=case.rtol, atol=case.atol)


def _plain(values: Sequence[Value]) -> tuple[Value, ...]:
    """Arrays for whatever the suite calls a tensor."""
    return tuple(
        onnx.numpy_helper.to_array(value)
        if isinstance(value, onnx.TensorProto)
        else value
        if value is None or isinstance(value, list)
        else np.asarray(value)
        for value in values
    )


def _stored(folder: Path, prefix: str, types: Sequence[onnx.TypeProto]) -> tuple[Value, ...]:
    count = len(list(folder.glob(f"{prefix}_*.pb")))
    return tuple(_value((folder / f"{prefix}_{index}.pb").read_bytes(), types[index]) for index in range(count))


def _value(data: bytes, type_: onnx.TypeProto) -> Value:
    match type_.WhichOneof("value"):
        case "sequence_type":
            return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(data))
        case "optional_type":
            return onnx.numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
        case _:
            return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(data))


def run_model(model: bytes | Path, inputs: Sequence[Value]) -> list[Value]:
    """Return what ONNX Runtime computes on the CPU, its own rewriting switched off.

    Args:
        model: The model, or the file that it is in.
        inputs: In the order of the model's own inputs; those beyond the last one given take their defaults.

    Raises:
        Exception: ONNX Runtime's own exceptions, which have no common base below ``Exception``.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
    )
    feeds = {formal.name: value for formal, value in zip(session.get_inputs(), inputs, strict=False)}
    names = [formal.name for formal in session.get_outputs()]
    kinds = [formal.type for formal in (*session.get_inputs(), *session.get_outputs())]
    if not any(kind.startswith(_NO_NUMPY_FORM) for kind in kinds):
        return list(session.run(names, feeds))
    wrapped = {name: _wrapped(np.asarray(value)) for name, value in feeds.items()}
    return [_unwrapped(value) for value in session.run_with_ort_values(names, wrapped)]


_NO_NUMPY_FORM: Final = ("tensor(bfloat16", "tensor(float8")


def _wrapped(array: np.ndarray) -> ort.OrtValue:
    dtype = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    if dtype in _STORED_AS:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(
            np.ascontiguousarray(array).view(_STORED_AS[dtype]), dtype
        )
    return ort.OrtValue.ortvalue_from_numpy(array)


def _unwrapped(value: ort.OrtValue) -> np.ndarray:
    dtype = value.element_type()
    if dtype not in _STORED_AS:
        return np.asarray(value.numpy())
    stored = np.dtype(_STORED_AS[dtype])
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(data, stored).view(onnx.helper.tensor_dtype_to_np_dtype(dtype)).reshape(value.shape())


_STORED_AS: Final = {
    onnx.TensorProto.BFLOAT16: np.uint16,
    onnx.TensorProto.FLOAT8E4M3FN: np.uint8,
    onnx.TensorProto.FLOAT8E4M3FNUZ: np.uint8,
    onnx.TensorProto.FLOAT8E5M2: np.uint8,
    onnx.TensorProto.FLOAT8E5M2FNUZ: np.uint8,
}


def difference(case: Case, expected: Sequence[Value], found: Sequence[Value]) -> str:
    """Return what is wrong with the outputs found, in words; nothing where they are within the case's tolerance."""
    if len(expected) != len(found):
        return f"{len(found)} outputs instead of {len(expected)}"
    for position, (one, two) in enumerate(zip(expected, found, strict=True)):
        reason = _value_difference(case, one, two)
        if reason:
            return f"output {position}: {reason}"
    return ""


def _value_difference(case: Case, expected: Value, found: Value) -> str:
    if expected is None or found is None:
        return "" if expected is found else "one is missing"
    if isinstance(expected, list) or isinstance(found, list):
        if not isinstance(expected, list) or not isinstance(found, list) or len(expected) != len(found):
            return "not the same sequence"
        reasons = [_value_difference(case, one, two) for one, two in zip(expected, found, strict=True)]
        return next((reason for reason in reasons if reason), "")
    return _array_difference(case, np.asarray(expected), np.asarray(found))


def _array_difference(case: Case, expected: np.ndarray, found: np.ndarray) -> str:
    if expected.shape != found.shape:
        return f"shape {found.shape} instead of {expected.shape}"
    if expected.dtype.kind in "OUT" or found.dtype.kind in "OUT":
        return "" if np.array_equal(expected.astype(object), found.astype(object)) else "other strings"
    if expected.dtype != found.dtype:
        return f"type {found.dtype} instead of {expected.dtype}"
    if expected.dtype.kind == "V":
        expected, found = expected.astype(np.float32), found.astype(np.float32)
    if np.allclose(found, expected, rtol=case.rtol, atol=case.atol, equal_nan=expected.dtype.kind in "fc"):
        return ""
    return "other elements"

"""Which element types an operator's inputs may have, by the positions of the normal form."""

from __future__ import annotations

import functools
from typing import Final

import onnx
import onnx.defs

from ir.normal_form import schema_of
from ir.operators import OPERATORS

_FLOATS: Final = frozenset({1, 10, 11})

_NUMBERS: Final = {f"tensor({name.lower()})": number for name, number in onnx.TensorProto.DataType.items()}


@functools.cache
def input_dtypes(operator: str, opset: int) -> tuple[frozenset[int], ...]:
    """Return for each input of the normal form the ``onnx.TensorProto.DataType`` numbers that it may have.

    The last entry serves all further inputs of an operator of any number of them. Operators that only ONNX Runtime
    knows take floating-point numbers.
    """
    row = OPERATORS[operator]
    schema = schema_of(row, opset)
    if schema is None:
        return (_FLOATS,) * max(row.num_inputs, 1)
    lifted = {column.name for column in row.attributes}
    constraints = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    found = []
    for formal in schema.inputs:
        if formal.name in lifted:
            continue
        texts = constraints.get(formal.type_str, [formal.type_str])
        found.append(frozenset(_NUMBERS[text] for text in texts if text in _NUMBERS))
    return tuple(found)

"""Element types that an operator's schema allows, which ONNX's inference of one node does not look at."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import onnx
import onnx.defs

from ir.shape_functions import TypeInferenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TYPE_TEXT: Final[Mapping[int, str]] = {
    number: f"tensor({name.lower()})" for name, number in onnx.TensorProto.DataType.items()
}
"""How schemas write a tensor of each element type."""


def check_dtypes(schema: onnx.defs.OpSchema, dtypes: Sequence[int | None]) -> None:
    """Check the element types of a node's inputs.

    Args:
        schema: The operator.
        dtypes: ``onnx.TensorProto.DataType`` number of each input, None for one that is missing.

    Raises:
        TypeInferenceError: A type is not allowed, or two inputs that must have one type have two.
    """
    formals, is_variadic = _formals(schema)
    bound: dict[str, int] = {}
    for position, dtype in enumerate(dtypes):
        if position >= len(formals) and not is_variadic:
            raise TypeInferenceError(f"{schema.name} has {len(formals)} inputs, not {len(dtypes)}")
        if dtype is None:
            continue
        name, allowed = formals[min(position, len(formals) - 1)]
        if _TYPE_TEXT[dtype] not in allowed:
            raise TypeInferenceError(f"{schema.name} takes no {_TYPE_TEXT[dtype]} as input {position}")
        if name and bound.setdefault(name, dtype) != dtype:
            raise TypeInferenceError(f"{schema.name}: inputs that must have one type have two")


@functools.cache
def _formals_of(name: str, version: int) -> tuple[tuple[tuple[str, frozenset[str]], ...], bool]:
    schema = onnx.defs.get_schema(name, version, "")
    constraints = {each.type_param_str: frozenset(each.allowed_type_strs) for each in schema.type_constraints}
    formals = []
    is_variadic = False
    for formal in schema.inputs:
        allowed = constraints.get(formal.type_str, frozenset({formal.type_str}))
        is_shared = formal.type_str in constraints and formal.is_homogeneous
        formals.append((formal.type_str if is_shared else "", allowed))
        is_variadic = is_variadic or formal.option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    return tuple(formals), is_variadic


def _formals(schema: onnx.defs.OpSchema) -> tuple[tuple[tuple[str, frozenset[str]], ...], bool]:
    """For each input the name of its type, empty where it is shared with none, and the types allowed."""
    return _formals_of(schema.name, schema.since_version)

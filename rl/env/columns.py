"""What the columns of an observation's features mean, and those that come from names, attributes and types alone.

Every feature is of the order of one: logarithms are divided by a scale, shares lie between 0 and 1. Names are hashed
into buckets, so that an operator or a rule that was not there when a policy was trained needs no new column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.egraph.enode import CONST, INPUT, OPAQUE
from eqsat.rules.rule import ROOT, FloatClass
from ir.data_types import is_float
from ir.operators import MICROSOFT, OPERATORS
from ir.types import TensorType
from rl.env.observation import NUM_OPERATOR_BUCKETS, NUM_POSITIONS, NUM_SLOTS, bucket

if TYPE_CHECKING:
    from eqsat.egraph.enode import ClassType, ENode
    from eqsat.rules.gate import GatedRule

ENODE_COLUMNS: Final = (
    *("is_operator", "is_input", "is_constant", "is_opaque", "is_structure", "is_made_by_rule", "is_provider_operator"),
    *("log_num_children", "num_attributes", "log_attributes"),
    *("log_price", "price_share", "is_unpriceable", "is_extracted", "has_cluster", "log_num_siblings"),
)
"""The columns of ``enode_features``; the first ten never change."""

ECLASS_COLUMNS: Final = (
    *("rank", "log_num_elements", "log_dim_last", "log_dim_2nd_last", "log_dim_3rd_last", "log_dim_4th_last"),
    *("is_float32", "is_float16", "is_other_float", "is_integer", "is_bool", "is_other_type"),
    *("is_symbolic", "is_several_tensors", "is_untyped"),
    *("is_constant", "log_num_members", "log_num_users", "is_extracted", "log_num_extracted_users"),
    *("log_depth", "relative_depth", "price_share", "is_root"),
)
"""The columns of ``eclass_features``; the first fifteen are of its type."""

NUM_TOPICS: Final = 12
NUM_SIDE_BUCKETS: Final = 16

CANDIDATE_COLUMNS: Final = (
    *("log_num_members", "log_num_applied", "extracted_share", "price_share"),
    *("is_exact", "is_reassociating", "is_finite_only", "is_approximate"),
    *("num_variables", "is_rewrite", "log_num_matched", "log_num_made"),
    *(f"topic_{index}" for index in range(NUM_TOPICS)),
    *(f"matched_{index}" for index in range(NUM_SIDE_BUCKETS)),
    *(f"made_{index}" for index in range(NUM_SIDE_BUCKETS)),
)
"""The columns of ``candidate_features``; all but the first four are of its rule."""

NUM_STATIC: Final = 10
NUM_TYPE: Final = 15
NUM_OWN: Final = 4

LOG_SCALE: Final = 10.0
_SIZE_LOG_SCALE: Final = 16.0
COUNT_SCALE: Final = 4.0
_FLOAT_CLASSES: Final = (
    frozenset({FloatClass.EXACT}),
    frozenset({FloatClass.ROUNDS, FloatClass.REASSOCIATES}),
    frozenset({FloatClass.FINITE}),
    frozenset({FloatClass.APPROXIMATES}),
)
_FLOAT32: Final = 1
_FLOAT16: Final = frozenset({10, 16})
_BOOL: Final = 9
_INTEGERS: Final = frozenset({2, 3, 4, 5, 6, 7, 12, 13, 21, 22})


def rule_features(gated: GatedRule) -> np.ndarray:
    """Return what the text of a rule says about it; float32 (len(CANDIDATE_COLUMNS) - 4,)."""
    rule = gated.rule
    head = (
        *(float(rule.floats in each) for each in _FLOAT_CLASSES),
        len(gated.variables) / NUM_SLOTS,
        float(ROOT in gated.variables),
        math.log1p(len(rule.operators_matched)) / COUNT_SCALE,
        math.log1p(len(rule.operators_made)) / COUNT_SCALE,
    )
    topic = np.zeros(NUM_TOPICS, np.float32)
    topic[bucket(rule.group, NUM_TOPICS)] = 1.0
    sides = [np.zeros(NUM_SIDE_BUCKETS, np.float32) for _ in range(2)]
    for side, operators in zip(sides, (rule.operators_matched, rule.operators_made), strict=True):
        for operator in operators:
            side[bucket(operator, NUM_SIDE_BUCKETS)] = 1.0
    return np.concatenate([np.array(head, np.float32), topic, *sides])


def enode_row(enode: ENode, *, is_made: bool) -> tuple[float, ...]:
    """Return the features of an e-node that never change, and the bucket of its operator.

    Args:
        enode: The e-node.
        is_made: Whether a rule made it.
    """
    numbers = [value for value in _flat(enode.attributes) if enode.is_operator]
    return (
        float(enode.is_operator),
        float(enode.operator == INPUT),
        float(enode.operator == CONST),
        float(enode.operator == OPAQUE),
        float(not enode.is_operator and enode.operator not in {INPUT, CONST, OPAQUE}),
        float(is_made),
        float(enode.is_operator and OPERATORS[enode.operator].domain == MICROSOFT),
        math.log1p(len(enode.children)) / COUNT_SCALE,
        len(enode.attributes) / NUM_POSITIONS,
        math.log1p(sum(abs(value) for value in numbers)) / _SIZE_LOG_SCALE,
        _operator_bucket(enode.operator),
    )


def _flat(attributes: Sequence[object]) -> list[float]:
    """The numbers among attributes; symbols count as 1."""
    values = [each for value in attributes for each in (value if isinstance(value, tuple) else (value,))]
    numbers = [float(value) for value in values if isinstance(value, (int, float))]
    return [min(number, _LARGEST) if number > _FIRST_SYMBOL else 1.0 for number in numbers]


_LARGEST: Final = 1e9
_FIRST_SYMBOL: Final = -1000.0


@cache
def _operator_bucket(operator: str) -> int:
    return bucket(operator, NUM_OPERATOR_BUCKETS)


def type_row(type_: ClassType, sizes: Mapping[int, int]) -> tuple[float, ...]:
    """Return the features of an e-class that its type gives.

    Args:
        type_: The type.
        sizes: Size of every symbol of the model's inputs; a dimension of which nothing is known counts as 1.
    """
    if not isinstance(type_, TensorType):
        return (*(0.0 for _ in range(NUM_TYPE - 2)), float(bool(type_)), float(not type_))
    dims = [dim if dim >= 0 else sizes.get(dim, 1) for dim in type_.shape]
    last = [math.log1p(dim) / LOG_SCALE for dim in reversed(dims[-4:])]
    dtype = type_.dtype
    return (
        type_.rank / NUM_POSITIONS,
        math.log1p(math.prod(dims)) / _SIZE_LOG_SCALE,
        *last,
        *(0.0 for _ in range(4 - len(last))),
        float(dtype == _FLOAT32),
        float(dtype in _FLOAT16),
        float(is_float(dtype) and dtype not in {_FLOAT32, *_FLOAT16}),
        float(dtype in _INTEGERS),
        float(dtype == _BOOL),
        float(not is_float(dtype) and dtype not in {_BOOL, *_INTEGERS}),
        float(not type_.is_static),
        0.0,
        0.0,
    )

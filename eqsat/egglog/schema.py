"""The e-graph's sorts, constructors and facts, as egglog text made from the operator table.

An operator of the table is a constructor of sort ``Tensor`` (of sort ``Multi`` where it has several outputs, which
``(Out multi i)`` takes apart). Its inputs come first: one ``Tensor`` each, ``(Absent)`` where one is missing, one
``TList`` for an operator of any number of inputs. Attributes follow: one in its own sort, several in a record
``(ConvA strides pads dilations group)`` of sort ``ConvAttrs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ir.operators import OPERATORS, Attribute, Kind, Operator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ir.graph import AttributeValue

MAX_RANK: Final = 8

SORT_OF_KIND: Final = {
    Kind.INT: "i64",
    Kind.FLOAT: "f64",
    Kind.STRING: "String",
    Kind.INTS: "IVec",
    Kind.DIMS: "Dims",
    Kind.AXIS: "i64",
    Kind.LAST: "i64",
    Kind.AXES: "IVec",
    Kind.LASTS: "IVec",
}
"""Sort in the e-graph of each kind of attribute."""

HANDLES: Final = {"Tensor": "tensor-at", "Multi": "multi-at", "TList": "list-at"}
"""For each sort of e-classes the function that gives them numbers: ``(tensor-at 17)`` is an e-class."""

GRAINS: Final[Mapping[int, float]] = MappingProxyType(
    {**dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 10, 12, 13, 16), 1e-6), 11: 1e-15}
)
"""Relative difference up to which a constant of an element type counts as the number a rule names.

Exporters round to float32. In float64 a number that was rounded so is another number.
"""

FACTS_TEXT: Final = """
(function grain (i64) f64 :merge old)
(function shape (Tensor) Dims :merge old)
(function dtype (Tensor) i64 :merge old)
(function rank (Tensor) i64 :merge old)
(function last (Tensor) i64 :merge (max old new))
(function scalar (Tensor) f64 :merge old)
(relation near (Tensor f64))
(relation constant (Tensor))
(relation constants (TList))
(relation finite (Tensor))
(relation finites (TList))
(relation equal-halves (Tensor))
(relation equal-pairs (Tensor))
(relation triangular (Tensor i64 f64 f64))
(function magnitude (Tensor) f64 :merge (min old new))
(function least (Tensor) f64 :merge (max old new))
(function peak (Tensor) f64 :merge (max old new))
(relation nonzero (Tensor))
(relation non-negative (Tensor))
(relation moderate (Tensor))
(relation sizeable (Tensor))
(relation steady (Tensor))
(relation scalable (Tensor))
(relation root (Tensor))
(relation sibling (Tensor Tensor Tensor i64 i64))
"""
"""Facts of e-classes.

Three speak of what a constant holds: ``(equal-halves c)`` where the two halves of its last axis are the same,
``(equal-pairs c)`` where neighbours along it are, the first and the second, the third and the fourth, and
``(triangular c n low high)`` where it is one matrix of n by n, ``low`` on the diagonal and below it, ``high`` above.

Five more speak of how large its elements are: none is larger than ``(magnitude c)``, none but zero is smaller than
``(least c)``, one is at least ``(peak c)``; ``(nonzero c)`` and ``(non-negative c)``. What follows from them,
``moderate``, ``sizeable``, ``steady`` and ``scalable``, is defined by the rules that ship.

A union may join two types that differ where one has a symbol and the other a number: both are true of the value, so
either may stand. Types that contradict each other are found by the session, which knows the rule to blame.
"""


def attribute_sort(operator: Operator) -> str:
    """Return the sort of an operator's attributes; empty where it has none."""
    match operator.attributes:
        case ():
            return ""
        case (only,):
            return SORT_OF_KIND[only.kind]
        case _:
            return f"{operator.name}Attrs"


def signature(operator: Operator) -> list[str]:
    """Return the argument sorts of an operator's constructor."""
    inputs = ["TList"] if operator.is_variadic else ["Tensor"] * operator.num_inputs
    sort = attribute_sort(operator)
    return [*inputs, sort] if sort else inputs


def form(operator: Operator) -> str:
    """Return how a rule writes an operator, with the names of its attributes: ``(Softmax x axis)``.

    Optional inputs, which may be ``(Absent)``, end in a question mark.
    """
    inputs = [
        f"{letter}{'' if place < operator.num_required else '?'}"
        for place, letter in zip(range(operator.num_inputs), _LETTERS, strict=False)
    ]
    return _written(
        operator, ["(Cons x (Cons y (Nil)))"] if operator.is_variadic else inputs, [c.name for c in operator.attributes]
    )


def example(operator: Operator) -> str:
    """Return an operator as a rule may write it, with values in place of names: ``(Softmax x -1)``."""
    inputs = [
        letter if place < operator.num_required else "(Absent)"
        for place, letter in zip(range(operator.num_inputs), _LETTERS, strict=False)
    ]
    values = [_value(column) for column in operator.attributes]
    return _written(operator, inputs, values)


_LETTERS: Final = "xyzuvwabcdefghijklmnopqrst"


def _written(operator: Operator, inputs: list[str], attributes: list[str]) -> str:
    record = [f"({operator.name}A {' '.join(attributes)})"] if len(attributes) > 1 else attributes
    read = ["(Cons x (Cons y (Nil)))"] if operator.is_variadic else inputs
    term = f"({' '.join([operator.name, *read, *record])})"
    return f"(Out {term} 0)" if operator.is_multi else term


def _value(column: Attribute) -> str:
    value = _EXAMPLES[column.kind] if column.default is None else column.default
    match SORT_OF_KIND[column.kind]:
        case "IVec" if isinstance(value, tuple):
            return f"(vec-of {' '.join(map(str, value))})" if value else "(vec-empty)"
        case "Dims" if isinstance(value, tuple):
            return f"(S{len(value)}{''.join(f' {dim}' for dim in value)})"
        case "String":
            return f'"{value}"'
        case "f64":
            return repr(float(value)) if isinstance(value, int | float) else str(value)
        case _:
            return str(value)


_EXAMPLES: Final[Mapping[Kind, AttributeValue]] = {
    Kind.INT: 1,
    Kind.FLOAT: 1.0,
    Kind.STRING: "none",
    Kind.INTS: (1, 1),
    Kind.DIMS: (2, 3),
    Kind.AXIS: 0,
    Kind.LAST: -1,
    Kind.AXES: (0,),
    Kind.LASTS: (-1,),
}
"""What stands in an example where an attribute has no default."""


def schema_text(operators: Iterable[str] = OPERATORS) -> str:
    """Return the declarations for these operators: datatypes, handles and facts."""
    rows = [OPERATORS[name] for name in operators]
    tensor = [f"({row.name} {' '.join(signature(row))})" for row in rows if not row.is_multi]
    multi = [f"({row.name} {' '.join(signature(row))})" for row in rows if row.is_multi]
    records = [
        f"({row.name}Attrs ({row.name}A {' '.join(SORT_OF_KIND[column.kind] for column in row.attributes)}))"
        for row in rows
        if len(row.attributes) > 1
    ]
    dims = " ".join(f"(S{rank}{' i64' * rank})" for rank in range(MAX_RANK + 1))
    lines = [
        "(datatype*",
        f"  (Tensor (Input String) (Const i64) (Absent) (Out Multi i64) {' '.join(tensor)})",
        f"  (Multi (Opaque i64 TVec) {' '.join(multi)})",
        *(f"  {record}" for record in records),
        "  (TList (Nil) (Cons Tensor TList))",
        f"  (Dims {dims})",
        "  (sort TVec (Vec Tensor))",
        "  (sort IVec (Vec i64)))",
        *(f"(function {function} (i64) {sort} :no-merge)" for sort, function in HANDLES.items()),
        FACTS_TEXT,
        *(f"(set (grain {dtype}) {grain!r})" for dtype, grain in GRAINS.items()),
    ]
    return "\n".join(lines)


def fact_rules_text(operators: Iterable[str] = OPERATORS) -> str:
    """Return the rules behind the facts that follow from structure alone, for ruleset ``facts``.

    ``constant`` holds of an e-class some e-node of which has constant children only, or is one of several outputs of
    what has. ``rank`` and ``last`` are read off ``shape``.
    """
    lines = ['(rule ((= y (Absent))) ((constant y) (finite y)) :ruleset facts :name "constant-absent")']
    for name in operators:
        row = OPERATORS[name]
        sort = " attrs" if attribute_sort(row) else ""
        inputs = ["l"] if row.is_variadic else [f"x{position}" for position in range(row.num_inputs)]
        made = f"({' '.join([name, *inputs])}{sort})"
        conditions = ["(constants l)"] if row.is_variadic else [f"(constant {x})" for x in inputs]
        body = " ".join([f"(= y (Out {made} i))" if row.is_multi else f"(= y {made})", *conditions])
        lines.append(f'(rule ({body}) ((constant y)) :ruleset facts :name "constant-{name}")')
    for fact, facts in (("constant", "constants"), ("finite", "finites")):
        lines.append(f'(rule ((= l (Cons x (Nil))) ({fact} x)) (({facts} l)) :ruleset facts :name "{facts}-last")')
        lines.append(f'(rule ((= l (Cons x t)) ({fact} x) ({facts} t)) (({facts} l)) :ruleset facts :name "{facts}")')
    for rank in range(MAX_RANK + 1):
        dims = " ".join(f"d{axis}" for axis in range(rank))
        last = f" (set (last x) d{rank - 1})" if rank else ""
        lines.append(
            f"(rule ((= (shape x) (S{rank}{' ' if rank else ''}{dims}))) ((set (rank x) {rank}){last}) "
            f':ruleset facts :name "rank-{rank}")',
        )
    return "\n".join(lines)

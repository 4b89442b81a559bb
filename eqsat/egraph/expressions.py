"""From Python values to egglog terms, and back from an egglog's frozen values."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from eqsat.egglog.commands import call, float_lit, int_lit, string_lit
from eqsat.egglog.schema import HANDLES, SORT_OF_KIND
from eqsat.egraph.enode import CONST, INPUT, OPAQUE, OUT, ENode
from eqsat.rules.signatures import Role
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eqsat.egglog.commands import Call, EGraph, Expr, FrozenFunction, Value
    from eqsat.rules.signatures import Signatures
    from ir.graph import AttributeValue

VECTOR = "IVec"
DIMS = "Dims"


def class_term(sort: str, handle: int) -> Call:
    """Return the term that addresses an e-class."""
    return call(HANDLES[sort], int_lit(handle))


def attribute_term(sort: str, value: AttributeValue) -> Expr:
    """Return an attribute as a term of ``sort``."""
    if isinstance(value, tuple):
        numbers = [int_lit(number) for number in value]
        if sort == DIMS:
            return call(f"S{len(value)}", *numbers)
        return call("vec-of", *numbers) if numbers else call("vec-empty")
    if isinstance(value, str):
        return string_lit(value)
    return float_lit(value) if sort == "f64" else int_lit(int(value))


def enode_term(enode: ENode, child_sorts: Sequence[str]) -> Call:
    """Return the term of an e-node whose children are addressed by their handles."""
    children = [class_term(sort, handle) for sort, handle in zip(child_sorts, enode.children, strict=True)]
    match enode.operator:
        case operator if operator == INPUT:
            return call(INPUT, attribute_term("String", enode.attributes[0]))
        case operator if operator == CONST:
            return call(CONST, attribute_term("i64", enode.attributes[0]))
        case operator if operator == OUT:
            return call(OUT, *children, attribute_term("i64", enode.attributes[0]))
        case operator if operator == OPAQUE:
            vector = call("vec-of", *children) if children else call("vec-empty")
            return call(OPAQUE, attribute_term("i64", enode.attributes[0]), vector)
        case operator if operator in OPERATORS:
            columns = OPERATORS[operator].attributes
            terms = [
                attribute_term(SORT_OF_KIND[column.kind], value)
                for column, value in zip(columns, enode.attributes, strict=True)
            ]
            record = [call(f"{operator}A", *terms)] if len(terms) > 1 else terms
            return call(operator, *children, *record)
        case operator:
            return call(operator, *children)


@final
class ValueReader:
    """Turns the frozen values of base sorts, vectors and records into Python values, each once."""

    def __init__(self, egraph: EGraph, signatures: Signatures) -> None:
        self._egraph = egraph
        self._signatures = signatures
        self._records: dict[tuple[str, Value], AttributeValue] = {}
        self._cache: dict[tuple[str, Value], AttributeValue] = {}
        made = {name: each for name, each in signatures.names.items() if each.role is Role.CONSTRUCTOR}
        shapes = [name for name, signature in made.items() if signature.output == DIMS]
        records = [name for name, signature in made.items() if signature.output.endswith("Attrs")]
        self._constructors = {name: made[name] for name in (*shapes, *records)}

    def copy(self) -> ValueReader:
        """Return a reader that knows the same values: egglog reuses numbers after a pop."""
        other = ValueReader(self._egraph, self._signatures)
        other._records = dict(self._records)
        other._cache = dict(self._cache)
        return other

    def integer(self, value: Value) -> int:
        """Return the Python value of an ``i64``."""
        return self._integer("i64", value)

    def _is_record(self, sort: str) -> bool:
        return sort == DIMS or sort.endswith("Attrs")

    def load_records(self, functions: Mapping[str, FrozenFunction]) -> None:
        """Read every record and shape of a snapshot."""
        for name, signature in self._constructors.items():
            function = functions.get(name)
            if function is None:
                continue
            for row in function.rows:
                key = (signature.output, row.output)
                if key not in self._records:
                    values = tuple(
                        self.attribute(sort, value) for sort, value in zip(signature.inputs, row.inputs, strict=True)
                    )
                    self._records[key] = values  # type: ignore[assignment]

    def attribute(self, sort: str, value: Value) -> AttributeValue:
        """Return the Python value of an attribute; a record is the tuple of its fields."""
        if self._is_record(sort):
            return self._records[sort, value]
        key = (sort, value)
        found = self._cache.get(key)
        if found is None:
            found = self._convert(sort, value)
            self._cache[key] = found
        return found

    def _convert(self, sort: str, value: Value) -> AttributeValue:
        match sort:
            case "i64":
                return int(self._egraph.value_to_i64(value))
            case "f64":
                return float(self._egraph.value_to_f64(value))
            case "String":
                return str(self._egraph.value_to_string(value))
            case "bool":
                return int(self._egraph.value_to_bool(value))
            case _:
                element = self._signatures.elements[sort]
                return tuple(self._integer(element, item) for item in self._egraph.value_to_vec(value))

    def _integer(self, sort: str, value: Value) -> int:
        number = self.attribute(sort, value)
        if not isinstance(number, int):
            raise TypeError(f"a vector of {sort} is no vector of integers")
        return number

    def items(self, value: Value) -> list[Value]:
        """Return the elements of a vector of e-classes."""
        return list(self._egraph.value_to_vec(value))

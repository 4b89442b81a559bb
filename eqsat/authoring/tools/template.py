"""A rules file to start from: the left side is a part of a model, the right side is left to its author."""

from __future__ import annotations

import math
import string
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.errors import UsageError
from eqsat.rules.instances import TYPES
from ir.operators import OPERATORS, Kind, shortest

if TYPE_CHECKING:
    from ir.graph import AttributeValue, Graph, Node
    from ir.types import TensorType

WIDTH: Final = 110
MAX_NESTED: Final = 90
"""Letters of a left side that is written as one nested term; a longer one is written a node a line."""

RIGHT_SIDE: Final = "right-side"
"""Stands where the author has to write; the check complains that nothing binds it."""

_TYPE_NAMES: Final = {number: name for name, (number, _) in TYPES.items()}
_DEFAULT_TYPE: Final = 1
"""Values of this element type are left without a type, so that an instance is tested in every precision."""

_NEAR_KINDS: Final = "fiu"
_DEFAULT_OPSET: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelling:
    """How the parts of a term are written: in a rule, or in an instance."""

    values: Mapping[str, str]
    sizes: Mapping[int, str]


def template(graph: Graph, wanted: Sequence[str], name: str) -> str:
    """Return a commented rule whose left side is a part of a model.

    Args:
        graph: The model.
        wanted: The nodes, each by its name or by one of its outputs.
        name: What the rule will be called.

    Raises:
        UsageError: There is no such node, or the rules cannot say it.
    """
    nodes = _nodes(graph, wanted)
    return _Template(graph, nodes, name).text()


def _nodes(graph: Graph, wanted: Sequence[str]) -> list[Node]:
    by_name: dict[str, Node] = {}
    for node in graph.nodes:
        for each in (*node.outputs, node.name):
            if each:
                by_name[each] = node
    chosen: list[Node] = []
    for each in wanted:
        if each not in by_name:
            raise UsageError(f"the model has no node `{each}`; give the name of a node or of one of its outputs")
        node = by_name[each]
        if node.is_opaque:
            operator = node.source.op_type if node.source is not None else "of a kind"
            raise UsageError(f"the node `{each}` is {operator}, which rules cannot say")
        if node not in chosen:
            chosen.append(node)
    return [node for node in graph.nodes if node in chosen]


@final
class _Template:
    def __init__(self, graph: Graph, nodes: Sequence[Node], name: str) -> None:
        self._graph = graph
        self._nodes = nodes
        self._name = name
        made = {output for node in nodes for output in node.outputs if output}
        read = [value for node in nodes for value in node.inputs if value and value not in made]
        self._leaves = list(dict.fromkeys(read))
        self._roots = [output for node in nodes for output in node.outputs if output and self._is_root(output)]
        self._numbers = {
            leaf: number for leaf in self._leaves if (number := _number(graph, leaf, graph.types.get(leaf))) is not None
        }
        self._names = self._variables()
        self._sizes = self._letters()

    # --- what the parts are called ----------------------------------------------------------------------------

    def _is_root(self, value: str) -> bool:
        if value in self._graph.outputs:
            return True
        outside = [node for node in self._graph.nodes if not any(node is each for each in self._nodes)]
        readers = [node for node in self._graph.nodes if value in node.inputs]
        return not readers or any(node is each for node in readers for each in outside)

    def _variables(self) -> dict[str, str]:
        """Inputs are x, z, ..., constants w, scalars c; values in between t."""
        names: dict[str, str] = {}
        counts = {"c": 0, "w": 0, "x": 0}
        for leaf in self._leaves:
            letter = "c" if leaf in self._numbers else "w" if leaf in self._graph.constants else "x"
            counts[letter] += 1
            names[leaf] = letter if counts[letter] == 1 else f"{letter}{counts[letter]}"
        for number, node in enumerate(self._nodes, start=1):
            for place, output in enumerate(each for each in node.outputs if each):
                names[output] = f"t{number}" if len(node.outputs) == 1 else f"t{number}o{place}"
        for number, root in enumerate(self._roots, start=1):
            names[root] = "y" if len(self._roots) == 1 else f"y{number}"
        return names

    def _letters(self) -> dict[int, str]:
        """Letters for the sizes of an instance, so that other sizes are tried; none where attributes name sizes."""
        is_fixed = any(
            column.kind is Kind.DIMS or (column.kind is Kind.INTS and node.operator != "Transpose")
            for node in self._nodes
            for column in OPERATORS[node.operator].attributes
        )
        letters = iter(string.ascii_uppercase)
        found: dict[int, str] = {}
        for leaf in self._leaves:
            type_ = self._graph.types.get(leaf)
            for dim in type_.shape if type_ is not None else ():
                if dim not in found and (dim < 0 or (dim > 1 and not is_fixed)):
                    letter = next(letters, "Z")
                    found[dim] = f"?{letter}" if dim < 0 else letter
        return found

    # --- the text ---------------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the rule with its header."""
        near_miss = self._near_miss()
        lines = [
            f"; Made from the nodes {', '.join(_title(node) for node in self._nodes)}.",
            "; Write what the left side equals in place of `right-side`, say why, and run: eqsat rules check FILE",
            "",
            "; SOURCE    why both sides are equal: an identity, a definition, an operator's specification",
            "; REQUIRES  what the conditions ensure; leave this line out where there is none",
            "; FLOATS    reassociates",
            *_wrapped("; INSTANCE  ", self._instance(self._numbers)),
            *(_wrapped("; NEAR-MISS ", near_miss) if near_miss else ()),
        ]
        return "\n".join([*lines, *self._rule(), ""])

    def _rule(self) -> list[str]:
        nested = [self._made(root, self._spelling(self._shared())) for root in self._roots]
        conditions = [f"(near {self._names[leaf]} {_float(number)})" for leaf, number in self._numbers.items()]
        if len(nested) == 1 and not self._shared() and len(nested[0]) <= MAX_NESTED:
            return [
                f"(rewrite {nested[0]}",
                f"         {RIGHT_SIDE}",
                *self._when(conditions),
                f'  :ruleset opt :name "{self._name}")',
            ]
        named = [value for node in self._nodes for value in node.outputs if value]
        spelling = self._spelling(named)
        facts = [f"(= {self._names[value]} {self._made(value, spelling)})" for value in named] + conditions
        unions = [f"(union {self._names[root]} {RIGHT_SIDE})" for root in self._roots]
        return [
            f"(rule ({facts[0]}",
            *(f"       {fact}" for fact in facts[1:]),
            *(f"       ; {each}" for each in self._optional()),
            "      )",
            f"      ({' '.join(unions)})",
            f'  :ruleset opt :name "{self._name}")',
        ]

    def _when(self, conditions: Sequence[str]) -> list[str]:
        """Return the conditions of a rewrite, those that may be wanted as comments."""
        if not conditions:
            return ["  ; :when (", *(f"  ;        {each}" for each in self._optional()), "  ;       )"]
        first, *rest = conditions
        return [
            f"  :when ({first}",
            *(f"         {each}" for each in rest),
            *(f"         ; {each}" for each in self._optional()),
            "        )",
        ]

    def _optional(self) -> list[str]:
        found = ["Take of these what the right side needs; what is not known does not hold:"]
        for leaf in self._leaves:
            name, type_ = self._names[leaf], self._graph.types.get(leaf)
            if type_ is not None and leaf not in self._numbers:
                dims = " ".join(f"{name}{letter}" for letter in string.ascii_lowercase[: type_.rank])
                found.append(f"(= (shape {name}) (S{type_.rank}{' ' if dims else ''}{dims}))")
                found.append(f"(= (dtype {name}) {type_.dtype})")
            if leaf in self._graph.constants and leaf not in self._numbers:
                found.append(f"(constant {name})")
            elif leaf not in self._graph.constants:
                found.append(f"(finite {name})")
        return found

    def _shared(self) -> list[str]:
        """Values in between that are read more than once."""
        reads = [value for node in self._nodes for value in node.inputs]
        made = [value for node in self._nodes for value in node.outputs if value]
        return [value for value in made if reads.count(value) > 1 and value not in self._roots]

    def _spelling(self, named: Iterable[str]) -> _Spelling:
        values = {leaf: self._names[leaf] for leaf in self._leaves} | {value: self._names[value] for value in named}
        return _Spelling(values=values, sizes={})

    def _instance(self, numbers: Mapping[str, float], roots: Sequence[str] | None = None) -> str:
        values: dict[str, str] = {}
        declared: list[str] = []
        for leaf in self._leaves:
            type_ = self._graph.types.get(leaf)
            if leaf in numbers and type_ is not None and type_.dtype == _DEFAULT_TYPE and not type_.rank:
                values[leaf] = f"{_float(numbers[leaf])}f"
            else:
                values[leaf] = self._names[leaf]
                declared.append(self._declared(leaf, type_, numbers.get(leaf)))
        spelling = _Spelling(values=values, sizes=self._sizes)
        shared = self._shared() if roots is None else []
        lets: list[str] = []
        for value in shared:
            lets.append(f"(let {self._names[value]} {self._made(value, spelling)})")
            spelling = _Spelling(values={**spelling.values, value: self._names[value]}, sizes=self._sizes)
        terms = [self._made(root, spelling) for root in (self._roots if roots is None else roots)]
        opset = [] if self._graph.opset == _DEFAULT_OPSET else [f"opset={self._graph.opset}"]
        return f"{' '.join([*opset, *declared])} | {' '.join([*lets, *terms])}"

    def _near_miss(self) -> str:
        """Return an instance at which the rule must not match: another number, or the left side without its end."""
        if self._numbers:
            leaf, number = next(iter(self._numbers.items()))
            return self._instance({**self._numbers, leaf: number + 1.0})
        root = next(node for node in self._nodes if self._roots[0] in node.outputs)
        inside = [value for value in root.inputs if value and value not in self._leaves]
        return self._instance(self._numbers, inside[:1]) if inside else ""

    def _declared(self, leaf: str, type_: TensorType | None, number: float | None) -> str:
        """Return an input or constant as an instance declares it."""
        if type_ is None:
            raise UsageError(f"the type of `{leaf}` is not known, so that no instance can be made")
        kind = "" if type_.dtype == _DEFAULT_TYPE else f":{self._type_name(leaf, type_)}"
        shape = ",".join(self._sizes.get(dim, str(dim)) for dim in type_.shape)
        is_constant = "=" if leaf in self._graph.constants else ""
        fill = "" if number is None else _float(number)
        brackets = f"[{shape}]" if type_.rank or not fill else ""
        return f"{self._names[leaf]}{kind}{is_constant}{fill}{brackets}"

    def _type_name(self, leaf: str, type_: TensorType) -> str:
        if type_.dtype not in _TYPE_NAMES:
            known = ", ".join(_TYPE_NAMES.values())
            raise UsageError(f"`{leaf}` is of an element type that no instance can have (these can: {known})")
        return _TYPE_NAMES[type_.dtype]

    # --- terms ------------------------------------------------------------------------------------------------

    def _term(self, value: str, spelling: _Spelling) -> str:
        if not value:
            return "(Absent)"
        return spelling.values[value] if value in spelling.values else self._made(value, spelling)

    def _made(self, value: str, spelling: _Spelling) -> str:
        node = next(node for node in self._nodes if value in node.outputs)
        row = OPERATORS[node.operator]
        inputs = [self._term(each, spelling) for each in node.inputs]
        if row.is_variadic:
            text = "(Nil)"
            for each in reversed(inputs):
                text = f"(Cons {each} {text})"
            inputs = [text]
        attributes = [
            _attribute(node.attributes[column.name], column.kind, spelling.sizes) for column in row.attributes
        ]
        if len(attributes) > 1:
            attributes = [f"({row.name}A {' '.join(attributes)})"]
        text = f"({' '.join([row.name, *inputs, *attributes])})"
        return f"(Out {text} {node.outputs.index(value)})" if row.is_multi else text


def _attribute(value: AttributeValue, kind: Kind, sizes: Mapping[int, str]) -> str:
    match value:
        case tuple():
            numbers = [sizes.get(each, f"d{-each}" if each < -1000 else str(each)) for each in value]
            if kind is Kind.DIMS:
                return f"({' '.join([f'S{len(value)}', *numbers])})"
            return f"(vec-of {' '.join(numbers)})" if numbers else "(vec-empty)"
        case str():
            return f'"{value}"'
        case float():
            return _float(value)
        case _:
            return str(value)


def _float(number: float) -> str:
    """Return a number as egglog reads it: with a point, and no plus sign."""
    mantissa, sign, exponent = repr(number).partition("e")
    if not sign:
        return mantissa
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{int(exponent)}"


def _number(graph: Graph, value: str, type_: TensorType | None) -> float | None:
    """Return the number that a constant of one element is; None for anything else."""
    constant = graph.constants.get(value)
    if constant is None or type_ is None or type_.rank > 1 or math.prod(type_.shape) != 1:
        return None
    array = np.asarray(constant.numpy())
    if array.dtype.kind not in _NEAR_KINDS or not bool(np.isfinite(array).all()):
        return None
    return shortest(float(array.reshape(-1)[0]))


def _title(node: Node) -> str:
    return node.name or next((output for output in node.outputs if output), node.operator)


def _wrapped(start: str, text: str) -> list[str]:
    lines = textwrap.wrap(text, WIDTH - len(start), break_long_words=False, break_on_hyphens=False)
    return [start + lines[0], *(f";{' ' * (len(start) - 1)}{line}" for line in lines[1:])]

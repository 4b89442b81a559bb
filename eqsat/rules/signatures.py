"""What may be called in a rule: the names the schema and the rules files declare, and the primitives allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

from eqsat.egglog.commands import (
    AddRuleset,
    Command,
    Constructor,
    Datatype,
    Datatypes,
    Expr,
    FunctionCommand,
    NewSort,
    Relation,
    RuleCommand,
    Sort,
    SubVariants,
    Var,
    Variant,
)

UNIT = "Unit"
"""Sort of what a relation returns."""

BASE_SORTS = frozenset({"i64", "f64", "bool", "String", UNIT})


class Role(Enum):
    """What a declared name is."""

    CONSTRUCTOR = auto()
    FUNCTION = auto()
    RELATION = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Sorts of a declared name.

    Attributes:
        inputs: Sorts of the arguments.
        output: Sort of the result; ``Unit`` for a relation.
        role: What the name is.
    """

    inputs: tuple[str, ...]
    output: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Primitive:
    """Sorts of a primitive.

    Attributes:
        inputs: Sorts of the arguments, or a letter: ``N`` is i64 or f64, ``T`` any one sort, ``V`` a vector and ``E``
            the sort of its elements.
        output: The same for the result.
        is_variadic: True where the last input may come any number of times, also never.
        is_total: True where no argument makes it fail.
    """

    inputs: tuple[str, ...]
    output: str
    is_variadic: bool = False
    is_total: bool = False


def _row(*inputs: str, to: str, is_variadic: bool = False, is_total: bool = False) -> Primitive:
    return Primitive(inputs=inputs, output=to, is_variadic=is_variadic, is_total=is_total)


PRIMITIVES: Mapping[str, Primitive] = MappingProxyType(
    {
        **{name: _row("N", "N", to="N") for name in ("+", "-", "*", "/", "%", "min", "max")},
        "abs": _row("N", to="N"),
        "neg": _row("f64", to="f64"),
        "to-f64": _row("i64", to="f64"),
        "to-i64": _row("f64", to="i64"),
        **{name: _row("N", "N", to=UNIT) for name in ("<", ">", "<=", ">=")},
        "!=": _row("T", "T", to=UNIT),
        **{name: _row("i64", "i64", to="bool") for name in ("bool-<", "bool->", "bool-<=", "bool->=", "bool-=")},
        "bool-!=": _row("T", "T", to="bool"),
        "and": _row("bool", "bool", to="bool"),
        "or": _row("bool", to="bool", is_variadic=True),
        "not": _row("bool", to="bool"),
        "guard": _row("bool", to=UNIT),
        "vec-of": _row("E", to="V", is_variadic=True, is_total=True),
        "vec-empty": _row(to="V", is_total=True),
        "vec-append": _row("V", to="V", is_variadic=True, is_total=True),
        "vec-push": _row("V", "E", to="V", is_total=True),
        "vec-length": _row("V", to="i64", is_total=True),
        "vec-get": _row("V", "i64", to="E"),
        "vec-set": _row("V", "i64", "E", to="V"),
        "vec-remove": _row("V", "i64", to="V"),
        "vec-pop": _row("V", to="V"),
        "vec-contains": _row("V", "E", to=UNIT),
        "vec-not-contains": _row("V", "E", to=UNIT),
    }
)
"""Every primitive a rule may use: none of them reads or writes anything outside the e-graph, or panics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """Everything declared.

    Attributes:
        names: Signature of every constructor, function and relation.
        elements: Sort of the elements of every vector sort.
        sorts: Every sort, the base sorts included.
        rulesets: Every ruleset.
        rule_names: Name of every rule.
    """

    names: Mapping[str, Signature] = field(default_factory=dict)
    elements: Mapping[str, str] = field(default_factory=dict)
    sorts: frozenset[str] = BASE_SORTS
    rulesets: frozenset[str] = frozenset()
    rule_names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, commands: Iterable[Command]) -> Signatures:
        """Return what ``commands`` declare."""
        return cls().extended(commands)

    def extended(self, commands: Iterable[Command]) -> Signatures:
        """Return these signatures and what ``commands`` declare; a later declaration wins."""
        names = dict(self.names)
        elements = dict(self.elements)
        sorts, rulesets, rule_names = set(self.sorts), set(self.rulesets), set(self.rule_names)
        for command in commands:
            names |= _declared_names(command)
            for sort, element in _declared_sorts(command).items():
                sorts.add(sort)
                if element:
                    elements[sort] = element
            if isinstance(command, AddRuleset):
                rulesets.add(command.name)
            elif isinstance(command, RuleCommand):
                rule_names.add(command.rule.name)
        return Signatures(
            names=MappingProxyType(names),
            elements=MappingProxyType(elements),
            sorts=frozenset(sorts),
            rulesets=frozenset(rulesets),
            rule_names=frozenset(rule_names),
        )

    def is_role(self, name: str, role: Role) -> bool:
        """Return whether ``name`` is declared with that role."""
        signature = self.names.get(name)
        return signature is not None and signature.role is role

    def value_sorts(self, root: str = "Tensor") -> frozenset[str]:
        """Return the sorts whose terms stand for computations: ``root`` and every sort built from one of these.

        The others (shapes, attribute records) describe; making one of their terms costs nothing at run time.
        """
        found: set[str] = set()
        todo = {root} & self.sorts
        while todo:
            found |= todo
            built = {
                signature.output
                for signature in self.names.values()
                if signature.role is Role.CONSTRUCTOR and not found.isdisjoint(signature.inputs)
            }
            vectors = {sort for sort, element in self.elements.items() if element in found}
            todo = (built | vectors) - found
        return frozenset(found)


def _declared_names(command: Command) -> dict[str, Signature]:
    match command:
        case Datatypes():
            groups = [(sort, part) for _, sort, part in command.datatypes]
            variants = [(sort, part.variants) for sort, part in groups if isinstance(part, SubVariants)]
            return {name: signature for sort, part in variants for name, signature in _variants(sort, part).items()}
        case Datatype():
            return _variants(command.name, command.variants)
        case Constructor() | FunctionCommand():
            role = Role.CONSTRUCTOR if isinstance(command, Constructor) else Role.FUNCTION
            return {command.name: _signature(command.schema.input, command.schema.output, role)}
        case Relation():
            return {command.name: _signature(command.inputs, UNIT, Role.RELATION)}
        case _:
            return {}


def _declared_sorts(command: Command) -> dict[str, str]:
    """Return the sorts that a command declares, each with the sort of its elements, empty for no vector."""
    match command:
        case Datatypes():
            return {
                sort: _element(part.args) if isinstance(part, NewSort) else "" for _, sort, part in command.datatypes
            }
        case Datatype():
            return {command.name: ""}
        case Sort():
            return {command.name: _element(command.presort_and_args[1]) if command.presort_and_args else ""}
        case _:
            return {}


def _signature(inputs: Iterable[str], output: str, role: Role) -> Signature:
    return Signature(inputs=tuple(inputs), output=output, role=role)


def _variants(sort: str, variants: Iterable[Variant]) -> dict[str, Signature]:
    return {variant.name: _signature(variant.types, sort, Role.CONSTRUCTOR) for variant in variants}


def _element(arguments: list[Expr]) -> str:
    return arguments[0].name if arguments and isinstance(arguments[0], Var) else ""

"""The right side of a rule, worked out in Python for one match: new e-nodes, unions, assertions.

Everything is built and typed in a draft first. A right side that cannot exist, or whose type is not its left side's,
is refused before egglog hears of it, and the rule that asked for it is known by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from eqsat.egglog.commands import (
    SPAN,
    ActionCommand,
    Call,
    Expr_,
    Let,
    Lit,
    Set,
    Union,
    Var,
    assert_fact,
    call,
    set_value,
)
from eqsat.egglog.primitives import NoValueError, compute
from eqsat.egglog.schema import HANDLES
from eqsat.egraph.enode import ENode
from eqsat.egraph.expressions import attribute_term, class_term
from ir.types import TensorType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eqsat.egglog.commands import Action, Command, Expr
    from eqsat.egglog.primitives import Attribute
    from eqsat.egraph.mirror import Draft
    from eqsat.rules.signatures import Signature, Signatures
    from ir.graph import AttributeValue

Binding: TypeAlias = "int | float | str | tuple[AttributeValue, ...]"
"""What a variable of a rule stands for: the handle of an e-class, an attribute, or a record of attributes."""


class IllTypedError(Exception):
    """A rule's right side has another type than its left side: the rule is unsound."""


class UndefinedError(Exception):
    """A primitive has no value here: the match gives nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one application does, besides the drafted e-nodes.

    Attributes:
        commands: Unions and assertions, to be run after the draft's own commands.
        unions: Pairs of handles made equal.
    """

    commands: tuple[Command, ...]
    unions: tuple[tuple[int, int], ...]


def evaluate_head(
    head: Sequence[Action],
    bindings: Mapping[str, Binding],
    draft: Draft,
    signatures: Signatures,
) -> Evaluation:
    """Build the right side of a rule in ``draft``.

    Raises:
        IllTypedError: A union would join two types.
        UndefinedError: A primitive has no value.
        TypeInferenceError: A node of the right side cannot exist.
        UntypedError: A type that is needed is not known.
    """
    names: dict[str, tuple[str, Binding]] = {}
    terms = _Terms(bindings, names, draft, signatures)
    commands: list[Command] = []
    unions: list[tuple[int, int]] = []
    for action in head:
        match action:
            case Let():
                names[action.lhs] = terms.value(action.rhs)
            case Union():
                sort, left = terms.value(action.lhs)
                _, right = terms.value(action.rhs)
                if not isinstance(left, int) or not isinstance(right, int):
                    raise UndefinedError("a union needs two e-classes")
                _check_types(draft, left, right)
                unions.append((left, right))
                both = [class_term(sort, left), class_term(sort, right)]
                commands.append(ActionCommand(Union(SPAN, *both)))
            case Expr_():
                if isinstance(action.expr, Call):
                    commands.append(assert_fact(terms.fact(action.expr)))
            case Set():
                arguments = [terms.term(argument) for argument in action.args]
                commands.append(set_value(action.lhs, arguments, terms.term(action.rhs)))
            case _:
                raise UndefinedError("this action is not allowed in a rule")
    return Evaluation(commands=tuple(commands), unions=tuple(unions))


def _check_types(draft: Draft, left: int, right: int) -> None:
    one, two = draft.type_of(left), draft.type_of(right)
    if isinstance(one, TensorType) and isinstance(two, TensorType) and not are_compatible(one, two):
        raise IllTypedError(f"{describe(one)} became {describe(two)}")


def are_compatible(one: TensorType, two: TensorType) -> bool:
    """Return whether two types can be of one value: known sizes agree, symbols may hide any size."""
    return (
        one.dtype == two.dtype
        and one.rank == two.rank
        and all(a == b or a < 0 or b < 0 for a, b in zip(one.shape, two.shape, strict=True))
    )


def describe(type_: TensorType) -> str:
    """Return a type as text for messages."""
    dims = "x".join(str(dim) if dim >= 0 else "?" for dim in type_.shape)
    return f"type {type_.dtype} [{dims}]"


class _Terms:
    def __init__(
        self,
        bindings: Mapping[str, Binding],
        names: Mapping[str, tuple[str, Binding]],
        draft: Draft,
        signatures: Signatures,
    ) -> None:
        self.bindings = bindings
        self.names = names
        self.draft = draft
        self.signatures = signatures

    def value(self, expr: Expr, sort: str = "Tensor") -> tuple[str, Binding]:
        """Return sort and value of a term; ``sort`` is what its place asks for."""
        match expr:
            case Var():
                return self.names[expr.name] if expr.name in self.names else (sort, self.bindings[expr.name])
            case Lit():
                return _literal(expr)
            case Call() if expr.name in self.signatures.names:
                return self._call(expr, self.signatures.names[expr.name])
            case _:
                return self._primitive(expr, sort)

    def _call(self, expr: Call, signature: Signature) -> tuple[str, Binding]:
        arguments = [
            self.value(argument, wanted)[1] for argument, wanted in zip(expr.args, signature.inputs, strict=True)
        ]
        if signature.output not in HANDLES:
            return signature.output, cast("tuple[AttributeValue, ...]", tuple(arguments))
        if expr.name in HANDLES.values():
            return signature.output, arguments[0]
        return signature.output, self._enode(expr.name, signature.inputs, arguments)

    def _enode(self, name: str, sorts: Sequence[str], values: Sequence[Binding]) -> int:
        children: list[int] = []
        attributes: list[AttributeValue] = []
        for sort, value in zip(sorts, values, strict=True):
            if sort in HANDLES and isinstance(value, int):
                children.append(
                    self.draft.mirror.canonical[value] if value < len(self.draft.mirror.canonical) else value
                )
            elif sort.endswith("Attrs") and isinstance(value, tuple):
                attributes.extend(value)
            else:
                attributes.append(cast("AttributeValue", value))
        return self.draft.add(ENode(name, tuple(children), tuple(attributes)))

    def _primitive(self, expr: Call, sort: str) -> tuple[str, Binding]:
        arguments = [self.value(argument, "i64")[1] for argument in expr.args]
        try:
            return sort, cast("Binding", compute(expr.name, cast("list[Attribute]", arguments)))
        except NoValueError as error:
            raise UndefinedError(str(error)) from error

    def term(self, expr: Expr, sort: str = "i64") -> Expr:
        """Return a term in which everything is worked out."""
        found, value = self.value(expr, sort)
        if found in HANDLES and isinstance(value, int):
            return class_term(found, value)
        return attribute_term("f64" if isinstance(value, float) else found, cast("AttributeValue", value))

    def fact(self, expr: Call) -> Call:
        """Return an asserted relation with its arguments worked out."""
        signature = self.signatures.names[expr.name]
        arguments: list[Expr] = []
        for argument, sort in zip(expr.args, signature.inputs, strict=True):
            _, value = self.value(argument, sort)
            if sort in HANDLES and isinstance(value, int):
                arguments.append(class_term(sort, value))
            elif sort.endswith("Attrs"):
                raise UndefinedError(f"{expr.name}: records cannot be asserted by a candidate")
            else:
                arguments.append(attribute_term(sort, cast("AttributeValue", value)))
        return call(expr.name, *arguments)


def _literal(expr: Lit) -> tuple[str, Binding]:
    value = expr.value.value  # type: ignore[union-attr]
    match value:
        case bool():
            return "bool", int(value)
        case int():
            return "i64", value
        case float():
            return "f64", value
        case str():
            return "String", value
        case _:
            raise UndefinedError("a literal of no known sort")

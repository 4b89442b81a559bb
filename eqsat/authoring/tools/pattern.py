"""The body of a rule taken apart into single demands, each of which can be looked at on its own.

``(= y (Add a (Neg b)))`` is two demands: some value is the ``Neg`` of b, and y is the ``Add`` of a and that value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from eqsat.egglog.commands import Bool, Call, Eq, Expr, Float, Int, Lit, String, Var, var
from eqsat.egglog.primitives import NoValueError, compute
from eqsat.rules.signatures import UNIT, Role
from eqsat.rules.terms import subterms, variables

if TYPE_CHECKING:
    from eqsat.egglog.commands import Fact_
    from eqsat.egraph.heads import Binding
    from eqsat.rules.signatures import Signatures

Bindings: TypeAlias = Mapping[str, "Binding"]
"""What the variables of a rule stand for: an e-class by its handle, or an attribute."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value is made by an operator.

    Attributes:
        operator: Its name.
        children: Variables of the values that it reads.
        attributes: Patterns of what else it is called with, one for each attribute, or one for all of them.
        output: Variable of the value.
        term: The demand as it stands in the rule.
    """

    operator: str
    children: tuple[str, ...]
    attributes: tuple[Expr, ...]
    output: str
    term: Call


@dataclass(frozen=True, slots=True)
class Lookup:
    """A function has a value.

    Attributes:
        function: Its name.
        arguments: Patterns of its arguments.
        value: Pattern of the value.
        term: The call as it stands in the rule.
    """

    function: str
    arguments: tuple[Expr, ...]
    value: Expr
    term: Call


@dataclass(frozen=True, slots=True)
class Holds:
    """A relation holds."""

    relation: str
    arguments: tuple[Expr, ...]
    term: Call


@dataclass(frozen=True, slots=True)
class Equal:
    """Two patterns are the same."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison holds."""

    term: Call


Demand: TypeAlias = "Node | Lookup | Holds | Equal | Test"


def demands(body: Iterable[Fact_], signatures: Signatures) -> tuple[Demand, ...]:
    """Return the demands of a body: what stands outside comes before what stands inside it."""
    splitter = _Splitter(signatures)
    for fact in body:
        splitter.fact(fact)
    return tuple(splitter.found)


class _Splitter:
    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures
        self._values = signatures.value_sorts()
        self._made: dict[str, Var] = {}
        self.found: list[Demand] = []

    def fact(self, fact: Fact_) -> None:
        if not isinstance(fact, Eq):
            self._statement(fact.expr)
            return
        left, right = fact.left, fact.right
        if self._is_row(right):
            self._row(right, self._pattern_of(left))
        elif self._is_row(left):
            self._row(left, self._pattern_of(right))
        else:
            place = len(self.found)
            demand = Equal(self._pattern_of(left), self._pattern_of(right))
            self.found.insert(place, demand)

    def _statement(self, term: Expr) -> None:
        if not isinstance(term, Call):
            return
        place = len(self.found)
        if self._signatures.is_role(term.name, Role.RELATION):
            arguments = tuple(self._argument(argument) for argument in term.args)
            self.found.insert(place, Holds(term.name, arguments, term))
        elif self._is_row(term):
            self._row(term, self._fresh(term))
        else:
            pattern = self._pattern_of(term)
            if isinstance(pattern, Call):
                self.found.insert(place, Test(pattern))

    def _is_row(self, term: Expr) -> bool:
        """Return whether a term is looked up: an operator's, or a function's."""
        signature = self._signatures.names.get(term.name) if isinstance(term, Call) else None
        if signature is None or signature.output == UNIT:
            return False
        return signature.role is Role.FUNCTION or signature.output in self._values

    def _row(self, term: Expr, value: Expr) -> None:
        if not isinstance(term, Call):
            raise TypeError(f"no call: {term}")
        place = len(self.found)
        arguments = tuple(self._argument(argument) for argument in term.args)
        signature = self._signatures.names[term.name]
        demand: Demand
        if signature.role is Role.FUNCTION:
            demand = Lookup(term.name, arguments, value, term)
        else:
            if not isinstance(value, Var):
                raise TypeError(f"no variable: {value}")
            sorted_arguments = list(zip(arguments, signature.inputs, strict=True))
            children = tuple(
                each.name for each, sort in sorted_arguments if sort in self._values and isinstance(each, Var)
            )
            attributes = tuple(each for each, sort in sorted_arguments if sort not in self._values)
            demand = Node(term.name, children, attributes, value.name, term)
        self.found.insert(place, demand)

    def _pattern_of(self, term: Expr) -> Expr:
        """Return ``term`` with a variable in place of everything that is looked up."""
        if not isinstance(term, Call):
            return term
        if self._is_row(term):
            text = str(term)
            if text not in self._made:
                self._made[text] = self._fresh(term)
                self._row(term, self._made[text])
            return self._made[text]
        return Call(term.span, term.name, [self._pattern_of(argument) for argument in term.args])

    def _argument(self, term: Expr) -> Expr:
        """Return a pattern that can be laid on any value: what is computed in it is a variable, and equal to that."""
        if not isinstance(term, Call) or self._is_row(term):
            return self._pattern_of(term)
        if is_record(term) or term.name == "vec-of":
            return Call(term.span, term.name, [self._argument(argument) for argument in term.args])
        text = str(term)
        if text not in self._made:
            self._made[text] = self._fresh(term)
            self.found.append(Equal(self._made[text], self._pattern_of(term)))
        return self._made[text]

    def _fresh(self, term: Expr) -> Var:
        return var(f"{term} {len(self._made)}")


# --- patterns on values ---------------------------------------------------------------------------------------


def names_of(pattern: Expr) -> frozenset[str]:
    """Return the variables of a pattern."""
    return frozenset(variables(subterms(pattern)))


def is_bound(pattern: Expr, bindings: Bindings) -> bool:
    """Return whether every variable of a pattern stands for something."""
    return names_of(pattern) <= bindings.keys()


def is_layable(pattern: Expr, bindings: Bindings) -> bool:
    """Return whether a pattern can be laid on a value: nothing in it is computed from what is not bound."""
    if not isinstance(pattern, Call) or is_bound(pattern, bindings):
        return True
    is_open = is_record(pattern) or pattern.name == "vec-of"
    return is_open and all(is_layable(argument, bindings) for argument in pattern.args)


def value_of(pattern: Expr, bindings: Bindings) -> Binding:
    """Return what a pattern stands for.

    Raises:
        KeyError: A variable stands for nothing yet.
        NoValueError: A primitive fails.
    """
    match pattern:
        case Var():
            return bindings[pattern.name]
        case Lit():
            return _literal(pattern)
        case Call():
            arguments = [value_of(argument, bindings) for argument in pattern.args]
            if is_record(pattern):
                return tuple(arguments)  # type: ignore[arg-type]  # records hold attributes only
            return compute(pattern.name, arguments)  # type: ignore[return-value]  # vectors hold numbers only


def laid_on(pattern: Expr, value: Binding, bindings: Bindings) -> Bindings | None:
    """Return the bindings with which a pattern is a value; None where it cannot be.

    Args:
        pattern: Variables, numbers, vectors and records.
        value: What it is laid on.
        bindings: What variables stand for already.

    Raises:
        KeyError: A primitive has an argument that stands for nothing yet.
    """
    match pattern:
        case Var():
            if pattern.name in bindings:
                return bindings if bindings[pattern.name] == value else None
            return {**bindings, pattern.name: value}
        case Call(name=name, args=arguments) if is_record(pattern) or (
            name == "vec-of" and not is_bound(pattern, bindings)
        ):
            if not isinstance(value, tuple) or len(value) != len(arguments):
                return None
            found: Bindings | None = bindings
            for argument, part in zip(arguments, value, strict=True):
                found = None if found is None else laid_on(argument, part, found)
            return found
        case _:
            try:
                return bindings if value_of(pattern, bindings) == value else None
            except NoValueError:
                return None


def all_laid_on(patterns: Sequence[Expr], values: Sequence[Binding], bindings: Bindings) -> Bindings | None:
    """Return the bindings with which each pattern is its value; None where they cannot be."""
    found: Bindings | None = bindings
    for pattern, value in zip(patterns, values, strict=True):
        found = None if found is None else laid_on(pattern, value, found)
    return found


def is_record(pattern: Call) -> bool:
    """Return whether a call is a shape or a record of attributes."""
    name = pattern.name
    return (name[:1] == "S" and name[1:].isdigit()) or (name[:1].isupper() and name.endswith("A") and len(name) > 1)


def _literal(pattern: Lit) -> Binding:
    match pattern.value:
        case Int() | Float() | String() | Bool():
            return pattern.value.value
        case _:
            raise NoValueError("a literal without a value")

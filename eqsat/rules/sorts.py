"""Sorts of a rule's variables, and every mistake that has to do with names and sorts.

A name that is neither declared nor among the primitives allowed is refused here, so nothing else can be called.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from eqsat.egglog.commands import (
    Action,
    Bool,
    Call,
    Eq,
    Expr,
    Fact_,
    Float,
    Int,
    Let,
    Lit,
    Location,
    Set,
    String,
    Union,
    Var,
)
from eqsat.egglog.schema import form
from eqsat.errors import RulesError
from eqsat.rules.signatures import PRIMITIVES, UNIT, Primitive, Signatures
from eqsat.rules.terms import action_terms, body_terms, head_terms, place, variables
from eqsat.text.suggest import did_you_mean
from ir.operators import OPERATORS

NUMBERS = frozenset({"i64", "f64"})
_LETTERS = frozenset("NTVE")
_LOOKS_LIKE_A_NUMBER: Final = re.compile(r"[-+]?[\d.]+\w*")
_NUMBER_HINT: Final = "; a number as a tensor is (ConstantOfShape (ConstantOfShapeA (S0) 0.5 (dtype x)))"


def infer_sorts(
    body: Sequence[Fact_], head: Sequence[Action], signatures: Signatures, location: Location
) -> dict[str, str]:
    """Return the sort of every variable of a rule, those that its head binds included.

    Args:
        body: What must hold.
        head: What follows.
        signatures: Everything that may be called, with the primitives of :data:`~eqsat.rules.signatures.PRIMITIVES`.
        location: The rule, for errors in terms that come from no file.

    Raises:
        RulesError: A name is unknown, an argument is missing, too many or of the wrong sort, a variable of the head
            is not bound, or a variable's sort does not follow from anything.
    """
    inference = _Inference(signatures, location)
    inference.run(body, head)
    return inference.sorts


class _Inference:
    def __init__(self, signatures: Signatures, location: Location) -> None:
        self._signatures = signatures
        self._location = location
        self.sorts: dict[str, str] = {}

    def run(self, body: Sequence[Fact_], head: Sequence[Action]) -> None:
        num_known = -1
        while num_known < len(self.sorts):
            num_known = len(self.sorts)
            for fact in body:
                self._fact(fact)
        found = variables(body_terms(body))
        for name, term in found.items():
            if name not in self.sorts:
                raise self._error(term, f"the sort of `{name}` does not follow from anything")
            if name in self._signatures.names:
                raise self._error(term, f"the variable `{name}` has the name of something declared; rename it")
        bound = set(found)
        for action in head:
            self._action(action, bound)

    def _fact(self, fact: Fact_) -> None:
        if isinstance(fact, Eq):
            sort = self._sort(fact.left, None)
            self._sort(fact.left, self._sort(fact.right, sort))
        else:
            self._sort(fact.expr, None)

    def _action(self, action: Action, bound: set[str]) -> None:
        terms = action_terms(action)
        for name, variable in variables(head_terms([action])).items():
            if name not in bound:
                hint = _NUMBER_HINT if _LOOKS_LIKE_A_NUMBER.fullmatch(name) else ""
                raise self._error(variable, f"`{name}` is not bound by the left side{hint}")
        match action:
            case Let():
                if action.lhs in bound:
                    raise self._error(action, f"`(let {action.lhs} ...)` hides a variable of the same name")
                sort = self._sort(action.rhs, None)
                if sort is None:
                    raise self._error(action, f"the sort of `{action.lhs}` does not follow from anything")
                bound.add(action.lhs)
                self.sorts[action.lhs] = sort
            case Union() | Set():
                self._sort(terms[1], self._sort(terms[0], None))
            case _:
                for term in terms:
                    self._sort(term, None)

    def _sort(self, term: Expr, want: str | None) -> str | None:
        """Return the sort of ``term``, ``want`` where nothing else says; learn the sorts of its variables."""
        if isinstance(term, Var):
            found = self.sorts.get(term.name)
            if found is None and want is not None:
                self.sorts[term.name] = want
        elif isinstance(term, Lit):
            found = _literal_sort(term)
        else:
            found = self._call(term, want)
        if found is not None and want is not None and found != want:
            hint = _NUMBER_HINT if want == "Tensor" and found in NUMBERS else ""
            raise self._error(term, f"`{term}` is of sort {found} where {want} is expected{hint}")
        return found or want

    def _call(self, term: Call, want: str | None) -> str | None:
        signature = self._signatures.names.get(term.name)
        if signature is None:
            primitive = PRIMITIVES.get(term.name)
            if primitive is None:
                hint = did_you_mean(term.name, (*self._signatures.names, *PRIMITIVES))
                raise self._error(
                    term,
                    f"`{term.name}` is no operator, fact or function that is declared, and no primitive allowed{hint}",
                )
            return self._primitive(term, primitive, want)
        arguments = term.args
        if len(arguments) != len(signature.inputs):
            known = OPERATORS.get(term.name)
            shown = form(known) if known is not None else f"({' '.join((term.name, *signature.inputs))})"
            raise self._error(
                term, f"`{term.name}` takes {len(signature.inputs)} arguments, not {len(arguments)}: {shown}"
            )
        for argument, sort in zip(arguments, signature.inputs, strict=True):
            self._sort(argument, sort)
        return signature.output

    def _primitive(self, term: Call, primitive: Primitive, want: str | None) -> str | None:
        arguments = term.args
        expected = list(primitive.inputs)
        if primitive.is_variadic:
            expected = [*expected[:-1], *expected[-1:] * max(0, len(arguments) - len(expected) + 1)]
        if len(arguments) != len(expected):
            shown = f"({' '.join((term.name, *primitive.inputs))}{' ...' * primitive.is_variadic})"
            raise self._error(term, f"`{term.name}` takes {len(expected)} arguments, not {len(arguments)}: {shown}")
        letters: dict[str, str] = {}
        if want is not None and want != UNIT:
            self._learn(letters, primitive.output, want)
        for letter, argument in zip(expected, arguments, strict=True):
            self._learn(letters, letter, self._sort(argument, None))
        for letter, argument in zip(expected, arguments, strict=True):
            self._sort(argument, letters.get(letter) if letter in _LETTERS else letter)
        if letters.get("N", "i64") not in NUMBERS:
            raise self._error(term, f"`{term.name}` takes numbers, not sort {letters['N']}")
        if "V" in letters and letters["V"] not in self._signatures.elements:
            if term.name != "vec-of":
                raise self._error(term, f"`{term.name}` takes vectors, not sort {letters['V']}")
            hint = f"; write (S{len(arguments)} ...)" if letters["V"] == "Dims" else ""
            raise self._error(term, f"`vec-of` makes a vector where {letters['V']} is expected{hint}")
        return letters.get(primitive.output) if primitive.output in _LETTERS else primitive.output

    def _learn(self, letters: dict[str, str], letter: str, sort: str | None) -> None:
        """Note that ``letter`` stands for ``sort``, and what follows for vectors and their elements."""
        if sort is None or letter not in _LETTERS:
            return
        letters.setdefault(letter, sort)
        elements = self._signatures.elements
        if letter == "V" and sort in elements:
            letters.setdefault("E", elements[sort])
        elif letter == "E":
            vectors = [vector for vector, element in elements.items() if element == sort]
            if len(vectors) == 1:
                letters.setdefault("V", vectors[0])

    def _error(self, term: Expr | Fact_ | Action, message: str) -> RulesError:
        return RulesError(f"{place(term, self._location)}: {message}")


def _literal_sort(term: Lit) -> str:
    match term.value:
        case Int():
            return "i64"
        case Float():
            return "f64"
        case String():
            return "String"
        case Bool():
            return "bool"
        case _:
            return UNIT

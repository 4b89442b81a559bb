"""The two sides of a rule as small graphs: boxes for operators and facts, lines for values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.egglog.commands import (
    Call,
    Change,
    Eq,
    Expr_,
    Let,
    Lit,
    Panic,
    Set,
    Union,
    Var,
    call,
    float_lit,
    int_lit,
    string_lit,
    var,
)
from eqsat.egraph.enode import ABSENT, CONS, NIL
from eqsat.rules.instances import Apply, Name, Precision, draw
from eqsat.rules.rule import ROOT
from eqsat.rules.signatures import Role
from eqsat.rules.sorts import infer_sorts
from eqsat.rules.terms import lets
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.egglog.commands import Action, Expr, Fact_
    from eqsat.rules.instances import Drawn, Term
    from eqsat.rules.rule import Rule
    from eqsat.rules.signatures import Signatures

_LEAVES: Final = frozenset({"Input", "Const"})


class Look(Enum):
    """What a box stands for."""

    VALUE = auto()
    """A value that the side does not compute: a variable of the rule."""
    OPERATOR = auto()
    FACT = auto()
    """A relation of the rules files that tells what a value is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One box.

    Attributes:
        look: What it stands for.
        label: Name of the variable, the operator or the relation.
        detail: Attributes; may be empty.
        name: What the rule calls the value; empty where it does not name it.
        inputs: Boxes that it reads, by number, in order.
    """

    look: Look
    label: str
    detail: str = ""
    name: str = ""
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a rule.

    Attributes:
        boxes: A box comes after those that it reads.
        notes: What must hold besides, or follows besides, as it stands in the rule.
    """

    boxes: tuple[Box, ...]
    notes: tuple[str, ...]


def left_side(rule: Rule, signatures: Signatures) -> Side:
    """Return what a rule looks for.

    Raises:
        RulesError: It has a mistake in its names or sorts.
    """
    infer_sorts(rule.body, rule.head, signatures, rule.location)
    builder = _Builder(signatures)
    asked: list[Fact_] = []
    for fact in rule.body:
        match fact:
            case Eq(left=Var(name=name), right=Call() as term) if builder.is_value(term):
                builder.define(name, term)
            case Eq(left=Call() as term, right=Var(name=name)) if builder.is_value(term):
                builder.define(name, term)
            case _:
                asked.append(fact)
    notes = [str(fact.expr) if not isinstance(fact, Eq) else str(fact) for fact in asked if not builder.relate(fact)]
    builder.build_all()
    return builder.side(notes)


def right_side(rule: Rule, signatures: Signatures) -> Side:
    """Return what a rule makes.

    Raises:
        RulesError: It has a mistake in its names or sorts.
    """
    infer_sorts(rule.body, rule.head, signatures, rule.location)
    builder = _Builder(signatures)
    bound = set(lets(rule.head))
    notes: list[str] = []
    for action in rule.head:
        builder.act(action, bound, notes)
    builder.build_all()
    return builder.side(notes)


def instance_side(drawn: Drawn, signatures: Signatures) -> Side:
    """Return an instance of a left side as a graph."""
    builder = _Builder(signatures)
    for name, term in drawn.lets.items():
        builder.define(name, _call(term))
    for number, root in enumerate(drawn.roots):
        if isinstance(root, Apply):
            builder.define(f" root {number}", _call(root))
    builder.build_all()
    return builder.side(())


def example_side(rule: Rule, signatures: Signatures) -> Side | None:
    """Return the first instance of a rule whose left side rests on facts; None for a rule that says all itself."""
    if not rule.instances or all(box.look is not Look.FACT for box in left_side(rule, signatures).boxes):
        return None
    drawn = draw(rule.instances[0], np.random.default_rng(0), Precision.SINGLE)
    return instance_side(drawn, signatures)


def _call(term: Term) -> Expr:
    """Return a term of an instance in the words of a rule."""
    match term:
        case Apply(name, arguments):
            return call(name, *(_call(argument) for argument in arguments))
        case Name(name):
            return var(name.removeprefix("scalar "))
        case int():
            return int_lit(term)
        case float():
            return float_lit(term)
        case str():
            return string_lit(term)
        case _:
            return var(term.name)


@dataclass(slots=True)
class _Builder:
    signatures: Signatures
    boxes: list[Box] = field(default_factory=list)
    _values: frozenset[str] = frozenset()
    _definitions: dict[str, list[Expr]] = field(default_factory=dict)
    _relations: dict[str, Call] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._values = self.signatures.value_sorts()

    # --- what the sides are made of ---------------------------------------------------------------------------

    def is_value(self, term: Expr) -> bool:
        """Return whether a term stands for a tensor, a list or several outputs, made by a constructor."""
        signature = self.signatures.names.get(term.name) if isinstance(term, Call) else None
        return signature is not None and signature.role is Role.CONSTRUCTOR and signature.output in self._values

    def define(self, name: str, term: Expr) -> None:
        """Note that a variable is what a term makes."""
        self._definitions.setdefault(name, []).append(term)

    def relate(self, fact: Fact_) -> bool:
        """Note a relation that says of what its first argument is made; False for any other fact."""
        term = fact.expr if not isinstance(fact, Eq) else None
        if not isinstance(term, Call) or not self.signatures.is_role(term.name, Role.RELATION):
            return False
        tensors = self._tensors(term)
        if len(tensors) < 2 or not isinstance(tensors[0], Var):
            return False
        name = tensors[0].name
        if name in self._definitions or name in self._relations:
            return False
        if any(self._reaches(other, name, set()) for other in tensors[1:]):
            return False
        self._relations[name] = term
        return True

    def act(self, action: Action, bound: set[str], notes: list[str]) -> None:
        """Take one action of a head."""
        match action:
            case Union(lhs=Var(name=name), rhs=right):
                self._unite(name, right, bound, notes)
            case Union(lhs=left, rhs=Var(name=name)):
                self._unite(name, left, bound, notes)
            case Union():
                self.define(f" {len(self._definitions)}", action.lhs)
                self.define(f" {len(self._definitions)}", action.rhs)
            case Expr_():
                notes.append(str(action.expr))
            case Set():
                notes.append(f"(= ({' '.join([action.lhs, *map(str, action.args)])}) {action.rhs})")
            case Let() if self.is_value(action.rhs):
                self.define(action.lhs, action.rhs)
            case Let():
                notes.append(f"(= {action.lhs} {action.rhs})")
            case Change() | Panic():
                raise TypeError(f"the allow-list lets no {type(action).__name__} through")

    def _unite(self, name: str, term: Expr, bound: set[str], notes: list[str]) -> None:
        if isinstance(term, Var) and term.name not in bound:
            if name == ROOT:
                self._known[term.name] = self._add(Box(look=Look.VALUE, label=term.name))
            else:
                notes.append(f"(= {name} {term.name})")
        else:
            self.define(name, term)

    # --- from terms to boxes ----------------------------------------------------------------------------------

    def build_all(self) -> None:
        """Make the boxes of everything that was noted."""
        for name in (*self._definitions, *self._relations):
            self._variable(name)

    def side(self, notes: Iterable[str]) -> Side:
        """Return what was built."""
        return Side(boxes=tuple(self.boxes), notes=tuple(notes))

    def _add(self, box: Box) -> int:
        self.boxes.append(box)
        return len(self.boxes) - 1

    def _variable(self, name: str) -> int:
        if name in self._known:
            return self._known[name]
        if name in self._open:
            return self._add(Box(look=Look.VALUE, label=name))
        self._open.add(name)
        shown = "" if name == ROOT or name.startswith(" ") else name
        if name in self._definitions:
            numbers = [self._term(term, shown) for term in self._definitions[name]]
            number = numbers[0]
        elif name in self._relations:
            number = self._relation(name, self._relations[name])
        else:
            number = self._add(Box(look=Look.VALUE, label=name))
        self._known[name] = number
        return number

    def _relation(self, name: str, term: Call) -> int:
        tensors = self._tensors(term)
        inputs = tuple(self._term(tensor) for tensor in tensors[1:])
        rest = [str(argument) for argument in term.args if argument not in tensors]
        return self._add(Box(look=Look.FACT, label=term.name, detail=" ".join(rest), name=name, inputs=inputs))

    def _term(self, term: Expr, name: str = "") -> int:
        if isinstance(term, Var):
            return self._variable(term.name)
        text = str(term)
        if not isinstance(term, Call):
            return self._add(Box(look=Look.VALUE, label=text))
        if not name and text in self._known:
            return self._known[text]
        inputs = tuple(self._term(value) for value in self._operands(term))
        look = Look.VALUE if term.name in _LEAVES else Look.OPERATOR
        number = self._add(Box(look=look, label=term.name, detail=self._detail(term), name=name, inputs=inputs))
        self._known.setdefault(text, number)
        return number

    def _operands(self, term: Call) -> list[Expr]:
        """Return the values that an operator reads: lists taken apart, missing inputs left out."""
        found: list[Expr] = []
        for value in self._tensors(term):
            items = _items(value)
            found += [item for item in items if not (isinstance(item, Call) and item.name == ABSENT)]
        return found

    def _tensors(self, term: Call) -> list[Expr]:
        sorts = self.signatures.names[term.name].inputs
        return [argument for argument, sort in zip(term.args, sorts, strict=True) if sort in self._values]

    def _detail(self, term: Call) -> str:
        sorts = self.signatures.names[term.name].inputs
        others = [argument for argument, sort in zip(term.args, sorts, strict=True) if sort not in self._values]
        row = OPERATORS.get(term.name)
        if row is None or not others:
            return " ".join(str(argument) for argument in others)
        record = others[0]
        if isinstance(record, Call) and record.name == f"{row.name}A":
            others = list(record.args)
        if len(others) != len(row.attributes):
            return " ".join(_plain(argument) for argument in others)
        pairs = zip(row.attributes, others, strict=True)
        return " ".join(_setting(column.name, _plain(value)) for column, value in pairs)

    def _reaches(self, term: Expr, name: str, seen: set[str]) -> bool:
        """Return whether ``term`` is computed from the variable ``name``."""
        if isinstance(term, Var):
            if term.name == name:
                return True
            if term.name in seen:
                return False
            seen.add(term.name)
            below = [*self._definitions.get(term.name, ())]
            if term.name in self._relations:
                below += self._tensors(self._relations[term.name])[1:]
            return any(self._reaches(each, name, seen) for each in below)
        return isinstance(term, Call) and any(self._reaches(argument, name, seen) for argument in term.args)


def _items(term: Expr) -> list[Expr]:
    """Return the items of a list, as far as it is written out; any other term is its own only item."""
    items: list[Expr] = []
    while isinstance(term, Call) and term.name == CONS:
        items.append(term.args[0])
        term = term.args[1]
    if not (isinstance(term, Call) and term.name == NIL):
        items.append(term)
    return items


def _setting(name: str, value: str) -> str:
    return value if name == value else f"{name}={value}"


def _plain(term: Expr) -> str:
    """Return an attribute as people write it: ``[0 1]`` for ``(vec-of 0 1)`` and for a shape."""
    if isinstance(term, Call) and (term.name == "vec-of" or _is_shape(term.name)):
        return f"[{' '.join(_plain(argument) for argument in term.args)}]"
    if isinstance(term, Lit):
        return str(term).strip('"')
    return str(term)


def _is_shape(name: str) -> bool:
    return name[:1] == "S" and name[1:].isdigit()


def readers(boxes: Sequence[Box]) -> Mapping[int, list[int]]:
    """Return, for every box, the boxes that read it."""
    found: dict[int, list[int]] = {number: [] for number in range(len(boxes))}
    for number, box in enumerate(boxes):
        for source in dict.fromkeys(box.inputs):
            found[source].append(number)
    return found

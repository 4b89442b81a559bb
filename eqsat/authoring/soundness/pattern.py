"""The left side of a rule as flat atoms, with the relations that facts define unfolded into what they stand for.

``(= y (Mul n w)) (normalised n x e)`` becomes, in one of several ways, the atoms of ``y = x / sqrt(mean(x x) + c) w``.
Variables are numbers; variables that are equal have one number that stands for them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.egglog.commands import Call, Eq, Expr, Expr_, Fact_, Let, Lit, Location, Set, Var, int_lit, new_egraph, parse
from eqsat.egglog.schema import schema_text
from eqsat.rules import RuleKind, Signatures
from eqsat.rules.signatures import Role
from eqsat.rules.terms import fact_terms

if TYPE_CHECKING:
    from eqsat.egglog.commands import Action
    from eqsat.egglog.primitives import Attribute
    from eqsat.rules import Rule, RuleBook

VALUES: Final = frozenset({"Tensor", "Multi", "TList"})
"""Sorts of what is computed."""

_SIBLING: Final = "sibling"
"""The relation that the e-graph itself adds to, when a model is loaded."""

MAX_UNFOLDINGS: Final = 40
_FEW_UNFOLDINGS: Final = 10
_BFLOAT16: Final = 16

_SHARE_BY_CONSTANT: Final = 0.9
"""How often a fact that a constant has by itself is taken to be one of a constant."""


class ConflictError(Exception):
    """The atoms contradict each other: this way of unfolding describes nothing."""


@dataclass(frozen=True, slots=True)
class Atom:
    """One call.

    Attributes:
        name: What is called.
        arguments: Its arguments.
        result: Its result; -1 for a relation.
    """

    name: str
    arguments: tuple[int, ...]
    result: int


@dataclass(slots=True)
class Pattern:
    """A left side.

    Attributes:
        nodes: For a tensor, an operator's several outputs or a list, what it is made by.
        records: Shapes and attribute records.
        functions: Facts with a value, such as ``(shape x)``.
        relations: Facts without one.
        primitives: What is computed or compared.
        literals: Variables that are known from the start.
        sorts: Sort of each variable, as far as it is known.
    """

    nodes: dict[int, Atom] = field(default_factory=dict)
    records: list[Atom] = field(default_factory=list)
    functions: list[Atom] = field(default_factory=list)
    relations: list[Atom] = field(default_factory=list)
    primitives: list[Atom] = field(default_factory=list)
    literals: dict[int, Attribute] = field(default_factory=dict)
    sorts: dict[int, str] = field(default_factory=dict)

    def tensors(self) -> tuple[int, ...]:
        """Return the variables that are tensors, in order."""
        return tuple(sorted(variable for variable, sort in self.sorts.items() if sort == "Tensor"))

    def order(self) -> tuple[int, ...]:
        """Return the variables that are made by something, each after what it is made of.

        Raises:
            ConflictError: One is made of itself.
        """
        found: dict[int, bool] = {}

        def visit(variable: int) -> None:
            if variable not in self.nodes or found.get(variable):
                return
            if variable in found:
                raise ConflictError("a value is made of itself")
            found[variable] = False
            for argument in self.nodes[variable].arguments:
                visit(argument)
            del found[variable]
            found[variable] = True

        for variable in sorted(self.nodes):
            visit(variable)
        return tuple(found)

    def roots(self) -> tuple[int, ...]:
        """Return the tensors that nothing else of the pattern is made of."""
        used = {argument for atom in self.nodes.values() for argument in atom.arguments}
        found = tuple(variable for variable in self.tensors() if variable not in used and variable in self.nodes)
        return found or self.tensors()[:1]


@final
class Patterns:
    """Unfolds the left side of a rule, each time in another way."""

    def __init__(self, book: RuleBook, rule: Rule, forced: str = "") -> None:
        """Prepare to unfold ``rule``.

        Args:
            book: Gives the facts.
            rule: The rule.
            forced: Name of a rule of facts that is to be used wherever it can be; empty for none.
        """
        self._rule = rule
        self._forced = forced
        self._signatures = schema_signatures().extended(declaration.command for declaration in book.declarations)
        self._declared = {declaration.name for declaration in book.declarations}
        self._definitions: defaultdict[str, list[tuple[Rule, Action]]] = defaultdict(list)
        for each in book.of_kind(RuleKind.FACTS):
            for action in each.head:
                name = _asserted_name(action)
                if name:
                    self._definitions[name].append((each, action))

    def unfold(self, rng: np.random.Generator) -> Pattern:
        """Return the left side with every relation that facts define unfolded.

        Raises:
            ConflictError: The choices made lead nowhere; another try may do.
        """
        unfolding = _Unfolding(self._signatures, self._declared, self._definitions, self._forced, rng)
        return unfolding.run(self._rule.body)

    def depends_on(self, name: str) -> bool:
        """Return whether some way of unfolding uses a rule of facts."""
        asked = {call for fact in self._rule.body for call in _called(fact_terms(fact))}
        seen: set[str] = set()
        while asked - seen:
            relation = (asked - seen).pop()
            seen.add(relation)
            for each, _ in self._definitions.get(relation, ()):
                if each.name == name:
                    return True
                asked |= {call for fact in each.body for call in _called(fact_terms(fact))}
        return False


@final
class _Unfolding:
    def __init__(
        self,
        signatures: Signatures,
        declared: set[str],
        definitions: Mapping[str, Sequence[tuple[Rule, Action]]],
        forced: str,
        rng: np.random.Generator,
    ) -> None:
        self._signatures = signatures
        self._declared = declared
        self._definitions = definitions
        self._forced = forced
        self._rng = rng
        self._parents: list[int] = []
        self._pattern = Pattern()
        self._by_literal: dict[tuple[type, Attribute], int] = {}
        self._num_unfolded = 0
        self._counts: dict[int, int] = {}

    def run(self, body: Iterable[Fact_]) -> Pattern:
        self._body(body, {})
        self._settle()
        settled: set[Atom] = set()
        while atoms := self._open_atoms(settled):
            atom = atoms[int(self._rng.integers(len(atoms)))]
            if self._is_kept(atom):
                settled.add(atom)
            else:
                self._unfold(atom)
            settled = {self._canonical(each) for each in settled}
        return self._pattern

    # --- variables --------------------------------------------------------------------------------------------

    def _new(self, sort: str) -> int:
        self._parents.append(len(self._parents))
        variable = len(self._parents) - 1
        if sort:
            self._pattern.sorts[variable] = sort
        return variable

    def _find(self, variable: int) -> int:
        while self._parents[variable] != variable:
            variable = self._parents[variable]
        return variable

    def _unify(self, one: int, two: int) -> None:
        one, two = self._find(one), self._find(two)
        if one == two:
            return
        pattern = self._pattern
        low, high = min(one, two), max(one, two)
        self._parents[high] = low
        sort = pattern.sorts.pop(high, "")
        if sort:
            pattern.sorts.setdefault(low, sort)
        if high in pattern.literals:
            value = pattern.literals.pop(high)
            if pattern.literals.setdefault(low, value) != value:
                raise ConflictError(f"{value} is another number")
        if high in pattern.nodes:
            moved = pattern.nodes.pop(high)
            if low in pattern.nodes:
                self._unify_atoms(pattern.nodes[low], moved)
            else:
                pattern.nodes[low] = moved

    def _unify_atoms(self, one: Atom, two: Atom) -> None:
        if one.name != two.name or len(one.arguments) != len(two.arguments):
            raise ConflictError(f"{one.name} is not {two.name}")
        for left, right in zip(one.arguments, two.arguments, strict=True):
            self._unify(left, right)

    def _canonical(self, atom: Atom) -> Atom:
        result = atom.result if atom.result < 0 else self._find(atom.result)
        return Atom(atom.name, tuple(self._find(argument) for argument in atom.arguments), result)

    def _settle(self) -> None:
        """Unify what must be equal: results of equal calls, and parts of equal records."""
        pattern = self._pattern
        num_before = -1
        while num_before != (num_before := sum(parent != index for index, parent in enumerate(self._parents))):
            pattern.nodes = {self._find(key): self._canonical(atom) for key, atom in pattern.nodes.items()}
            known: dict[tuple[str, tuple[int, ...]], int] = {}
            for key, atom in list(pattern.nodes.items()):
                self._unify(known.setdefault((atom.name, atom.arguments), key), key)
            for atoms in (pattern.records, pattern.functions, pattern.primitives):
                calls: dict[tuple[str, tuple[int, ...]], int] = {}
                for atom in map(self._canonical, atoms):
                    if atom.result >= 0:
                        self._unify(calls.setdefault((atom.name, atom.arguments), atom.result), atom.result)
            by_result: dict[int, Atom] = {}
            for atom in map(self._canonical, pattern.records):
                self._unify_atoms(by_result.setdefault(atom.result, atom), atom)
        for name in ("records", "functions", "relations", "primitives"):
            setattr(pattern, name, list(dict.fromkeys(map(self._canonical, getattr(pattern, name)))))
        pattern.nodes = {self._find(key): self._canonical(atom) for key, atom in pattern.nodes.items()}

    # --- terms ------------------------------------------------------------------------------------------------

    def _body(self, body: Iterable[Fact_], names: dict[str, int]) -> None:
        for fact in body:
            if isinstance(fact, Eq):
                self._unify(self._term(fact.left, names), self._term(fact.right, names))
            else:
                self._term(fact.expr, names)

    def _term(self, term: Expr, names: dict[str, int]) -> int:
        match term:
            case Var():
                if term.name not in names:
                    names[term.name] = self._new("")
                return self._find(names[term.name])
            case Lit():
                return self._literal(term)
            case Call():
                return self._call(term, [self._term(argument, names) for argument in term.args])

    def _literal(self, term: Lit) -> int:
        value = _value(term)
        key = (type(value), value)
        if key not in self._by_literal:
            sort = {bool: "bool", int: "i64", float: "f64", str: "String"}[type(value)]
            self._by_literal[key] = self._new(sort)
            self._pattern.literals[self._find(self._by_literal[key])] = value
        return self._find(self._by_literal[key])

    def _call(self, term: Call, arguments: Sequence[int]) -> int:
        pattern = self._pattern
        signature = self._signatures.names.get(term.name)
        if signature is None:
            result = self._new("")
            pattern.primitives.append(Atom(term.name, tuple(arguments), result))
            return result
        for argument, sort in zip(arguments, signature.inputs, strict=True):
            pattern.sorts.setdefault(self._find(argument), sort)
        if signature.role is Role.RELATION:
            pattern.relations.append(Atom(term.name, tuple(arguments), -1))
            return self._new("Unit")
        result = self._new(signature.output)
        atom = Atom(term.name, tuple(arguments), result)
        if signature.role is Role.FUNCTION:
            pattern.functions.append(atom)
        elif signature.output in VALUES:
            pattern.nodes[result] = atom
        else:
            pattern.records.append(atom)
        return result

    # --- facts ------------------------------------------------------------------------------------------------

    def _open_atoms(self, settled: set[Atom]) -> list[Atom]:
        atoms = (*self._pattern.relations, *self._pattern.functions)
        names = self._definitions.keys() | {_SIBLING}
        return [atom for atom in atoms if atom not in settled and atom.name in names]

    def _is_kept(self, atom: Atom) -> bool:
        """Whether a fact that a constant has by itself stays; one that only rules define never does."""
        if atom.name in self._declared or atom.name == _SIBLING:
            return False
        return atom.arguments[0] not in self._pattern.nodes and self._rng.random() < _SHARE_BY_CONSTANT

    def _unfold(self, atom: Atom) -> None:
        self._num_unfolded += 1
        if self._num_unfolded > MAX_UNFOLDINGS:
            raise ConflictError("too many relations")
        if atom.name == _SIBLING:
            self._sibling(atom)
            return
        rule, action = self._choice(atom)
        names: dict[str, int] = {}
        self._body(rule.body, names)
        for each in rule.head:
            if isinstance(each, Let):
                names[each.lhs] = self._term(each.rhs, names)
        terms = action.args if isinstance(action, Set) else action.expr.args  # type: ignore[union-attr]
        for argument, term in zip(atom.arguments, terms, strict=True):
            self._unify(argument, self._term(term, names))
        if isinstance(action, Set):
            self._unify(atom.result, self._term(action.rhs, names))
            self._pattern.functions = [each for each in self._pattern.functions if self._canonical(each) != atom]
        else:
            self._pattern.relations = [each for each in self._pattern.relations if self._canonical(each) != atom]
        self._settle()

    def _sibling(self, atom: Atom) -> None:
        """``(sibling x y w i n)``: y is the i-th of the n products of x with a constant matrix."""
        source, output, weights, _, count = atom.arguments
        pattern = self._pattern
        made = self._new("Tensor")
        pattern.nodes[made] = Atom("MatMul", (source, weights), made)
        self._unify(made, output)
        rank, two = self._new("i64"), self._literal(int_lit(2))
        pattern.functions.append(Atom("rank", (weights,), rank))
        self._unify(rank, two)
        pattern.relations.append(Atom("constant", (weights,), -1))
        pattern.relations = [each for each in pattern.relations if self._canonical(each) != atom]
        self._counts.setdefault(source, count)
        self._unify(self._counts[source], count)
        self._settle()

    def _choice(self, atom: Atom) -> tuple[Rule, Action]:
        """Choose a rule of facts that can give this one; short ways are likelier the longer the way was."""
        made = self._pattern.nodes
        found = []
        weights = []
        for rule, action in self._definitions[atom.name]:
            if not self._fits(rule, action, atom, made):
                continue
            num_open = sum(call in self._declared for fact in rule.body for call in _called(fact_terms(fact)))
            is_short = num_open == 0
            weight = 1.0 if is_short or self._num_unfolded < _FEW_UNFOLDINGS else 0.05
            found.append((rule, action))
            weights.append(weight * (1.5 if is_short else 1.0) * (50.0 if rule.name == self._forced else 1.0))
        if not found:
            raise ConflictError(f"nothing gives {atom.name}")
        shares = np.array(weights) / sum(weights)
        return found[int(self._rng.choice(len(found), p=shares))]

    def _fits(self, rule: Rule, action: Action, atom: Atom, made: Mapping[int, Atom]) -> bool:
        """Whether what a rule of facts asks for can be what is there: same literals, operators and ranks."""
        terms = action.args if isinstance(action, Set) else action.expr.args  # type: ignore[union-attr]
        literals = self._pattern.literals
        names: dict[str, int] = {}
        for argument, term in zip(atom.arguments, terms, strict=True):
            if isinstance(term, Lit) and literals.get(argument, _value(term)) != _value(term):
                return False
            if isinstance(term, Var):
                names[term.name] = argument
        for fact in rule.body:
            if not isinstance(fact, Eq):
                continue
            for one, two in ((fact.left, fact.right), (fact.right, fact.left)):
                if isinstance(two, Lit) and _is_undrawn(one, two):
                    return False
                if not isinstance(two, Call):
                    continue
                there = made.get(names[one.name]) if isinstance(one, Var) and one.name in names else None
                if there is not None and self._is_maker(two) and two.name != there.name:
                    return False
                if self._has_other_rank(one, two, names):
                    return False
        return True

    def _has_other_rank(self, one: Expr, two: Call, names: Mapping[str, int]) -> bool:
        """Whether ``(= (shape x) (S2 a b))`` speaks of a value that has another rank."""
        match one:
            case Call(name="shape", args=[Var(name=name)]) if name in names:
                results = [
                    each.result
                    for each in self._pattern.functions
                    if each.name == "shape" and each.arguments[0] == names[name]
                ]
                ranks = {each.name for each in self._pattern.records if each.result in results}
                signature = self._signatures.names.get(two.name)
                is_shape = signature is not None and signature.role is Role.CONSTRUCTOR
                return is_shape and bool(ranks) and two.name not in ranks
            case _:
                return False

    def _is_maker(self, call: Call) -> bool:
        signature = self._signatures.names.get(call.name)
        return signature is not None and signature.role is Role.CONSTRUCTOR and signature.output in VALUES


def _value(literal: Lit) -> Attribute:
    value: Attribute = literal.value.value  # type: ignore[union-attr]  # a unit stands in no rule
    return value


def _is_undrawn(term: Expr, literal: Lit) -> bool:
    """Whether a condition asks for bfloat16, which neither numpy nor most kernels have."""
    return isinstance(term, Call) and term.name == "dtype" and _value(literal) == _BFLOAT16


@cache
def schema_signatures() -> Signatures:
    """Return the signatures of every operator and of the facts that need no rule."""
    return Signatures.of(parse(new_egraph(), schema_text(), Location("schema", 1, 1)))


def _asserted_name(action: Action) -> str:
    match action:
        case Set():
            return action.lhs
        case Expr_(expr=Call(name=name)):
            return name
        case _:
            return ""


def _called(terms: Iterable[Expr]) -> set[str]:
    found: set[str] = set()
    for term in terms:
        if isinstance(term, Call):
            found.add(term.name)
            found |= _called(term.args)
    return found

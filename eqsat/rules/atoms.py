"""The body of a rule as egglog joins it: rows of tables first, primitives only afterwards.

``(= y (Add a (Neg b)))`` is two atoms, ``Neg(b) = t`` and ``Add(a, t) = y``. A variable is grounded where a table, a
literal or a computation on grounded variables gives it a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eqsat.egglog.commands import Call, Eq, Expr, Fact_, Lit, Location, Var
from eqsat.errors import RulesError
from eqsat.rules.signatures import PRIMITIVES, Role, Signatures
from eqsat.rules.terms import body_terms, place, variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """One row looked up, or one value computed.

    Attributes:
        term: The call.
        inputs: Names of the variables among the arguments, nested calls by made-up names; literals are left out.
        output: Name of the result.
        is_computed: True for a primitive, False for a table.
    """

    term: Call
    inputs: tuple[str, ...]
    output: str
    is_computed: bool


class Atoms:
    """The atoms of a body, and which of their variables are equal."""

    def __init__(self, body: Iterable[Fact_], signatures: Signatures) -> None:
        self._signatures = signatures
        self._parents: dict[str, str] = {}
        self._literals: set[str] = set()
        self.atoms: list[Atom] = []
        for fact in body:
            if isinstance(fact, Eq):
                left, right = self._flatten(fact.left), self._flatten(fact.right)
                if left and right:
                    self._parents[self._find(left)] = self._find(right)
                else:
                    self._literals.add(left or right)
            else:
                self._flatten(fact.expr)
        self._literals = {self._find(name) for name in self._literals if name}

    def ungrounded(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of ``names`` that nothing gives a value."""
        known = set(self._literals)
        for atom in self._tables():
            known.update(self._find(name) for name in (*atom.inputs, atom.output))
        computed = [atom for atom in self.atoms if atom.is_computed]
        while ready := [
            atom
            for atom in computed
            if self._find(atom.output) not in known and all(self._find(name) in known for name in atom.inputs)
        ]:
            known.update(self._find(atom.output) for atom in ready)
        return tuple(name for name in names if self._find(name) not in known)

    def components(self) -> list[list[Atom]]:
        """Return the tables' atoms in groups that share no variable, in order of first appearance.

        A table whose arguments are all fixed by literals has at most one row to offer and is left out.
        """
        fixed = self._fixed()
        groups: list[tuple[set[str], list[int]]] = []
        for index, atom in enumerate(self.atoms):
            if atom.is_computed or fixed.issuperset(self._find(name) for name in atom.inputs):
                continue
            names = {self._find(name) for name in self._columns(atom)} - fixed
            indices = [index]
            for group in [group for group in groups if group[0] & names]:
                groups.remove(group)
                names |= group[0]
                indices += group[1]
            groups.append((names, sorted(indices)))
        return [[self.atoms[index] for index in indices] for _, indices in sorted(groups, key=lambda group: group[1])]

    def _fixed(self) -> set[str]:
        """Return the variables that have one value only, since literals alone decide it."""
        fixed = set(self._literals)
        num_fixed = -1
        while num_fixed < len(fixed):
            num_fixed = len(fixed)
            for atom in self.atoms:
                if fixed.issuperset(self._find(name) for name in atom.inputs):
                    fixed.add(self._find(atom.output))
        return fixed

    def _tables(self) -> list[Atom]:
        return [atom for atom in self.atoms if not atom.is_computed]

    def _columns(self, atom: Atom) -> tuple[str, ...]:
        is_relation = self._signatures.is_role(atom.term.name, Role.RELATION)
        return atom.inputs if is_relation else (*atom.inputs, atom.output)

    def _find(self, name: str) -> str:
        while name in self._parents and self._parents[name] != name:
            name = self._parents[name]
        return name

    def _flatten(self, term: Expr) -> str:
        """Return the name that stands for ``term``, empty for a literal."""
        match term:
            case Lit():
                return ""
            case Var():
                return term.name
            case Call():
                inputs = tuple(name for argument in term.args if (name := self._flatten(argument)))
                output = f"({len(self.atoms)})"
                is_computed = term.name not in self._signatures.names and term.name in PRIMITIVES
                self.atoms.append(Atom(term=term, inputs=inputs, output=output, is_computed=is_computed))
                return output


def check_grounded(body: Sequence[Fact_], signatures: Signatures, location: Location) -> None:
    """Refuse a body with a variable that nothing gives a value.

    Raises:
        RulesError: There is one, as in ``(< n 3)`` where ``n`` stands nowhere else.
    """
    found = variables(body_terms(body))
    for name in Atoms(body, signatures).ungrounded(found):
        raise RulesError(f"{place(found[name], location)}: nothing on the left side gives `{name}` a value")

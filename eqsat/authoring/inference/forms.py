"""Laws as egglog rules: a rewrite, or where values inside the left side must have names, a rule."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final, final

from eqsat.authoring.inference.conditions import KeepsShape, SameOperands
from eqsat.authoring.inference.terms import Apply, Composed, Leaf, Term, applications, attributes, size
from eqsat.authoring.inference.writing import applied, attribute_texts, pattern
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.authoring.inference.law import Law
    from eqsat.authoring.inference.names import Names
    from eqsat.authoring.inference.variants import Variant

MAX_COUNT: Final = 4
COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "Add": ("addends", f"a sum of at most {MAX_COUNT}"),
    "Mul": ("factors", f"a product of at most {MAX_COUNT}"),
}
"""For operators that associate, the function that counts how many values one is made of, and the limit in words."""

_WIDTH: Final = 120


@final
class Forms:
    """Writes laws as rules."""

    def __init__(self, declared: AbstractSet[str]) -> None:
        """Write with these relations at hand.

        With ``(halves y a b i)`` rules ask whether y is a and b, put together along axis i.
        """
        self._declared = declared
        self._has_halves = "halves" in declared

    def form(self, law: Law, name: str, names: Names, variant: Variant) -> str:
        """Return the rule that a law is, under a name."""
        conditions = list(dict.fromkeys((*_facts(law, names, variant), *self._guard(law, names))))
        left, right = pattern(law.left, names), pattern(law.right, names, variant.composed)
        end = f'  :ruleset {_ruleset(law)} :name "{name}")\n'
        if self._is_flat(law):
            facts = textwrap.fill(
                " ".join([*self._flattened(law, names), *conditions]),
                _WIDTH - 8,
                break_long_words=False,
                break_on_hyphens=False,
            )
            return f"(rule ({textwrap.indent(facts, ' ' * 7).lstrip()})\n      ((union {names.root} {right}))\n{end}"
        right = textwrap.fill(
            right,
            _WIDTH,
            initial_indent=" " * 9,
            subsequent_indent=" " * 13,
            break_long_words=False,
            break_on_hyphens=False,
        )
        form = f"(rewrite {left}\n{right}\n"
        return f"{form}  :when ({' '.join(conditions)})\n{end}" if conditions else form + end

    def limit(self, law: Law) -> str:
        """Return, in words, what a law that only reorders is limited to: n values have more than n! sums."""
        left, right = applications(law.left), applications(law.right)
        kinds = {each.operator for each in (*left, *right)}
        (kind,) = kinds if len(kinds) == 1 else ("",)
        is_reordering = min(len(left), len(right)) > 1 and COUNTERS.get(kind, ("", ""))[0] in self._declared
        return COUNTERS[kind][1] if is_reordering else ""

    def _guard(self, law: Law, names: Names) -> tuple[str, ...]:
        if not self.limit(law):
            return ()
        counter, _ = COUNTERS[law.left.operator]
        return (f"(= n ({counter} {names.root}))", f"(<= n {MAX_COUNT})")

    def _is_flat(self, law: Law) -> bool:
        """Whether values inside the left side must have names: where a condition or ``halves`` asks for them."""
        named = any(isinstance(each, SameOperands | KeepsShape) for each in law.conditions)
        return named or bool(self.limit(law)) or (self._has_halves and _num_pairs(law.left) > 1)

    def _flattened(self, law: Law, names: Names) -> list[str]:
        uses_halves = self._has_halves and _num_pairs(law.left) > 1
        facts: list[str] = []
        fresh = itertools.chain(names.operands, "mno")

        def named(term: Term, name: str) -> str:
            if isinstance(term, Leaf):
                return names.leaf(term.index)
            place = len(facts)
            facts.append("")
            inner = [next(fresh) if isinstance(operand, Apply) else "" for operand in term.operands]
            operands = [named(operand, own) for operand, own in zip(term.operands, inner, strict=True)]
            if uses_halves and _is_pair(term):
                facts[place] = f"(halves {' '.join([name, *operands, *attribute_texts(term, names)])})"
            else:
                facts[place] = f"(= {name} {applied(term, operands, names)})"
            return name

        named(law.left, names.root)
        return facts


def _facts(law: Law, names: Names, variant: Variant) -> Iterator[str]:
    for condition in law.conditions:
        yield from condition.facts(names)
    for leaf, number in enumerate(law.numbers):
        if number is not None:
            yield f"(= (scalar {names.leaf(leaf)}) {float(number)})"
    for each in attributes(law.right):
        if isinstance(each, Composed):
            slots = [names.slot(slot) for slot in (each.first, each.second) if slot not in variant.written]
            yield from (f"(= {variant.composed} (vec-length {slot}))" for slot in slots)


def _is_pair(term: Term) -> bool:
    return isinstance(term, Apply) and term.operator == "Concat" and len(term.operands) == 2


def _num_pairs(term: Term) -> int:
    return sum(_is_pair(each) for each in applications(term))


def _ruleset(law: Law) -> str:
    """A rule that makes no new e-class may always run."""
    right = law.right
    if isinstance(right, Leaf):
        return "simp"
    row = OPERATORS[right.operator]
    is_flat = all(isinstance(operand, Leaf) for operand in right.operands) and not row.is_variadic and not row.is_multi
    return "simp" if is_flat and size(right) < size(law.left) else "opt"

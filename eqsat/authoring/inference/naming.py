"""Naming what a law speaks of, and terms in a few words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from eqsat.authoring.inference.choices import Equal, Fixed
from eqsat.authoring.inference.names import Names
from eqsat.authoring.inference.rows import Kind
from eqsat.authoring.inference.terms import Apply, Leaf

if TYPE_CHECKING:
    from eqsat.authoring.inference.law import Law
    from eqsat.authoring.inference.rows import Value
    from eqsat.authoring.inference.terms import Term

_LEAVES: Final = "xzuvwmno"
_NUMBERS: Final = "ck"
_SIGNS: Final[Mapping[str, str]] = {"Add": "+", "Sub": "-", "Mul": "*", "MatMul": "@"}
_SLOTS: Final[Mapping[Kind, str]] = {
    Kind.AXIS: "abd",
    Kind.PERMUTATION: "pqt",
    Kind.DIMS: "def",
    Kind.SLICE: "rst",
    Kind.SPLIT: "rst",
    Kind.INDEX: "ijl",
}


def names_of(law: Law, written: Mapping[int, Value]) -> Names:
    """Return the names of a law.

    Args:
        law: The law.
        written: Slots that are written out, besides those which the law fixes.
    """
    fresh, numbers = iter(_LEAVES), iter(_NUMBERS)
    leaves = [next(fresh) if number is None else next(numbers) for number in law.numbers]
    same = list(range(len(law.kinds)))
    for condition in law.conditions:
        if isinstance(condition, Equal):
            one, two = same[condition.one], same[condition.two]
            same = [min(one, two) if place in {one, two} else place for place in same]
    known = dict(written)
    known.update({each.slot: each.value for each in law.conditions if isinstance(each, Fixed)})
    literal = {same[slot]: literal_text(law.kinds[slot], value) for slot, value in known.items()}
    counters: defaultdict[str, int] = defaultdict(int)
    for slot, kind in enumerate(law.kinds):
        if same[slot] not in literal:
            letters = _SLOTS[kind]
            literal[same[slot]] = letters[counters[letters]]
            counters[letters] += 1
    return Names(tuple(leaves), tuple(literal[place] for place in same))


def literal_text(kind: Kind, value: Value) -> str:
    """Return an attribute as it stands in a rule."""
    if isinstance(value, int):
        return str(value)
    match kind:
        case Kind.DIMS:
            return f"({' '.join([f'S{len(value)}', *map(str, value)])})"
        case Kind.SLICE:
            axis, start, end = value
            return f"(SliceA (vec-of {start}) (vec-of {end}) (vec-of {axis}) (vec-of 1))"
        case Kind.SPLIT:
            axis, *sizes = value
            return f"(SplitA {axis} (vec-of {' '.join(map(str, sizes))}))"
        case _:
            return f"(vec-of {' '.join(map(str, value))})"


def formula(term: Term, names: Names) -> str:
    """Return a term as a formula, its attributes left out."""
    if isinstance(term, Leaf):
        return names.leaf(term.index)
    sign = _SIGNS.get(term.operator)
    if sign is None:
        return f"{term.operator.lower()}({', '.join(formula(operand, names) for operand in term.operands)})"
    return f" {sign} ".join(
        f"({formula(operand, names)})" if _has_sign(operand) else formula(operand, names) for operand in term.operands
    )


def _has_sign(term: Term) -> bool:
    return isinstance(term, Apply) and term.operator in _SIGNS


def phrase(term: Apply) -> str:
    """Return a term in a few words: ``add-of-matmuls``."""
    inner = [operand.operator.lower() for operand in term.operands if isinstance(operand, Apply)]
    head = term.operator.lower()
    if not inner:
        return head
    if len(inner) > 1 and len(set(inner)) == 1:
        return f"{head}-of-{inner[0]}s"
    return f"{head}-of-{'-and-'.join(inner)}"

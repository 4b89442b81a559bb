"""Laws as entries of a rules file: header, pattern, conditions."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

from eqsat.authoring.inference.forms import Forms
from eqsat.authoring.inference.instances import both_sides, varied
from eqsat.authoring.inference.naming import formula, names_of, phrase
from eqsat.authoring.inference.terms import Apply, Leaf, Typing, subterms
from eqsat.authoring.inference.variants import Variant, variants
from eqsat.authoring.inference.writing import pattern
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.authoring.inference.instances import Instances
    from eqsat.authoring.inference.law import Law

NUM_EXAMPLES: Final = 4
"""Places at which an entry is looked up in an e-graph, with leaves of different ranks."""

_WIDTH: Final = 120
_KEY_WIDTH: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A law as it stands in a rules file.

    Attributes:
        name: Its name there.
        law: What it says.
        form: The rule itself.
        left: Left side as egglog.
        right: Right side as egglog.
        source: The equation as a formula.
        requires: The conditions in words; empty where there are none.
        floats: Float class.
        instances: The ``INSTANCE`` lines.
        near_misses: The ``NEAR-MISS`` lines.
        examples: Both sides at places where it matches, those that show most first, as instances with two roots.
        typings: Those places.
    """

    name: str
    law: Law
    form: str
    left: str
    right: str
    source: str
    requires: str
    floats: str
    instances: tuple[str, ...]
    near_misses: tuple[str, ...]
    examples: tuple[str, ...]
    typings: tuple[Typing, ...]

    @property
    def text(self) -> str:
        """Header and form, ready to be put into a rules file."""
        keys = [("SOURCE", f"{self.source}, found by enumeration")]
        keys += [("REQUIRES", self.requires)] if self.requires else []
        keys.append(("FLOATS", self.floats))
        keys += [("INSTANCE", line) for line in self.instances]
        keys += [("NEAR-MISS", line) for line in self.near_misses]
        return "".join(f"{_key(key, value)}\n" for key, value in keys) + self.form


@final
class Writer:
    """Writes laws as entries, each under a name of its own."""

    def __init__(self, taken: Collection[str], *, declared: AbstractSet[str], instances: Instances) -> None:
        """Prepare.

        Args:
            taken: Names that are in use.
            declared: Relations that rules can ask for.
            instances: Where the instances of a header come from.
        """
        self._taken = set(taken)
        self._forms = Forms(declared)
        self._instances = instances

    def entries(self, law: Law) -> list[Entry]:
        """Return a law as entries: one, or one for each rank where permutations must be written out."""
        if is_swap(law):
            return [self._swap(law)]
        return [entry for variant in variants(law) if (entry := self._entry(law, variant)) is not None]

    def _name(self, stem: str, law: Law, suffix: str) -> str:
        letters = "".join(_letters(law))
        for middle in ("", f"-{letters}", *(f"-{letters}-{letter}" for letter in "bcdefghijklmn")):
            name = f"{stem}{middle}{suffix}"
            if name not in self._taken:
                self._taken.add(name)
                return name
        raise ValueError(f"every name that starts with {stem} is taken")

    def _entry(self, law: Law, variant: Variant) -> Entry | None:
        typings = self._instances.typings(law, variant)
        if not typings:
            return None
        names = names_of(law, variant.written)
        said = [each.words(names) for each in law.conditions]
        said += [f"{names.leaf(leaf)} is {number}" for leaf, number in enumerate(law.numbers) if number is not None]
        said.append(self._forms.limit(law))
        said += [f"rank {variant.composed}"] if variant.composed and not variant.written else []
        stem = f"{phrase(law.left)}-to-{phrase(law.right) if isinstance(law.right, Apply) else 'operand'}"
        name = self._name(stem, law, variant.suffix)
        return Entry(
            name=name,
            law=law,
            form=self._forms.form(law, name, names, variant),
            left=pattern(law.left, names),
            right=pattern(law.right, names, variant.composed),
            source=f"{formula(law.left, names)} = {formula(law.right, names)}",
            requires=", ".join(words for words in said if words),
            floats="exact" if law.is_exact else "rounds",
            instances=tuple(self._instances.lines(law, names, typings)),
            near_misses=tuple(self._instances.near_miss_lines(law, names, typings)),
            examples=tuple(both_sides(law, names, typing) for typing in varied(typings, NUM_EXAMPLES)),
            typings=tuple(typings),
        )

    def _swap(self, law: Law) -> Entry:
        names = names_of(law, {})
        name = self._name(f"{law.left.operator.lower()}-swaps", law, "")
        left, right = pattern(law.left, names), pattern(law.right, names)
        if OPERATORS[law.left.operator].is_commutative:
            # Patterns match these in either order: all that is left to say is that both orders are one value.
            form = f'(rule ((= s {left}) (= t {right})) ((union s t)) :ruleset simp :name "{name}")\n'
        else:
            form = f'(rewrite {left} {right} :ruleset opt :name "{name}")\n'
        return Entry(
            name=name,
            law=law,
            form=form,
            left=left,
            right=right,
            source=f"{formula(law.left, names)} = {formula(law.right, names)}",
            requires="",
            floats="exact",
            instances=(f"x[A,B] z[B] | (Relu {left}) (Relu {right})",),
            near_misses=(),
            examples=tuple(both_sides(law, names, typing) for typing in law.examples[:NUM_EXAMPLES]),
            typings=law.examples,
        )


def without(entry: Entry, near_miss: str) -> Entry:
    """Return an entry without one of its ``NEAR-MISS`` lines."""
    return replace(entry, near_misses=tuple(line for line in entry.near_misses if line != near_miss))


def is_swap(law: Law) -> bool:
    """Return whether a law says that two operands may change places."""
    return isinstance(law.right, Apply) and law.left.operands == (Leaf(0), Leaf(1)) == law.right.operands[::-1]


def _letters(law: Law) -> Iterator[str]:
    names = names_of(law, {})
    return (names.leaf(each.index) for each in subterms(law.left) if isinstance(each, Leaf))


def _key(key: str, value: str) -> str:
    wrapped = textwrap.wrap(value, _WIDTH - _KEY_WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"; {key:<10}" + f"\n;{' ' * (_KEY_WIDTH - 1)}".join(wrapped)

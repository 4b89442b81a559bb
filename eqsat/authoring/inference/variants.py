"""Laws about permutations that a rule must write out, one rule for each rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eqsat.authoring.inference.choices import IsIdentity, SwapsLast, swapping_last
from eqsat.authoring.inference.terms import Composed, Typing, attributes

if TYPE_CHECKING:
    from eqsat.authoring.inference.law import Law
    from eqsat.authoring.inference.rows import Value

IDENTITY_RANKS: Final = range(1, 7)
COMPOSED_RANKS: Final = range(2, 7)
SWAPPED_RANKS: Final = range(2, 5)

_MAX_MIXED: Final = 2
"""Rules of a law whose permutations never have one rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What a rule writes out of a law.

    Attributes:
        written: Slots that are written out.
        composed: Length of the permutations that are composed; zero where none are.
        ranks: Lengths of the permutations concerned.
        suffix: Tells the rule from its siblings; empty for an only one.
    """

    written: Mapping[int, Value]
    composed: int
    ranks: tuple[int, ...]
    suffix: str

    def includes(self, law: Law, typing: Typing) -> bool:
        """Return whether the rule would match there, as far as permutations go."""
        lengths = [_length(typing.slots[slot]) for slot in _composed(law)]
        is_composed = all(length == self.composed for length in lengths)
        return is_composed and all(typing.slots[slot] == value for slot, value in self.written.items())


def variants(law: Law) -> list[Variant]:
    """Return the rules that a law needs."""
    identities = {each.slot for each in law.conditions if isinstance(each, IsIdentity)}
    swapped = {each.slot for each in law.conditions if isinstance(each, SwapsLast)}
    composed = _composed(law)
    concerned = sorted({*identities, *swapped, *composed})
    if not concerned:
        return [Variant(written={}, composed=0, ranks=(), suffix="")]
    allowed = SWAPPED_RANKS if swapped else (IDENTITY_RANKS if identities else COMPOSED_RANKS)
    seen = sorted({tuple(_length(typing.slots[slot]) for slot in concerned) for typing in law.examples})
    if any(len(set(ranks)) == 1 for ranks in seen):
        seen = [(rank,) * len(concerned) for rank in allowed]
    else:
        seen = sorted((ranks for ranks in seen if all(rank in allowed for rank in ranks)), key=sum)[:_MAX_MIXED]
    found = []
    for ranks in seen:
        lengths = dict(zip(concerned, ranks, strict=True))
        written: dict[int, Value] = {slot: tuple(range(lengths[slot])) for slot in sorted(identities)}
        written.update({slot: swapping_last(lengths[slot]) for slot in sorted(swapped)})
        shown = sorted(set(ranks))
        suffix = f"-rank-{shown[0]}" if len(shown) == 1 else f"-ranks-{'-'.join(map(str, ranks))}"
        length = max((lengths[each] for each in composed), default=0)
        found.append(Variant(written=written, composed=length, ranks=ranks, suffix=suffix))
    return found


def _composed(law: Law) -> tuple[int, ...]:
    pairs = [(each.first, each.second) for each in attributes(law.right) if isinstance(each, Composed)]
    return tuple(sorted({slot for pair in pairs for slot in pair}))


def _length(value: Value) -> int:
    return len(value) if isinstance(value, tuple) else 0

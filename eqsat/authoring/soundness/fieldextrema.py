"""Maxima and minima of numbers whose order is not known, in one normal form.

Real numbers with maxima and minima are a distributive lattice, so that every term of them is a minimum of maxima; and a
minimum is a sum of maxima with signs, as min(x, y) = x + y - max(x, y). So all that is left to be random are maxima of
sets of numbers that are no extrema themselves. The order of constants is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Final, TypeAlias, final

from eqsat.authoring.soundness.fieldnumbers import PRIME

Clause: TypeAlias = frozenset[int]
"""The maximum of these."""

Form: TypeAlias = frozenset[Clause]
"""The minimum of those."""

_MAX_CLAUSES: Final = 6
"""Clauses up to which a minimum is a sum of maxima."""


@final
class Extrema:
    """Gives maxima and minima their numbers, and remembers which numbers are some."""

    def __init__(self, draw: Callable[..., int], is_positive: Callable[[int], int], reals: Mapping[int, float]) -> None:
        """Start without any.

        Args:
            draw: Gives a random number for a key.
            is_positive: Says whether a number is above zero, as a number.
            reals: Constants by the numbers that stand for them; more may come.
        """
        self._draw = draw
        self._is_positive = is_positive
        self._reals = reals
        self._forms: dict[int, Form] = {}

    def maximum(self, values: Sequence[int]) -> int:
        """Return the maximum of numbers."""
        forms = [self._form(value) for value in dict.fromkeys(values)]
        return self._valued(Clause().union(*clauses) for clauses in product(*forms))

    def minimum(self, values: Sequence[int]) -> int:
        """Return the minimum of numbers."""
        return self._valued(clause for value in values for clause in self._form(value))

    def _form(self, value: int) -> Form:
        return self._forms.get(value, Form({Clause({value})}))

    def _valued(self, clauses: Iterable[Clause]) -> int:
        """Return the number of a minimum of maxima, and remember what it is."""
        form = self._least({self._reduced(clause) for clause in clauses})
        if len(form) > _MAX_CLAUSES:
            found = self._draw("min", sorted(map(sorted, form)))
        else:
            found = 0
            for count in range(1, len(form) + 1):
                sign = 1 if count % 2 else -1
                found += sign * sum(self._largest(Clause().union(*some)) for some in combinations(form, count))
            found %= PRIME
        is_atom = found in self._reals or any(found in clause for clause in form)
        if not is_atom:
            self._forms[found] = form
        return found

    def _reduced(self, clause: Clause) -> Clause:
        """Of several constants only the largest counts."""
        constants = sorted((value for value in clause if value in self._reals), key=self._reals.__getitem__)
        return clause.difference(constants[:-1])

    def _least(self, clauses: set[Clause]) -> Form:
        """Leave out clauses that are never less than another."""
        return Form(
            clause
            for clause in clauses
            if not any(other != clause and self._is_below(other, clause) for other in clauses)
        )

    def _is_below(self, one: Clause, two: Clause) -> bool:
        """Whether every member of one is below some member of two, as far as that is known."""
        highest = max((self._reals[value] for value in two if value in self._reals), default=None)
        return all(
            value in two or (highest is not None and value in self._reals and self._reals[value] < highest)
            for value in one
        )

    def _largest(self, clause: Clause) -> int:
        """Return the number of a maximum."""
        members = self._reduced(clause)
        if len(members) == 1:
            return next(iter(members))
        if len(members) == 2 and 0 in members:
            return sum(members) * self._is_positive(sum(members)) % PRIME
        return self._draw("max", sorted(members))

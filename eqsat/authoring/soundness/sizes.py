"""Sizes and shapes drawn at random: a few sizes that come again and again, so that shapes fit each other by chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, final

if TYPE_CHECKING:
    import numpy as np

Shape: TypeAlias = "tuple[int, ...]"
"""Sizes; below zero stands a symbol."""

_Choice = TypeVar("_Choice")

FIRST_SYMBOL: Final = -1001
RANK_SHARES: Final = (0.05, 0.13, 0.33, 0.26, 0.17, 0.06)
"""How often a value of which nothing is known has rank 0, 1, ..., 5."""


@final
class Sizes:
    """Draws sizes for one instance.

    Attributes:
        concrete: What each symbol stands for when the instance is evaluated.
    """

    def __init__(self, rng: np.random.Generator, wanted: Sequence[int], *, is_small: bool = False) -> None:
        """Choose the sizes of this instance.

        Args:
            rng: Source of chance.
            wanted: Sizes that the rule names itself.
            is_small: True for sizes of 1 and 2 alone.
        """
        self.rng = rng
        self.concrete: dict[int, int] = {}
        self._pool: list[int] = self._small() if is_small else self._mixed(wanted)

    def _small(self) -> list[int]:
        return [2, 2, 1] if self.rng.random() < 0.7 else [2, 2, 3, 1]

    def _mixed(self, wanted: Sequence[int]) -> list[int]:
        rng = self.rng
        pool = [int(size) for size in rng.choice((2, 3, 4, 5), 2, replace=False)]
        pool *= 3
        pool += [1] * int(rng.integers(0, 3))
        if rng.random() < 0.12:
            pool.append(0)
        if wanted and rng.random() < 0.5:
            pool += [int(rng.choice(wanted))] * 2
        if rng.random() < 0.3:
            for number in range(int(rng.integers(1, 3))):
                symbol = FIRST_SYMBOL - number
                self.concrete[symbol] = int(rng.choice((1, 2, 3, 4, 5), p=(0.2, 0.25, 0.25, 0.2, 0.1)))
                pool += [symbol] * 2
        return pool

    def size(self) -> int:
        """Return a size, or a symbol."""
        return int(self.rng.choice(self._pool))

    def known(self) -> int:
        """Return a size of one or more that is no symbol."""
        return max(1, int(self.rng.choice([size for size in self._pool if size >= 0] or [2])))

    def symbols(self) -> tuple[int, ...]:
        """Return the symbols that there are."""
        return tuple(self.concrete)

    def rank(self, low: int = 0, high: int = 5) -> int:
        """Return a rank within bounds."""
        low, high = max(low, 0), max(high, low, 0)
        shares = [RANK_SHARES[min(rank, len(RANK_SHARES) - 1)] for rank in range(low, high + 1)]
        return int(self.rng.choice(range(low, high + 1), p=[share / sum(shares) for share in shares]))

    def shape(self, rank: int) -> Shape:
        """Return a shape of some rank."""
        return tuple(self.size() for _ in range(rank))

    def chance(self, share: float) -> bool:
        """Return True with this probability."""
        return bool(self.rng.random() < share)

    def pick(self, choices: Sequence[_Choice]) -> _Choice:
        """Return one of several things."""
        return choices[int(self.rng.integers(len(choices)))]

    def broadcast(self, shape: Shape) -> Shape:
        """Return a shape that broadcasts with another: the same, fewer axes, some of size 1, or more of them."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.42:
            return shape
        if kind < 0.6:
            return shape[int(rng.integers(0, len(shape) + 1)) :]
        if kind < 0.82:
            kept = shape[int(rng.integers(0, len(shape) + 1)) :] if rng.random() < 0.3 else shape
            return tuple(1 if rng.random() < 0.5 else size for size in kept)
        if kind < 0.9:
            return () if rng.random() < 0.5 else (1,)
        if kind < 0.95:
            return tuple(self.size() if size == 1 else size for size in shape)
        return (self.size(), *shape)

    def elements(self, shape: Sequence[int]) -> int:
        """Return the number of elements of a shape, symbols as what they stand for."""
        total = 1
        for size in shape:
            total *= self.concrete.get(size, size)
        return total


def product(shape: Sequence[int]) -> int:
    """Return the product of the sizes that are no symbols."""
    total = 1
    for size in shape:
        total *= size if size >= 0 else 1
    return total

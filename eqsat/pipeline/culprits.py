"""Finds out which rules are at fault when a graph is refused, so that the others can go on without them."""

from __future__ import annotations

from collections.abc import Callable, Collection


def culprits(
    suspects: Collection[str],
    is_sound: Callable[[frozenset[str]], bool],
    should_stop: Callable[[], bool] = lambda: False,
) -> frozenset[str]:
    """Return suspects without which all is sound, as few as halving finds.

    One culprit among n suspects takes about 2 log2(n) questions; several take that many each.

    Args:
        suspects: Names; leaving all of them out is known to be sound.
        is_sound: Tells whether leaving these names out is enough.
        should_stop: Is asked before each round of questions; then what is left stays suspect.
    """

    def narrow(left_out: frozenset[str], doubtful: list[str]) -> frozenset[str]:
        """Return the culprits among the doubtful; without them and ``left_out`` all is known to be sound."""
        if len(doubtful) == 1 or should_stop():
            return frozenset(doubtful)
        middle = len(doubtful) // 2
        one, two = doubtful[:middle], doubtful[middle:]
        if is_sound(left_out.union(one)):
            return narrow(left_out, one)
        if is_sound(left_out.union(two)):
            return narrow(left_out, two)
        among_one = narrow(left_out.union(two), one)
        return among_one | narrow(left_out | among_one, two)

    return narrow(frozenset(), sorted(suspects)) if suspects else frozenset()

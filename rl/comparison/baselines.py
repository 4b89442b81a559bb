"""The searches that an agent must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from eqsat.search.registry import make_search
from rl.comparison.contenders import SearchContender

if TYPE_CHECKING:
    from rl.prices import PriceSource

BASELINES: Final = ("random", "greedy", "beam", "saturate", "mcts")
"""Names of searches; all of them end with the same exact extraction."""

_RANDOM: Final = frozenset({"random", "mcts"})


def baselines(fallback: PriceSource, names: Sequence[str] = BASELINES) -> list[SearchContender]:
    """Return searches by name, with the options they have by default.

    Args:
        fallback: Prices where no more may be measured.
        names: Names of searches.

    Raises:
        UsageError: There is no search of a name.
    """
    return [
        SearchContender(name=name, search=make_search(name, {}), is_random=name in _RANDOM, fallback=fallback)
        for name in names
    ]

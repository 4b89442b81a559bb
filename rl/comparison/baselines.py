"""The searches that an agent must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from eqsat.errors import UsageError
from eqsat.pipeline.job import Prices
from eqsat.search.registry import make_search
from rl.comparison.contenders import SearchContender
from rl.search.options import ppo
from rl.searches import auto
from rl.world.planning import world_model

if TYPE_CHECKING:
    from eqsat.search.interface import SearchFactory
    from rl.env.prices import PriceSource

BASELINES: Final = ("random", "greedy", "beam", "saturate", "mcts")
"""Names of searches; all of them end with the same exact extraction."""

_RANDOM: Final = frozenset({"random", "mcts", "world-model"})


_LEARNED: Final[Mapping[str, SearchFactory]] = {"ppo": ppo, "auto": auto, "world-model": world_model}


def baselines(fallback: PriceSource, names: Sequence[str] = BASELINES) -> list[SearchContender]:
    """Return searches by name.

    Args:
        fallback: Prices where no more may be measured.
        names: Names of searches; options may follow, as in ``saturate:restarts=16`` or ``beam:alpha=1.1:width=4``;
            ``prices=needed`` among them measures those prices alone that the answer depends on.

    Raises:
        UsageError: There is no search of a name, or it has no such option.
    """
    found: list[SearchContender] = []
    for text in names:
        name, *parts = text.split(":")
        options = {option: value for option, _, value in (part.partition("=") for part in parts)}
        prices = _prices(options.pop("prices", Prices.ALL))
        search = make_search(name, options, _LEARNED)
        found.append(
            SearchContender(
                name=text,
                search=search,
                is_random=name in _RANDOM or prices is Prices.NEEDED,
                fallback=fallback,
                is_frugal=prices is Prices.NEEDED,
            )
        )
    return found


def _prices(text: str) -> Prices:
    try:
        return Prices(text)
    except ValueError:
        raise UsageError(f"prices are {', '.join(Prices)}, not {text!r}") from None

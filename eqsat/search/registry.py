"""Searches by name: those built in, those that a layer above adds, and those that installed packages offer.

A package offers a search through an entry point of group ``eqsat.searches`` that names a function from options (text by
name) to a :class:`~eqsat.search.interface.Search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from eqsat.errors import UsageError
from eqsat.search.beam import Beam
from eqsat.search.chance import Random
from eqsat.search.greedy import Greedy
from eqsat.search.interface import Search, SearchFactory
from eqsat.search.mcts import Mcts
from eqsat.search.options import check_options, option_names, with_options
from eqsat.search.saturation import Saturate
from eqsat.text.suggest import did_you_mean

ENTRY_POINT_GROUP: Final = "eqsat.searches"


BUILT_IN: Final[Mapping[str, type[Saturate | Greedy | Random | Beam | Mcts]]] = {
    "saturate": Saturate,
    "greedy": Greedy,
    "random": Random,
    "beam": Beam,
    "mcts": Mcts,
}
"""Searches of this package; their options are fields, see :mod:`eqsat.search.options`."""


_NOTHING: Final[Mapping[str, SearchFactory]] = {}


def search_names(added: Mapping[str, SearchFactory] = _NOTHING) -> tuple[str, ...]:
    """Return the names of all searches, the built-in ones first.

    Args:
        added: Searches that are not built in, by name.
    """
    installed = (entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))
    return tuple(dict.fromkeys((*BUILT_IN, *added, *installed)))


def make_search(name: str, options: Mapping[str, str], added: Mapping[str, SearchFactory] = _NOTHING) -> Search:
    """Return the search of that name.

    Args:
        name: One of :func:`search_names`.
        options: Its options, by name.
        added: Searches that are not built in, by name.

    Raises:
        UsageError: There is no such search, or an option is wrong.
    """
    if name in BUILT_IN:
        kind = BUILT_IN[name]
        check_options(name, options, option_names(kind))
        return with_options(kind(), options)
    if name in added:
        return added[name](options)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            search: Search = entry.load()(options)
            return search
    raise _no_search(name, added)


def check_search(name: str, added: Mapping[str, SearchFactory] = _NOTHING) -> None:
    """Check that there is a search of that name; nothing is imported for it.

    Raises:
        UsageError: There is none.
    """
    if name not in search_names(added):
        raise _no_search(name, added)


def _no_search(name: str, added: Mapping[str, SearchFactory]) -> UsageError:
    there = search_names(added)
    return UsageError(f"there is no search {name!r} (there are: {', '.join(there)}){did_you_mean(name, there)}")

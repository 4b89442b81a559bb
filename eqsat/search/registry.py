"""Searches by name: those built in, those that a layer above adds, and those that installed packages offer.

A package offers a search through an entry point of group ``eqsat.searches`` that names a function from options (text by
name) to a :class:`~eqsat.search.interface.Search`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from eqsat.errors import UsageError
from eqsat.search.beam import Beam
from eqsat.search.chance import Random
from eqsat.search.greedy import Greedy
from eqsat.search.interface import Search, SearchFactory
from eqsat.search.mcts import ActionKind, Mcts
from eqsat.search.restarts import restarts_of
from eqsat.search.saturation import Saturate
from eqsat.text.suggest import did_you_mean

ENTRY_POINT_GROUP: Final = "eqsat.searches"


def _saturate(options: Mapping[str, str]) -> Search:
    default = Saturate()
    return Saturate(
        max_per_rule=_integer(options, "max-per-rule", default.max_per_rule),
        restarts=restarts_of(options, default.restarts),
    )


def _greedy(options: Mapping[str, str]) -> Search:
    return Greedy(min_gain=_share(options, "min-gain", Greedy().min_gain))


def _random(options: Mapping[str, str]) -> Search:
    return Random(num_steps=_integer(options, "steps", Random().num_steps))


def _beam(options: Mapping[str, str]) -> Search:
    return Beam(
        alpha=_number(options, "alpha", Beam().alpha, at_least=1.0), width=_integer(options, "width", Beam().width)
    )


def _mcts(options: Mapping[str, str]) -> Search:
    default = Mcts()
    actions = options.get("actions", default.actions)
    if actions not in set(ActionKind):
        near = did_you_mean(actions, ActionKind)
        raise UsageError(f"option 'actions' must be one of {', '.join(ActionKind)}, not {actions!r}{near}")
    return Mcts(
        num_simulations=_integer(options, "simulations", default.num_simulations),
        max_rollout=_integer(options, "rollout", default.max_rollout),
        exploration=_number(options, "exploration", default.exploration, at_least=0.0),
        actions=ActionKind(actions),
    )


_BUILT_IN: Final[Mapping[str, tuple[SearchFactory, frozenset[str]]]] = {
    "saturate": (_saturate, frozenset({"max-per-rule", "restarts"})),
    "greedy": (_greedy, frozenset({"min-gain"})),
    "random": (_random, frozenset({"steps"})),
    "beam": (_beam, frozenset({"alpha", "width"})),
    "mcts": (_mcts, frozenset({"simulations", "rollout", "exploration", "actions"})),
}


_NOTHING: Final[Mapping[str, SearchFactory]] = {}


def search_names(added: Mapping[str, SearchFactory] = _NOTHING) -> tuple[str, ...]:
    """Return the names of all searches, the built-in ones first.

    Args:
        added: Searches that are not built in, by name.
    """
    installed = (entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))
    return tuple(dict.fromkeys((*_BUILT_IN, *added, *installed)))


def make_search(name: str, options: Mapping[str, str], added: Mapping[str, SearchFactory] = _NOTHING) -> Search:
    """Return the search of that name.

    Args:
        name: One of :func:`search_names`.
        options: Its options, by name.
        added: Searches that are not built in, by name.

    Raises:
        UsageError: There is no such search, or an option is wrong.
    """
    if name in _BUILT_IN:
        factory, known = _BUILT_IN[name]
        for option in options:
            if option not in known:
                allowed = ", ".join(sorted(known))
                hint = did_you_mean(option, known)
                raise UsageError(f"search {name!r} has no option {option!r} (it has: {allowed}){hint}")
        return factory(options)
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


def _integer(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not int(text):
        raise UsageError(f"option {name!r} must be a number above 0, not {text!r}")
    return int(text)


def _share(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        share = float(text)
    except ValueError as error:
        raise UsageError(f"option {name!r} must be a number, not {text!r}") from error
    if not 0 <= share <= 1:
        raise UsageError(f"option {name!r} must be a number from 0 to 1, not {text!r}")
    return share


def _number(options: Mapping[str, str], name: str, default: float, *, at_least: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError as error:
        raise UsageError(f"option {name!r} must be a number, not {text!r}") from error
    if not at_least <= number < math.inf:
        raise UsageError(f"option {name!r} must be a number from {at_least:g}, not {text!r}")
    return number

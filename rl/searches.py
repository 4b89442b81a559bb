"""The learned searches, for the layers above: named here, loaded when one is asked for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from eqsat.errors import UsageError
from eqsat.text.extras import learning, require_learning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eqsat.search.interface import Search, SearchFactory


def _ppo(options: Mapping[str, str]) -> Search:
    with learning("--search ppo"):
        from rl.search.options import ppo

    return ppo(options)


def auto(options: Mapping[str, str]) -> Search:
    """Return the search that chooses, from its options; they are those of :func:`rl.search.options.ppo`.

    Raises:
        UsageError: There is no such option, or it is wrong.
    """
    from eqsat.search.options import check_options
    from rl.search.automatic import OPTIONS, Auto

    check_options("auto", options, OPTIONS)
    if options:
        learned = _agent(options)  # what was given is checked, though it may not be needed
        return Auto(make_learned=lambda: learned)
    return Auto(make_learned=partial(_agent, options))


def _agent(options: Mapping[str, str]) -> Search:
    with learning("the agent"):
        from rl.search.options import ppo

    return ppo(options)


def _world_model(options: Mapping[str, str]) -> Search:
    with learning("--search world-model"):
        from rl.world.planning import world_model

    return world_model(options)


SEARCHES: Final[Mapping[str, SearchFactory]] = {"ppo": _ppo, "auto": auto, "world-model": _world_model}
"""Makes each of them; torch is imported only then."""


TRAINED: Final = ("ppo", "auto")
"""Those that can learn about the model before they search it."""


def check_trained(search: str) -> None:
    """Check that a search can learn about the model first.

    Raises:
        UsageError: It cannot.
    """
    if search not in TRAINED:
        raise UsageError(f"--train-budget is for searches that learn ({', '.join(TRAINED)}), not for {search!r}")


def check_installed(search: str, *, is_trained: bool) -> None:
    """Check, before any work is done, that a search has the packages that it cannot do without.

    Args:
        search: Its name.
        is_trained: Whether it is to learn about the model first.

    Raises:
        MissingExtraError: One is not installed.
        UsageError: It is to learn, and cannot.
    """
    if is_trained and search in SEARCHES:
        check_trained(search)
    if search in SEARCHES and (search != "auto" or is_trained):
        require_learning(f"--search {search}{' with --train-budget' if is_trained else ''}")

"""The learned searches, for the layers above: named here, loaded when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eqsat.extras import learning, require_learning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eqsat.search.interface import Search, SearchFactory


def _ppo(options: Mapping[str, str]) -> Search:
    with learning("--search ppo"):
        from rl.search_options import ppo

    return ppo(options)


def _auto(options: Mapping[str, str]) -> Search:
    from rl.automatic import auto

    return auto(options)


def _world_model(options: Mapping[str, str]) -> Search:
    with learning("--search world-model"):
        from rl.world.planning import world_model

    return world_model(options)


SEARCHES: Final[Mapping[str, SearchFactory]] = {"ppo": _ppo, "auto": _auto, "world-model": _world_model}
"""Makes each of them; torch is imported only then."""


def check_installed(search: str, *, is_trained: bool) -> None:
    """Check, before any work is done, that a search has the packages that it cannot do without.

    Args:
        search: Its name.
        is_trained: Whether it is to learn about the model first.

    Raises:
        MissingExtraError: One is not installed.
    """
    if search in SEARCHES and (search != "auto" or is_trained):
        require_learning(f"--search {search}{' with --train-budget' if is_trained else ''}")

"""The clock of a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from eqsat.prices.pricing import Pricer


@final
class SearchClock:
    """A clock that stands still while prices are measured, and for all else that is not the search's."""

    def __init__(self, clock: Callable[[], float], pricer: Pricer) -> None:
        self._clock = clock
        self._pricer = pricer
        self._skipped_s = -pricer.measuring_s

    def __call__(self) -> float:
        """Return the seconds that were the search's."""
        return self._clock() - self._pricer.measuring_s - self._skipped_s

    def skip(self, seconds: float) -> None:
        """Go back by some seconds."""
        self._skipped_s += seconds

"""What a run tells while it goes on, and when its stages must end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

from eqsat.pipeline.events import Event, Stage

if TYPE_CHECKING:
    from eqsat.pipeline.outcome import Findings

SEARCH_SHARE: Final = 0.2
"""Share of the time left after loading that is gone when the search must have ended; the next stages likewise."""
PRICE_SHARE: Final = 0.4
FINALS_SHARE: Final = 0.7
CONFIRM_SHARE: Final = 0.8
TUNING_SHARE: Final = 0.88
TUNED_SHARE: Final = 0.95
"""What is left is for writing the result."""


@final
@dataclass(slots=True, kw_only=True)
class Schedule:
    """When the stages of a run must end. What a stage leaves over, the later ones have.

    Attributes:
        start: Point on the clock from which on shares are counted.
        budget_s: Seconds from there to the end of the run.
    """

    start: float
    budget_s: float

    def begin(self, now: float) -> None:
        """Count shares of what is left from now on: what came before is taken from all stages alike."""
        self.start, self.budget_s = now, max(self.end - now, 0.0)

    @property
    def end(self) -> float:
        """Point on the clock at which the run must end."""
        return self.start + self.budget_s

    def deadline(self, share: float) -> float:
        """Return the point on the clock at which a share of the time budget is gone."""
        return self.start + share * self.budget_s


@final
class Progress:
    """Tells what happens and notes how long it took."""

    def __init__(self, emit: Callable[[Event], None], findings: Findings, clock: Callable[[], float]) -> None:
        """Remember whom to tell.

        Args:
            emit: Is told what happens.
            findings: Keeps the seconds by stage, and knows the speed-up so far.
            clock: Seconds on a clock that only goes forward.
        """
        self._emit = emit
        self._findings = findings
        self._clock = clock
        self._inside_s = 0.0

    def tell(self, stage: Stage, message: str, fraction: float | None = None) -> None:
        """Tell one thing."""
        self._emit(Event(stage=stage, message=message, fraction=fraction, best_speedup=self._findings.best_speedup))

    @contextmanager
    def stage(self, stage: Stage, message: str) -> Iterator[None]:
        """Tell that a stage begins, and add the time until its end to its seconds, without stages inside it."""
        self.tell(stage, message)
        began = self._clock()
        around_s, self._inside_s = self._inside_s, 0.0
        try:
            yield
        finally:
            elapsed_s = self._clock() - began
            seconds = self._findings.seconds
            seconds[stage.value] = seconds.get(stage.value, 0.0) + elapsed_s - self._inside_s
            self._inside_s = around_s + elapsed_s

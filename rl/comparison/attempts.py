"""What a contender may use for a task, and what it finds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rl.comparison.ledger import PriceBook
    from rl.env.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a contender may use for one task.

    Attributes:
        max_enodes: Size of the e-graph from which on nothing more is applied.
        growth: The same as a multiple of its size at the beginning; the smaller of the two counts.
        max_steps: Choices.
        max_seconds: Seconds of search, without those in which prices are measured.
        max_measurements: Distinct prices that may be measured; the others are estimated from sizes.
        max_solve_s: Seconds of the exact extraction at the end, those that a run of the product gives it.
        max_solve_work: Its limit in the solver's own unit, see :func:`eqsat.extraction.cpsat.solve`.
    """

    max_enodes: int = 2_000
    growth: float = math.inf
    max_steps: int = 1_000
    max_seconds: float = math.inf
    max_measurements: float = math.inf
    max_solve_s: float = 30.0
    max_solve_work: float = 8.0

    def enodes_from(self, num_enodes: int) -> int:
        """Return the size from which on nothing more is applied to an e-graph that had ``num_enodes``."""
        return int(min(self.max_enodes, self.growth * num_enodes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a contender found.

    Attributes:
        contender: Its name.
        task: Name of the task.
        seed: Seed of its draws.
        initial_us: Price of the model.
        cost_us: Price of the graph that was found, all of it measured.
        search_s: Seconds of search, the making of the e-graph among them, without those of measurements.
        extract_s: Seconds of the exact extraction at the end.
        num_measurements: Distinct prices that it asked for.
        num_enodes: Size of the e-graph at the end.
        num_steps: Choices made.
        stop_reason: Why it ended.
    """

    contender: str
    task: str
    seed: int
    initial_us: float
    cost_us: float
    search_s: float
    extract_s: float
    num_measurements: int
    num_enodes: int
    num_steps: int
    stop_reason: str

    @property
    def gain(self) -> float:
        """Relative drop of the price; none where what was found is dearer, since the input is then kept."""
        return max(0.0, 1.0 - self.cost_us / self.initial_us) if self.initial_us > 0 else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of search and extraction."""
        return self.search_s + self.extract_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a contender would have come to, had it ended on the way.

    Attributes:
        num_steps: Choices made so far.
        num_measurements: Distinct prices that it had asked for.
        seconds: Of search and extraction so far, without those of measurements.
        cost_us: Price of the graph that it would have chosen, all of it measured.
    """

    num_steps: int
    num_measurements: int
    seconds: float
    cost_us: float


class Contender(Protocol):
    """Takes part in a comparison."""

    @property
    def name(self) -> str:
        """What it is called in results; unique among contenders."""
        ...

    @property
    def is_random(self) -> bool:
        """Whether it comes out differently with another seed; one that does not is tried once."""
        ...

    def attempt(self, task: Task, book: PriceBook, limits: Limits, seed: int) -> Attempt:
        """Optimise a task.

        Args:
            task: The task; its prices are not used, those of the book are.
            book: Prices.
            limits: What may be used.
            seed: Seed of every draw.
        """
        ...

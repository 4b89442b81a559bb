"""Who takes part: a search of the product, or a policy in its environment."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch
from typing_extensions import override

from eqsat.egraph.session import Session
from eqsat.extraction.cpsat import solve
from eqsat.extraction.problem import select
from eqsat.prices.frugal import Frugal
from eqsat.prices.micro import MicroMaker
from eqsat.prices.problem import lay_out
from eqsat.prices.reference import reference_prices
from eqsat.search.interface import Arena, SearchBudget, StopReason, Surroundings
from rl.agent.policy import Policy
from rl.comparison.attempts import Attempt, Contender, Limits, Moment
from rl.comparison.ledger import Ledger, PriceBook, clock_without_measuring
from rl.env.environment import EGraphEnv, Settings, Truncation
from rl.env.scene import priced_problem
from rl.env.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from eqsat.extraction.problem import ExtractionProblem, Selection
    from eqsat.prices.problem import Layout, PricedProblem
    from eqsat.search.interface import Search
    from rl.agent.checkpoint import Checkpoint
    from rl.comparison.ledger import Clock
    from rl.env.prices import PriceSource
    from rl.env.tasks import Task


def arena_of(task: Task, session: Session, clock: Clock, seed: int) -> Arena:
    """Return a task's model on offer to a search.

    Args:
        task: The task, with the prices that the search gets.
        session: The e-graph of its model.
        clock: Seconds on a clock that only goes forward.
        seed: Seed of every draw.
    """
    return Arena(
        session=session,
        build_problem=partial(priced_problem, task),
        clock=clock,
        rng=random.Random(seed),
        surroundings=Surroundings(
            sizes=task.sizes,
            provider=task.provider,
            price=task.prices.price,
        ),
    )


def frugal_arena_of(
    task: Task,
    ledger: Ledger,
    session: Session,
    clock: Clock,
    seed: int,
    on_question: Callable[[Layout, ExtractionProblem], None] = lambda _layout, _problem: None,
) -> Arena:
    """Return a task's model on offer to a search, with prices that are measured where the answer depends on them.

    Args:
        task: The task; its prices do not count.
        ledger: Measures.
        session: The e-graph of its model.
        clock: Seconds on a clock that only goes forward.
        seed: Seed of every draw.
        on_question: See :class:`~eqsat.prices.frugal.Frugal`.
    """
    frugal = Frugal(
        ledger,
        reference=reference_prices(task.provider),
        seed=seed,
        is_late=lambda: ledger.is_spent,
        on_question=on_question,
    )

    def build(session: Session) -> PricedProblem:
        return frugal.problem(session, MicroMaker(session, task.sizes), task.provider)

    def settle(session: Session) -> PricedProblem:
        return frugal.settle(session, MicroMaker(session, task.sizes), task.provider)

    return Arena(
        session=session,
        build_problem=build,
        settle=settle,
        clock=clock,
        rng=random.Random(seed),
        surroundings=Surroundings(sizes=task.sizes, provider=task.provider, price=frugal.price),
    )


@final
class _Watch:
    """Counts the seconds and the steps of a search; what is asked on its behalf but not for it takes no time."""

    def __init__(
        self,
        true: Task,
        ledger: Ledger,
        limits: Limits,
        clock: Clock,
        on_moment: Callable[[Moment], None] | None,
    ) -> None:
        self._task = true
        self._ledger = ledger
        self._limits = limits
        self._clock = clock
        self._on_moment = on_moment
        self._num_steps = 0
        self._began_s = clock()
        self._true: tuple[Layout, ExtractionProblem] | None = None

    def clock(self) -> float:
        """Return the seconds since the beginning."""
        return self._clock() - self._began_s

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Stop the clock."""
        stopped_s = self._clock()
        try:
            yield
        finally:
            self._began_s += self._clock() - stopped_s

    def on_step(self) -> None:
        """Count a step."""
        self._num_steps += 1

    def on_question(self, layout: Layout, believed: ExtractionProblem) -> None:
        """Tell what the graph costs that would be found if the search ended now."""
        if self._on_moment is None:
            return
        with self.aside():
            searched_s, began_s = self.clock(), self._clock()
            found = _extracted(believed, self._limits)
            extract_s = self._clock() - began_s
            if self._true is None or self._true[0] is not layout:
                self._true = layout, _true_problem(self._task, layout)
            self._on_moment(
                Moment(
                    num_steps=self._num_steps,
                    num_measurements=len(self._ledger.asked),
                    seconds=searched_s + extract_s,
                    cost_us=select(self._true[1], found.choice).cost_us,
                )
            )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SearchContender(Contender):
    """A search of the product.

    Attributes:
        name: What it is called.
        search: The search.
        is_random: Whether it draws.
        fallback: Prices where no more may be measured; what is frugal has its own beliefs.
        is_frugal: Whether prices are measured where the answer depends on them; all of them otherwise.
        clock: Seconds on a clock that only goes forward.
        on_moment: Is told what one that is frugal would come to, each time before it measures more.
    """

    name: str
    search: Search
    is_random: bool
    fallback: PriceSource
    is_frugal: bool = False
    clock: Clock = time.monotonic
    on_moment: Callable[[Moment], None] | None = None

    @override
    def attempt(self, task: Task, book: PriceBook, limits: Limits, seed: int) -> Attempt:
        ledger = Ledger(book, allowance=limits.max_measurements, fallback=self.fallback)
        true = replace(task, prices=Ledger(book))
        watch = _Watch(true, ledger, limits, clock_without_measuring(book, self.clock), self.on_moment)
        session = Session(task.graph, task.rules)
        with watch.aside():
            initial_us = _extracted(_problem(true, session), limits).cost_us
        if self.is_frugal:
            arena = frugal_arena_of(task, ledger, session, watch.clock, seed, watch.on_question)
        else:
            arena = arena_of(replace(task, prices=ledger), session, watch.clock, seed)
        arena = replace(arena, on_step=watch.on_step)
        budget = SearchBudget(
            deadline=limits.max_seconds,
            max_enodes=limits.enodes_from(session.size().num_enodes),
            max_steps=limits.max_steps,
        )
        outcome = self.search.run(arena, budget)
        search_s = watch.clock()
        session = outcome.session or session
        selection = _extracted(replace(arena, session=session).settled().problem, limits)
        extract_s = watch.clock() - search_s
        known = (_laid_out if self.is_frugal else _problem)(true, session)
        return Attempt(
            contender=self.name,
            task=task.name,
            seed=seed,
            initial_us=initial_us,
            cost_us=select(known, selection.choice).cost_us,
            search_s=search_s,
            extract_s=extract_s,
            num_measurements=len(ledger.asked),
            num_enodes=session.size().num_enodes,
            num_steps=outcome.num_steps,
            stop_reason=str(outcome.stop_reason),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyContender(Contender):
    """A policy in the environment it was trained in: it may stop, and start over from the current extraction.

    The first episode takes the likeliest action each time; the others draw from the policy, and the best one counts.

    Attributes:
        name: What it is called.
        checkpoint: The policy.
        num_episodes: Episodes, as far as time allows.
        fallback: Prices where no more may be measured.
        clock: Seconds on a clock that only goes forward.

    Raises:
        ValueError: There is not even one episode.
    """

    name: str
    checkpoint: Checkpoint
    num_episodes: int = 1
    fallback: PriceSource
    clock: Clock = time.monotonic

    def __post_init__(self) -> None:
        """Refuse to do nothing."""
        if self.num_episodes < 1:
            raise ValueError(f"{self.num_episodes} episodes are too few")

    @property
    @override
    def is_random(self) -> bool:
        return self.num_episodes > 1

    @override
    def attempt(self, task: Task, book: PriceBook, limits: Limits, seed: int) -> Attempt:
        clock = clock_without_measuring(book, self.clock)
        ledger = Ledger(book, allowance=limits.max_measurements, fallback=self.fallback)
        true = replace(task, prices=Ledger(book))
        policy = Policy.of(self.checkpoint)
        began = clock()
        env = EGraphEnv([replace(task, prices=ledger)], self._settings(limits))
        env.reset()
        load_s = clock() - began
        initial_us = _extracted(_problem(true, env.scene.session), limits).cost_us
        deadline = clock() + limits.max_seconds - load_s
        attempts: list[Attempt] = []
        for episode in range(self.num_episodes):
            started = clock()
            if episode and started >= deadline:
                break
            if episode:
                env.reset()
            generator = torch.Generator().manual_seed(seed * self.num_episodes + episode) if episode else None
            num_steps, reason = _play(env, policy, generator, lambda: clock() >= deadline)
            searched = clock()
            selection = _extracted(env.look.snapshot.problem, limits, env.look.selection)
            extracted = clock()
            session = env.scene.session
            attempts.append(
                Attempt(
                    contender=self.name,
                    task=task.name,
                    seed=seed,
                    initial_us=initial_us,
                    cost_us=select(_problem(true, session), selection.choice).cost_us,
                    search_s=searched - started,
                    extract_s=extracted - searched,
                    num_measurements=len(ledger.asked),
                    num_enodes=session.size().num_enodes,
                    num_steps=num_steps,
                    stop_reason=reason,
                )
            )
        return replace(
            min(attempts, key=lambda attempt: attempt.cost_us),
            search_s=load_s + sum(attempt.search_s for attempt in attempts),
            extract_s=sum(attempt.extract_s for attempt in attempts),
            num_measurements=attempts[-1].num_measurements,
            num_steps=sum(attempt.num_steps for attempt in attempts),
        )

    def _settings(self, limits: Limits) -> Settings:
        return Settings(
            max_steps=limits.max_steps,
            max_enodes=limits.max_enodes,
            growth=(limits.growth, limits.growth),
            max_kept_sessions=1 if self.num_episodes > 1 else 0,
        )


def _play(
    env: EGraphEnv, policy: Policy, generator: torch.Generator | None, is_late: Callable[[], bool]
) -> tuple[int, str]:
    """Play an episode that has begun; return its steps and why it ended."""
    num_steps = 0
    while not is_late():
        (decision,) = policy.act([env.look.observation], generator)
        _, _, is_terminated, is_truncated, info = env.step(np.int64(decision.action))
        num_steps += 1
        if is_terminated:
            return num_steps, STOPPED
        if is_truncated:
            return num_steps, str(_REASONS[Truncation(info["truncation"])])
    return num_steps, str(StopReason.TIME_LIMIT)


STOPPED: Final = "stop"
"""Why an episode ended that the policy ended."""

_REASONS: Final = {
    Truncation.STEPS: StopReason.STEP_LIMIT,
    Truncation.ENODES: StopReason.ENODE_LIMIT,
    Truncation.TIME: StopReason.TIME_LIMIT,
}


def _laid_out(task: Task, session: Session) -> ExtractionProblem:
    """Return a session with a task's prices, its e-nodes numbered as a frugal arena numbers them."""
    return _true_problem(task, lay_out(session, MicroMaker(session, task.sizes), task.provider))


def _true_problem(task: Task, layout: Layout) -> ExtractionProblem:
    maker = MicroMaker(layout.session, task.sizes)
    return layout.priced(task.prices.price(layout.session, layout.wanted(), maker)).problem


def _problem(task: Task, session: Session) -> ExtractionProblem:
    return Tracker(session, task.prices, task.sizes, task.provider).snapshot().problem


def _extracted(problem: ExtractionProblem, limits: Limits, hint: Selection | None = None) -> Selection:
    return solve(problem, time_limit_s=limits.max_solve_s, work_limit=limits.max_solve_work, hint=hint).selection

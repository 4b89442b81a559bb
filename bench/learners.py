"""Agents that get to know one model: model-free ones, and those that imagine most of what they learn from.

Both have the same network, prices, room and episodes. After every update the policy plays once by its likeliest
actions. The real steps of a way are those of training; its prices are distinct ones, those that validations asked for
among them; its seconds are those of everything but measuring.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never, final

from typing_extensions import override

from bench.models import export
from eqsat.egraph.session import Session
from eqsat.search.interface import SearchBudget
from rl.agent import checkpoint as policies
from rl.comparison.attempts import Attempt, Contender, Limits, Moment
from rl.comparison.contenders import PolicyContender, SearchContender, arena_of
from rl.comparison.ledger import Ledger, clock_without_measuring
from rl.evaluate import model_task
from rl.families.prices import CalibratedPrices, measured_fits
from rl.search.learned import Learned
from rl.training import loop as model_free
from rl.training.config import EpisodeConfig, TrainConfig
from rl.training.tasks import TaskSplit
from rl.world import planning
from rl.world import train as imagining
from rl.world.config import FitConfig, ImagineConfig, ModelConfig, WorldConfig
from rl.world.stochastic import Openness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eqsat.search.interface import Search
    from rl.comparison.ledger import Clock, PriceBook
    from rl.env.device import Device
    from rl.env.prices import PriceSource
    from rl.env.tasks import Task
    from rl.families.regimes import Regime

TOLERANCE: Final = 1e-3
"""Gains that differ by less, in shares of the model's price, are the same."""

MAX_STEPS: Final = 40


class Kind(StrEnum):
    """How an agent learns, and what it begins with."""

    MODEL_FREE = "model-free"
    """From real steps alone, from nothing."""
    IMAGINING = "imagining"
    """From imagined steps, of a world model with categorical latents, from nothing."""
    IMAGINING_MIXTURE = "imagining-mixture"
    """The same with a mixture density, as RLFlow has it."""
    SHIPPED_MODEL_FREE = "model-free-shipped"
    """From real steps alone, from the policy that ships."""
    SHIPPED_PLANNING = "planning-shipped"
    """Not at all: one run of ``--search world-model`` with the world model that ships."""
    SHIPPED_POLICY = "policy-shipped"
    """Not at all: one run of ``--search ppo`` with the policy that ships."""
    FRUGAL_PLANNING = "planning-frugal"
    """The first of these with ``--prices needed``."""
    FRUGAL_POLICY = "policy-frugal"
    """The second of these with ``--prices needed``."""
    LATER_PLANNING = "planning-frugal-later"
    LATER_POLICY = "policy-frugal-later"
    """The same where other models were priced on this device before, see :attr:`rl.comparison.ledger.PriceBook.others`.
    """

    @property
    def is_later(self) -> bool:
        """Whether other models come first."""
        return self in {Kind.LATER_PLANNING, Kind.LATER_POLICY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A policy on its way.

    Attributes:
        num_steps: Real steps of training so far.
        num_prices: Distinct prices asked so far.
        seconds: Of everything so far but measuring.
        gain: Relative drop of the price by its likeliest actions.
    """

    num_steps: int
    num_prices: int
    seconds: float
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One training, or one search.

    Attributes:
        model: What it is about.
        agent: Who.
        seed: Seed of every draw.
        points: One for each validation.
    """

    model: str
    agent: str
    seed: int
    points: tuple[Point, ...]

    @property
    def gain(self) -> float:
        """Of the best policy on the way."""
        return max(point.gain for point in self.points)

    def reached(self, gain: float) -> Point | None:
        """Return where it first had a gain, None where it never had."""
        return next((point for point in self.points if point.gain >= gain - TOLERANCE), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much an agent may train.

    Attributes:
        num_updates: Updates, or rounds of one that imagines.
        num_episodes: Real episodes of each.
        growth: Room of an episode, as a multiple of the model's own size.
        max_enodes: The same as a number of e-nodes; the smaller one counts.
    """

    num_updates: int
    num_episodes: int
    growth: float
    max_enodes: int = 10_000


def exported_task(name: str, size: str, device: Device, regime: Regime) -> tuple[Task, PriceBook]:
    """Return the task of a model of :mod:`bench.models`, under its name there, with prices measured on a device.

    Args:
        name: Name of the model.
        size: ``small`` or ``full``.
        device: Measures.
        regime: Rules that may be used.

    Raises:
        UnknownModelError: No model has that name.
        UnsupportedVariantError: The model cannot be exported in that form.
    """
    task, book = model_task(export(name, size=size), device, regime)
    return replace(task, name=name), book


def add_flags(parser: argparse.ArgumentParser, models: Sequence[str]) -> None:
    """Add the flags of a command about exported models with prices measured on this machine.

    Args:
        parser: Gets ``--models``, ``--size``, ``--threads``, ``--database`` and ``--json``.
        models: Those by default.
    """
    parser.add_argument("--models", nargs="+", default=list(models), metavar="NAME", help="models of bench.models")
    parser.add_argument("--size", default="full", choices=("small", "full"), help="size of models")
    parser.add_argument("--threads", type=int, default=0, help="threads of ONNX Runtime; 0 is its own default")
    parser.add_argument("--database", type=Path, help="price database; the user's own by default")
    parser.add_argument("--json", type=Path, help="write everything here")


def train(kind: Kind, task: Task, book: PriceBook, seed: int, effort: Effort, folder: Path) -> Way:
    """Let an agent train on a task, and return its way; the best policy is left in ``best`` of the folder.

    Args:
        kind: Which agent.
        task: What on; its prices are not used, those of the book are.
        book: Prices.
        seed: Seed of every draw.
        effort: How much.
        folder: Where the training writes.
    """
    ledger, clock = Ledger(book), clock_without_measuring(book, time.monotonic)
    counted, points, began = replace(task, prices=ledger), list[Point](), clock()

    def watch(num_steps: int, gain: float) -> None:
        points.append(Point(num_steps=num_steps, num_prices=len(ledger.asked), seconds=clock() - began, gain=gain))

    split = TaskSplit(training=[counted], validation=[counted])
    match kind:
        case Kind.MODEL_FREE | Kind.SHIPPED_MODEL_FREE:
            start = policies.shipped() if kind is Kind.SHIPPED_MODEL_FREE else None
            config = model_free_config(seed, effort)
            model_free.train(config, lambda: split, folder, start=start, clock=clock, on_validation=watch)
        case Kind.IMAGINING | Kind.IMAGINING_MIXTURE:
            world = imagining_config(kind, seed, effort, _room(Session(task.graph, task.rules), effort))
            imagining.train(world, lambda: split, folder, clock=clock, on_validation=watch)
        case Kind.SHIPPED_PLANNING:
            watch(*_searched(planning.foresighted(), counted, seed, effort, clock))
        case Kind.SHIPPED_POLICY:
            watch(*_searched(Learned(checkpoint=policies.shipped()), counted, seed, effort, clock))
        case Kind.FRUGAL_PLANNING | Kind.LATER_PLANNING:
            points += _frugally(planning.foresighted(), task, book, seed, effort)
        case Kind.FRUGAL_POLICY | Kind.LATER_POLICY:
            points += _frugally(Learned(checkpoint=policies.shipped()), task, book, seed, effort)
        case never:
            assert_never(never)
    return Way(model=task.name, agent=kind, seed=seed, points=tuple(points))


def _searched(search: Search, task: Task, seed: int, effort: Effort, clock: Clock) -> tuple[int, float]:
    """Search as a run of the product does; return the real steps and the gain of the greedy extraction."""
    session = Session(task.graph, task.rules)
    arena = arena_of(task, session, clock, seed)
    initial_us = arena.cost_us()
    outcome = search.run(arena, SearchBudget(max_enodes=_room(session, effort)))
    final = replace(arena, session=outcome.session or session)
    return outcome.num_steps, 1.0 - final.cost_us() / initial_us


def _frugally(search: Search, task: Task, book: PriceBook, seed: int, effort: Effort) -> list[Point]:
    """Search with those prices alone that the answer depends on.

    Each time before more is measured, the graph that would be chosen is a point of the way. Its gain is by the true
    prices, which who searches does not know: so it cannot keep what was better before, and a point counts as
    what the way keeps from there on.
    """
    moments: list[Moment] = []
    searches = SearchContender(
        name="",
        search=search,
        is_random=False,
        fallback=CalibratedPrices(measured_fits()),
        is_frugal=True,
        on_moment=moments.append,
    )
    limits = Limits(max_enodes=effort.max_enodes, growth=effort.growth, max_seconds=math.inf)
    found = searches.attempt(task, book, limits, seed)
    last = Moment(
        num_steps=found.num_steps,
        num_measurements=found.num_measurements,
        seconds=found.seconds,
        cost_us=found.cost_us,
    )
    points: list[Point] = []
    gain = math.inf
    for moment in reversed((*moments, last)):
        gain = min(gain, 1.0 - moment.cost_us / found.initial_us)
        points.append(
            Point(num_steps=moment.num_steps, num_prices=moment.num_measurements, seconds=moment.seconds, gain=gain)
        )
    return points[::-1]


def _room(session: Session, effort: Effort) -> int:
    """Return the e-nodes at which nothing more is applied."""
    return int(min(effort.growth * session.size().num_enodes, effort.max_enodes))


def model_free_config(seed: int, effort: Effort) -> TrainConfig:
    """Return the settings of a training by real steps alone."""
    return TrainConfig(
        seed=seed,
        time_limit_s=_FOREVER,
        num_updates=effort.num_updates,
        num_workers=0,
        tasks_per_update=1,
        episodes_per_task=effort.num_episodes,
        validate_every=1,
        device="cpu",
        episodes=_episodes(effort),
    )


def imagining_config(kind: Kind, seed: int, effort: Effort, room: int) -> WorldConfig:
    """Return the settings of a training in imagination.

    Args:
        kind: Which agent.
        seed: Seed of every draw.
        effort: How much.
        room: E-nodes at which an imagined episode ends.
    """
    is_mixture = kind is Kind.IMAGINING_MIXTURE
    return WorldConfig(
        seed=seed,
        time_limit_s=_FOREVER,
        num_rounds=effort.num_updates,
        tasks_per_round=1,
        episodes_per_task=effort.num_episodes,
        novel_share=0.0,
        validate_every=1,
        device="cpu",
        model=ModelConfig(openness=Openness.MIXTURE if is_mixture else Openness.CATEGORICAL),
        fit=FitConfig(num_updates=40, num_encoder_updates=10, encoder_learning_rate=5e-4, num_windows=24),
        imagine=ImagineConfig(
            num_updates=12,
            num_states=64,
            horizon=MAX_STEPS // 2,
            learning_rate=1e-3,
            penalty=0.0,
            max_enodes=room,
            is_room=True,
        ),
        episodes=_episodes(effort),
    )


_FOREVER: Final = 1e9


def _episodes(effort: Effort) -> EpisodeConfig:
    return EpisodeConfig(
        max_steps=MAX_STEPS,
        max_enodes=effort.max_enodes,
        min_growth=effort.growth,
        max_growth=effort.growth,
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedContender(Contender):
    """An agent that first gets to know the model: its training counts.

    Attributes:
        name: What it is called.
        kind: Which agent.
        effort: How much it trains; its room is that of the budget of the contest.
        fallback: Prices where no more may be measured.
    """

    name: str
    kind: Kind
    effort: Effort
    fallback: PriceSource

    @property
    @override
    def is_random(self) -> bool:
        return True

    @override
    def attempt(self, task: Task, book: PriceBook, limits: Limits, seed: int) -> Attempt:
        with tempfile.TemporaryDirectory() as name:
            effort = replace(self.effort, growth=limits.growth, max_enodes=limits.max_enodes)
            way = train(self.kind, task, book, seed, effort, Path(name))
            checkpoint = policies.load(Path(name) / model_free.BEST)
        player = PolicyContender(name=self.name, checkpoint=checkpoint, fallback=self.fallback)
        played, last = player.attempt(task, book, limits, seed), way.points[-1]
        return replace(
            played,
            search_s=played.search_s + last.seconds,
            num_measurements=max(played.num_measurements, last.num_prices),
            num_steps=played.num_steps + last.num_steps,
        )

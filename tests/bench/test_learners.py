"""Agents that get to know one model: what they ask for is counted, and told as shares of what the first one asked."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import efficiency, learners, papers
from bench.learners import Effort, Kind, Point, TrainedContender, Way, train
from bench.models import find
from eqsat.prices.beliefs import Kernel
from rl.agent.network import NetworkConfig
from rl.comparison.attempts import Limits
from rl.comparison.ledger import PriceBook
from rl.env.prices import TablePrices
from rl.env.tasks import Task
from rl.families.prices import CalibratedPrices, measured_fits
from rl.world.config import FitConfig, ImagineConfig, ModelConfig, WorldConfig
from tests.bench.test_agent import TableDevice
from tests.rl.worlds import branch_task

SHIPPED = (Kind.SHIPPED_PLANNING, Kind.SHIPPED_POLICY)
FRUGAL = (Kind.FRUGAL_PLANNING, Kind.FRUGAL_POLICY, Kind.LATER_PLANNING, Kind.LATER_POLICY)

EFFORT = Effort(num_updates=2, num_episodes=1, growth=3.0)


def way(agent: Kind, *points: tuple[int, int, float, float], seed: int = 0) -> Way:
    return Way(
        model="m",
        agent=agent,
        seed=seed,
        points=tuple(
            Point(num_steps=steps, num_prices=prices, seconds=seconds, gain=gain)
            for steps, prices, seconds, gain in points
        ),
    )


FREE = way(Kind.MODEL_FREE, (0, 10, 1.0, 0.0), (100, 20, 5.0, 0.2), (200, 40, 9.0, 0.3), (300, 50, 12.0, 0.2))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """World models are made small, and learn little."""
    full = learners.imagining_config
    tiny = NetworkConfig(hidden=8, embedding=4, num_rounds=1)

    def config(kind: Kind, seed: int, effort: Effort, room: int) -> WorldConfig:
        made = full(kind, seed, effort, room)
        shape = ModelConfig(hidden=8, candidate_hidden=8, embedding=4, openness=made.model.openness)
        fit = FitConfig(num_updates=2, num_windows=4)
        imagine = ImagineConfig(num_updates=1, num_states=4, horizon=3, max_enodes=room, is_room=True)
        return replace(made, network=tiny, model=shape, fit=fit, imagine=imagine)

    monkeypatch.setattr(learners, "imagining_config", config)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return branch_task(tmp_path)


@pytest.mark.parametrize("kind", [Kind.MODEL_FREE, Kind.IMAGINING, Kind.IMAGINING_MIXTURE])
def test_a_way_counts_what_an_agent_asked_for(tmp_path: Path, task: Task, kind: Kind) -> None:
    found = train(kind, task, PriceBook(source=TablePrices()), 0, EFFORT, tmp_path / "training")
    assert (found.model, found.agent) == (task.name, kind)
    steps, prices = [each.num_steps for each in found.points], [each.num_prices for each in found.points]
    assert len(steps) >= EFFORT.num_updates
    assert steps == sorted(steps)
    assert steps[-1] > 0
    assert prices == sorted(prices)
    assert prices[0] > 0
    assert found.gain == max(each.gain for each in found.points)
    assert (tmp_path / "training" / "best").is_dir()


@pytest.mark.parametrize("kind", [*SHIPPED, *FRUGAL])
def test_what_ships_searches_without_training(tmp_path: Path, task: Task, kind: Kind) -> None:
    found = train(kind, task, PriceBook(source=TablePrices()), 0, EFFORT, tmp_path / "training")
    last = found.points[-1]
    assert last.num_steps > 0
    assert last.num_prices > 0
    assert last.gain > 0.1
    assert (len(found.points) > 1) is (kind in FRUGAL)


@pytest.mark.parametrize("kind", FRUGAL)
def test_who_does_not_know_the_prices_cannot_keep_what_was_better_before(
    tmp_path: Path, task: Task, kind: Kind
) -> None:
    found = train(kind, task, PriceBook(source=TablePrices()), 0, EFFORT, tmp_path / "training")
    for name in ("num_steps", "num_prices", "gain"):
        values = [getattr(point, name) for point in found.points]
        assert values == sorted(values)
    assert found.points[0].num_prices == 0


def test_a_trained_contender_pays_for_its_training(task: Task) -> None:
    fallback = CalibratedPrices(measured_fits())
    contender = TrainedContender(name="who", kind=Kind.MODEL_FREE, effort=EFFORT, fallback=fallback)
    attempt = contender.attempt(task, PriceBook(source=TablePrices()), Limits(max_seconds=60.0, growth=3.0), 0)
    assert attempt.contender == "who"
    assert attempt.num_steps > EFFORT.num_updates
    assert attempt.cost_us <= attempt.initial_us


def test_the_imagined_room_is_that_of_the_task() -> None:
    config = learners.imagining_config(Kind.IMAGINING, 0, EFFORT, 77)
    assert (config.imagine.max_enodes, config.imagine.is_room) == (77, True)
    assert config.episodes.max_growth == EFFORT.growth


def test_a_mark_is_reached_within_the_tolerance() -> None:
    assert FREE.gain == 0.3
    assert FREE.reached(0.3) == FREE.points[2]
    assert FREE.reached(0.2005) == FREE.points[1]
    assert FREE.reached(0.31) is None


def test_shares_are_of_what_the_model_free_agent_had_needed() -> None:
    quick = way(Kind.IMAGINING, (0, 5, 0.5, 0.1), (50, 10, 18.0, 0.2995))
    assert efficiency.shares(quick, FREE) == {"steps": 0.25, "prices": 0.25, "seconds": 2.0}
    assert efficiency.shares(FREE, FREE) == {"steps": 1.0, "prices": 1.0, "seconds": 1.0}
    assert efficiency.shares(way(Kind.IMAGINING, (50, 10, 18.0, 0.29)), FREE) is None


def test_rows_say_how_many_seeds_reached_the_mark() -> None:
    ways = [
        FREE,
        replace(FREE, seed=1),
        way(Kind.IMAGINING, (20, 8, 3.0, 0.3)),
        way(Kind.IMAGINING, (9, 1, 1.0, 0.0), seed=1),
    ]
    free, imagining = efficiency.rows(ways)
    assert (free["num_reached"], imagining["num_reached"], imagining["num_seeds"]) == (2, 1, 2)
    assert imagining["shares"]["steps"] == pytest.approx(0.1)
    assert imagining["gain"] == pytest.approx(0.15)
    text = efficiency.table([free, imagining])
    assert "1/2" in text
    assert "0.10" in text


def test_the_command_compares_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task) -> None:
    monkeypatch.setattr(efficiency, "Device", TableDevice)
    offers = {name: (replace(task, name=name), PriceBook(source=TablePrices())) for name in ("one", "two")}
    monkeypatch.setattr(efficiency, "exported_task", lambda name, *_: offers[name])
    told: list[tuple[str, Kind, bool]] = []

    def trained(kind: Kind, task: Task, book: PriceBook, *rest: Any) -> Way:
        told.append((task.name, kind, bool(book.others)))
        return train(kind, task, book, *rest)

    monkeypatch.setattr(efficiency, "train", trained)
    path = tmp_path / "out.json"
    agents = ["imagining", "policy-frugal-later"]
    flags = ["--models", "one", "two", "--seeds", "1", "--updates", "1", "--agents", *agents, "--json", str(path)]
    assert efficiency.main(flags) == 0
    document = json.loads(path.read_text())
    first = [(model, agent) for model in ("one", "two") for agent in ("model-free", "imagining")]
    last = [(model, "policy-frugal-later") for model in ("one", "two")]
    assert told == [(*each, False) for each in first] + [(*each, True) for each in last]
    assert [(each["model"], each["agent"]) for each in document["ways"]] == first + last
    assert [each["model"] for each in document["rows"]] == ["one"] * 3 + ["two"] * 3


def test_what_comes_later_knows_all_other_models(task: Task) -> None:
    books = [PriceBook(source=TablePrices()) for _ in range(3)]
    for number, book in enumerate(books):
        book.kernels[f"{number}"], book.known[f"{number}"] = Kernel("Add", 1.0), float(number)
    found = efficiency.others([(task, book) for book in books], 1)
    assert found == {"0": (Kernel("Add", 1.0), 0.0), "2": (Kernel("Add", 1.0), 2.0)}


def test_papers_models_are_in_the_catalogue() -> None:
    assert [find(name).spec.name for name in papers.MODELS] == list(papers.MODELS)


def test_the_papers_methods_train_from_nothing() -> None:
    methods = papers.trained(CalibratedPrices(measured_fits()), 3)
    told = [(each.name, each.kind) for each in methods if isinstance(each, TrainedContender)]
    assert told == [("X-RLflow", Kind.MODEL_FREE), ("RLFlow", Kind.IMAGINING_MIXTURE)]
    assert all(math.isinf(each.effort.growth) for each in methods if isinstance(each, TrainedContender))

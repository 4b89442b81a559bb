"""The learned search does what its policy says, within the budget; ``auto`` takes it where saturation has no end."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typing_extensions import override

from eqsat.errors import UsageError
from eqsat.search.interface import Arena, Outcome, Search, SearchBudget, StopReason
from eqsat.search.options import option_names
from eqsat.search.registry import make_search, search_names
from eqsat.text.extras import MissingExtraError
from rl.agent.checkpoint import Checkpoint, save
from rl.agent.network import Network, NetworkConfig
from rl.agent.statistics import FeatureStatistics
from rl.env.observation import FIRST_CANDIDATE
from rl.search.automatic import LEAST_S, OPTIONS, Auto
from rl.search.learned import Learned, chosen_places
from rl.searches import SEARCHES
from rl.training.config import PpoConfig
from rl.training.finetune import FineTune
from rl.world.planning import Foresighted, PlanConfig
from tests.pipeline import models
from tests.rl import worlds
from tests.search.documentation import documented, shown

CONFIG = NetworkConfig(hidden=16, embedding=8, num_rounds=1)


def checkpoint(stop: float = -10.0) -> Checkpoint:
    """A policy that has learnt nothing but how much it likes to stop."""
    torch.manual_seed(0)
    network = Network(CONFIG)
    with torch.no_grad():
        network.stop[-1].get_parameter("bias").fill_(stop)
    return Checkpoint.of(network, FeatureStatistics.nothing(), {"from": "a test"})


def test_it_applies_until_nothing_is_left(tmp_path: Path) -> None:
    arena, told = worlds.arena_of(worlds.branch_task(tmp_path))
    before = arena.cost_us()
    outcome = Learned(checkpoint=checkpoint(), width=1).run(arena, SearchBudget())
    assert outcome.stop_reason is StopReason.SATURATED
    assert outcome.num_steps == len(told) > 1
    assert outcome.num_applied == sum(arena.session.applied.values())
    assert arena.cost_us() < 0.9 * before
    assert told[-1].endswith(f"{arena.cost_us():.0f} us")


def test_it_stops_where_the_policy_stops(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.branch_task(tmp_path))
    outcome = Learned(checkpoint=checkpoint(stop=10.0)).run(arena, SearchBudget())
    assert outcome == Outcome(stop_reason=StopReason.NO_GAIN, num_steps=0, num_applied=0)


@pytest.mark.parametrize(
    ("budget", "times", "reason"),
    [
        (SearchBudget(max_steps=2), None, StopReason.STEP_LIMIT),
        (SearchBudget(max_enodes=12), None, StopReason.ENODE_LIMIT),
        (SearchBudget(deadline=3.0), map(float, itertools.count()), StopReason.TIME_LIMIT),
    ],
)
def test_it_keeps_to_the_budget(
    tmp_path: Path, budget: SearchBudget, times: Iterator[float] | None, reason: StopReason
) -> None:
    task = worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW)
    arena, _ = worlds.arena_of(task, times)
    outcome = Learned(checkpoint=checkpoint()).run(arena, budget)
    assert outcome.stop_reason is reason
    assert outcome.num_steps < 6


def test_many_candidates_at_once_keep_to_the_limit(tmp_path: Path) -> None:
    """Each application makes one e-node: a step applies as many as there is room for."""
    arena, _ = worlds.arena_of(worlds.task(tmp_path, models.chain(30), worlds.ABS))
    limit = arena.size().num_enodes + 5
    outcome = Learned(checkpoint=checkpoint(), width=8).run(arena, SearchBudget(max_enodes=limit))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.ENODE_LIMIT, 5)
    assert arena.size().num_enodes == limit


def test_a_seed_is_not_needed(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        arena, told = worlds.arena_of(worlds.branch_task(tmp_path))
        found.append((Learned(checkpoint=checkpoint()).run(arena, SearchBudget()), told))
    assert found[0] == found[1]


def test_several_candidates_at_a_step(tmp_path: Path) -> None:
    steps = []
    for width in (1, 8):
        arena, _ = worlds.arena_of(worlds.branch_task(tmp_path, 3))
        steps.append(Learned(checkpoint=checkpoint(), width=width).run(arena, SearchBudget()).num_steps)
    assert steps[1] < steps[0]


@pytest.mark.parametrize(
    ("probabilities", "width", "expected"),
    [
        ([0.6, 0.4], 4, []),
        ([0.1, 0.3, 0.5, 0.1], 1, [1]),
        ([0.1, 0.3, 0.5, 0.1], 4, [1, 0]),
        ([0.3, 0.35, 0.2, 0.15], 4, [0]),
        ([0.0, 0.25, 0.25, 0.25, 0.25], 3, [0, 1, 2]),
    ],
)
def test_which_candidates_are_applied_together(probabilities: list[float], width: int, expected: list[int]) -> None:
    assert chosen_places(np.array(probabilities), width) == expected


def test_it_needs_the_surroundings(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.chain_task(tmp_path))
    bare = Arena(session=arena.session, build_problem=arena.build_problem, clock=arena.clock, rng=arena.rng)
    with pytest.raises(UsageError, match="surroundings"):
        Learned(checkpoint=checkpoint()).run(bare, SearchBudget())


def test_it_can_learn_about_the_model_first(tmp_path: Path) -> None:
    """A policy that would rather stop learns that it should not."""
    fine_tune = FineTune(ppo=PpoConfig(learning_rate=1e-2, target_kl=0.1), max_updates=8, max_steps=3)
    search = Learned(checkpoint=checkpoint(stop=1.5), fine_tune=fine_tune)
    arena, told = worlds.arena_of(worlds.branch_task(tmp_path))
    plain = search.run(arena, SearchBudget())
    tuned = search.run(arena, SearchBudget(training_s=1e6))
    assert plain.num_applied == 0
    assert tuned.num_applied > 0
    assert any(message.startswith("update 1") for message in told)


class Never(Search):
    """Is not to be asked for."""

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        raise AssertionError


def test_auto_saturates_what_has_an_end(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.branch_task(tmp_path))
    outcome = Auto(make_learned=Never).run(arena, SearchBudget())
    size = arena.size().num_enodes
    assert outcome.stop_reason is StopReason.SATURATED
    assert outcome.plan == f"saturation: the e-graph is complete with {size} e-nodes"


def test_auto_takes_the_agent_where_there_is_no_end(tmp_path: Path) -> None:
    arena, told = worlds.arena_of(worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW))
    before = arena.size().num_enodes
    seen: list[tuple[Arena, SearchBudget]] = []

    class Looks(Search):
        @override
        def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
            seen.append((arena, budget))
            return Outcome(stop_reason=StopReason.NO_GAIN, num_steps=3, num_applied=2)

    outcome = Auto(make_learned=Looks).run(arena, SearchBudget(max_enodes=40, max_steps=100))
    ((again, budget),) = seen
    assert again.size().num_enodes == before
    assert (budget.max_enodes, budget.max_steps) == (40, 103 - outcome.num_steps)
    assert outcome.num_applied > 2
    assert outcome.session is again.session
    assert outcome.plan == told[-1]
    assert outcome.plan.startswith(f"the agent: saturation went from {before} to ")
    assert outcome.plan.endswith("(enode_limit)")


def test_auto_leaves_the_agent_alone_where_no_time_is_left_for_it(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW))
    outcome = Auto(make_learned=Never).run(arena, SearchBudget(deadline=LEAST_S - 0.5, max_enodes=10**6, max_steps=30))
    assert outcome.plan == "saturation: no 3 s were left, with which the agent would begin"
    assert (outcome.stop_reason, outcome.num_steps) == (StopReason.STEP_LIMIT, 30)
    assert outcome.num_applied > 0


def test_auto_starts_over_by_itself_where_there_is_no_agent(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW))

    def missing() -> Search:
        raise MissingExtraError("the agent needs torch")

    outcome = Auto(make_learned=missing).run(arena, SearchBudget(max_enodes=10**6, max_steps=40))
    assert outcome.plan == "saturation that starts over, in place of the agent: the agent needs torch"
    assert outcome.num_steps <= 40
    assert outcome.num_applied > 0


def test_a_model_with_no_room_beside_it_is_not_searched(tmp_path: Path) -> None:
    arena, _ = worlds.arena_of(worlds.branch_task(tmp_path))
    outcome = Auto(make_learned=Never).run(arena, SearchBudget(max_enodes=2))
    assert (outcome.stop_reason, outcome.num_applied) == (StopReason.ENODE_LIMIT, 0)


def test_imports_and_learning_are_not_counted(tmp_path: Path) -> None:
    skipped: list[tuple[float, bool]] = []
    arena, _ = worlds.arena_of(
        worlds.task(tmp_path, models.chain(1, "Abs"), worlds.GROW), map(float, itertools.count())
    )
    arena = replace(arena, on_uncounted=lambda seconds, is_on_top: skipped.append((seconds, is_on_top)))

    class Ends(Search):
        @override
        def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
            with arena.uncounted(is_on_top=True):
                arena.clock()
            return Outcome(stop_reason=StopReason.NO_GAIN, num_steps=0, num_applied=0)

    Auto(make_learned=Ends).run(arena, SearchBudget(deadline=1e6, max_enodes=40))
    assert skipped == [(1.0, False), (2.0, True)]


def test_they_are_found_by_name(tmp_path: Path) -> None:
    save(checkpoint(), tmp_path)
    learned = make_search("ppo", {"policy": str(tmp_path), "width": "3", "restarts": "0"}, SEARCHES)
    assert isinstance(learned, Learned)
    assert (learned.width, learned.restarts.count, learned.checkpoint.notes) == (3, 0, {"from": "a test"})
    automatic = make_search("auto", {"policy": str(tmp_path)}, SEARCHES)
    assert isinstance(automatic, Auto)
    assert isinstance(automatic.make_learned(), Learned)
    assert {"ppo", "auto"} <= set(search_names(SEARCHES))
    assert "ppo" not in search_names()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ppo", {"widht": "1"}, "search 'ppo' has no option 'widht' .*; did you mean 'width'"),
        ("auto", {"alpha": "1"}, "search 'auto' has no option 'alpha'"),
        ("ppo", {"width": "0"}, "option 'width' must be a number above 0"),
        ("ppo", {"restarts": "some"}, "option 'restarts' must be a number from 0"),
        ("ppo", {"policy": "nowhere"}, "nowhere holds no policy"),
    ],
)
def test_wrong_options(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_search(name, options, SEARCHES)


def test_the_likeliest_candidate_comes_first() -> None:
    probabilities = np.zeros(FIRST_CANDIDATE + 3)
    probabilities[FIRST_CANDIDATE:] = [0.3, 0.4, 0.3]
    assert chosen_places(probabilities, 3) == [1, 0, 2]


@pytest.mark.parametrize(
    ("search", "name", "default"),
    [*shown("ppo", Learned), *shown("world-model", PlanConfig), *shown("world-model", Foresighted)],
)
def test_every_option_stands_in_the_documentation_with_its_default(search: str, name: str, default: str) -> None:
    assert f"`{name}` ({default})" in documented(search)


def test_options_of_the_automatic_search_are_known_without_torch() -> None:
    assert set(OPTIONS) == {"policy", *option_names(Learned)}

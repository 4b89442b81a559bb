"""Random search repeats itself for a seed, and ends where everything else ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eqsat.search.chance import Random
from eqsat.search.interface import Arena, SearchBudget, StopReason
from tests.pipeline import models

RULES = (
    models.rewrite("(Neg x)", "(Abs x)", "a-one"),
    models.rewrite("(Neg x)", "(Floor x)", "b-two"),
    models.rewrite("(Neg x)", "(Ceil x)", "c-three"),
    models.rewrite("(Neg x)", "(Round x)", "d-four"),
)


def order(folder: Path, make_arena: Callable[..., Arena], seed: int) -> list[str]:
    session = models.session(folder, models.chain(4), models.rules(*RULES))
    arena = make_arena(session, {}, seed=seed)
    told: list[str] = []
    arena = Arena(
        session=session,
        build_problem=arena.build_problem,
        clock=arena.clock,
        rng=arena.rng,
        on_progress=told.append,
    )
    Random(num_steps=6).run(arena, SearchBudget())
    return told


def test_a_seed_says_it_all(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    first = order(tmp_path, make_arena, 1)
    assert len(first) == 6
    assert order(tmp_path, make_arena, 1) == first
    assert any(order(tmp_path, make_arena, seed) != first for seed in range(2, 5))


def test_it_ends_when_nothing_is_left(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(2), models.rules(*RULES))
    outcome = Random(num_steps=100).run(make_arena(session, {}), SearchBudget())
    assert outcome.stop_reason is StopReason.SATURATED
    assert not session.candidates()
    assert outcome.num_applied == sum(session.applied.values())


def test_it_makes_the_steps_it_was_given(tmp_path: Path, make_arena: Callable[..., Arena]) -> None:
    session = models.session(tmp_path, models.chain(4), models.rules(*RULES))
    outcome = Random(num_steps=2).run(make_arena(session, {}), SearchBudget())
    assert (outcome.stop_reason, outcome.num_steps) == (StopReason.STEP_LIMIT, 2)

"""However a search chooses, the e-graph never outgrows its limit by more than one rewrite makes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from eqsat.egraph.session import Session
from eqsat.search.beam import Beam
from eqsat.search.chance import Random
from eqsat.search.greedy import Greedy
from eqsat.search.interface import Arena, Search, SearchBudget, StopReason
from eqsat.search.mcts import ActionKind, Mcts
from eqsat.search.room import apply_within, piece_of
from eqsat.search.saturation import Saturate
from tests.pipeline import models

ONE = models.rewrite("(Neg x)", "(Abs x)", "makes-one")
FIVE = models.rewrite("(Abs x)", "(Ceil (Floor (Abs (Sign (Tanh x)))))", "makes-five")
NONE = models.rewrite("(Tanh (Ceil x))", "(Ceil x)", "makes-none")
MERGES = models.rewrite("(Neg (Neg (Neg x)))", "(Neg x)", "merges")
FOLLOWS = '(rewrite (Floor x) (Round x) :ruleset simp :name "follows")'
RULES = (ONE, FIVE, NONE, MERGES, FOLLOWS)
MOST = 6
"""E-nodes that come of one rewrite at most, what follows from it included."""

PRICES = {"Neg": 100.0, "Abs": 60.0, "Ceil": 1.0, "Floor": 1.0, "Round": 1.0, "Sign": 1.0, "Tanh": 1.0}

SEARCHES = {
    "saturate": Saturate(),
    "greedy": Greedy(),
    "random": Random(),
    "beam": Beam(alpha=math.inf),
    "mcts": Mcts(num_simulations=3, max_rollout=3),
    "mcts-group": Mcts(num_simulations=3, max_rollout=3, actions=ActionKind.GROUP),
}


def num_enodes(session: Session) -> int:
    return session.size().num_enodes


@pytest.fixture
def num_pieces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many candidates each piece held in which something was applied."""
    pieces: list[int] = []
    apply = Session.apply

    def counted(self: Session, *arguments: object, **named: object) -> int:
        num_applied = apply(self, *arguments, **named)  # type: ignore[arg-type]
        if num_applied:
            pieces.append(num_applied)
        return num_applied

    monkeypatch.setattr(Session, "apply", counted)
    return pieces


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("room", [1, 2, 7, 23, 60])
def test_no_search_outgrows_its_limit(tmp_path: Path, make_arena: Callable[..., Arena], name: str, room: int) -> None:
    session = models.session(tmp_path, models.chain(16), models.rules(*RULES))
    limit = num_enodes(session) + room
    search: Search = SEARCHES[name]
    outcome = search.run(make_arena(session, PRICES, seed=room), SearchBudget(max_enodes=limit, max_steps=12))
    assert outcome.num_applied > 0
    assert num_enodes(session) < limit + MOST


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_cuts_what_it_applies_at_once(tmp_path: Path, make_arena: Callable[..., Arena], name: str) -> None:
    """Each rewrite pays and makes one e-node; one group of equal ones would outgrow the limit."""
    session = models.session(tmp_path, models.chain(40), models.rules(ONE))
    limit = num_enodes(session) + 10
    search: Search = SEARCHES[name]
    outcome = search.run(make_arena(session, PRICES), SearchBudget(max_enodes=limit))
    assert outcome.stop_reason is StopReason.ENODE_LIMIT
    assert (num_enodes(session), outcome.num_applied) == (limit, 10)


@pytest.mark.parametrize("seed", range(6))
def test_the_room_is_used_up(tmp_path: Path, seed: int) -> None:
    """Rules that make much, little and nothing, in any order: nothing is left out as long as there is room."""
    session = models.session(tmp_path, models.chain(24), models.rules(*RULES))
    rng = random.Random(seed)
    for _ in range(3):
        limit = num_enodes(session) + rng.randrange(5, 60)
        candidates = list(session.candidates())
        rng.shuffle(candidates)
        num_applied = apply_within(session, candidates, limit)
        assert num_enodes(session) < limit + MOST
        assert num_enodes(session) >= limit or num_applied == len(candidates)


def test_without_room_nothing_is_applied(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(3), models.rules(ONE))
    assert apply_within(session, session.candidates(), num_enodes(session)) == 0
    assert not session.applied


def test_where_there_is_plenty_of_room_there_is_one_piece(tmp_path: Path, num_pieces: list[int]) -> None:
    session = models.session(tmp_path, models.chain(9), models.rules(ONE))
    assert apply_within(session, session.candidates(), num_enodes(session) + 100) == 9
    assert num_pieces == [9]


@pytest.mark.parametrize("limit", [math.inf, 1e9])
def test_there_may_be_no_limit(tmp_path: Path, num_pieces: list[int], limit: float) -> None:
    session = models.session(tmp_path, models.chain(9), models.rules(ONE, FIVE))
    assert apply_within(session, session.candidates(), limit) == 9
    assert apply_within(session, session.candidates(), limit) == 9
    assert num_pieces == [9, 9]


def test_room_that_unions_give_back_is_used(tmp_path: Path, num_pieces: list[int]) -> None:
    session = models.session(tmp_path, models.chain(30), models.rules(ONE, MERGES))
    merges = [each for each in session.candidates() if session.rule_of(each).rule.name == "merges"]
    ones = [each for each in session.candidates() if session.rule_of(each).rule.name == "makes-one"]
    before = num_enodes(session)
    assert apply_within(session, [*ones[:2], *merges, *ones[2:]], before + 4) == len(ones) + len(merges)
    assert num_enodes(session) <= before + 4
    assert len(num_pieces) > 1


def test_what_is_there_already_takes_no_room(tmp_path: Path) -> None:
    session = models.session(tmp_path, models.chain(9), models.rules(ONE))
    limit = num_enodes(session) + 9
    candidates = list(session.candidates())
    apply_within(session, [*candidates[:5], *candidates], limit)
    assert num_enodes(session) == limit
    assert not session.candidates()


@pytest.mark.parametrize(
    ("room", "growth", "expected"),
    [
        pytest.param(100.0, 1.0, 75.0, id="a margin"),
        pytest.param(100.0, 3.0, 25.0, id="as much again follows twice"),
        pytest.param(100.0, 0.1, 100.0, id="never more than there is"),
        pytest.param(100.0, -2.0, 100.0, id="unions took more away"),
        pytest.param(10.0, 1.0, 10.0, id="no margin for what is little"),
        pytest.param(10.0, 2.0, 5.0, id="little that grows"),
        pytest.param(1.0, 4.0, 1.0, id="one at least"),
        pytest.param(math.inf, 1.5, math.inf, id="no limit"),
    ],
)
def test_how_much_a_piece_may_make(room: float, growth: float, expected: float) -> None:
    assert piece_of(room, growth, math.inf if math.isinf(room) else 1_000.0) == expected

"""The world model learns what can be learnt, member by member, and the encoder with it where it is asked to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rl.env.observation import FIRST_CANDIDATE
from rl.world.config import FitConfig
from rl.world.fit import Fitter, Piece, draw_pieces, encode_all, moves_of, scale_of
from rl.world.identity import NEW
from rl.world.latent import joined
from rl.world.stochastic import Openness
from rl.world.unroll import unroll
from tests.rl.world import trajectories

OPEN = pytest.mark.parametrize("openness", list(Openness))


def test_pieces_lie_within_their_trajectories() -> None:
    episodes = [trajectories.drawn(seed, num_steps) for seed, num_steps in enumerate((5, 2, 4))]
    pieces = draw_pieces(episodes, 200, 3, np.random.default_rng(0))
    assert len(pieces) == 200
    assert [piece.num_steps for piece in pieces] == sorted((piece.num_steps for piece in pieces), reverse=True)
    for piece in pieces:
        last = piece.start + piece.num_steps
        assert 0 < piece.num_steps <= 3
        assert last == episodes[piece.trajectory].num_moves or piece.num_steps == 3
    starts = {(piece.trajectory, piece.start) for piece in pieces}
    assert starts == {(place, step) for place, each in enumerate(episodes) for step in range(each.num_moves)}


def test_moves_tell_what_happened() -> None:
    episodes = [trajectories.drawn(seed, 4) for seed in range(2)]
    encoded = encode_all(trajectories.model().network, episodes)
    pieces = [
        Piece(trajectory=1, start=0, num_steps=3),
        Piece(trajectory=0, start=1, num_steps=2),
        Piece(trajectory=0, start=2, num_steps=1),
    ]
    moves = moves_of(pieces, encoded)
    assert [move.active.tolist() for move in moves] == [[0, 1, 2], [0, 1], [0]]
    for step, move in enumerate(moves):
        for place, piece in enumerate(pieces[: len(move.active)]):
            source, at = episodes[piece.trajectory], piece.start + step
            assert int(move.chosen[place]) == source.actions[at] - FIRST_CANDIDATE
            own = move.predecessors[move.after.owner == place]
            assert own.tolist() == source.predecessors[at].tolist()
            true = encoded.states[piece.trajectory][at + 1]
            assert torch.equal(move.after.candidates[move.after.owner == place], true.candidates)


@OPEN
def test_the_loss_has_a_gradient_for_every_weight(openness: Openness) -> None:
    model = trajectories.model(openness)
    episodes = [trajectories.drawn(seed, 4) for seed in range(6)]
    model.learn_rules(
        {int(rule) for each in episodes for one in each.observations for rule in one.arrays["candidate_rule"]}
    )
    encoded = encode_all(model.network, episodes)
    pieces = draw_pieces(episodes, 12, 3, np.random.default_rng(0))
    start = joined([encoded.states[piece.trajectory][piece.start] for piece in pieces])
    generator = torch.Generator().manual_seed(0)
    losses = unroll(model, model.member(0), start, moves_of(pieces, encoded), generator)
    losses.total(FitConfig().weights).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.member(0).named_parameters():
        if not name.startswith("final"):
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name
    assert all(np.isfinite(number) for number in losses.numbers().values())


@OPEN
def test_what_is_played_is_learnt(openness: Openness, tmp_path: Path) -> None:
    episodes = trajectories.played(tmp_path, 4)
    model = trajectories.model(openness, num_members=1)
    rng = np.random.default_rng(0)
    config = FitConfig(num_updates=3, num_windows=8, horizon=2)
    _, first = Fitter(model, config).fit(episodes, rng)
    longer = FitConfig(num_updates=50, num_windows=8, horizon=2, learning_rate=1e-2)
    fitter = Fitter(model, longer)
    fitter.fit(episodes, rng)
    _, last = fitter.fit(episodes, rng)
    for part in ("persistence", "candidate", "appearance", "drop"):
        assert last[part] < 0.9 * first[part], part


def test_the_encoder_learns_only_where_it_is_asked_to() -> None:
    episodes = [trajectories.drawn(seed, 4) for seed in range(4)]
    for num_updates in (0, 2):
        model = trajectories.model()
        before = {name: each.detach().clone() for name, each in model.network.named_parameters()}
        config = FitConfig(num_updates=1, num_encoder_updates=num_updates, num_windows=4, num_encoder_windows=2)
        Fitter(model, config).fit(episodes, np.random.default_rng(0))
        changed = {name for name, each in model.network.named_parameters() if not torch.equal(each, before[name])}
        assert ("encode_enode.0.weight" in changed) == bool(num_updates)
        assert not any(name.startswith(("score", "stop", "value")) for name in changed)


def test_scales_are_those_of_states_and_of_their_changes() -> None:
    episodes = [trajectories.drawn(seed, 4) for seed in range(3)]
    encoded = encode_all(trajectories.model().network, episodes)
    scale = scale_of(encoded, "candidate")
    rows = torch.cat([each.candidates for states in encoded.states for each in states])
    assert torch.allclose(scale.mean, rows.mean(dim=0), atol=1e-6)
    squares: list[torch.Tensor] = []
    for trajectory, states in zip(episodes, encoded.states, strict=True):
        for step in range(trajectory.num_moves):
            for after, before in enumerate(trajectory.predecessors[step]):
                if before != NEW:
                    squares.append((states[step + 1].candidates[after] - states[step].candidates[before]).square())
    assert torch.allclose(scale.change, torch.stack(squares).mean(dim=0).sqrt(), atol=1e-5)


def test_the_same_seed_learns_the_same() -> None:
    episodes = [trajectories.drawn(seed, 4) for seed in range(3)]
    weights = []
    for _ in range(2):
        model = trajectories.model(Openness.CATEGORICAL)
        Fitter(model, FitConfig(num_updates=3, num_windows=4)).fit(episodes, np.random.default_rng(5))
        weights.append(torch.cat([each.detach().flatten() for each in model.members.parameters()]))
    assert torch.equal(*weights)


def test_members_differ() -> None:
    model = trajectories.model()
    Fitter(model, FitConfig(num_updates=2, num_windows=4)).fit([trajectories.drawn(0, 4)], np.random.default_rng(0))
    one, two = (model.member(number).rule.weight for number in (0, 1))
    assert not torch.equal(one, two)

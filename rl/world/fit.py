"""Learning the world from real trajectories.

Encoding is what costs: so most gradient steps are made with the encoder as it is, on states that were encoded once.
Before them come a few of the encoder together with the members. What these are to foresee is encoded by the encoder as
it was before; what keeps it from making everything alike, which would be foreseen easily, is that prices, sizes, rules
and the fate of candidates, which are facts, must be told from its states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from rl.agent.packing import unpack
from rl.world.encoder import encode
from rl.world.identity import NEW
from rl.world.latent import LatentState, joined
from rl.world.model import Scale
from rl.world.replay import chosen_candidate
from rl.world.unroll import Losses, Move, final_loss, mean_losses, unroll

if TYPE_CHECKING:
    from rl.agent.network import Network
    from rl.world.config import FitConfig
    from rl.world.model import WorldModel
    from rl.world.replay import Trajectory

_MAX_ENODES: Final = 30_000
"""E-nodes that are encoded at once."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a trajectory.

    Attributes:
        trajectory: Place of the trajectory.
        start: Step that it begins with.
        num_steps: Steps, at least one.
    """

    trajectory: int
    start: int
    num_steps: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Trajectories and their states, encoded.

    Attributes:
        trajectories: At least one.
        states: Of each trajectory, step by step.
    """

    trajectories: Sequence[Trajectory]
    states: Sequence[Sequence[LatentState]]

    def finals(self) -> tuple[list[LatentState], list[float]]:
        """Return the states in which STOP came, and what it paid beyond what the prices say: nothing if they say all.

        Rewards are shaped, so that prices alone make STOP pay nothing.
        """
        ended = [place for place, each in enumerate(self.trajectories) if each.is_terminated]
        states = [self.states[place][self.trajectories[place].num_steps - 1] for place in ended]
        return states, [float(self.trajectories[place].rewards[-1]) for place in ended]


def encode_all(network: Network, trajectories: Sequence[Trajectory]) -> Encoded:
    """Return trajectories with their states encoded, without gradients.

    Args:
        network: Encodes.
        trajectories: At least one.
    """
    with torch.no_grad():
        return Encoded(trajectories=trajectories, states=[_states(network, each) for each in trajectories])


def _states(network: Network, trajectory: Trajectory) -> list[LatentState]:
    observations = [unpack(packed) for packed in trajectory.observations]
    log_costs, found = trajectory.log_costs, []
    for places in _runs([each.num_enodes for each in observations]):
        several = encode(
            network, [observations[place] for place in places], log_costs[places], trajectory.num_enodes[places]
        )
        found += [several.select(torch.tensor([place], device=several.owner.device)) for place in range(len(places))]
    return found


def _runs(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield places in their order, as many at once as have no more than the allowed e-nodes together."""
    run: list[int] = []
    total = 0
    for place, size in enumerate(sizes):
        if run and total + size > _MAX_ENODES:
            yield run
            run, total = [], 0
        run.append(place)
        total += size
    if run:
        yield run


def draw_pieces(
    trajectories: Sequence[Trajectory], num_pieces: int, horizon: int, rng: np.random.Generator
) -> list[Piece]:
    """Return pieces of trajectories, longest first; each step of each trajectory is as likely to begin one.

    Args:
        trajectories: Where from; at least one has a step other than STOP.
        num_pieces: How many.
        horizon: Steps of a piece, unless the trajectory ends before.
        rng: Draws.
    """
    moves = np.array([each.num_moves for each in trajectories])
    ends = moves.cumsum()
    drawn = rng.integers(ends[-1], size=num_pieces)
    owner = np.searchsorted(ends, drawn, side="right")
    starts = drawn - (ends - moves)[owner]
    lengths = np.minimum(moves[owner] - starts, horizon)
    order = np.argsort(-lengths, kind="stable")
    return [
        Piece(trajectory=int(owner[place]), start=int(starts[place]), num_steps=int(lengths[place])) for place in order
    ]


def moves_of(pieces: Sequence[Piece], encoded: Encoded) -> list[Move]:
    """Return what happened in pieces, step by step.

    Args:
        pieces: Longest first, at least one.
        encoded: Their trajectories.
    """
    device = encoded.states[0][0].owner.device
    moves = []
    for step in range(pieces[0].num_steps):
        active = [piece for piece in pieces if piece.num_steps > step]
        sources = [encoded.trajectories[piece.trajectory] for piece in active]
        at = [piece.start + step for piece in active]
        links = [each.predecessors[place] for each, place in zip(sources, at, strict=True)]
        chosen = [chosen_candidate(int(each.actions[place])) for each, place in zip(sources, at, strict=True)]
        moves.append(
            Move(
                active=torch.arange(len(active), device=device),
                chosen=torch.tensor(chosen, device=device),
                after=joined([encoded.states[piece.trajectory][piece.start + step + 1] for piece in active]),
                predecessors=torch.from_numpy(np.concatenate(links)).to(device),
            )
        )
    return moves


def scale_of(encoded: Encoded, kind: str) -> Scale:
    """Return the scale of the summaries or of the candidates of trajectories.

    Args:
        encoded: The trajectories.
        kind: ``summary`` or ``candidate``.
    """
    rows, changes = [], []
    for trajectory, states in zip(encoded.trajectories, encoded.states, strict=True):
        rows += [each.summaries if kind == "summary" else each.candidates for each in states]
        for step in range(trajectory.num_moves):
            before, after = states[step], states[step + 1]
            if kind == "summary":
                changes.append(after.summaries - before.summaries)
                continue
            links = torch.from_numpy(trajectory.predecessors[step]).to(before.owner.device)
            known = links != NEW
            changes.append(after.candidates[known] - before.candidates[links[known]])
    return Scale.of(torch.cat(rows), torch.cat(changes))


@final
class Fitter:
    """A world model in training, with the state of its optimisers.

    Attributes:
        model: Is changed in place.
    """

    def __init__(self, model: WorldModel, config: FitConfig) -> None:
        """Train a model where it is."""
        self.model = model
        self._config = config
        self._optimizers = [
            torch.optim.AdamW(each.parameters(), lr=config.learning_rate, eps=1e-5, weight_decay=config.weight_decay)
            for each in model.members
        ]
        self._known: dict[int, tuple[Trajectory, Sequence[LatentState]]] = {}
        self._encoder_optimizer = torch.optim.Adam(
            model.encoder_parameters(), lr=config.encoder_learning_rate, eps=1e-5
        )

    def fit(self, trajectories: Sequence[Trajectory], rng: np.random.Generator) -> tuple[Encoded, dict[str, float]]:
        """Learn from trajectories; return them as they are encoded now, and the mean of every part of the loss.

        Args:
            trajectories: At least one has a step other than STOP.
            rng: Draws pieces; each member draws its own.
        """
        model, config = self.model, self._config
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        model.learn_rules({int(rule) for each in trajectories for rule in _rules(each)})
        encoded = self._encode(trajectories)
        self._rescale(encoded)
        if config.num_encoder_updates:
            self._fit_encoder(encoded, rng, generator)
            self._known.clear()
            encoded = self._encode(trajectories)
            self._rescale(encoded)
        told: list[dict[str, float]] = []
        for _ in range(config.num_updates):
            parts = [self._update(number, encoded, rng, generator) for number in range(len(model.members))]
            told.append(mean_losses(parts).numbers())
        return encoded, {name: float(np.mean([each[name] for each in told])) for name in (told[0] if told else {})}

    def _encode(self, trajectories: Sequence[Trajectory]) -> Encoded:
        """Return trajectories encoded; what was encoded before by the same encoder is not encoded again."""
        new = [each for each in trajectories if id(each) not in self._known]
        found = encode_all(self.model.network, new)
        known = self._known | {id(each): (each, states) for each, states in zip(new, found.states, strict=True)}
        self._known = {id(each): known[id(each)] for each in trajectories}
        return Encoded(trajectories=trajectories, states=[self._known[id(each)][1] for each in trajectories])

    def _rescale(self, encoded: Encoded) -> None:
        for kind in ("summary", "candidate"):
            self.model.rescale(kind, scale_of(encoded, kind))

    def _update(self, number: int, encoded: Encoded, rng: np.random.Generator, generator: torch.Generator) -> Losses:
        """Make a gradient step of one member."""
        config, member = self._config, self.model.member(number)
        pieces = draw_pieces(encoded.trajectories, config.num_windows, config.horizon, rng)
        start = joined([encoded.states[piece.trajectory][piece.start] for piece in pieces])
        losses = unroll(self.model, member, start, moves_of(pieces, encoded), generator)
        loss = losses.total(config.weights) + config.weights.final * self._final_loss(number, encoded, rng)
        _descend(loss, list(member.parameters()), [self._optimizers[number]], config.max_grad_norm)
        return losses

    def _final_loss(self, number: int, encoded: Encoded, rng: np.random.Generator) -> Tensor:
        states, paid = encoded.finals()
        if not states:
            return torch.zeros((), device=self.model.device)
        drawn = rng.integers(len(states), size=self._config.num_windows)
        ends = self.model.ends(joined([states[place] for place in drawn]))
        targets = torch.tensor([paid[place] for place in drawn], device=self.model.device)
        return final_loss(self.model.member(number), ends, targets)

    def _fit_encoder(self, encoded: Encoded, rng: np.random.Generator, generator: torch.Generator) -> None:
        """Make gradient steps of the encoder together with all members; ``encoded`` is what they are to foresee."""
        model, config = self.model, self._config
        trajectories = encoded.trajectories
        everything = [*model.encoder_parameters(), *model.members.parameters()]
        for _ in range(config.num_encoder_updates):
            pieces = draw_pieces(trajectories, config.num_encoder_windows, config.horizon, rng)
            start = model.encode(
                [unpack(trajectories[piece.trajectory].observations[piece.start]) for piece in pieces],
                np.array([trajectories[piece.trajectory].log_costs[piece.start] for piece in pieces]),
                np.array([trajectories[piece.trajectory].num_enodes[piece.start] for piece in pieces]),
            )
            moves = moves_of(pieces, encoded)
            losses = [
                unroll(model, model.member(number), start, moves, generator) for number in range(len(model.members))
            ]
            loss = mean_losses(losses).total(config.weights)
            _descend(loss, everything, [self._encoder_optimizer, *self._optimizers], config.max_grad_norm)


def _rules(trajectory: Trajectory) -> np.ndarray:
    return np.concatenate([each.arrays["candidate_rule"] for each in trajectory.observations])


def _descend(
    loss: Tensor, parameters: Sequence[nn.Parameter], optimizers: Sequence[torch.optim.Optimizer], max_grad_norm: float
) -> None:
    """Make one gradient step."""
    for each in optimizers:
        each.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    for each in optimizers:
        each.step()

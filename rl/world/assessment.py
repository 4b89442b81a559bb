"""How well a world model foresees real episodes, horizon by horizon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch

from rl.world.fit import Piece, encode_all
from rl.world.follow import Retelling, retell
from rl.world.formulas import two_hot_median
from rl.world.metrics import (
    area_under_curve,
    calibration_curve,
    calibration_error,
    f1,
    rank_correlation,
    ranks_among,
)

if TYPE_CHECKING:
    from rl.world.fit import Encoded
    from rl.world.model import WorldModel
    from rl.world.replay import Trajectory

HORIZONS: Final = (1, 5, 10, 20)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often a rule was foreseen to have candidates, rightly or not.

    Attributes:
        num_hits: Foreseen, and so it came.
        num_false: Foreseen, and it did not come.
        num_missed: It came unforeseen.
    """

    num_hits: int
    num_false: int
    num_missed: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """How well was foreseen what comes of a number of real actions.

    Attributes:
        horizon: Actions.
        num_pieces: Pieces of real episodes.
        reward_correlation: Rank correlation of the reward of the last action and the median that all members together
            foresee. Most actions change no price, and a mean is hardly ever exactly that.
        mean_correlation: The same of the mean that they foresee.
        constant_correlation: The same where it is foretold that no price changes: what a model must beat. It is above 0
            since rewards are shaped: where nothing changes, they are the lower, the lower the price is already.
        change_area: Area under the ROC curve of the foreseen chance that the last action changes the price.
        return_correlation: Rank correlation of the discounted sum of all rewards and the mean that is foreseen.
        mask_f1: Of which rules have a candidate afterwards.
        unchanged_f1: The same where it is foretold that nothing changes: what a model must beat.
        calibration: Calibration error of the distribution of the return.
        shares: Share of returns below each predicted quantile, see :func:`rl.world.metrics.calibration_curve`.
        uncertainty_correlation: Rank correlation of how far the members are apart about the return and how far their
            mean is off.
        num_blanks: Chosen candidates that no member's imagined set had, a piece and member.
        tallies: By the bucket of the rule.
    """

    horizon: int
    num_pieces: int
    reward_correlation: float
    mean_correlation: float
    constant_correlation: float
    change_area: float
    return_correlation: float
    mask_f1: float
    unchanged_f1: float
    calibration: float
    shares: tuple[float, ...]
    uncertainty_correlation: float
    num_blanks: float
    tallies: Mapping[int, Tally]


def assess(
    model: WorldModel,
    trajectories: Sequence[Trajectory],
    *,
    gamma: float,
    rng: np.random.Generator,
    horizons: Sequence[int] = HORIZONS,
    max_pieces: int = 200,
    num_samples: int = 12,
) -> list[Foresight]:
    """Return how well a world model foresees trajectories, for each horizon that is not longer than all of them.

    Args:
        model: The world model.
        trajectories: Real episodes, none of which it has learnt from.
        gamma: Discount of the rewards.
        rng: Draws pieces and samples.
        horizons: Actions.
        max_pieces: Pieces of episodes for each horizon, at most.
        num_samples: Samples of each prediction, for the calibration; at least one.
    """
    encoded = encode_all(model.network, trajectories)
    found = []
    for horizon in horizons:
        pieces = _pieces(trajectories, horizon, max_pieces, rng)
        if pieces:
            found.append(_assess(model, pieces, encoded, gamma, rng, num_samples))
    return found


def _pieces(trajectories: Sequence[Trajectory], horizon: int, max_pieces: int, rng: np.random.Generator) -> list[Piece]:
    every = [
        Piece(trajectory=place, start=start, num_steps=horizon)
        for place, each in enumerate(trajectories)
        for start in range(each.num_moves - horizon + 1)
    ]
    drawn = sorted(rng.permutation(len(every))[:max_pieces].tolist())
    return [every[place] for place in drawn]


def rewards_of(log_costs: np.ndarray, gamma: float) -> np.ndarray:
    """Return what each step pays, ``gamma phi(s') - phi(s)``, see :mod:`rl.env.rewards`; (num_steps, num_pieces).

    Args:
        log_costs: Logarithm of the price of every state, relative to the model's; (num_steps + 1, num_pieces).
        gamma: Discount.
    """
    potentials = -np.expm1(log_costs)
    paid: np.ndarray = gamma * potentials[1:] - potentials[:-1]
    return paid


def discounted(rewards: np.ndarray, gamma: float) -> np.ndarray:
    """Return the discounted sum of rewards; (num_pieces,).

    Args:
        rewards: (num_steps, num_pieces).
        gamma: Discount.
    """
    weights = gamma ** np.arange(len(rewards))
    total: np.ndarray = weights @ rewards
    return total


def majority(sets: Sequence[frozenset[int]]) -> frozenset[int]:
    """Return what is in at least half of the sets."""
    counts = Counter(each for one in sets for each in one)
    return frozenset(each for each, count in counts.items() if 2 * count >= len(sets))


def _assess(
    model: WorldModel,
    pieces: Sequence[Piece],
    encoded: Encoded,
    gamma: float,
    rng: np.random.Generator,
    num_samples: int,
) -> Foresight:
    horizon, members = pieces[0].num_steps, [model.member(number) for number in range(len(model.members))]
    told = [retell(model, each, pieces, encoded, None) for each in members]
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    drawn = [retell(model, members[number % len(members)], pieces, encoded, generator) for number in range(num_samples)]
    real_costs = np.stack(
        [encoded.trajectories[each.trajectory].log_costs[each.start : each.start + horizon + 1] for each in pieces], 1
    )
    real = rewards_of(real_costs, gamma)
    predicted = np.stack([rewards_of(each.log_costs, gamma) for each in told])
    returns = np.stack([discounted(each, gamma) for each in predicted])
    likely, chances = _last_reward(model, told, gamma)
    unchanged = np.broadcast_to(real_costs[0], (2, len(pieces)))
    samples = np.stack([discounted(rewards_of(each.log_costs, gamma), gamma) for each in drawn])
    real_return = discounted(real, gamma)
    places = ranks_among(real_return, samples, rng)
    masks = [majority([each.rules[-1][place] for each in told]) for place in range(len(pieces))]
    real_masks = [_real_rules(encoded, each, horizon) for each in pieces]
    return Foresight(
        horizon=horizon,
        num_pieces=len(pieces),
        reward_correlation=rank_correlation(likely, real[-1]),
        mean_correlation=rank_correlation(predicted[:, -1].mean(axis=0), real[-1]),
        constant_correlation=rank_correlation(rewards_of(unchanged, gamma)[0], real[-1]),
        change_area=area_under_curve(chances, np.abs(real_costs[-1] - real_costs[-2]) > _LEAST_CHANGE),
        return_correlation=rank_correlation(returns.mean(axis=0), real_return),
        mask_f1=f1(masks, real_masks),
        unchanged_f1=f1([_real_rules(encoded, each, 0) for each in pieces], real_masks),
        calibration=calibration_error(places),
        shares=tuple(calibration_curve(places).tolist()),
        uncertainty_correlation=rank_correlation(returns.std(axis=0), np.abs(returns.mean(axis=0) - real_return)),
        num_blanks=_mean_blanks(told) / len(pieces),
        tallies=tallies(masks, real_masks),
    )


_LEAST_CHANGE: Final = 1e-9


def _last_reward(model: WorldModel, told: Sequence[Retelling], gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the median of the last reward, and the chance that the last action changes the price.

    Args:
        model: The world model.
        told: What each member foresees; together they are a mixture of as many equal parts.
        gamma: Discount.

    Returns:
        Twice float (num_pieces,).
    """
    bins = model.member(0).get_buffer("bins").double().cpu()
    probabilities = np.mean([each.drops[-1] for each in told], axis=0)
    before = np.log(np.mean([np.exp(each.log_costs[-2]) for each in told], axis=0))
    after = before - two_hot_median(torch.from_numpy(probabilities), bins).numpy()
    return rewards_of(np.stack([before, after]), gamma)[0], 1.0 - probabilities[:, len(bins) // 2]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One real episode, and what was foreseen of it from its first state and its actions.

    Attributes:
        task: Name of what it was about.
        real: Price of every state, relative to that of the first.
        foreseen: The same as each member foresees it.
    """

    task: str
    real: tuple[float, ...]
    foreseen: tuple[tuple[float, ...], ...]


def stories(model: WorldModel, trajectories: Sequence[Trajectory]) -> list[Story]:
    """Return real episodes beside what is foreseen of them.

    Args:
        model: The world model.
        trajectories: Real episodes that went somewhere.
    """
    encoded = encode_all(model.network, trajectories)
    found = []
    for place, trajectory in enumerate(trajectories):
        piece = Piece(trajectory=place, start=0, num_steps=trajectory.num_moves)
        told = [retell(model, model.member(each), [piece], encoded, None) for each in range(len(model.members))]
        found.append(
            Story(
                task=trajectory.task,
                real=tuple(np.exp(trajectory.log_costs[: piece.num_steps + 1]).tolist()),
                foreseen=tuple(tuple(np.exp(each.log_costs[:, 0]).tolist()) for each in told),
            )
        )
    return found


def _real_rules(encoded: Encoded, piece: Piece, step: int) -> frozenset[int]:
    observation = encoded.trajectories[piece.trajectory].observations[piece.start + step]
    return frozenset(observation.arrays["candidate_rule"].tolist())


def _mean_blanks(told: Sequence[Retelling]) -> float:
    return sum(each.num_blanks for each in told) / len(told)


def tallies(predicted: Sequence[frozenset[int]], real: Sequence[frozenset[int]]) -> dict[int, Tally]:
    """Return the tally of every rule that was foreseen or came.

    Args:
        predicted: Rules of each case.
        real: Likewise.
    """
    hits = Counter(rule for one, two in zip(predicted, real, strict=True) for rule in one & two)
    false = Counter(rule for one, two in zip(predicted, real, strict=True) for rule in one - two)
    missed = Counter(rule for one, two in zip(predicted, real, strict=True) for rule in two - one)
    return {
        rule: Tally(num_hits=hits[rule], num_false=false[rule], num_missed=missed[rule])
        for rule in sorted({*hits, *false, *missed})
    }

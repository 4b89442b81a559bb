"""The learned end-to-end price: what sums of prices miss of a whole graph.

The price of a graph is a sum over its operators, each measured alone. From end to end caches are shared, fusions span
more than a pair, and threads wait. The difference is learnt by the head that foresees what STOP pays beyond the prices:
``log(latency before / after) - log(price before / after)``, in nats, from the state in which an episode ended. Training
and use read that state by one function, :meth:`rl.world.model.WorldModel.ends`.

Measurements are dear and few, and graphs of one family are alike: whether the head has learnt something is told by
families that it was not trained on. Where it is most wrong, the measurement may be at fault as well as the head, so
that the worst are measured again. No prediction decides what a run returns: that is the paired test of its finalists.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch

from rl.world.latent import joined
from rl.world.metrics import rank_correlation
from rl.world.unroll import final_loss

if TYPE_CHECKING:
    from rl.world.latent import LatentState
    from rl.world.model import WorldModel

_LARGEST_GAIN: Final = 0.99
"""A latency that fell by more counts as this: a logarithm needs a bound."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ended:
    """A graph that an episode ended with, measured from end to end.

    Attributes:
        family: Graphs of one family are never on both sides of a split.
        state: The state in which the episode ended, one; its ``log_costs`` say what the prices promise.
        gain: Relative drop of the latency, the mean of all measurements; below 0 where it rose.
        num_measurements: How often it was measured.
    """

    family: str
    state: LatentState
    gain: float
    num_measurements: int = 1

    @property
    def promised(self) -> float:
        """Drop of the log-price, nats."""
        return -float(self.state.log_costs.item())

    @property
    def measured(self) -> float:
        """Drop of the log-latency, nats."""
        return -math.log1p(-min(self.gain, _LARGEST_GAIN))

    def again(self, gain: float) -> Ended:
        """Return the same graph with one measurement more."""
        count = self.num_measurements + 1
        return replace(self, gain=self.gain + (gain - self.gain) / count, num_measurements=count)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFit:
    """How the head learns.

    Attributes:
        num_updates: Gradient steps of each member.
        learning_rate: Of Adam.
        weight_decay: Pulls its weights to zero, where it adds nothing to the prices (Loshchilov and Hutter 2019).
    """

    num_updates: int = 300
    learning_rate: float = 1e-3
    weight_decay: float = 0.1


def fit_ends(model: WorldModel, ended: Sequence[Ended], config: EndFit, seed: int) -> None:
    """Let every member's head learn from graphs drawn with replacement, from where adding nothing is the start.

    Args:
        model: Its encoder and its other heads stay as they are.
        ended: At least one.
        config: How.
        seed: Seed of every draw.
    """
    ends = model.ends(joined([each.state for each in ended]))
    missed = torch.tensor([each.measured - each.promised for each in ended], dtype=ends.dtype, device=ends.device)
    for number in range(len(model.members)):
        member = model.member(number)
        rng = np.random.default_rng([seed, number])
        drawn = torch.from_numpy(rng.integers(len(ended), size=len(ended))).to(ends.device)
        _start_at_nothing(member.final, member.get_buffer("bins"), seed=int(rng.integers(2**31)))
        optimizer = torch.optim.AdamW(
            member.final.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        for _ in range(config.num_updates):
            optimizer.zero_grad(set_to_none=True)
            final_loss(member, ends[drawn], missed[drawn]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def foreseen_ends(model: WorldModel, ended: Sequence[Ended]) -> tuple[np.ndarray, np.ndarray]:
    """Return the drop of the log-latency that is foreseen, and the members' disagreement about it.

    Args:
        model: Foresees.
        ended: At least one; what was measured of them is not looked at.

    Returns:
        Twice float64 (num_graphs,), nats.
    """
    with torch.no_grad():
        ends = model.ends(joined([each.state for each in ended]))
        members = [model.member(number) for number in range(len(model.members))]
        beyond = torch.stack([member.mean_drop(member.finals(ends)) for member in members]).double().cpu().numpy()
    promised = np.array([each.promised for each in ended])
    return promised + beyond.mean(axis=0), beyond.std(axis=0)


def cross_validated(model: WorldModel, ended: Sequence[Ended], config: EndFit, seed: int) -> np.ndarray:
    """Return what is foreseen of each graph by heads that have seen no graph of its family.

    Args:
        model: Its heads have learnt from the last split afterwards.
        ended: Of two families at least.
        config: How the heads learn.
        seed: Seed of every draw.

    Returns:
        float64 (num_graphs,), nats.

    Raises:
        ValueError: There is only one family.
    """
    families = sorted({each.family for each in ended})
    if len(families) < 2:
        raise ValueError("graphs of one family cannot be split")
    foreseen = np.empty(len(ended))
    for family in families:
        own = [place for place, each in enumerate(ended) if each.family == family]
        fit_ends(model, [each for each in ended if each.family != family], config, seed)
        foreseen[own] = foreseen_ends(model, [ended[place] for place in own])[0]
    return foreseen


def worst(ended: Sequence[Ended], foreseen: np.ndarray, count: int) -> list[int]:
    """Return the places of the graphs of which was foreseen what is farthest from what was measured, the worst first.

    Args:
        ended: The graphs.
        foreseen: Of each, nats; float (num_graphs,).
        count: Places, at most.
    """
    errors = np.abs(foreseen - np.array([each.measured for each in ended]))
    return [int(place) for place in np.argsort(-errors, kind="stable")[:count]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndError:
    """How far predictions are from the clock.

    Attributes:
        mean: Mean absolute error, nats.
        correlation: Spearman's rank correlation; not a number where one side does not vary.
    """

    mean: float
    correlation: float


def end_error(ended: Sequence[Ended], foreseen: np.ndarray) -> EndError:
    """Return how far what was foreseen is from what was measured.

    Args:
        ended: At least one graph.
        foreseen: Of each, nats; float (num_graphs,).
    """
    measured = np.array([each.measured for each in ended])
    return EndError(mean=float(np.abs(foreseen - measured).mean()), correlation=rank_correlation(foreseen, measured))


def _start_at_nothing(head: torch.nn.Module, bins: torch.Tensor, *, seed: int) -> None:
    """Draw new weights for the first layer, and let the last one put all weight on the bin of zero."""
    generator = torch.Generator().manual_seed(seed)
    layers = [each for each in head.modules() if isinstance(each, torch.nn.Linear)]
    with torch.no_grad():
        for layer in layers:
            bound = 1.0 / math.sqrt(layer.in_features)
            drawn = torch.empty(layer.weight.shape).uniform_(-bound, bound, generator=generator)
            layer.weight.copy_(drawn)
            layer.bias.zero_()
        layers[-1].weight.zero_()
        layers[-1].bias.copy_(-bins.abs() * _SHARPNESS)


_SHARPNESS: Final = 50.0
"""Logits that a bin a nat away from zero is behind, at the start."""

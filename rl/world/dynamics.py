"""One step of the world, as one member of the ensemble sees it.

With ``z`` the summary, ``c_i`` the candidates, ``a`` the chosen one and ``r_a`` its rule:

* context ``h = f(z, c_a, r_a, mean c, log count, log e-nodes)``
* what is open: ``s`` from :mod:`rl.world.stochastic`, and with it the next summary ``z'``; ``g = (h, s)``
* the fate of each candidate: ``(l_i, d_i) = u(c_i, r_i, g, c_a, P c_i * Q c_a)``; it is still there with probability
  ``sigmoid(l_i)``, and then it is ``c_i + d_i``
* how many candidates of each rule ``r`` appear: a hurdle distribution (:mod:`rl.world.hurdle`) whose logit and
  log-rate are ``A g . e_r + b_r``; each is drawn from the Gaussian ``G(g, e_r)``
* the logarithm of the price falls by a number of which ``g`` gives a distribution over bins; the logarithm of the size
  of the e-graph grows by a number that ``g`` gives

Everything here is in scaled units: columns have mean 0 and variance 1, changes are of the order of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn

from rl.world.config import ModelConfig
from rl.world.formulas import symmetric_bins, two_hot_mean
from rl.world.latent import mean_of_each
from rl.world.stochastic import CategoricalTransition, MixtureTransition, Openness, Outcome, log_std_of

NUM_BINS: Final = 81
LARGEST_DROP: Final = 2.0
"""A step that makes a graph cheaper by more than ``exp(2)``, about seven times, counts as one that does so."""

_COUNT_SCALE: Final = 4.0
_SIZE_SCALE: Final = 10.0
_RARE: Final = -4.0
"""Logit that a rule's candidates appear, before anything is learnt: few rules' do."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Some states, in scaled units, and what is done in them.

    Attributes:
        summaries: float (num_states, width).
        candidates: float (num_candidates, width).
        rules: Number of each candidate's rule; int64 (num_candidates,).
        owner: State of each candidate, ascending; int64 (num_candidates,).
        log_enodes: Logarithm of the size of the e-graph; float (num_states,).
        chosen: Row of the candidate that is applied; int64 (num_states,).
    """

    summaries: Tensor
    candidates: Tensor
    rules: Tensor
    owner: Tensor
    log_enodes: Tensor
    chosen: Tensor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a member expects of a situation.

    Attributes:
        outcome: Of the summaries.
        decided: All that what follows depends on; float (num_states, hidden).
        persists: Logit that a candidate is still there; float (num_candidates,).
        changes: Of the candidates, in units of their typical change; float (num_candidates, width).
        appears: Logit that candidates of a rule appear; float (num_states, num_rules).
        log_rates: Logarithm of the rate of how many; float (num_states, num_rules).
        drops: Logits of the bins of the drop of the log-price; float (num_states, NUM_BINS).
        growths: Of the logarithm of the size of the e-graph, in scaled units; float (num_states,).
    """

    outcome: Outcome
    decided: Tensor
    persists: Tensor
    changes: Tensor
    appears: Tensor
    log_rates: Tensor
    drops: Tensor
    growths: Tensor


@final
class Dynamics(nn.Module):
    """One member."""

    def __init__(self, config: ModelConfig, width: int) -> None:
        """Make a member with random weights; the caller seeds torch.

        Args:
            config: Its shape.
            width: Columns of a summary and of a candidate.
        """
        super().__init__()
        hidden, small, embedding = config.hidden, config.candidate_hidden, config.embedding
        self.rule = nn.Embedding(config.num_rules, embedding)
        self.context = nn.Sequential(
            nn.Linear(3 * width + embedding + 2, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
        )
        self.transition: MixtureTransition | CategoricalTransition
        if config.openness is Openness.MIXTURE:
            self.transition = MixtureTransition(hidden, width, config.num_components)
        else:
            self.transition = CategoricalTransition(hidden, width, config.num_groups, config.num_classes)
        decided = hidden + self.transition.num_features
        self.own = nn.Linear(width + embedding, small)
        self.around = nn.Linear(decided + width, small)
        self.pair_own = nn.Linear(width, small, bias=False)
        self.pair_chosen = nn.Linear(width, small, bias=False)
        self.pair = nn.Linear(small, small, bias=False)
        self.mark = nn.Parameter(torch.zeros(small))
        self.fate = nn.Sequential(nn.SiLU(), nn.Linear(small, 1 + width))
        self.appear = nn.Linear(decided, 2 * embedding)
        self.appear_bias = nn.Parameter(torch.tensor([[_RARE], [0.0]]).repeat(1, config.num_rules))
        self.generator = _perceptron(decided + embedding, hidden, 2 * width)
        self.drop = _perceptron(decided, hidden, NUM_BINS)
        self.growth = _perceptron(decided, hidden, 1)
        self.final = _perceptron(width + 1, hidden, NUM_BINS)
        self.register_buffer("bins", symmetric_bins(NUM_BINS, LARGEST_DROP), persistent=False)
        for head in (self.drop, self.final, self.growth):
            nn.init.zeros_(head[-1].get_parameter("weight"))
            nn.init.zeros_(head[-1].get_parameter("bias"))

    def explain(self, situation: Situation, change: Tensor, generator: torch.Generator) -> Outlook:
        """Return what is to be expected by who knows how the summaries change, with the loss of foreseeing that.

        Args:
            situation: Where, and what is done.
            change: Of the summaries, in units of their typical change; float (num_states, width).
            generator: The only source of chance, on the CPU.
        """
        context = self._context(situation)
        return self._outlook(situation, context, self.transition.explain(context, change, generator))

    def foresee(self, situation: Situation, generator: torch.Generator | None) -> Outlook:
        """Return what is to be expected.

        Args:
            situation: Where, and what is done.
            generator: Draws what is open; where it is left out, the likeliest is taken.
        """
        context = self._context(situation)
        return self._outlook(situation, context, self.transition.foresee(context, generator))

    def newcomers(self, decided: Tensor, rules: Tensor) -> tuple[Tensor, Tensor]:
        """Return what new candidates are like: mean and logarithm of the standard deviation, scaled.

        Args:
            decided: See :class:`Outlook`, a row for each candidate; float (num_candidates, .).
            rules: Number of each candidate's rule; int64 (num_candidates,).

        Returns:
            Twice float (num_candidates, width).
        """
        made: Tensor = self.generator(torch.cat([decided, self.rule(rules)], dim=1))
        mean, raw = made.chunk(2, dim=1)
        return mean, log_std_of(raw)

    def mean_drop(self, logits: Tensor) -> Tensor:
        """Return the mean of what :attr:`Outlook.drops` or :meth:`finals` say; float (num_states,)."""
        return two_hot_mean(logits, self.get_buffer("bins"))

    def finals(self, ends: Tensor) -> Tensor:
        """Return what STOP pays beyond what the prices say, as logits of bins; float (num_states, NUM_BINS).

        Args:
            ends: See :meth:`rl.world.model.WorldModel.ends`; float (num_states, width + 1).
        """
        logits: Tensor = self.final(ends)
        return logits

    def _context(self, situation: Situation) -> Tensor:
        count = len(situation.summaries)
        pooled = mean_of_each(situation.candidates, situation.owner, count)
        sizes = torch.bincount(situation.owner, minlength=count).log1p() / _COUNT_SCALE
        chosen = situation.chosen
        parts = [
            situation.summaries,
            situation.candidates[chosen],
            self.rule(situation.rules[chosen]),
            pooled,
            sizes[:, None],
            situation.log_enodes[:, None] / _SIZE_SCALE,
        ]
        context: Tensor = self.context(torch.cat(parts, dim=1))
        return context

    def _outlook(self, situation: Situation, context: Tensor, outcome: Outcome) -> Outlook:
        decided = torch.cat([context, outcome.features], dim=1)
        fate = self._fate(situation, decided)
        any_, many = self.appear(decided).chunk(2, dim=1)
        names = self.rule.weight.T
        return Outlook(
            outcome=outcome,
            decided=decided,
            persists=fate[:, 0],
            changes=fate[:, 1:],
            appears=any_ @ names + self.appear_bias[0],
            log_rates=(many @ names + self.appear_bias[1]).clamp(*_LOG_RATE_RANGE),
            drops=self.drop(decided),
            growths=self.growth(decided).squeeze(1),
        )

    def _fate(self, situation: Situation, decided: Tensor) -> Tensor:
        """Return the logit and the change of every candidate; float (num_candidates, 1 + width)."""
        owner, chosen = situation.owner, situation.candidates[situation.chosen]
        own = self.own(torch.cat([situation.candidates, self.rule(situation.rules)], dim=1))
        around = self.around(torch.cat([decided, chosen], dim=1))
        pair = self.pair(self.pair_own(situation.candidates) * self.pair_chosen(chosen)[owner])
        marked = torch.zeros_like(own).index_add(0, situation.chosen, self.mark.expand(len(chosen), -1))
        fate: Tensor = self.fate(own + around[owner] + pair + marked)
        return fate


_LOG_RATE_RANGE: Final = (-4.0, 5.0)


def _perceptron(num_inputs: int, hidden: int, num_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(num_inputs, hidden), nn.SiLU(), nn.Linear(hidden, num_outputs))

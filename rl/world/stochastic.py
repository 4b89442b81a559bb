"""The two ways in which a step of the world model is open: a mixture of Gaussians, or categorical latents.

The environment itself leaves nothing to chance. What is open is what a summary does not tell: many e-graphs look the
same in it and go on differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, final

import torch
from torch import Tensor, nn

from rl.world.formulas import balanced_kl, gaussian_nll, mixture_mean, mixture_nll, straight_through, uniform_mix

LOG_STD_RANGE: Final = (-4.0, 2.0)
"""Logarithms of standard deviations stay within; a column that never changes must not be worth any number of nats."""

UNIFORM_SHARE: Final = 0.01
"""Of the uniform distribution in every categorical one (Hafner et al. 2023)."""


class Openness(StrEnum):
    """Which of the two."""

    MIXTURE = "mixture"
    """A mixture density network, as RLFlow has (Bishop 1994; Ha and Schmidhuber 2018, "World models")."""
    CATEGORICAL = "categorical"
    """Categorical latents, as the recurrent state-space model of DreamerV2 and V3 has."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What comes of the summaries of some states.

    Attributes:
        features: What was left open and is decided now, for whatever depends on it; float (num_states, num_features).
        change: Of the summary, in units of its typical change; float (num_states, width).
        loss: Nats a column of the summary, where it is known what came, else zeros; float (num_states,).
    """

    features: Tensor
    change: Tensor
    loss: Tensor


class Transition(Protocol):
    """From what is known before a step to the summary after it."""

    @property
    def num_features(self) -> int:
        """Columns of :attr:`Outcome.features`."""
        ...

    def explain(self, context: Tensor, change: Tensor, generator: torch.Generator) -> Outcome:
        """Return an outcome that is made from what came, and the loss of having expected it.

        Args:
            context: What is known before the step; float (num_states, hidden).
            change: What came; float (num_states, width).
            generator: The only source of chance, on the CPU.
        """
        ...

    def foresee(self, context: Tensor, generator: torch.Generator | None) -> Outcome:
        """Return an outcome without knowing what comes.

        Args:
            context: What is known before the step; float (num_states, hidden).
            generator: Draws the outcome; where it is left out, the one to expect is taken.
        """
        ...


def log_std_of(raw: Tensor) -> Tensor:
    """Return log standard deviations from a layer's output, softly kept within :data:`LOG_STD_RANGE`; the same shape.

    Args:
        raw: Any numbers; 0 gives the middle of the range.
    """
    low, high = LOG_STD_RANGE
    return low + (high - low) * torch.sigmoid(raw)


@final
class MixtureTransition(nn.Module):
    """The change is drawn from a mixture of Gaussians; nothing else depends on the draw."""

    def __init__(self, hidden: int, width: int, num_components: int) -> None:
        """Make it with random weights; the caller seeds torch.

        Args:
            hidden: Columns of the context.
            width: Columns of a summary.
            num_components: Gaussians.
        """
        super().__init__()
        self._width = width
        self._num_components = num_components
        self.logits = nn.Linear(hidden, num_components)
        self.means = nn.Linear(hidden, num_components * width)
        self.log_stds = nn.Linear(hidden, num_components * width)

    @property
    def num_features(self) -> int:
        """None."""
        return 0

    def explain(self, context: Tensor, change: Tensor, generator: torch.Generator) -> Outcome:  # noqa: ARG002
        """See :meth:`Transition.explain`; the outcome is the mixture's mean, which has a gradient."""
        logits, means, log_stds = self._mixture(context)
        loss = mixture_nll(change, logits, means, log_stds) / self._width
        return Outcome(features=context[:, :0], change=mixture_mean(logits, means), loss=loss)

    def foresee(self, context: Tensor, generator: torch.Generator | None) -> Outcome:
        """See :meth:`Transition.foresee`."""
        logits, means, log_stds = self._mixture(context)
        if generator is None:
            change = mixture_mean(logits, means)
        else:
            component = drawn_class(logits, generator)
            rows = torch.arange(len(component), device=component.device)
            noise = torch.randn((len(rows), self._width), generator=generator).to(context.device)
            change = means[rows, component] + log_stds[rows, component].exp() * noise
        return Outcome(features=context[:, :0], change=change, loss=torch.zeros_like(change[:, 0]))

    def _mixture(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape = (len(context), self._num_components, self._width)
        return (
            self.logits(context),
            self.means(context).reshape(shape),
            log_std_of(self.log_stds(context).reshape(shape)),
        )


@final
class CategoricalTransition(nn.Module):
    """A few categorical variables are drawn; the change, and all else that comes, follows from them."""

    def __init__(self, hidden: int, width: int, num_groups: int, num_classes: int) -> None:
        """Make it with random weights; the caller seeds torch.

        Args:
            hidden: Columns of the context.
            width: Columns of a summary.
            num_groups: Categorical variables.
            num_classes: Values of each.
        """
        super().__init__()
        self._shape = (num_groups, num_classes)
        self.prior = nn.Linear(hidden, self.num_features)
        self.posterior = nn.Sequential(
            nn.Linear(hidden + width, hidden), nn.SiLU(), nn.Linear(hidden, self.num_features)
        )
        self.decode = nn.Sequential(nn.Linear(hidden + self.num_features, hidden), nn.SiLU(), nn.Linear(hidden, width))

    @property
    def num_features(self) -> int:
        """One column a value of each variable."""
        num_groups, num_classes = self._shape
        return num_groups * num_classes

    def explain(self, context: Tensor, change: Tensor, generator: torch.Generator) -> Outcome:
        """See :meth:`Transition.explain`: the variables are drawn by what came, and learnt to be foreseen.

        The loss is that of the evidence lower bound: the change as a Gaussian of standard deviation 1, and the balanced
        divergence (Hafner et al. 2021, equation 2).
        """
        prior = self._log_probs(self.prior(context))
        posterior = self._log_probs(self.posterior(torch.cat([context, change], dim=1)))
        features = straight_through(self._drawn(posterior, generator), posterior).flatten(1)
        decoded = self.decode(torch.cat([context, features], dim=1))
        seen = gaussian_nll(change, decoded, torch.zeros_like(decoded))
        kl = balanced_kl(posterior, prior, prior_weight=_PRIOR_WEIGHT, free_nats=_FREE_NATS)
        return Outcome(features=features, change=decoded, loss=(seen + kl) / change.shape[1])

    def foresee(self, context: Tensor, generator: torch.Generator | None) -> Outcome:
        """See :meth:`Transition.foresee`; the outcome to expect has the likeliest value of every variable."""
        prior = self._log_probs(self.prior(context))
        if generator is None:
            sample = nn.functional.one_hot(prior.argmax(dim=-1), self._shape[1]).to(prior.dtype)
        else:
            sample = self._drawn(prior, generator)
        features = sample.flatten(1)
        change = self.decode(torch.cat([context, features], dim=1))
        return Outcome(features=features, change=change, loss=torch.zeros_like(change[:, 0]))

    def _log_probs(self, logits: Tensor) -> Tensor:
        return uniform_mix(logits.reshape(len(logits), *self._shape), UNIFORM_SHARE)

    def _drawn(self, log_probs: Tensor, generator: torch.Generator) -> Tensor:
        drawn = drawn_class(log_probs.detach().flatten(0, 1), generator)
        one_hot = nn.functional.one_hot(drawn, self._shape[1]).to(log_probs.dtype)
        return one_hot.reshape(log_probs.shape)


_PRIOR_WEIGHT: Final = 0.8
_FREE_NATS: Final = 0.1
"""DreamerV3 has 1; but what it gives away, the prior never learns, and imagined steps are drawn from the prior."""


def drawn_class(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return a class drawn from each row; int64 (num_rows,). The largest logit plus Gumbel noise (Gumbel 1954).

    Args:
        logits: Unnormalised; float (num_rows, num_classes).
        generator: The only source of chance, on the CPU.
    """
    uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64).clamp_min(1e-300)
    noise = -torch.log((-torch.log(uniform)).clamp_min(1e-300)).to(logits.device)
    return (logits.double() + noise).argmax(dim=1)

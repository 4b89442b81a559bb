"""The search that looks ahead in latent space: real steps are made only for what it commits to.

At each real step the policy names a few candidates; each of them, and STOP, is played on in imagination many times, in
the world of every member; the one with the best return is applied. Disagreement of the members is paid for, so that
what the model does not know is not mistaken for a gain. The answer of a run never rests on a prediction: extraction,
the check of the numbers and the paired test of latency come after the search, as after every other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from eqsat.errors import UsageError
from eqsat.search.interface import Arena, Outcome, Search, SearchBudget
from eqsat.search.options import check_options, option, option_names, with_options
from eqsat.search.restarts import Restarts, play_with_restarts
from rl.agent.checkpoint import shipped
from rl.agent.policy import Policy
from rl.env.scene import Scene
from rl.search.learned import Chooser, follow, task_of
from rl.world.accounts import Account, counted
from rl.world.checkpoint import load
from rl.world.imagination import Terms, consult, imagine, judge
from rl.world.improve import returns_of

if TYPE_CHECKING:
    from rl.env.scene import Look
    from rl.world.latent import LatentState
    from rl.world.model import WorldModel

SHIPPED: Final = Path(__file__).parent / "shipped"
"""The world model that comes with the package."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What looking ahead came to.

    Attributes:
        places: Candidates to apply, the best first; none where it is best to stop.
        drop: Mean drop of the log-price that the members foresee of the first of them.
        uncertainty: Standard deviation of that among the members.
        num_imagined: Steps that were imagined.
    """

    places: tuple[int, ...]
    drop: float
    uncertainty: float
    num_imagined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanConfig:
    """How far is looked ahead.

    Attributes:
        width: Candidates that are looked at, at most.
        horizon: Steps of an imagined episode.
        num_episodes: Imagined for each candidate in the world of each member.
        commit: Candidates that are applied before the next real look, at most.
        foresight: What one standard deviation of the imagined returns of the options counts, in nats beside the
            policy's own log-probabilities.
        penalty: See :class:`~rl.world.imagination.Terms`.
        gamma: Discount.
        lambda_: Of the returns.
    """

    width: int = option(8, "width", at_least=1)
    horizon: int = option(5, "horizon", at_least=1)
    num_episodes: int = option(4, "episodes", at_least=1)
    commit: int = option(4, "commit", at_least=1)
    foresight: float = 1.0
    penalty: float = 0.0
    gamma: float = 0.99
    lambda_: float = 0.95


def plan(
    model: WorldModel,
    state: LatentState,
    config: PlanConfig,
    max_enodes: float,
    generator: torch.Generator,
    log_probs: Tensor | None = None,
) -> Plan:
    """Return what is best to be done in a state. No environment takes part.

    Args:
        model: The world, and the policy that acts in imagination.
        state: One state, with a candidate at least.
        config: How far is looked ahead.
        max_enodes: Size of the e-graph at which an imagined episode ends.
        generator: The only source of chance, on the CPU.
        log_probs: Of STOP, then of every candidate, by the policy that names the options; by the model's own where
            they are left out; float (1 + num_candidates,).
    """
    with torch.no_grad():
        known = judge(model.network, state).assessment.log_probs if log_probs is None else log_probs
        options = _options(known, config.width)
        times = config.num_episodes * len(model.members)
        starts = state.select(torch.zeros(len(options) * times, dtype=torch.int64, device=options.device))
        first = _actions(starts, options.repeat_interleave(times))
        terms = Terms(horizon=config.horizon, gamma=config.gamma, penalty=config.penalty, max_enodes=max_enodes)
        imagined = imagine(model, starts, terms, generator, first=first)
        returns = returns_of(imagined, config.gamma, config.lambda_)[0].reshape(-1, times).mean(dim=1)
        scores = config.foresight * standardised(returns.cpu().numpy()) + known[options].cpu().numpy()
        places = best_options(scores, config.commit)
        if not places:
            return Plan(places=(), drop=0.0, uncertainty=0.0, num_imagined=imagined.num_steps)
        rows = options[torch.tensor(places, device=options.device)] - 1
        counsel = consult(model, state, rows[:1])
        return Plan(
            places=tuple(rows.tolist()),
            drop=counsel.drops.item(),
            uncertainty=counsel.uncertainties.item(),
            num_imagined=imagined.num_steps,
        )


def standardised(returns: np.ndarray) -> np.ndarray:
    """Return how far each return is from their mean, in their standard deviations; float (num_options,)."""
    spread: np.ndarray = (returns - returns.mean()) / max(float(returns.std()), _LEAST_SPREAD)
    return spread


_LEAST_SPREAD: Final = 1e-4
"""Returns that are closer together than this, in shares of the model's price, are as good as the same."""


def best_options(scores: np.ndarray, commit: int) -> list[int]:
    """Return the options to commit to, the best first; none where the first option, STOP, is best.

    Each other than the best must be better than STOP, and half as good as the best at least, as probabilities go.

    Args:
        scores: Of STOP, then of each candidate, in nats; float (num_options,).
        commit: Options, at most.
    """
    order = np.argsort(-scores, kind="stable")
    least = max(scores[0], scores[order[0]] - math.log(2.0))
    return [int(option) for option in order[:commit] if option and scores[option] >= least] if order[0] else []


def _options(log_probs: Tensor, width: int) -> Tensor:
    """Return STOP, as 0, and the likeliest candidates, counted from 1; int64 (num_options,)."""
    likely = 1 + torch.argsort(log_probs[1:], descending=True, stable=True)[:width]
    return torch.cat([torch.zeros_like(likely[:1]), likely])


def _actions(starts: LatentState, options: Tensor) -> Tensor:
    """Return where an option of each of several equal states stands among all their actions."""
    number = torch.arange(starts.num_states, device=options.device)
    return torch.where(options == 0, number, starts.num_states + starts.first() + options - 1)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Foresighted(Search):
    """Applies what looks best some imagined steps ahead.

    Attributes:
        model: The world model.
        policy: Names the options and says how likely they are; the world model's own where it is left out.
        config: How far is looked ahead.
        restarts: How often it starts over from the cheapest graph.
    """

    model: WorldModel
    policy: Policy | None = None
    config: PlanConfig = PlanConfig()
    restarts: Restarts = option(Restarts(), "restarts", parse=Restarts().told)

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        generator = torch.Generator().manual_seed(arena.rng.getrandbits(31))
        episodes: list[_Episode] = []

        def play(arena: Arena, budget: SearchBudget) -> Outcome:
            task, prices = counted(task_of(arena))
            scene = Scene.around(task, arena.session, is_grouped=True)
            first = scene.look()
            initial_us = first.selection.cost_us
            foresight = _Foresight(self, arena, budget.max_enodes, initial_us, generator)
            outcome, last = follow(foresight, scene, first, arena, budget)
            account = Account(
                num_episodes=1,
                num_steps=outcome.num_steps,
                num_prices=prices.num_prices,
                num_imagined_steps=foresight.num_imagined,
            )
            final_us = last.selection.cost_us
            episodes.append(_Episode(account=account, drop=foresight.drop, initial_us=initial_us, final_us=final_us))
            return outcome

        outcome = play_with_restarts(play, arena, budget, self.restarts)
        account = reduce(Account.plus, (each.account for each in episodes))
        foreseen = sum(each.drop for each in episodes)
        return replace(
            outcome, plan=described(account, foreseen, episodes[0].initial_us, min(each.final_us for each in episodes))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Episode:
    """What was done from one start to its end.

    Attributes:
        account: What it asked for.
        drop: Sum of the drops of the log-price that were foreseen.
        initial_us: Price of the graph at the start.
        final_us: Price of what was extracted at the end.
    """

    account: Account
    drop: float
    initial_us: float
    final_us: float


@final
class _Foresight(Chooser):
    """What looks best some imagined steps ahead.

    Attributes:
        drop: Sum of the drops of the log-price that were foreseen.
        num_imagined: Steps that were imagined.
    """

    def __init__(
        self,
        how: Foresighted,
        arena: Arena,
        max_enodes: float,
        initial_us: float,
        generator: torch.Generator,
    ) -> None:
        self.drop = 0.0
        self.num_imagined = 0
        self._how = how
        self._arena = arena
        self._max_enodes = max_enodes
        self._initial_us = initial_us
        self._generator = generator
        self._last = Plan(places=(), drop=0.0, uncertainty=0.0, num_imagined=0)

    @override
    def choose(self, look: Look) -> Sequence[int]:
        costs = np.array([math.log(max(look.selection.cost_us, 1e-3) / max(self._initial_us, 1e-3))])
        model, policy = self._how.model, self._how.policy
        with torch.no_grad():
            state = model.encode([look.observation], costs, np.array([self._arena.size().num_enodes]))
        known = None if policy is None else _log_of(policy.probabilities(look.observation))
        made = plan(model, state, self._how.config, self._max_enodes, self._generator, known)
        self.drop += made.drop
        self.num_imagined += made.num_imagined
        self._last = made
        return made.places

    @override
    def remark(self, before_us: float, after_us: float) -> str:
        foreseen = f"{math.expm1(-self._last.drop):+.2%} ± {self._last.uncertainty:.2%}"
        return f"{_drop(before_us, after_us):+.2%}, foreseen {foreseen}"


def _log_of(probabilities: np.ndarray) -> Tensor:
    """Return the log-probabilities of STOP and of every candidate; float (1 + num_candidates,)."""
    return torch.from_numpy(probabilities).clamp_min(math.ulp(0.0)).log().float()


def described(account: Account, foreseen: float, initial_us: float, final_us: float) -> str:
    """Return what a search did, as one line.

    Args:
        account: What it asked for.
        foreseen: Sum of the drops of the log-price that were foreseen.
        initial_us: Price of the model.
        final_us: Price of what was extracted at the end.
    """
    return (
        f"world model: {account.num_steps} real steps, {account.num_prices} prices asked, "
        f"{account.num_imagined_steps} imagined steps; price {_drop(initial_us, final_us):+.1%}, "
        f"foreseen {math.expm1(-foreseen):+.1%}"
    )


def _drop(before_us: float, after_us: float) -> float:
    """Return the relative change of a price, below 0 where it fell."""
    return after_us / before_us - 1.0 if before_us > 0 else 0.0


def foresighted(
    world: Path = SHIPPED,
    config: PlanConfig = PlanConfig(),
    *,
    has_own_policy: bool = False,
) -> Foresighted:
    """Return the search by a world model.

    Args:
        world: Folder of the world model.
        config: How far is looked ahead.
        has_own_policy: True lets the world model's own policy name the options, False the policy that ships.

    Raises:
        UsageError: One of them cannot be read.
    """
    model, _ = load(world)
    policy = None if has_own_policy else Policy.of(shipped())
    return Foresighted(model=model, policy=policy, config=config)


def world_model(options: Mapping[str, str]) -> Search:
    """Return the search from its options, which are text, and let networks of this process use one thread.

    Args:
        options: ``world``: the folder of a world model, the one that ships where it is left out; ``policy``: who names
            the options, ``shipped`` or the world model's ``own``; ``width``, ``horizon``, ``episodes`` and ``commit``:
            see :class:`PlanConfig`; ``restarts``: see :class:`Foresighted`.

    Raises:
        UsageError: An option is wrong, or there is no world model.
    """
    known = (*option_names(PlanConfig), *option_names(Foresighted), "policy", "world")
    check_options("world-model", options, known)
    named = options.get("policy", "shipped")
    if named not in {"shipped", "own"}:
        raise UsageError(f"option 'policy' must be 'shipped' or 'own', not {named!r}")
    torch.set_num_threads(1)
    world = Path(options["world"]) if "world" in options else SHIPPED
    search = foresighted(world, with_options(PlanConfig(), options), has_own_policy=named == "own")
    return with_options(search, options)

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
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from eqsat.errors import UsageError
from eqsat.search.interface import Arena, Outcome, Search, SearchBudget
from rl.scene import Scene
from rl.search import Chooser, follow, task_of
from rl.world.accounts import Account, counted
from rl.world.checkpoint import load
from rl.world.imagination import Terms, consult, imagine, judge
from rl.world.improve import returns_of

if TYPE_CHECKING:
    from rl.scene import Look
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
        penalty: See :class:`~rl.world.imagination.Terms`.
        gamma: Discount.
        lambda_: Of the returns.
    """

    width: int = 8
    horizon: int = 5
    num_episodes: int = 4
    commit: int = 1
    penalty: float = 1.0
    gamma: float = 0.99
    lambda_: float = 0.95


def plan(
    model: WorldModel, state: LatentState, config: PlanConfig, max_enodes: float, generator: torch.Generator
) -> Plan:
    """Return what is best to be done in a state. No environment takes part.

    Args:
        model: The world and the policy.
        state: One state, with a candidate at least.
        config: How far is looked ahead.
        max_enodes: Size of the e-graph at which an imagined episode ends.
        generator: The only source of chance, on the CPU.
    """
    with torch.no_grad():
        options = _options(model, state, config.width)
        times = config.num_episodes * len(model.members)
        starts = state.select(torch.zeros(len(options) * times, dtype=torch.int64, device=options.device))
        first = _actions(starts, options.repeat_interleave(times))
        terms = Terms(horizon=config.horizon, gamma=config.gamma, penalty=config.penalty, max_enodes=max_enodes)
        imagined = imagine(model, starts, terms, generator, first=first)
        returns = returns_of(imagined, config.gamma, config.lambda_)[0].reshape(-1, times).mean(dim=1)
        places = best_options(returns.cpu().numpy(), config.commit)
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


def best_options(returns: np.ndarray, commit: int) -> list[int]:
    """Return the options to commit to, the best first; none where the first option, STOP, is best.

    Each other than the best must promise at least half of what the best one promises beyond STOP.

    Args:
        returns: Of STOP, then of each candidate; float (num_options,).
        commit: Options, at most.
    """
    order = np.argsort(-returns, kind="stable")
    if order[0] == 0:
        return []
    least = returns[0] + 0.5 * (returns[order[0]] - returns[0])
    return [int(option) for option in order[:commit] if option != 0 and returns[option] >= least]


def _options(model: WorldModel, state: LatentState, width: int) -> Tensor:
    """Return STOP, as 0, and the likeliest candidates, counted from 1; int64 (num_options,)."""
    log_probs = judge(model.network, state).assessment.log_probs[1:]
    likely = torch.argsort(log_probs, descending=True, stable=True)[:width]
    return torch.cat([torch.zeros_like(likely[:1]), 1 + likely])


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
        config: How far is looked ahead.
    """

    model: WorldModel
    config: PlanConfig = PlanConfig()

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        task, prices = counted(task_of(arena))
        scene = Scene.around(task, arena.session, is_grouped=True)
        first = scene.look(has_rebase=False)
        initial_us = first.selection.cost_us
        generator = torch.Generator().manual_seed(arena.rng.getrandbits(31))
        foresight = _Foresight(self.model, self.config, arena, budget.max_enodes, initial_us, generator)
        outcome, last = follow(foresight, scene, first, arena, budget)
        account = Account(
            num_episodes=1,
            num_steps=outcome.num_steps,
            num_prices=prices.num_prices,
            num_imagined_steps=foresight.num_imagined,
        )
        return replace(outcome, plan=described(account, foresight.drop, initial_us, last.selection.cost_us))


@final
class _Foresight(Chooser):
    """What looks best some imagined steps ahead.

    Attributes:
        drop: Sum of the drops of the log-price that were foreseen.
        num_imagined: Steps that were imagined.
    """

    def __init__(
        self,
        model: WorldModel,
        config: PlanConfig,
        arena: Arena,
        max_enodes: float,
        initial_us: float,
        generator: torch.Generator,
    ) -> None:
        self.drop = 0.0
        self.num_imagined = 0
        self._model = model
        self._config = config
        self._arena = arena
        self._max_enodes = max_enodes
        self._initial_us = initial_us
        self._generator = generator
        self._last = Plan(places=(), drop=0.0, uncertainty=0.0, num_imagined=0)

    @override
    def choose(self, look: Look) -> Sequence[int]:
        costs = np.array([math.log(max(look.selection.cost_us, 1e-3) / max(self._initial_us, 1e-3))])
        with torch.no_grad():
            state = self._model.encode([look.observation], costs, np.array([self._arena.size().num_enodes]))
        made = plan(self._model, state, self._config, self._max_enodes, self._generator)
        self.drop += made.drop
        self.num_imagined += made.num_imagined
        self._last = made
        return made.places

    @override
    def remark(self, before_us: float, after_us: float) -> str:
        foreseen = f"{math.expm1(-self._last.drop):+.2%} ± {self._last.uncertainty:.2%}"
        return f"{_drop(before_us, after_us):+.2%}, foreseen {foreseen}"


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


def world_model(options: Mapping[str, str]) -> Search:
    """Return the search from its options, which are text, and let networks of this process use one thread.

    Args:
        options: ``world``: the folder of a world model, the one that ships where it is left out; ``width``,
            ``horizon``, ``episodes`` and ``commit``: see :class:`PlanConfig`.

    Raises:
        UsageError: An option is wrong, or there is no world model.
    """
    numbers = {"width": "width", "horizon": "horizon", "episodes": "num_episodes", "commit": "commit"}
    given: dict[str, int] = {}
    for option, text in options.items():
        if option == "world":
            continue
        if option not in numbers:
            known = ", ".join(sorted([*numbers, "world"]))
            raise UsageError(f"search 'world-model' has no option {option!r} (it has: {known})")
        if not text.isdecimal() or not int(text):
            raise UsageError(f"option {option!r} must be a number above 0, not {text!r}")
        given[numbers[option]] = int(text)
    torch.set_num_threads(1)
    model, _ = load(Path(options["world"]) if "world" in options else SHIPPED)
    return Foresighted(model=model, config=replace(PlanConfig(), **given))

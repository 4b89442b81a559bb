"""The agent's network: an e-graph in, one score for each action and one value for the state out.

Nothing in it depends on how many candidates there are or in what order they stand: each is scored on its own, from its
own features, the e-classes it binds, and a summary of the whole e-graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, final

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter
from typing_extensions import override

from rl.agent.message_passing import PositionConv, Round
from rl.agent.segments import segment_log_softmax
from rl.agent.statistics import WIDTHS, FeatureStatistics
from rl.agent.stored import check_range
from rl.env.columns import NUM_OWN
from rl.env.observation import (
    NUM_CANDIDATE_FEATURES,
    NUM_ECLASS_FEATURES,
    NUM_ENODE_FEATURES,
    NUM_OPERATOR_BUCKETS,
    NUM_RULE_BUCKETS,
    NUM_SLOTS,
    STOP,
)

if TYPE_CHECKING:
    from rl.agent.batch import Batch

_MAX_DEVIATIONS: Final = 10.0
"""A normalised feature is cut off here: something unseen in training must not drown all else."""

_LOG_SCALE: Final = 10.0

_MAX_COLUMNS: Final = 4096
_MAX_ROUNDS: Final = 64
"""Far beyond what learns anything here."""

_FIRST_GAIN: Final = 0.1
"""Size of the weights behind a score at the start: little is preferred, and gradients still reach what is below."""

_FIRST_BIAS: Final = -2.0
"""Score of STOP at the start: it ends an episode that could tell more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The shape of a network, and what it may do.

    Attributes:
        hidden: Columns of every state.
        embedding: Columns of what is learnt about one operator or one rule by its name.
        num_rounds: Rounds of message passing; 0 passes none, so that a candidate knows nothing of what it binds.
        is_rule_only: True scores rules instead of candidates: those of one rule share its probability equally.
        has_stop: False never stops as long as something else is allowed.

    Raises:
        ValueError: A number is out of range.
    """

    hidden: int = 48
    embedding: int = 32
    num_rounds: int = 3
    is_rule_only: bool = False
    has_stop: bool = True

    def __post_init__(self) -> None:
        """Refuse what no network can be built of."""
        check_range("a network", {"hidden": self.hidden, "embedding": self.embedding}, 1, _MAX_COLUMNS)
        check_range("a network", {"num_rounds": self.num_rounds}, 0, _MAX_ROUNDS)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """What a batch is like, before anything is judged.

    Attributes:
        candidates: State of each candidate; float (num_candidates, hidden).
        summary: State of each observation; float (num_observations, hidden).
    """

    candidates: Tensor
    summary: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What a network says about a batch.

    Attributes:
        log_probs: Log-probability of every action, minus infinity where it is not allowed; float (num_actions,).
        values: Of every observation; float (num_observations,).
    """

    log_probs: Tensor
    values: Tensor


@final
class Network(nn.Module):
    """Policy and value function over observations of any size.

    What it has learnt about the name of an operator or of a rule starts at zero, and stays there for names that did not
    occur in training: these are then judged by their other features alone.
    """

    def __init__(self, config: NetworkConfig) -> None:
        """Make a network with random weights; the caller seeds torch."""
        super().__init__()
        self.config = config
        hidden, embedding = config.hidden, config.embedding
        self.operator = nn.Embedding(NUM_OPERATOR_BUCKETS, embedding)
        self.rule = nn.Embedding(NUM_RULE_BUCKETS, embedding)
        num_scored = NUM_CANDIDATE_FEATURES - (NUM_OWN if config.is_rule_only else 0)
        self.encode_enode = _perceptron(NUM_ENODE_FEATURES + embedding, hidden, hidden)
        self.encode_eclass = _perceptron(NUM_ECLASS_FEATURES, hidden, hidden)
        self.encode_candidate = _perceptron(num_scored + embedding, hidden, hidden)
        self.rounds = nn.ModuleList([Round(hidden) for _ in range(config.num_rounds)])
        self.bind: PositionConv | None = None
        if config.num_rounds and not config.is_rule_only:
            self.bind = PositionConv(hidden, NUM_SLOTS, ("mean", "max"))
        self.candidate = _perceptron(hidden if self.bind is None else 3 * hidden, hidden, hidden)
        self.summary = _perceptron(7 * hidden + 3, hidden, hidden)
        self.score = _perceptron(2 * hidden, hidden, 1)
        self.stop = _perceptron(hidden, hidden, 1)
        self.value = _perceptron(hidden, hidden, 1)
        for name, width in WIDTHS.items():
            self.register_buffer(f"{name}_mean", torch.zeros(width), persistent=False)
            self.register_buffer(f"{name}_scale", torch.ones(width), persistent=False)
        self._start_undecided()

    def normalise_by(self, statistics: FeatureStatistics) -> None:
        """Normalise features by what was seen of them; the checkpoint keeps the statistics, not the weights."""
        for name, moments in statistics.moments.items():
            mean = self.get_buffer(f"{name}_mean")
            mean.copy_(torch.tensor(moments.mean))
            self.get_buffer(f"{name}_scale").copy_(torch.from_numpy(moments.deviation()))

    def encode(self, batch: Batch) -> Encoding:
        """Return what all heads judge by."""
        named = self.operator(batch.enode_operator)
        features = self._normalised("enode_features", batch.enode_features)
        enodes = self.encode_enode(torch.cat([features, named], dim=1))
        eclasses = self.encode_eclass(self._normalised("eclass_features", batch.eclass_features))
        for each in self.rounds:
            enodes, eclasses = each(enodes, eclasses, batch)
        candidates = self._candidates(eclasses, batch)
        return Encoding(candidates=candidates, summary=self._summary(enodes, eclasses, candidates, batch))

    @override
    def forward(self, batch: Batch) -> Assessment:
        """Return the policy and the values of a batch."""
        encoding = self.encode(batch)
        candidates, summary = encoding.candidates, encoding.summary
        logits = torch.empty(len(batch.action_mask), device=summary.device, dtype=summary.dtype)
        logits = logits.index_copy(0, batch.first_action + STOP, self.stop(summary).squeeze(1))
        logits = logits.index_copy(0, batch.candidate_action, self._scores(candidates, summary, batch))
        log_probs = segment_log_softmax(logits, self._allowed(batch), batch.action_observation, batch.num_observations)
        return Assessment(log_probs=log_probs, values=self.value(summary).squeeze(1))

    def _normalised(self, name: str, features: Tensor) -> Tensor:
        mean, scale = self.get_buffer(f"{name}_mean"), self.get_buffer(f"{name}_scale")
        return ((features - mean) / scale).clamp(-_MAX_DEVIATIONS, _MAX_DEVIATIONS)

    def _candidates(self, eclasses: Tensor, batch: Batch) -> Tensor:
        """Return the state of each candidate; float (num_candidates, hidden)."""
        features = self._normalised("candidate_features", batch.candidate_features)
        if self.config.is_rule_only:
            features = features[:, NUM_OWN:]
        own = self.encode_candidate(torch.cat([features, self.rule(batch.candidate_rule)], dim=1))
        if self.bind is not None:
            own = torch.cat([own, self.bind((eclasses, own), batch.binding_edges, batch.binding_slots)], dim=1)
        state: Tensor = self.candidate(own)
        return state

    def _summary(self, enodes: Tensor, eclasses: Tensor, candidates: Tensor, batch: Batch) -> Tensor:
        """Return what each observation is like as a whole; float (num_observations, hidden)."""
        pools = [
            _pooled(enodes, batch.enode_observation, batch, "mean"),
            _pooled(enodes, batch.enode_observation, batch, "max"),
            _pooled(eclasses, batch.eclass_observation, batch, "mean"),
            _pooled(eclasses, batch.eclass_observation, batch, "max"),
            _pooled(eclasses[batch.root_eclasses], batch.root_observation, batch, "mean"),
            _pooled(candidates, batch.candidate_observation, batch, "mean"),
            _pooled(candidates, batch.candidate_observation, batch, "max"),
        ]
        owners = (batch.enode_observation, batch.eclass_observation, batch.candidate_observation)
        counts = [torch.bincount(owner, minlength=batch.num_observations) for owner in owners]
        sizes = torch.stack([count.log1p() / _LOG_SCALE for count in counts], dim=1)
        summary: Tensor = self.summary(torch.cat([*pools, sizes], dim=1))
        return summary

    def _scores(self, candidates: Tensor, summary: Tensor, batch: Batch) -> Tensor:
        """Return the score of each candidate; float (num_candidates,)."""
        together = torch.cat([candidates, summary[batch.candidate_observation]], dim=1)
        scores: Tensor = self.score(together).squeeze(1)
        if not self.config.is_rule_only:
            return scores
        of_rule = batch.candidate_observation * NUM_RULE_BUCKETS + batch.candidate_rule
        rules, rule = torch.unique(of_rule, return_inverse=True)
        is_allowed = batch.action_mask[batch.candidate_action].to(scores.dtype)
        counts = torch.zeros(len(rules), dtype=scores.dtype, device=scores.device).index_add(0, rule, is_allowed)
        return scores - counts.clamp_min(1.0).log()[rule]

    def _allowed(self, batch: Batch) -> Tensor:
        """Return the action mask without the actions that this network never takes."""
        mask = batch.action_mask.clone()
        if not self.config.has_stop:
            counts = torch.zeros_like(batch.first_action).index_add(0, batch.action_observation, mask.long())
            mask[batch.first_action + STOP] = counts == 1
        return mask

    def _start_undecided(self) -> None:
        """Let all candidates begin about equally likely (Andrychowicz et al. 2021), and every name unknown."""
        for head in (self.score, self.stop):
            last = head[-1]
            nn.init.orthogonal_(last.get_parameter("weight"), gain=_FIRST_GAIN)
            nn.init.constant_(last.get_parameter("bias"), 0.0 if head is self.score else _FIRST_BIAS)
        nn.init.zeros_(self.operator.weight)
        nn.init.zeros_(self.rule.weight)


def num_parameters(network: nn.Module) -> int:
    """Return how many numbers a network learns."""
    return sum(each.numel() for each in network.parameters())


def _perceptron(num_inputs: int, hidden: int, num_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(num_inputs, hidden), nn.ReLU(), nn.Linear(hidden, num_outputs))


def _pooled(states: Tensor, owner: Tensor, batch: Batch, how: str) -> Tensor:
    """Return the states of each observation's nodes as one vector; zeros where it has none."""
    pooled: Tensor = scatter(states, owner, dim=0, dim_size=batch.num_observations, reduce=how)
    return pooled

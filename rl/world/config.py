"""Settings of the world model and of its training."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eqsat.errors import UsageError
from rl.agent.network import NetworkConfig
from rl.agent.settings import filled
from rl.agent.stored import check_range
from rl.training.config import EpisodeConfig, TaskConfig
from rl.world.stochastic import Openness


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a world model.

    Attributes:
        num_members: Members of the ensemble.
        hidden: Columns of a member's context.
        candidate_hidden: Columns of what a member works out for each candidate.
        embedding: Columns of what is learnt about a rule.
        num_rules: Rules with a number of their own; others count as one that is unknown.
        openness: How the future is open.
        num_components: Gaussians of a mixture.
        num_groups: Categorical variables.
        num_classes: Values of each.
        max_candidates: Candidates of an imagined state, at most.

    Raises:
        ValueError: A number is out of range.
    """

    num_members: int = 3
    hidden: int = 128
    candidate_hidden: int = 64
    embedding: int = 32
    num_rules: int = 512
    openness: Openness = Openness.CATEGORICAL
    num_components: int = 5
    num_groups: int = 8
    num_classes: int = 8
    max_candidates: int = 512

    def __post_init__(self) -> None:
        """Refuse what no world model can be built of."""
        columns = ("hidden", "candidate_hidden", "embedding", "num_rules", "max_candidates")
        few = ("num_members", "num_components", "num_groups", "num_classes")
        check_range("a world model", {name: getattr(self, name) for name in columns}, 1, 4096)
        check_range("a world model", {name: getattr(self, name) for name in few}, 1, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """What each part of the loss counts; every part is in nats a decision or a column, so that all are about as large.

    Attributes:
        transition: The summary, nats a column.
        persistence: Whether a candidate is still there, nats a candidate.
        candidate: What it is like then, squared distance a column.
        appearance: How many of each rule appear, nats a rule that appears.
        generator: What they are like, nats a column.
        drop: Of the price, nats.
        growth: Of the e-graph, squared distance.
        final: What STOP pays, nats.
    """

    transition: float = 1.0
    persistence: float = 1.0
    candidate: float = 1.0
    appearance: float = 1.0
    generator: float = 1.0
    drop: float = 1.0
    growth: float = 1.0
    final: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """How a world model learns.

    Attributes:
        learning_rate: Of AdamW (Loshchilov and Hutter 2019).
        weight_decay: Likewise; members must not learn few trajectories by heart.
        encoder_learning_rate: Of Adam, for the encoder.
        num_updates: Gradient steps of every member, with the encoder as it is.
        num_encoder_updates: Gradient steps of the encoder together with all members, before those.
        num_windows: Pieces of trajectories in a minibatch.
        num_encoder_windows: The same while the encoder learns.
        horizon: Steps of a piece, unrolled from the model's own predictions.
        max_grad_norm: Gradients are scaled down to this length.
        weights: What each part of the loss counts.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    encoder_learning_rate: float = 1e-4
    num_updates: int = 300
    num_encoder_updates: int = 0
    num_windows: int = 48
    num_encoder_windows: int = 12
    horizon: int = 4
    max_grad_norm: float = 10.0
    weights: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagineConfig:
    """How a policy is made better in imagination.

    Attributes:
        num_updates: Batches of imagined episodes.
        num_states: Episodes of a batch.
        horizon: Steps of an imagined episode, at most.
        lambda_: Of the returns.
        gamma: Discount.
        learning_rate: Of Adam, for the heads of the policy; the encoder does not change.
        clip: See :func:`rl.training.losses.policy_loss`.
        num_epochs: Passes over a batch, at most.
        target_kl: A batch ends early where the policy has moved farther than 1.5 times this.
        entropy_weight: Of the entropy.
        value_weight: Of the value's loss.
        max_grad_norm: Gradients are scaled down to this length.
        penalty: What one unit of disagreement about the drop of the price costs (MOPO, Yu et al. 2020).
        max_enodes: Size of the e-graph at which an imagined episode ends.
        is_room: Whether that is the room that a task gives, so that nothing comes after it; the value of the state
            stands for the rest otherwise.
    """

    num_updates: int = 40
    num_states: int = 256
    horizon: int = 12
    lambda_: float = 0.95
    gamma: float = 0.99
    learning_rate: float = 3e-4
    clip: float = 0.2
    num_epochs: int = 2
    target_kl: float = 0.03
    entropy_weight: float = 0.003
    value_weight: float = 0.5
    max_grad_norm: float = 0.5
    penalty: float = 1.0
    max_enodes: int = 10_000
    is_room: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """One training of a world model and of a policy in it.

    Attributes:
        seed: Seed of every draw.
        time_limit_s: Seconds after which no round begins.
        num_rounds: Rounds, at most: play, learn the world, learn to act in it.
        num_workers: Processes that play; 0 plays in this one.
        tasks_per_round: Tasks that are played in a round.
        episodes_per_task: Episodes of each.
        novel_share: Tasks chosen because the ensemble disagrees about them; the others are drawn evenly.
        random_share: Chance that a step of an episode takes any candidate instead of what the policy would.
        max_replay_steps: Steps that are kept, at most.
        validate_every: Rounds from one validation to the next.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is a device. Episodes are played on the CPU.
        start: Folder of the policy, or of the world model, to begin with, or ``shipped`` for the policy that comes with
            the package; new ones where it is empty.
        network: Shape of the encoder and of the policy's heads, where training does not start from a policy.
        model: Shape of the rest, where training does not start from a world model.
        fit: How the world is learnt.
        imagine: How the policy learns in it.
        episodes: What is played; prices alone pay.
        tasks: What it is played on.
    """

    seed: int = 0
    time_limit_s: float = 3_000.0
    num_rounds: int = 100
    num_workers: int = 0
    tasks_per_round: int = 8
    episodes_per_task: int = 2
    novel_share: float = 0.5
    random_share: float = 0.2
    max_replay_steps: int = 20_000
    validate_every: int = 5
    device: str = "auto"
    start: str = ""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    imagine: ImagineConfig = field(default_factory=ImagineConfig)
    episodes: EpisodeConfig = field(default_factory=EpisodeConfig)
    tasks: TaskConfig = field(default_factory=TaskConfig)

    def __post_init__(self) -> None:
        """Refuse what the world model has no notion of.

        Raises:
            UsageError: Rewards are not shaped.
        """
        if not self.episodes.is_shaped:
            raise UsageError("a world model needs is_shaped = true")


def read_config(path: Path) -> WorldConfig:
    """Return the settings of a TOML file; what it leaves out keeps its default.

    Raises:
        UsageError: It cannot be read, or names a setting that there is not, or gives one a value of another kind.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error
    model = tables.get("model")
    if isinstance(model, dict):
        tables["model"] = with_openness(model, f"{path}: model")
    return filled(WorldConfig(), tables, str(path))


def with_openness(model: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the settings of a model with its openness as what it is, not as a word.

    Raises:
        UsageError: There is no such openness.
    """
    try:
        return {**model, **({"openness": Openness(model["openness"])} if "openness" in model else {})}
    except ValueError as error:
        raise UsageError(f"{place}: openness: {error}") from error

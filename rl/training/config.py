"""Settings of a training, read from TOML: one table for each part, one key for each field."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from eqsat.errors import UsageError
from eqsat.runtime.settings import CPU_PROVIDER
from rl.agent.network import NetworkConfig
from rl.agent.settings import filled

DEFAULT: Final = Path(__file__).parents[1] / "default.toml"
"""The settings that the shipped policy was trained with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PpoConfig:
    """How a policy is made better.

    Attributes:
        learning_rate: Of Adam, at the start; it falls to zero on a line.
        lambda_: Of the advantage estimates.
        clip: How far the ratio of probabilities may move.
        entropy_start: Weight of the entropy at the start.
        entropy_end: Weight of the entropy at the end.
        value_weight: Weight of the value's loss.
        max_grad_norm: Gradients are scaled down to this length.
        num_epochs: Passes over the steps of one update, at most.
        minibatch_enodes: E-nodes of one minibatch, at least one observation.
        minibatch_size: Observations of one minibatch, at most.
        target_kl: The update ends early where the policy has moved farther than 1.5 times this.
    """

    learning_rate: float = 1e-3
    lambda_: float = 0.95
    clip: float = 0.2
    entropy_start: float = 0.01
    entropy_end: float = 0.001
    value_weight: float = 0.5
    max_grad_norm: float = 0.5
    num_epochs: int = 3
    minibatch_enodes: int = 30_000
    minibatch_size: int = 64
    target_kl: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeConfig:
    """What the episodes of a training are like.

    Attributes:
        max_steps: Actions.
        max_enodes: Size of the e-graph at which an episode ends.
        min_growth: Least size at which one ends, as a multiple of the size at its beginning; drawn for each episode.
        max_growth: Largest such size; 0 draws none.
        gamma: Discount.
        is_shaped: False pays nothing before STOP.
        is_exact: True pays the exact extraction's gain at STOP, False that of the greedy one.
        is_measured: True pays at STOP what the finalist gains by the clock, from end to end; for models of one's own,
            since the families have prices of made-up devices.
        max_kept_sessions: Models whose e-graphs each process keeps.
    """

    max_steps: int = 40
    max_enodes: int = 2_000
    min_growth: float = 1.2
    max_growth: float = 0.0
    gamma: float = 0.99
    is_shaped: bool = True
    is_exact: bool = False
    is_measured: bool = False
    max_kept_sessions: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskConfig:
    """What is trained on.

    Attributes:
        num_training: Tasks of the families of :mod:`rl.families`.
        num_validation: Others, never trained on: half of the same kinds, half of kinds held out.
        first_seed: Seed of the first task; the others count on.
        models: Model files to train on instead; they are their own validation. Their prices are measured on this
            machine, and kept in the user's price database.
        is_tabulated: True takes those prices from a fixed table instead, which needs no device.
        rules: Further rules files for these models, after the ones that ship.
        provider: ONNX Runtime's name of the provider that they are priced on.
        threads: Intra-op threads that they are priced with; 0 is ONNX Runtime's default.
        input_shapes: Shapes that they are priced at, as the command line has them: ``NAME:1,128`` or ``batch=4``.
    """

    num_training: int = 400
    num_validation: int = 24
    first_seed: int = 0
    models: tuple[str, ...] = ()
    is_tabulated: bool = False
    rules: tuple[str, ...] = ()
    provider: str = CPU_PROVIDER
    threads: int = 0
    input_shapes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training.

    Attributes:
        seed: Seed of every draw.
        time_limit_s: Seconds after which no update begins; what was trained before a stop counts.
        patience: Validations in a row without a better one after which training ends; 0 never ends it for that.
        num_updates: Updates, at most.
        num_workers: Processes that play; 0 plays in this one.
        tasks_per_update: Tasks drawn for each update.
        episodes_per_task: Episodes of each.
        validate_every: Updates from one validation to the next.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is a device. Episodes are played on the CPU.
        network: Shape of the network.
        ppo: How it learns.
        episodes: What it plays.
        tasks: What it plays on.
    """

    seed: int = 0
    time_limit_s: float = 3_000.0
    patience: int = 0
    num_updates: int = 1_000
    num_workers: int = 2
    tasks_per_update: int = 10
    episodes_per_task: int = 3
    validate_every: int = 10
    device: str = "auto"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    ppo: PpoConfig = field(default_factory=PpoConfig)
    episodes: EpisodeConfig = field(default_factory=EpisodeConfig)
    tasks: TaskConfig = field(default_factory=TaskConfig)


def read_config(path: Path) -> TrainConfig:
    """Return the settings of a TOML file; what it leaves out keeps its default.

    Raises:
        UsageError: It cannot be read, or names a setting that there is not, or gives one a value of another kind.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from error
    return config_of(tables, str(path))


def config_of(tables: Mapping[str, Any], place: str) -> TrainConfig:
    """Return the settings of nested tables.

    Args:
        tables: Value by name.
        place: Where they come from, for messages.

    Raises:
        UsageError: See :func:`read_config`.
    """
    return filled(TrainConfig(), tables, place)

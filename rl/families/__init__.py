"""Small models to train on: blocks of the architectures of the benchmark, random algebra, and what the rules match.

They are drawn node by node from a seed, in milliseconds, without a network or an exporter. Their prices come from a fit
to measurements, see :mod:`rl.families.prices`, so that an episode is the same on every machine.
"""

from rl.families.kinds import HELD_OUT_KINDS, TRAINING_KINDS, Kind
from rl.families.tasks import Split, make_task, make_tasks, training_tasks, validation_tasks

__all__ = [
    "HELD_OUT_KINDS",
    "TRAINING_KINDS",
    "Kind",
    "Split",
    "make_task",
    "make_tasks",
    "training_tasks",
    "validation_tasks",
]

"""Several environments at once, each in a process of its own.

These are Gymnasium's own vector environments: an observation of :math:`n` environments is a tuple of :math:`n`
observations, since observations of different sizes make no array. An environment that ends an episode starts the next
one within the same step; the last observation of the old one is then in ``infos["final_obs"]``, and its info in
``infos["final_info"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

if TYPE_CHECKING:
    from rl.env import EGraphEnv

MakeEnv = Callable[[], "EGraphEnv"]
"""Makes one environment. It is called in the process that runs it, and must be importable from there."""


def parallel(makers: Sequence[MakeEnv]) -> AsyncVectorEnv:
    """Return environments that step at the same time, a process each.

    Processes are spawned, not forked: the e-graph library keeps threads.

    Args:
        makers: What makes each environment; it is sent to its process.
    """
    return AsyncVectorEnv(
        list(makers),
        shared_memory=False,
        copy=False,
        context="spawn",
        autoreset_mode=AutoresetMode.SAME_STEP,
    )


def in_turn(makers: Sequence[MakeEnv]) -> SyncVectorEnv:
    """Return the same in this process, one environment after the other."""
    return SyncVectorEnv(list(makers), copy=False, autoreset_mode=AutoresetMode.SAME_STEP)

"""The learned searches from their options, which are text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from eqsat.search.options import check_options, with_options
from rl.agent.checkpoint import load, shipped
from rl.search.automatic import OPTIONS
from rl.search.learned import Learned

if TYPE_CHECKING:
    from eqsat.search.interface import Search


def ppo(options: Mapping[str, str]) -> Search:
    """Return the learned search, and let networks of this process use one thread.

    They are small: more threads gain little where cores are free, and cost a factor of ten where they are not.

    Args:
        options: ``policy``: the folder of a checkpoint, the one that ships where it is left out; ``width`` and
            ``restarts``: see :class:`~rl.search.learned.Learned`.

    Raises:
        UsageError: An option is wrong, or there is no policy.
    """
    check_options("ppo", options, OPTIONS)
    torch.set_num_threads(1)
    folder = options.get("policy")
    return with_options(Learned(checkpoint=load(Path(folder)) if folder else shipped()), options)

"""Episodes in processes of their own: every order goes to one of them, whole.

An order names its task and its seeds, so that its episode comes out the same wherever it is played. No message passes
between processes during an episode.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, final

import torch

if TYPE_CHECKING:
    from types import TracebackType

    from rl.agent.checkpoint import Checkpoint


class Ordered(Protocol):
    """An episode to be played."""

    @property
    def task(self) -> str:
        """Name of its task."""
        ...


OrderT = TypeVar("OrderT", bound=Ordered)
PlayedT = TypeVar("PlayedT")
_Order_contra = TypeVar("_Order_contra", contravariant=True)
_Played_co = TypeVar("_Played_co", covariant=True)


class Player(Protocol[_Order_contra, _Played_co]):
    """Plays episodes."""

    def play(self, checkpoint: Checkpoint, orders: Sequence[_Order_contra]) -> Sequence[_Played_co]:
        """Return the episodes of the orders, in their order.

        Args:
            checkpoint: Plays them all.
            orders: Which ones.
        """
        ...


@final
class Apart(Generic[OrderT, PlayedT]):
    """Plays in processes, each with a player of its own. A context manager: its end ends the processes."""

    def __init__(self, make: Callable[[], Player[OrderT, PlayedT]], num_workers: int) -> None:
        """Start the processes when they are first needed.

        Args:
            make: Makes the player of each process; importable from there.
            num_workers: Number of processes.
        """
        self._pool = ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context("spawn"),  # the e-graph library keeps threads: no fork
            initializer=_start_worker,
            initargs=(make,),
        )

    def __enter__(self) -> Apart[OrderT, PlayedT]:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def play(self, checkpoint: Checkpoint, orders: Sequence[OrderT]) -> list[PlayedT]:
        """Return the episodes of the orders, in their order; those of one task are played by one process.

        Args:
            checkpoint: Plays them all.
            orders: Which ones.
        """
        by_task: dict[str, list[int]] = {}
        for place, order in enumerate(orders):
            by_task.setdefault(order.task, []).append(place)
        futures = {
            self._pool.submit(_play_in_worker, checkpoint, [orders[place] for place in places]): places
            for places in by_task.values()
        }
        found: dict[int, PlayedT] = {}
        for future, places in futures.items():
            found.update(zip(places, future.result(), strict=True))
        return [found[place] for place in range(len(orders))]


_player: list[Player[Any, Any]] = []
"""The player of this process, where this process is a worker."""


def _start_worker(make: Callable[[], Player[Any, Any]]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _player.append(make())


def _end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play_in_worker(checkpoint: Checkpoint, orders: Sequence[Any]) -> Sequence[Any]:
    return _player[0].play(checkpoint, orders)

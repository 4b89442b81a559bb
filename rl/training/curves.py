"""Curves of a training: one JSON object a line in ``curves.jsonl``, and TensorBoard's files where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from ir.atomic_file import write_text

if TYPE_CHECKING:
    from types import TracebackType

    from torch.utils.tensorboard import SummaryWriter

CURVES: Final = "curves.jsonl"


class Curve(StrEnum):
    """The names of all curves; they never change, so that trainings can be laid over each other."""

    SECONDS = "time/seconds"
    STEPS_PER_S = "time/steps_per_s"
    STEPS = "rollout/steps"
    GAIN = "rollout/gain"
    RETURN = "rollout/return"
    LENGTH = "rollout/length"
    ENODES = "rollout/enodes"
    STOP_SHARE = "rollout/stop_share"
    POLICY_LOSS = "loss/policy"
    VALUE_LOSS = "loss/value"
    EXPLAINED_VARIANCE = "loss/explained_variance"
    ENTROPY = "policy/entropy"
    KL = "policy/kl"
    CLIP_FRACTION = "policy/clip_fraction"
    GRAD_NORM = "policy/grad_norm"
    NUM_MINIBATCHES = "policy/num_minibatches"
    VALIDATION_GAIN = "validation/gain"


@final
class CurveLog:
    """Writes curves into a folder. A context manager: its end closes the files."""

    def __init__(self, folder: Path, *, first_update: int = 0) -> None:
        """Go on with the curves of a folder; those of updates from ``first_update`` on are forgotten.

        Args:
            folder: Is made where it is missing.
            first_update: The next update.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / CURVES
        kept = [line for line in _lines(self._path) if json.loads(line)["update"] < first_update]
        write_text(self._path, "".join(line + "\n" for line in kept))
        self._board = _board(folder, first_update)

    def __enter__(self) -> CurveLog:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the files."""
        if self._board is not None:
            self._board.close()

    def write(self, update: int, values: Mapping[Curve, float]) -> None:
        """Add one point to each of some curves."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"update": update, **{str(name): value for name, value in values.items()}}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(str(name), value, update)


def read_curves(folder: Path) -> list[dict[str, float]]:
    """Return the points of a folder's curves, in the order in which they were written."""
    return [json.loads(line) for line in _lines(folder / CURVES)]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _board(folder: Path, first_update: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_update)

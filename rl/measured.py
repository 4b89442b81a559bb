"""The gain of an episode as the user would see it: the model that it found against the input, measured in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from typing_extensions import override

from eqsat.finalists.build import build, discard
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.measurements import Contender
from ir.writer import UnwritableError
from rl.rewards import Ending, FinalGain

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from eqsat.runtime.runtime import Runtime
    from eqsat.runtime.settings import SessionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The input behind a task.

    Attributes:
        path: The model file.
        feeds: Inputs to measure with.
    """

    path: Path
    feeds: Mapping[str, np.ndarray]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEndGain(FinalGain):
    """The relative drop of latency of the current extraction against the input.

    A model that cannot be written or run has gained nothing.

    Attributes:
        runtime: Measures.
        settings: How the user will run the model.
        sources: The input of each task, by the task's name.
        folder: Where finalists are written, and removed again.
        num_pairs: Fresh pairs of sessions, at most.
        rounds: Interleaved rounds in each.
    """

    runtime: Runtime
    settings: SessionSettings
    sources: Mapping[str, Source]
    folder: Path
    num_pairs: int = 6
    rounds: int = 9

    @override
    def __call__(self, ending: Ending) -> float:
        source = self.sources[ending.task.name]
        path = self.folder / "finalist.onnx"
        choice = ending.snapshot.priced(ending.session).choice(ending.selection)
        try:
            build(ending.session, choice, self.runtime, path)
            contenders = [Contender(path=each, settings=self.settings) for each in (source.path, path)]
            comparison = self.runtime.compare(contenders, source.feeds, num_pairs=self.num_pairs, rounds=self.rounds)
        except (UnwritableError, MeasurementError):
            return 0.0
        finally:
            discard(path)
        found = comparison.results.get(1)
        return 1 - 1 / found.speedup if found is not None else 0.0

"""The gain at STOP by the clock: the finalist against the model, in pairs of fresh sessions."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final, final

import numpy as np
from typing_extensions import override

from eqsat.egraph.build import build, discard
from eqsat.extraction.problem import NoSelectionError
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.measurements import Contender
from eqsat.runtime.runtime import Runtime
from eqsat.runtime.settings import SessionSettings
from eqsat.verify.inputs import input_specs, random_feeds
from ir.assembly import assemble
from ir.onnx_file import write_model
from ir.writer import UnwritableError
from rl.env.rewards import Ending, FinalGain

if TYPE_CHECKING:
    from rl.env.tasks import Task

NUM_PAIRS: Final = 4
ROUNDS: Final = 7


@final
class MeasuredGain(FinalGain):
    """Measures the current extraction from end to end: seconds, where an extracted price takes milliseconds.

    What ONNX Runtime makes the same model of as the original gains exactly 0; a finalist that was measured before, or
    is the same to ONNX Runtime as one that was, is not measured again. What cannot be written or run gains 0, since a
    run would keep its input.
    """

    def __init__(
        self, runtime: Runtime | None = None, *, num_pairs: int = NUM_PAIRS, rounds: int = ROUNDS, threads: int = 0
    ) -> None:
        """Measure nothing yet.

        Args:
            runtime: Runs models; one of its own, which ends with it, where it is left out.
            num_pairs: Pairs of fresh sessions for each finalist, at most.
            rounds: Interleaved rounds in a pair.
            threads: Intra-op threads; 0 is ONNX Runtime's default.
        """
        self._runtime = runtime or Runtime()
        self._folder = Path(mkdtemp(prefix="eqsat-gain-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._num_pairs = num_pairs
        self._rounds = rounds
        self._threads = threads
        self._originals: dict[str, tuple[Path, str]] = {}
        self._known: dict[tuple[str, str], float] = {}
        if runtime is None:
            weakref.finalize(self, self._runtime.close)

    @property
    def num_measured(self) -> int:
        """Finalists that were measured."""
        return len(self._known)

    @override
    def __call__(self, ending: Ending) -> float:
        task = ending.task
        settings = SessionSettings(providers=(task.provider,), threads=self._threads)
        finalist = self._folder / "finalist.onnx"
        try:
            original, own = self._original(task, settings)
            choice = ending.snapshot.priced(ending.session).choice(ending.selection)
            build(ending.session, choice, self._runtime, finalist)
            made = self._runtime.optimized_fingerprint(finalist, settings)
            if made == own:
                return 0.0
            if (task.name, made) not in self._known:
                self._known[task.name, made] = self._measure(task, original, finalist, settings)
            return self._known[task.name, made]
        except (UnwritableError, NoSelectionError, MeasurementError):
            return 0.0
        finally:
            discard(finalist)

    def _measure(self, task: Task, original: Path, finalist: Path, settings: SessionSettings) -> float:
        feeds = random_feeds(task.graph, input_specs(task.graph, {}), np.random.default_rng(0), task.sizes)
        contenders = [Contender(path=path, settings=settings) for path in (original, finalist)]
        found = self._runtime.compare(contenders, feeds, num_pairs=self._num_pairs, rounds=self._rounds).results.get(1)
        return 0.0 if found is None else 1.0 - 1.0 / found.speedup

    def _original(self, task: Task, settings: SessionSettings) -> tuple[Path, str]:
        """Return the task's own model as a file, and what ONNX Runtime makes of it."""
        if task.name not in self._originals:
            graph = task.graph
            path = self._folder / f"{len(self._originals)}.onnx"
            write_model(assemble(graph, graph.nodes, graph.constants, graph.types), path, is_durable=False)
            self._originals[task.name] = (path, self._runtime.optimized_fingerprint(path, settings))
        return self._originals[task.name]

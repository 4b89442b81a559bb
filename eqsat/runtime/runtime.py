"""The one face of ONNX Runtime: what to ask, and who answers."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self, final

import numpy as np

from eqsat.errors import ProviderError
from eqsat.runtime.batch import ModelRun, from_frame, to_frame
from eqsat.runtime.comparison import PairedTest
from eqsat.runtime.errors import (
    BrokenModelError,
    ChildCrashedError,
    MeasurementError,
    SessionFailedError,
    UnsupportedValueError,
)
from eqsat.runtime.measurements import Comparison, Contender, Kernel, Profile
from eqsat.runtime.process import ChildProcess
from eqsat.runtime.settings import Device, SessionSettings
from eqsat.runtime.wire import Frame, Reply, Request

DEFAULT_TIMEOUT_S = 120.0

_INSTALL = "pip install onnxruntime-gpu, or pip install onnxruntime where there is no CUDA device"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effort:
    """How long sessions are timed, as :func:`eqsat.runtime.timing.time_pair` takes it."""

    rounds: int
    min_run_s: float
    max_seconds: float
    seed: int


@final
class Runtime:
    """Runs models in ONNX Runtime, in a child process that may crash, hang or outgrow its memory without harm.

    The child is started by the first question, and a new one by the first question after its death. One question is
    answered at a time; threads wait for each other.

    Every method that asks about a model may raise :class:`~eqsat.runtime.errors.MeasurementError`, whose subclasses say
    what happened, or :class:`~eqsat.errors.ProviderError`; what asks about the machine raises only the latter.
    """

    def __init__(
        self,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        scratch_dir: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a runtime; nothing is started yet.

        Args:
            timeout_s: Seconds a question may take, on top of the measuring time it asks for.
            scratch_dir: Existing folder for temporary files; the system's place where it is left out.
            clock: Seconds on a clock that only goes forward; deadlines are points on it.
        """
        self._timeout_s = timeout_s
        self._scratch_dir = scratch_dir
        self._clock = clock
        self._child: ChildProcess | None = None
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process. A later question starts a new one."""
        with self._lock:
            if self._child is not None:
                self._child.close()
                self._child = None

    def require_providers(self, providers: Sequence[str]) -> None:
        """Check that a session with these providers gets all of them.

        Raises:
            ProviderError: One is not available; the message says which are.
        """
        self._ask_about_here(Frame(kind=Request.REQUIRE, fields={"providers": list(providers)}))

    def available_providers(self) -> tuple[str, ...]:
        """Return the providers that really start on this machine, in ONNX Runtime's order of priority."""
        return tuple(self._ask_about_here(Frame(kind=Request.PROVIDERS)).fields["providers"])

    def device(self, provider: str) -> Device:
        """Return what a provider runs on."""
        if provider not in self._devices:
            fields = self._ask_about_here(Frame(kind=Request.DEVICE, fields={"provider": provider})).fields
            self._devices[provider] = Device(provider=provider, name=fields["name"], ort_version=fields["ort_version"])
        return self._devices[provider]

    def outputs(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> dict[str, np.ndarray]:
        """Run a model once.

        Args:
            model: The model.
            feeds: Arrays by input name; bfloat16 and 8 bit floats as ``ml_dtypes``, strings as object arrays. Names
                the model does not have are left out.
            settings: How the session is made.

        Returns:
            The outputs by name, in the model's order; sequences, maps and optionals as the tensors of
            :mod:`eqsat.runtime.values`.

        Raises:
            SessionFailedError: ONNX Runtime refuses the model or the inputs, or fails.
            UnsupportedValueError: An input is a sequence or a map, or an input or output is sparse or of a type below
                one byte.
        """
        fields = {"path": str(model), "settings": settings.to_fields()}
        return dict(self._ask(Frame(kind=Request.OUTPUTS, fields=fields, tensors=feeds)).tensors)

    def run_batch(self, runs: Sequence[ModelRun]) -> list[dict[str, np.ndarray] | MeasurementError]:
        """Run many small models, on one CPU thread and as they stand: without ONNX Runtime's own passes.

        Args:
            runs: Models with their inputs.

        Returns:
            For each run the outputs by name, or why there are none.
        """
        return from_frame(self._ask(to_frame(runs)), len(runs))

    def price(
        self,
        model: Path | bytes,
        feeds: Mapping[str, np.ndarray],
        settings: SessionSettings,
        *,
        max_seconds: float = 0.5,
        min_runs: int = 20,
        num_sessions: int = 3,
    ) -> Profile:
        """Measure a micro-model: one or a few nodes that stand for an e-node.

        Args:
            model: Path or bytes of the model.
            feeds: Arrays by input name.
            settings: How the session is made.
            max_seconds: Measuring stops here even before ``min_runs``, but never before 3 runs.
            min_runs: Runs to make; tiny models get more, until 1 ms is full.
            num_sessions: Fresh sessions that share the runs, as far as the time allows; the middle one counts.

        Returns:
            The time after ONNX Runtime's own fusions. See :meth:`Profile.without_us` for leaving out its layout nodes.

        Raises:
            SessionFailedError: ONNX Runtime refuses the model or fails.
            UnsupportedValueError: An input is no tensor.
        """
        fields: dict[str, Any] = {
            "path": "" if isinstance(model, bytes) else str(model),
            "settings": settings.to_fields(),
            "max_seconds": max_seconds,
            "min_runs": min_runs,
            "num_sessions": num_sessions,
        }
        payload = model if isinstance(model, bytes) else b""
        request = Frame(kind=Request.PROFILE, fields=fields, model=payload, tensors=feeds)
        answer = dict(self._ask(request, self._timeout_s + 2 * max_seconds).fields)
        kernels = tuple(Kernel(**kernel) for kernel in answer.pop("kernels"))
        return Profile(kernels=kernels, **answer)

    def profile(
        self,
        model: Path,
        feeds: Mapping[str, np.ndarray],
        settings: SessionSettings,
        *,
        max_seconds: float = 5.0,
        min_runs: int = 20,
    ) -> Profile:
        """Measure a whole model, node by node, after ONNX Runtime's own fusions.

        Arguments, result and errors are those of :meth:`price`.
        """
        return self.price(model, feeds, settings, max_seconds=max_seconds, min_runs=min_runs, num_sessions=1)

    def optimized_fingerprint(self, model: Path | bytes, settings: SessionSettings) -> str:
        """Return a hash of the graph as it is after ONNX Runtime's own passes.

        It is blind to names and to the contents of large weights. Models of equal fingerprints run the same kernels
        on the same shapes: timing them against each other shows only noise.

        Raises:
            BrokenModelError: ONNX Runtime refuses the model because it is no valid one.
            SessionFailedError: ONNX Runtime refuses the model for another reason.
        """
        fields = {"path": "" if isinstance(model, bytes) else str(model), "settings": settings.to_fields()}
        payload = model if isinstance(model, bytes) else b""
        answer = self._ask(Frame(kind=Request.FINGERPRINT, fields=fields, model=payload))
        return str(answer.fields["fingerprint"])

    def compare(
        self,
        contenders: Sequence[Contender],
        feeds: Mapping[str, np.ndarray],
        *,
        num_pairs: int = 16,
        rounds: int = 15,
        min_run_s: float = 2e-3,
        seed: int = 0,
        deadline: float | None = None,
        on_pair: Callable[[int, int], None] = lambda *_: None,
    ) -> Comparison:
        """Test contenders against contender 0: the paired latency test.

        Each pair makes fresh sessions of all contenders in random order (two at a time where they do not fit into
        memory), warms them up and runs them in interleaved rounds of random order. A pair's observation is its
        median ratio over the rounds; intervals come from the spread between pairs: see
        :mod:`eqsat.runtime.intervals`. A contender leaves when its result is clear, so the test ends early where
        all are.

        Args:
            contenders: The baseline first.
            feeds: Arrays by input name, the same for all.
            num_pairs: Pairs at most; 2 % shows with about 16, 1 % with about 60.
            rounds: Interleaved rounds in a pair.
            min_run_s: A shorter run is repeated within its round until this long.
            seed: Seed of the orders.
            deadline: Point on the runtime's clock at which the test ends with what it has.
            on_pair: Is told the number of each pair, from 1, before it is measured, and ``num_pairs``.

        Returns:
            Speed-ups with 95 % intervals, and the contenders that could not be run.

        Raises:
            ValueError: Fewer than two contenders.
            MeasurementError: The baseline itself cannot be run.
        """
        if len(contenders) < 2:
            raise ValueError("a comparison needs a baseline and at least one more contender")

        def time_pair(indices: Sequence[int], *, max_seconds: float, timeout_s: float, seed: int) -> list[list[float]]:
            effort = _Effort(rounds=rounds, min_run_s=min_run_s, max_seconds=max_seconds, seed=seed)
            return self._times_s([contenders[index] for index in indices], feeds, effort, timeout_s)

        def seconds_left() -> float:
            return math.inf if deadline is None else deadline - self._clock()

        test = PairedTest(time_pair, len(contenders), seed=seed, seconds_left=seconds_left, on_pair=on_pair)
        return test.run(num_pairs=num_pairs, rounds=rounds)

    def latency_us(
        self,
        contender: Contender,
        feeds: Mapping[str, np.ndarray],
        *,
        rounds: int = 15,
        min_run_s: float = 2e-3,
        max_seconds: float = 1.0,
        seed: int = 0,
    ) -> float:
        """Return the median latency of one model by itself, in a fresh session: to be told, not to be compared.

        Args:
            contender: The model.
            feeds: Arrays by input name.
            rounds: How often it is timed.
            min_run_s: A shorter run is repeated within its round until this long.
            max_seconds: Measuring stops here even before ``rounds``, but never before 3.
            seed: As in :meth:`compare`.
        """
        effort = _Effort(rounds=rounds, min_run_s=min_run_s, max_seconds=max_seconds, seed=seed)
        (times_s,) = self._times_s([contender], feeds, effort, math.inf)
        return median(times_s) * 1e6

    def _times_s(
        self, contenders: Sequence[Contender], feeds: Mapping[str, np.ndarray], effort: _Effort, timeout_s: float
    ) -> list[list[float]]:
        models = [(str(each.path), each.settings.to_fields()) for each in contenders]
        request = Frame(kind=Request.PAIR, fields={"contenders": models, **asdict(effort)}, tensors=feeds)
        answer = self._ask(request, min(self._timeout_s + 2 * effort.max_seconds, timeout_s))
        times_s: list[list[float]] = answer.fields["times_s"]
        return times_s

    def peak_memory_bytes(self, model: Path, feeds: Mapping[str, np.ndarray], settings: SessionSettings) -> int:
        """Return the most by which the memory of a new process grows, while it makes a session and runs it twice.

        Args:
            model: The model.
            feeds: Arrays by input name.
            settings: How the session is made.
        """
        fields = {"path": str(model), "settings": settings.to_fields()}
        with Runtime(timeout_s=self._timeout_s, scratch_dir=self._scratch_dir, clock=self._clock) as fresh:
            answer = fresh._ask(Frame(kind=Request.MEMORY, fields=fields, tensors=feeds))
        return int(answer.fields["num_bytes"])

    def _ask_about_here(self, request: Frame) -> Frame:
        """Ask what concerns no model, and once more where the child died of something else than the question.

        Raises:
            ProviderError: A provider is not available, or ONNX Runtime does not run here at all.
        """
        if find_spec("onnxruntime") is None:
            raise ProviderError(f"onnxruntime is not installed: {_INSTALL}")
        try:
            try:
                return self._ask(request)
            except ChildCrashedError:
                return self._ask(request)
        except MeasurementError as error:
            raise ProviderError(f"ONNX Runtime does not run on this machine: {error}") from error

    def _ask(self, request: Frame, timeout_s: float | None = None) -> Frame:
        with self._lock:
            if self._child is None:
                self._child = ChildProcess(self._scratch_dir, self._clock)
            try:
                answer = self._child.ask(request, self._timeout_s if timeout_s is None else timeout_s)
            except UnsupportedValueError:
                raise
            except BaseException:
                # Whatever happened, an answer to this question must never be taken for one to the next.
                self._child.close()
                self._child = None
                raise
        match Reply(answer.kind):
            case Reply.OK:
                return answer
            case Reply.SESSION_FAILED:
                raise SessionFailedError(answer.fields["message"])
            case Reply.BROKEN_MODEL:
                raise BrokenModelError(answer.fields["message"])
            case Reply.UNSUPPORTED:
                raise UnsupportedValueError(answer.fields["message"])
            case Reply.PROVIDER:
                raise ProviderError(answer.fields["message"])


def require_providers(providers: Sequence[str]) -> None:
    """Check, before any work is done, that these providers start on this machine.

    Raises:
        ProviderError: One is not available, and the message says which are; or ONNX Runtime itself does not start.
    """
    with Runtime() as runtime:
        runtime.require_providers(providers)

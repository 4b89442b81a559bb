"""The process that runs ONNX Runtime: ``python -m eqsat.runtime.child SCRATCH_DIR``.

It answers frames from standard input on standard output, one at a time. It ends when its input ends, that is with its
parent, even in the middle of a measurement. A native crash takes only this process with it.
"""

from __future__ import annotations

import mmap
import os
import queue
import resource
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, final

import numpy as np
import onnxruntime as ort
import psutil

from eqsat.errors import ProviderError
from eqsat.runtime.batch import PLAIN, answer_batch
from eqsat.runtime.devices import device_name
from eqsat.runtime.errors import BrokenModelError, SessionFailedError, UnsupportedValueError
from eqsat.runtime.fingerprint import model_fingerprint
from eqsat.runtime.measurements import Contender
from eqsat.runtime.probe import probe_model
from eqsat.runtime.sessions import Runner, create_session, not_started, usable_providers
from eqsat.runtime.settings import REFUSED, SessionSettings
from eqsat.runtime.timing import profile, time_pair
from eqsat.runtime.wire import Frame, Reply, Request, read_frame, write_frame

_MAX_PLAIN_SESSIONS = 2_000
"""Sessions of small models that are kept between batches."""

_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""The unit of ``ru_maxrss``."""

_STATUS = Path("/proc/self/status")
_OOM_SCORE = Path("/proc/self/oom_score_adj")


@final
class Child:
    """Answers requests. The last session that outputs were asked of is kept, since more inputs often follow."""

    def __init__(self, scratch: Path) -> None:
        """Answer requests with temporary files in ``scratch``."""
        self._scratch = scratch
        self._kept: tuple[object, ort.InferenceSession] | None = None
        self._plain: dict[bytes, ort.InferenceSession | SessionFailedError] = {}
        self._handlers: Mapping[str, Callable[[Frame], Frame]] = {
            Request.PROVIDERS: self._providers,
            Request.DEVICE: self._device,
            Request.REQUIRE: self._require,
            Request.OUTPUTS: self._outputs,
            Request.PROFILE: self._profile,
            Request.FINGERPRINT: self._fingerprint,
            Request.PAIR: self._pair,
            Request.MEMORY: self._memory,
            Request.BATCH: self._batch,
        }

    def answer(self, request: Frame) -> Frame:
        """Return the answer to one request."""
        if request.kind != Request.OUTPUTS:
            self._kept = None
        try:
            return self._handlers[request.kind](request)
        except BrokenModelError as error:
            return Frame(kind=Reply.BROKEN_MODEL, fields={"message": str(error)})
        except SessionFailedError as error:
            return Frame(kind=Reply.SESSION_FAILED, fields={"message": str(error)})
        except UnsupportedValueError as error:
            return Frame(kind=Reply.UNSUPPORTED, fields={"message": str(error)})
        except ProviderError as error:
            return Frame(kind=Reply.PROVIDER, fields={"message": str(error)})

    def _providers(self, request: Frame) -> Frame:
        del request
        return Frame(kind=Reply.OK, fields={"providers": list(usable_providers())})

    def _device(self, request: Frame) -> Frame:
        name = device_name(request.fields["provider"])
        return Frame(kind=Reply.OK, fields={"name": name, "ort_version": ort.__version__})

    def _require(self, request: Frame) -> Frame:
        providers = tuple(request.fields["providers"])
        try:
            create_session(probe_model(), SessionSettings(providers=providers))
        except SessionFailedError as error:
            raise not_started(providers, str(error).removeprefix(f"{REFUSED}: ")) from error
        return Frame(kind=Reply.OK)

    def _outputs(self, request: Frame) -> Frame:
        settings = _settings(request)
        runner = Runner(self._session(request, settings), request.tensors)
        return Frame(kind=Reply.OK, tensors=runner.outputs())

    def _batch(self, request: Frame) -> Frame:
        if len(self._plain) > _MAX_PLAIN_SESSIONS:
            self._plain.clear()
        return answer_batch(request, self._run_plainly)

    def _run_plainly(self, model: bytes, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        session = self._plain.get(model)
        if session is None:
            try:
                session = create_session(model, PLAIN)
            except SessionFailedError as error:
                session = error
            self._plain[model] = session
        if isinstance(session, SessionFailedError):
            raise SessionFailedError(str(session))
        return Runner(session, feeds).outputs()

    def _session(self, request: Frame, settings: SessionSettings) -> ort.InferenceSession:
        path = Path(request.fields["path"])
        try:
            status = path.stat()
        except OSError as error:
            raise SessionFailedError(f"{path} cannot be read: {error.strerror}") from error
        key = (str(path), status.st_mtime_ns, status.st_size, settings)
        if self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        self._kept = None
        session = create_session(str(path), settings)
        self._kept = (key, session)
        return session

    def _profile(self, request: Frame) -> Frame:
        fields = profile(
            _model(request),
            request.tensors,
            _settings(request),
            max_seconds=request.fields["max_seconds"],
            min_runs=request.fields["min_runs"],
            num_sessions=request.fields["num_sessions"],
            scratch=self._scratch,
        )
        return Frame(kind=Reply.OK, fields=fields)

    def _fingerprint(self, request: Frame) -> Frame:
        path = self._scratch / "optimized.onnx"
        try:
            create_session(_model(request), _settings(request), optimized_path=path)
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                view = memoryview(data)
                try:
                    fingerprint = model_fingerprint(view)
                finally:
                    view.release()
        finally:
            for written in self._scratch.glob("optimized.*"):
                written.unlink()
        return Frame(kind=Reply.OK, fields={"fingerprint": fingerprint})

    def _pair(self, request: Frame) -> Frame:
        fields = request.fields
        contenders = [
            Contender(path=Path(path), settings=SessionSettings.from_fields(settings))
            for path, settings in fields["contenders"]
        ]
        times = time_pair(
            contenders,
            request.tensors,
            rounds=fields["rounds"],
            min_run_s=fields["min_run_s"],
            max_seconds=fields["max_seconds"],
            seed=fields["seed"],
        )
        return Frame(kind=Reply.OK, fields={"times_s": times})

    def _memory(self, request: Frame) -> Frame:
        before = psutil.Process().memory_info().rss
        runner = Runner(self._session(request, _settings(request)), request.tensors)
        for _ in range(2):
            runner.run()
        return Frame(kind=Reply.OK, fields={"num_bytes": max(_peak_bytes() - before, 0)})


def _peak_bytes() -> int:
    """Return the most resident memory that this process has had.

    On Linux ``ru_maxrss`` would be that of the process that started this one, where it was larger.
    """
    with suppress(OSError, StopIteration):
        lines = _STATUS.read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


def _settings(request: Frame) -> SessionSettings:
    return SessionSettings.from_fields(request.fields["settings"])


def _model(request: Frame) -> str | bytes:
    return request.model or str(request.fields["path"])


def _receive(stream: IO[bytes], requests: queue.SimpleQueue[Frame], scratch: Path) -> None:
    """Read requests until there are no more; then end the process at once, whatever it is doing.

    ONNX Runtime lets other threads run while it makes a session or runs one, so a killed parent is noticed even then.
    """
    with suppress(EOFError, OSError):
        while True:
            requests.put(read_frame(stream))
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Answer requests until the parent is gone."""
    scratch = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        _OOM_SCORE.write_text("1000")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, requests, scratch), daemon=True).start()
    child = Child(scratch)
    while True:
        try:
            write_frame(answers, child.answer(requests.get()))
        except UnsupportedValueError as error:
            write_frame(answers, Frame(kind=Reply.UNSUPPORTED, fields={"message": str(error)}))


if __name__ == "__main__":
    main()

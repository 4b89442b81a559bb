"""Many small models run with one message: what the test of a rule's soundness asks.

All models travel one after the other in the frame's model bytes; tensors are called ``run/input`` on the way there and
``run/output`` on the way back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from eqsat.runtime.errors import MeasurementError, SessionFailedError, UnsupportedValueError
from eqsat.runtime.settings import CPU_PROVIDER, OptimizationLevel, SessionSettings
from eqsat.runtime.wire import Frame, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Outputs: TypeAlias = "dict[str, np.ndarray]"

PLAIN: Final = SessionSettings(providers=(CPU_PROVIDER,), threads=1, level=OptimizationLevel.DISABLED)
"""One thread, and every node as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """One run of a model.

    Attributes:
        model: Serialised ``ModelProto``; runs of one model share its session.
        feeds: Arrays by input name.
    """

    model: bytes
    feeds: Mapping[str, np.ndarray]


def to_frame(runs: Sequence[ModelRun]) -> Frame:
    """Return the request for these runs."""
    numbers: dict[bytes, int] = {}
    for run in runs:
        numbers.setdefault(run.model, len(numbers))
    fields = {"sizes": [len(model) for model in numbers], "runs": [numbers[run.model] for run in runs]}
    tensors = {f"{index}/{name}": array for index, run in enumerate(runs) for name, array in run.feeds.items()}
    return Frame(kind=Request.BATCH, fields=fields, model=b"".join(numbers), tensors=tensors)


def from_frame(answer: Frame, num_runs: int) -> list[Outputs | MeasurementError]:
    """Return for each run its outputs by name, or why there are none."""
    results: list[dict[str, np.ndarray] | MeasurementError] = [{} for _ in range(num_runs)]
    for name, array in answer.tensors.items():
        position, _, output = name.partition("/")
        outputs = results[int(position)]
        if isinstance(outputs, dict):
            outputs[output] = array
    for index, message in answer.fields["failures"]:
        results[int(index)] = SessionFailedError(message)
    return results


def answer_batch(request: Frame, run: Callable[[bytes, Mapping[str, np.ndarray]], Outputs]) -> Frame:
    """Return the answer to a batch, in the child process.

    Args:
        request: What :func:`to_frame` made.
        run: Runs a model, and keeps its session for the next time.
    """
    models: list[bytes] = []
    start = 0
    for size in request.fields["sizes"]:
        models.append(request.model[start : start + size])
        start += size
    feeds: list[dict[str, np.ndarray]] = [{} for _ in request.fields["runs"]]
    for name, array in request.tensors.items():
        position, _, tensor = name.partition("/")
        feeds[int(position)][tensor] = array
    tensors: dict[str, np.ndarray] = {}
    failures: list[tuple[int, str]] = []
    for index, number in enumerate(request.fields["runs"]):
        try:
            outputs = run(models[number], feeds[index])
        except (SessionFailedError, UnsupportedValueError) as error:
            failures.append((index, str(error)))
        else:
            tensors.update({f"{index}/{name}": array for name, array in outputs.items()})
    return Frame(kind=Reply.OK, fields={"failures": failures}, tensors=tensors)

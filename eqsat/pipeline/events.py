"""What a worker tells its supervisor: one JSON object a line.

::

    {"event":   {"stage": "search", "message": "412 e-nodes", "fraction": 0.4, "best_speedup": 1.12}}
    {"failure": {"kind": "ModelError", "message": "model.onnx is empty"}}
    {"report":  {...}}

A failure or a report is the last line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from eqsat.errors import (
    BudgetError,
    EqsatError,
    ModelError,
    ProviderError,
    RulesError,
    StorageError,
    UsageError,
    VerificationError,
)
from eqsat.pipeline.report import Report

ERROR_KINDS: Final[Mapping[str, type[EqsatError]]] = {
    kind.__name__: kind
    for kind in (
        EqsatError,
        UsageError,
        ModelError,
        RulesError,
        VerificationError,
        BudgetError,
        ProviderError,
        StorageError,
    )
}


class Stage(StrEnum):
    """What a run is busy with, in the order in which a run gets there (some come again)."""

    START = "start"
    LOAD = "load"
    SEARCH = "search"
    PRICE = "price"
    EXTRACT = "extract"
    BUILD = "build"
    VERIFY = "verify"
    MEASURE = "measure"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One piece of progress.

    Attributes:
        stage: What the run is busy with.
        message: One line for the user.
        fraction: How much of this stage is behind it, 0 to 1; None where nobody can tell.
        best_speedup: Speed-up of the best graph so far, measured or estimated; None before there is one.
    """

    stage: Stage
    message: str
    fraction: float | None = None
    best_speedup: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that ended in an error.

    Attributes:
        kind: Name of the exception's class, one of :data:`ERROR_KINDS`.
        message: One line for the user.
    """

    kind: str
    message: str

    @classmethod
    def of(cls, error: EqsatError) -> Failure:
        """Return the failure that says what ``error`` says."""
        kind = next((base.__name__ for base in type(error).__mro__ if base.__name__ in ERROR_KINDS), "EqsatError")
        return cls(kind=kind, message=str(error))

    def to_error(self) -> EqsatError:
        """Return the exception to raise on the supervisor's side."""
        return ERROR_KINDS.get(self.kind, EqsatError)(self.message)


Message = Event | Failure | Report


class MessageError(ValueError):
    """A line is no message."""


def to_line(message: Message) -> str:
    """Return ``message`` as one line, without its end."""
    match message:
        case Event():
            return json.dumps({"event": asdict(message)})
        case Failure():
            return json.dumps({"failure": asdict(message)})
        case Report():
            return json.dumps({"report": message.to_record()})


def from_line(line: str) -> Message:
    """Return the message that :func:`to_line` wrote.

    Raises:
        MessageError: The line is something else.
    """
    try:
        match json.loads(line):
            case {"event": dict(event)}:
                return Event(**{**event, "stage": Stage(event["stage"])})
            case {"failure": {"kind": str(kind), "message": str(message)}}:
                return Failure(kind=kind, message=message)
            case {"report": dict(record)}:
                return Report.from_record(record)
            case _:
                raise MessageError(line[:200])
    except (KeyError, TypeError, ValueError) as error:
        raise MessageError(line[:200]) from error

"""What a run found: the document behind ``--json`` (schema 1, described in ``docs/report.md``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from typing_extensions import override

from eqsat.pipeline.report_parts import (
    Amounts,
    EGraphSize,
    Ending,
    Extraction,
    InputAccount,
    Latency,
    OperatorCounts,
    ReportFields,
    RuleUse,
    SessionChoice,
    SizeBytes,
    Status,
)
from eqsat.pipeline.table import as_text
from eqsat.prices.account import PriceAccount

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA: Final = 1


class ReportFormatError(ValueError):
    """A document is no report of this schema; the message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Report(ReportFields):
    """Everything a run has to say about its result; the attributes are those of :class:`ReportFields`."""

    @override
    def __repr__(self) -> str:
        """Return the table that the command prints at its end."""
        return as_text(self)

    def to_record(self) -> dict[str, Any]:
        """Return the report as a JSON object, the schema's number first."""
        return {"schema": SCHEMA} | asdict(self)

    def to_json(self) -> str:
        """Return the report as an indented JSON document.

        Raises:
            ValueError: A number is infinite or not a number.
        """
        return json.dumps(self.to_record(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that :meth:`to_json` wrote.

        Raises:
            ReportFormatError: The document is something else.
        """
        try:
            record = json.loads(text)
        except ValueError as error:
            raise ReportFormatError(f"not JSON: {error}") from error
        return cls.from_record(record)

    @classmethod
    def from_record(cls, record: object) -> Report:
        """Return the report that :meth:`to_record` gave.

        Raises:
            ReportFormatError: The object is something else.
        """
        values = _mapping(record, "report")
        if values.pop("schema", None) != SCHEMA:
            raise ReportFormatError(f"schema is not {SCHEMA}")
        try:
            values["status"] = Status(values["status"])
            values["ending"] = Ending(values["ending"])
            values["inputs"] = None if values["inputs"] is None else _inputs(values["inputs"])
            values["session"] = None if values["session"] is None else _session(values["session"])
            values["rules"] = tuple(_build(RuleUse, rule, "rules") for rule in values["rules"])
            values["warnings"] = tuple(values["warnings"])
            values["operators"] = _build(OperatorCounts, values["operators"], "operators")
            values["size_bytes"] = _build(SizeBytes, values["size_bytes"], "size_bytes")
            for key in ("parameters", "macs", "memory_bytes"):
                values[key] = _build(Amounts, values[key], key)
            for key, kind in _OPTIONAL_PARTS.items():
                values[key] = None if values[key] is None else _build(kind, values[key], key)
        except KeyError as error:
            raise ReportFormatError(f"key {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise ReportFormatError(str(error)) from error
        return _build(cls, values, "report")


_OPTIONAL_PARTS: Final[Mapping[str, type[Any]]] = {
    "latency": Latency,
    "egraph": EGraphSize,
    "prices": PriceAccount,
    "extraction": Extraction,
}

_Part = TypeVar("_Part", bound="DataclassInstance")


def _mapping(record: object, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ReportFormatError(f"{where} is not an object")
    return dict(record)


def _build(kind: type[_Part], record: object, where: str) -> _Part:
    """Return a ``kind`` of exactly the keys of ``record``."""
    values = _mapping(record, where)
    expected = {each.name for each in fields(kind)}
    if values.keys() != expected:
        raise ReportFormatError(f"{where} has other keys than expected: {sorted(values.keys() ^ expected)}")
    return kind(**values)


def _session(record: object) -> SessionChoice:
    values = _mapping(record, "session")
    values["disabled_optimizers"] = tuple(values["disabled_optimizers"])
    return _build(SessionChoice, values, "session")


def _inputs(record: object) -> InputAccount:
    values = _mapping(record, "inputs")
    values["shapes"] = _shapes(values["shapes"])
    values["verified_at"] = tuple(_shapes(shapes) for shapes in values["verified_at"])
    values["assumptions"] = tuple(values["assumptions"])
    return _build(InputAccount, values, "inputs")


def _shapes(record: object) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in _mapping(record, "inputs").items()}

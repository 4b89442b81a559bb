"""The door to egglog: its commands as typed values, and its failures as one Python exception.

Nothing else imports :mod:`egglog`, apart from its neighbours in this package. egglog's own text parser keeps a
copy of the source in every span, so text is parsed a form at a time; :func:`parse` then writes the place of the
form into the name of the source, and both :func:`location_of` and :class:`EgglogError` read it back.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import eqsat.egglog.apart  # noqa: F401 -- before egglog itself

# isort: split
from egglog.bindings import (
    ActionCommand,
    AddRuleset,
    BiRewriteCommand,
    Bool,
    Call,
    Change,
    Constructor,
    Datatype,
    Datatypes,
    EgglogSpan,
    EggSmolError,
    EGraph,
    Eq,
    Expr_,
    Fact,
    Float,
    FrozenEGraph,
    FrozenFunction,
    FrozenRow,
    FunctionCommand,
    Int,
    Let,
    Lit,
    NewSort,
    Panic,
    PanicSpan,
    PrintAllFunctionsSize,
    Relation,
    Rewrite,
    RewriteCommand,
    Rule,
    RuleCommand,
    Run,
    RunConfig,
    RunReport,
    RunSchedule,
    RunScheduleOutput,
    RustSpan,
    Saturate,
    Schema,
    Set,
    Sort,
    String,
    SubVariants,
    Union,
    Unit,
    UnstableCombinedRuleset,
    Value,
    Var,
    Variant,
)
from typing_extensions import override

__all__ = [
    "SPAN",
    "Action",
    "ActionCommand",
    "AddRuleset",
    "BiRewriteCommand",
    "Bool",
    "Call",
    "Change",
    "Command",
    "CommandOutput",
    "Constructor",
    "Datatype",
    "Datatypes",
    "EGraph",
    "EgglogError",
    "EgglogSpan",
    "Eq",
    "Expr",
    "Expr_",
    "Fact",
    "Fact_",
    "Float",
    "FrozenEGraph",
    "FrozenFunction",
    "FrozenRow",
    "FunctionCommand",
    "Int",
    "Let",
    "Lit",
    "Location",
    "NewSort",
    "Panic",
    "PanicSpan",
    "PrintAllFunctionsSize",
    "Relation",
    "Rewrite",
    "RewriteCommand",
    "Rule",
    "RuleCommand",
    "Run",
    "RunConfig",
    "RunReport",
    "RunSchedule",
    "RunScheduleOutput",
    "RustSpan",
    "Saturate",
    "Schema",
    "Set",
    "Sort",
    "Span",
    "String",
    "SubVariants",
    "Union",
    "Unit",
    "UnstableCombinedRuleset",
    "Value",
    "Var",
    "Variant",
    "assert_fact",
    "bool_lit",
    "call",
    "drop_egraphs",
    "float_lit",
    "int_lit",
    "location_of",
    "new_egraph",
    "parse",
    "run",
    "run_once",
    "saturate",
    "set_value",
    "string_lit",
    "var",
]

Span: TypeAlias = "PanicSpan | EgglogSpan | RustSpan"
Expr: TypeAlias = "Lit | Var | Call"
Fact_: TypeAlias = "Fact | Eq"
Action: TypeAlias = "Let | Set | Change | Union | Panic | Expr_"
# The bindings have more commands and outputs than these; the product needs no name for the others.
Command: TypeAlias = (
    "Datatype | Datatypes | Sort | FunctionCommand | AddRuleset | RuleCommand | RewriteCommand | BiRewriteCommand"
    " | ActionCommand | RunSchedule | Relation | Constructor | UnstableCombinedRuleset"
)
CommandOutput: TypeAlias = object

SPAN = RustSpan("eqsat", 0, 0)
"""The span of every term that comes from no file."""

_ANCHOR = re.compile(r"^(?P<file>.*)@(?P<line>\d+):(?P<column>\d+)$", re.DOTALL)
_PLACE = re.compile(
    r"^(?:Panic: )?In (?P<line>\d+):(?P<column>\d+)-[\d:]+ of (?P<file>[^\n]*?)@(?P<at_line>\d+):(?P<at_column>\d+): ",
    re.MULTILINE,
)
_CURES: Final = {
    "expected fact": "; :when takes a list of facts, so it has brackets of its own: :when ((= (rank x) 2))",
}
"""What to do about what egglog says."""

_FAILED_CALL = re.compile(r"call of primitive \S+ failed")


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    @override
    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def moved(self, text: str) -> Location:
        """Return the place just after ``text``, where ``text`` starts here."""
        lines = text.count("\n")
        if not lines:
            return Location(self.file, self.line, self.column + len(text))
        return Location(self.file, self.line + lines, len(text) - text.rfind("\n"))


class EgglogError(Exception):
    """egglog refused or gave up.

    Attributes:
        location: Where in the text given to :func:`parse`; None for commands built in Python. egglog keeps only
            the last part of a path, so the file is a bare name.
        message: What egglog says, one line.
        is_fatal: True after a panic: the e-graph is in no known state and must be thrown away.
    """

    def __init__(self, message: str, *, location: Location | None = None, is_fatal: bool = False) -> None:
        super().__init__(f"{location}: {message}" if location else message)
        self.location = location
        self.message = message
        self.is_fatal = is_fatal


def var(name: str) -> Var:
    """Return a variable."""
    return Var(SPAN, name)


def call(name: str, *arguments: Expr) -> Call:
    """Return the application of a constructor, function, relation or primitive."""
    return Call(SPAN, name, list(arguments))


def int_lit(value: int) -> Lit:
    """Return an ``i64`` literal."""
    return Lit(SPAN, Int(value))


def float_lit(value: float) -> Lit:
    """Return an ``f64`` literal."""
    return Lit(SPAN, Float(value))


def string_lit(value: str) -> Lit:
    """Return a ``String`` literal."""
    return Lit(SPAN, String(value))


def bool_lit(value: bool) -> Lit:
    """Return a ``bool`` literal."""
    return Lit(SPAN, Bool(value))


def assert_fact(fact: Call) -> ActionCommand:
    """Return the command that adds a row to a relation, or a term to the e-graph."""
    return ActionCommand(Expr_(SPAN, fact))


def set_value(function: str, arguments: list[Expr], value: Expr) -> ActionCommand:
    """Return the command ``(set (function arguments...) value)``."""
    return ActionCommand(Set(SPAN, function, arguments, value))


def run_once(ruleset: str) -> RunSchedule:
    """Return the command that runs one iteration of a ruleset."""
    return RunSchedule(Run(SPAN, RunConfig(ruleset)))


def saturate(ruleset: str) -> RunSchedule:
    """Return the command that runs a ruleset until nothing changes; only for rulesets known to end."""
    return RunSchedule(Saturate(SPAN, Run(SPAN, RunConfig(ruleset))))


class _Owned(threading.local):
    """The e-graphs that a thread has made."""

    def __init__(self) -> None:
        self.egraphs: list[EGraph] = []


_OWNED: Final = _Owned()


def _references(egraphs: Iterable[object]) -> list[int]:
    return [sys.getrefcount(egraph) for egraph in egraphs]


(_OWN_REFERENCES,) = _references([object()])
"""References, as Python counts them, to what stands in a list and nowhere else."""


def new_egraph() -> EGraph:
    """Return a new e-graph.

    egglog's e-graphs may be dropped by the thread alone that has made them, and Python's garbage collector runs in any.
    So each thread holds on to its own, and drops those that nobody else knows when it makes the next one.
    """
    drop_egraphs()
    egraph = EGraph()
    _OWNED.egraphs.append(egraph)
    return egraph


def drop_egraphs() -> None:
    """Drop the e-graphs of this thread that nobody else knows any more."""
    counts = _references(_OWNED.egraphs)
    _OWNED.egraphs = [each for each, count in zip(_OWNED.egraphs, counts, strict=True) if count > _OWN_REFERENCES]


def parse(egraph: EGraph, text: str, location: Location) -> list[Command]:
    """Parse ``text`` without running it; keep it short, for the cost is quadratic in its length.

    Args:
        egraph: Any e-graph; it is not changed.
        text: egglog commands.
        location: Where ``text`` starts.

    Raises:
        EgglogError: The text is no egglog program, or egglog panicked.
    """
    with _translated_errors():
        commands: list[Command] = egraph.parse_program(text, f"{location.file}@{location.line}:{location.column}")  # type: ignore[assignment]
    return commands


def run(egraph: EGraph, *commands: Command) -> list[CommandOutput]:
    """Run commands; return what they print.

    Raises:
        EgglogError: A command failed, or egglog panicked.
    """
    with _translated_errors():
        return list(egraph.run_program(*commands))


def location_of(span: Span) -> Location | None:
    """Return where in its file a parsed term starts; None for terms built in Python."""
    if not isinstance(span, EgglogSpan):
        return None
    source = span.file
    anchor = _ANCHOR.match(source.name or "")
    if anchor is None:
        return None
    start = Location(anchor["file"], int(anchor["line"]), int(anchor["column"]))
    return start.moved(source.contents[: span.i])


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except EggSmolError as error:
        raise _translated(error) from None
    except BaseException as error:
        # A Rust panic arrives as pyo3_runtime.PanicException, a BaseException that no module exports.
        if type(error).__name__ != "PanicException":
            raise
        raise EgglogError(f"egglog panicked: {error}", is_fatal=True) from None


def _translated(error: EggSmolError) -> EgglogError:
    text = str(error.context)
    failed = _FAILED_CALL.search(text)
    message = failed[0] if failed else text.rstrip().rpartition("\n")[2].strip()
    message = message.removeprefix("parse error: ")
    message += _CURES.get(message, "")
    places = list(_PLACE.finditer(text))
    if not places:
        return EgglogError(message)
    place = places[-1]
    line, column = int(place["line"]), int(place["column"])
    if line == 1:
        column += int(place["at_column"]) - 1
    return EgglogError(message, location=Location(place["file"], line + int(place["at_line"]) - 1, column))

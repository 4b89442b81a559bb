"""Why a run gives the input back, or ends: what is said, and the one thing to try next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ir.graph import Graph


class Why(StrEnum):
    """Why a run gives the input back."""

    CUT_SHORT = "cut-short"
    INPUT_UNKNOWN = "input-unknown"
    UNKNOWN_OPERATOR = "unknown-operator"
    NO_KERNEL = "no-kernel"
    NEWER_VERSION = "newer-version"
    REFUSED_INPUT = "refused-input"
    NOT_REWRITTEN = "not-rewritten"
    INPUT_FAILS = "input-fails"
    UNSUPPORTED_VALUE = "unsupported-value"
    RANDOM = "random"
    NOTHING_FINITE = "nothing-finite"
    NO_RULE = "no-rule"
    NO_CHEAPER = "no-cheaper"
    SEARCH_TIME = "search-time"
    SEARCH_ENODES = "search-enodes"
    SEARCH_STEPS = "search-steps"
    NO_GRAPH = "no-graph"
    ALL_REFUSED = "all-refused"
    CULPRITS_TIME = "culprits-time"
    WRONG_RULES = "wrong-rules"
    SAME_KERNELS = "same-kernels"
    NOT_FASTER = "not-faster"
    NOT_MEASURED = "not-measured"
    NO_TIME_TO_MEASURE = "no-time-to-measure"
    NO_TIME_TO_MEASURE_WELL = "no-time-to-measure-well"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What is said.

    Attributes:
        what: What happened; ``{}`` stands for the detail.
        next: The one thing to try.
    """

    what: str
    next: str


_LONGER: Final = "give it more time with --time-budget"

_LINES: Final[Mapping[Why, _Line]] = {
    Why.CUT_SHORT: _Line(
        what="the run ended before a faster model was found", next="give it more room: --time-budget, --memory-limit"
    ),
    Why.INPUT_UNKNOWN: _Line(
        what="nothing could be verified: {}", next="give inputs that the model takes with --inputs"
    ),
    Why.UNKNOWN_OPERATOR: _Line(
        what="ONNX Runtime does not know {}", next="name the library that has it with --custom-ops"
    ),
    Why.NO_KERNEL: _Line(
        what="ONNX Runtime has no kernel for {}", next="try another --provider, or a newer onnxruntime"
    ),
    Why.NEWER_VERSION: _Line(
        what="the model is newer than this ONNX Runtime: {}",
        next="update onnxruntime, or export the model for an older opset",
    ),
    Why.REFUSED_INPUT: _Line(
        what="the input itself does not run: {}", next="see that onnxruntime.InferenceSession takes it"
    ),
    Why.NOT_REWRITTEN: _Line(
        what="the model runs and cannot be rewritten: {}", next="export it again, for an opset that is released"
    ),
    Why.INPUT_FAILS: _Line(
        what="the input itself does not run on the inputs tried: {}",
        next="give inputs that it takes with --inputs, or their shapes with --input-shape",
    ),
    Why.UNSUPPORTED_VALUE: _Line(
        what="nothing could be verified: {}", next="export the model with a tensor in its place"
    ),
    Why.RANDOM: _Line(
        what="nothing could be verified: {}", next="give these operators a seed, or export the model for inference"
    ),
    Why.NOTHING_FINITE: _Line(what="nothing could be verified: {}", next="give inputs of its usual kind with --inputs"),
    Why.NO_RULE: _Line(what="no rule applies to this model", next="add rules of your own with --rules"),
    Why.NO_CHEAPER: _Line(
        what="no rule makes this model cheaper by itself", next="apply them together with --search saturate"
    ),
    Why.SEARCH_TIME: _Line(
        what="the search used up its share of the time, {}, before a rule was applied", next=_LONGER
    ),
    Why.SEARCH_ENODES: _Line(
        what="the e-graph reached {} e-nodes before a rule was applied", next="allow more with --max-enodes"
    ),
    Why.SEARCH_STEPS: _Line(
        what="the search took all its steps, {}, and none applied a rule", next="try another --search"
    ),
    Why.NO_GRAPH: _Line(
        what="the cheapest graph cannot be written or run", next="leave out a group of rules with --skip-rules"
    ),
    Why.ALL_REFUSED: _Line(what="{}", next="leave these rules out with --skip-rules"),
    Why.CULPRITS_TIME: _Line(what="{}, and no time was left to find out which of them is wrong", next=_LONGER),
    Why.WRONG_RULES: _Line(what="wrong on this model, and left out: {}", next="ask eqsat rules check about them"),
    Why.SAME_KERNELS: _Line(
        what="ONNX Runtime makes the same of the best graph as of the input",
        next="let more rules take part with --enable-rules wide",
    ),
    Why.NOT_FASTER: _Line(
        what="no graph is clearly faster than the input (the best one: {})", next="search longer with --time-budget"
    ),
    Why.NOT_MEASURED: _Line(
        what="the best graph could not be measured: {}", next="run it again, on a machine with nothing else to do"
    ),
    Why.NO_TIME_TO_MEASURE: _Line(what="no time was left to measure the best graph", next=_LONGER),
    Why.NO_TIME_TO_MEASURE_WELL: _Line(
        what="no time was left to measure the best graph well ({} so far)", next=_LONGER
    ),
}


def told(why: Why, detail: object = "") -> str:
    """Return a reason as one line: what happened, and the one thing to try next."""
    line = _LINES[why]
    return f"{line.what.replace('{}', str(detail))}; {line.next}"


_UNREGISTERED: Final = re.compile(r"(?:Fatal error: )?([\w.]*):(\w+)\(-?\d+\) is not a registered function/op")
_NOT_IN_OPSET: Final = re.compile(r"No Op registered for (\w+) with domain_version of (\d+)")
_NO_KERNEL: Final = re.compile(r"Could not find an implementation for (?:[\w.]+:)?(\w+)\((\d+)\)")
_IR_VERSION: Final = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_OPSET: Final = re.compile(r"Opset (\d+) is under development")


def why_refused(message: str) -> tuple[Why, str]:
    """Return why ONNX Runtime makes no session of a model, and the detail, by what it says.

    Args:
        message: ONNX Runtime's.
    """
    if found := _UNREGISTERED.search(message):
        domain = f" of the domain {found[1]!r}" if found[1] else ""
        return Why.UNKNOWN_OPERATOR, f"the operator {found[2]}{domain}"
    if found := _NOT_IN_OPSET.search(message):
        return Why.UNKNOWN_OPERATOR, f"the operator {found[1]} in opset {found[2]}"
    if found := _NO_KERNEL.search(message):
        return Why.NO_KERNEL, f"the operator {found[1]} of opset {found[2]} with these types"
    if found := _IR_VERSION.search(message):
        return Why.NEWER_VERSION, f"IR version {found[1]}, where {found[2]} is the last that it reads"
    if found := _OPSET.search(message):
        return Why.NEWER_VERSION, f"opset {found[1]}"
    return Why.REFUSED_INPUT, message


def listed(shape: Sequence[object]) -> str:
    """Return a shape as it is written."""
    return ",".join(map(str, shape)) or "a scalar"


def what_to_give(graph: Graph, tried: Mapping[str, tuple[int, ...]]) -> str:
    """Return what to say about a model that does not run on inputs of the sizes that were guessed.

    Args:
        graph: The model.
        tried: The shapes it was tried with, by input name.
    """
    open_ones = [name for name in tried if name in graph.types and any(dim < 0 for dim in graph.types[name].shape)]
    flags = " ".join(f"--input-shape {name}:{','.join(map(str, tried[name]))}" for name in open_ones)
    shapes = f"give other sizes, as {flags}, or " if flags else "give "
    return f"{shapes}inputs that it takes with --inputs"

"""What the search for rules finds: ``python -m bench.infer [--operators NAMES] [--json FILE]``.

Rules are inferred from nothing but a list of operators: the book holds the facts of the shipped rules and no rewrite.

A shipped rule is *over* the operators where one of its INSTANCE lines applies no other operator, and neither does what
the rule makes of it, and no side has more operators than were enumerated. It is *rediscovered* where the inferred rules
derive it at each of those lines: the values that the rule makes equal there, all its forms loaded into one e-graph, end
in one e-class when only the facts and the inferred rules are applied.

An inferred rule is looked up at places that differ in the ranks of its leaves. It is *new* where the shipped rules,
those of every tier among them, derive it at none of them, and a *generalisation* where they derive it at some.
"""

from __future__ import annotations

import argparse
import math
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.documents import ONNX_RUNTIMES, made_with, write_document
from eqsat.authoring.inference import Inference, Proposal, Question, infer
from eqsat.authoring.inference.derivation import Effort, derived, derived_instances
from eqsat.authoring.soundness.closure import companions, only, standing_free
from eqsat.egglog.schema import SORT_OF_KIND
from eqsat.egraph.enode import CONS, CONST, INPUT, NIL, ENode
from eqsat.egraph.session import Session
from eqsat.prices.database import PriceDatabase
from eqsat.prices.pricing import Pricer
from eqsat.rules import RuleBook, RuleKind, load_rules
from eqsat.rules.instances import Apply, Name, Precision, draw
from eqsat.rules.parts import together
from eqsat.runtime import Runtime
from eqsat.runtime.settings import SessionSettings
from ir.availability import available_operators
from ir.operators import OPERATORS

if TYPE_CHECKING:
    from eqsat.rules import Rule
    from eqsat.rules.instances import Drawn, Term

OPSET: Final = 18
DEFAULT_OPERATORS: Final = ("MatMul", "Add", "Mul", "Transpose", "Concat", "Relu")
EFFORT: Final = Effort(max_rounds=6, max_enodes=600)
TIME_LIMIT_S: Final = 900.0
THREADS: Final = 1
MIN_WIDTH: Final = 200
"""Columns, where the terminal does not say how many it has."""

GOAL_SHARE: Final = 0.8
_LIBRARIES: Final = ("egglog", *ONNX_RUNTIMES, "numpy")
GOAL_NEW: Final = 5
RESULTS: Final = Path(__file__).parent / "results" / "infer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Which shipped rules were rediscovered.

    Attributes:
        found: Names of those that were.
        missed: Names of those that were not.
    """

    found: tuple[str, ...]
    missed: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the rules over the operators that were found."""
        return len(self.found) / max(len(self.found) + len(self.missed), 1)


def facts_of(book: RuleBook) -> RuleBook:
    """Return a book without its rewrites."""
    return replace(book, rules=book.of_kind(RuleKind.FACTS))


def everything(book: RuleBook) -> RuleBook:
    """Return the rules of a book that may be used at the opset of the instances, those of every tier among them."""
    tiers = {rule.tier for rule in book.rules if rule.tier}
    return book.select(enable=tiers, available_operators=available_operators(OPSET, has_provider_operators=True))


def coverage(book: RuleBook, inferred: RuleBook, operators: AbstractSet[str], max_operators: int) -> Coverage:
    """Return which rules of a book are over some operators, and which of them are rediscovered.

    Args:
        book: The rules to be found.
        inferred: The rules that were found, with the facts.
        operators: The operators.
        max_operators: Operators of a side.
    """
    found: list[str] = []
    missed: list[str] = []
    for rule in book.rules:
        if rule.kind is RuleKind.FACTS or not (rule.operators_matched & OPERATORS.keys()) <= operators:
            continue
        equations = list(_equations(book, rule, operators, max_operators))
        if equations:
            (found if all(derived_instances(equations, inferred, EFFORT)) else missed).append(rule.name)
    return Coverage(found=tuple(found), missed=tuple(missed))


def _equations(book: RuleBook, rule: Rule, operators: AbstractSet[str], max_operators: int) -> Iterator[Drawn]:
    """Yield what a rule makes equal at its INSTANCE lines, as instances with two roots."""
    if companions(book, rule):
        return  # it says only half of what it means
    rng = np.random.default_rng(0)
    own = only(book, {rule.name})
    rules = replace(own, rules=tuple(standing_free(each) if each.name == rule.name else each for each in own.rules))
    for line in rule.instances:
        drawn = draw(line, rng, Precision.SINGLE, (2, 3, 4))
        if drawn.others or not _is_over(drawn, operators):
            continue
        parts = together([drawn], rng)
        session = Session(parts.graph, rules)
        session.apply([each for each in session.candidates() if session.rule_of(each).rule.name == rule.name])
        terms = _Terms(session)
        for forms in terms.forms():
            counts = [_num_operators(form) for form in forms]
            if max(counts) <= max_operators and all(_operators(form) <= operators for form in forms):
                yield from (replace(drawn, lets={}, roots=(forms[0], other)) for other in forms[1:])


def _is_over(drawn: Drawn, operators: AbstractSet[str]) -> bool:
    return all(_operators(term) <= operators for term in (*drawn.lets.values(), *drawn.roots))


def _applications(term: Term) -> Iterator[Apply]:
    if isinstance(term, Apply):
        yield term
        for argument in term.arguments:
            yield from _applications(argument)


def _operators(term: Term) -> set[str]:
    return {each.name for each in _applications(term)} & OPERATORS.keys()


def _num_operators(term: Term) -> int:
    return sum(each.name in OPERATORS for each in _applications(term))


class _Terms:
    """The e-nodes of a session as terms: what was loaded stands for its e-class, wherever it can."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._loaded = session.model_nodes().keys()
        self._heights: dict[ENode, float] = {}
        self._measure()

    def forms(self) -> Iterator[list[Term]]:
        """Yield for each e-class with several e-nodes all of them, what was loaded first."""
        for _, members in self._session.eclasses():
            if len(members) > 1:
                yield [self._term(enode) for enode in sorted(members, key=self._is_made)]

    def _is_made(self, enode: ENode) -> bool:
        return enode.operator not in {INPUT, CONST, NIL, CONS} and enode not in self._loaded

    def _term(self, enode: ENode) -> Term:
        match enode.operator, enode.attributes:
            case "Input", (str(name),):
                return Name(name.partition("/")[2])
            case "Const", (int(number),):
                return Name(self._session.encoding.constants[number].name.partition("/")[2])
        children = [self._term(min(self._session.members(child), key=self._rank)) for child in enode.children]
        return Apply(enode.operator, (*children, *_attributes(enode)))

    def _rank(self, enode: ENode) -> tuple[bool, float]:
        """Loaded ones first, and the lowest of those: an e-node may stand above its own e-class."""
        return (self._is_made(enode), self._height(enode))

    def _height(self, enode: ENode) -> float:
        below = [self._heights.get(self._session.members(child)[0], math.inf) for child in enode.children]
        return 1.0 + max(below, default=0.0)

    def _measure(self) -> None:
        """Find the height of the lowest term of each e-class, which is kept by its first e-node."""
        is_changed = True
        while is_changed:
            is_changed = False
            for _, members in self._session.eclasses():
                height = min(self._height(enode) for enode in members)
                if height < self._heights.get(members[0], math.inf):
                    self._heights[members[0]] = height
                    is_changed = True


def _attributes(enode: ENode) -> Sequence[Term]:
    if enode.operator not in OPERATORS:
        return [each for each in enode.attributes if isinstance(each, int)]
    shown: list[Term] = []
    for column, value in zip(OPERATORS[enode.operator].attributes, enode.named_attributes().values(), strict=True):
        if isinstance(value, tuple):
            head = f"S{len(value)}" if SORT_OF_KIND[column.kind] == "Dims" else "vec-of"
            shown.append(Apply(head, tuple(value)))
        elif isinstance(value, int | float | str):
            shown.append(value)
    return [Apply(f"{enode.operator}A", tuple(shown))] if len(shown) > 1 else shown


def places(proposals: Iterable[Proposal], book: RuleBook) -> dict[str, int]:
    """Return at how many of its places a book derives each proposal."""
    return {each.name: sum(derived(each.examples, book, EFFORT)) for each in proposals}


def new_ones(proposals: Iterable[Proposal], known: Mapping[str, int]) -> list[Proposal]:
    """Return the proposals that are derived nowhere."""
    return [each for each in proposals if not known[each.name]]


def tables(found: Coverage, new: Sequence[Proposal]) -> Iterator[Table]:
    """Yield what is shown: the shipped rules, then the new ones."""
    shipped = Table(title="shipped rules over the operators", title_justify="left")
    shipped.add_column("rule")
    shipped.add_column("rediscovered")
    for name in sorted((*found.found, *found.missed)):
        shipped.add_row(name, "yes" if name in found.found else "no")
    yield shipped
    added = Table(title="rules that are new", title_justify="left")
    for column in ("rule", "left", "right", "where", "us before", "us after"):
        added.add_column(column, justify="right" if column.startswith("us") else "left")
    for each in new:
        prices = ("", "") if each.gain is None else (f"{each.gain.left_us:.1f}", f"{each.gain.right_us:.1f}")
        added.add_row(each.name, each.left, each.right, each.requires, *prices)
    yield added


def document(found: Inference, known: Coverage, derivable: Mapping[str, int], seconds: float) -> dict[str, Any]:
    """Return the results as JSON values."""
    return {
        **made_with(*_LIBRARIES),
        "opset": OPSET,
        "seconds": round(seconds, 1),
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "rediscovered": list(known.found),
        "missed": list(known.missed),
        "share": round(known.share, 3),
        "new": [each.name for each in new_ones(found.proposals, derivable)],
        "cuts": list(found.cuts),
        "proposals": [_row(each, derivable[each.name]) for each in found.proposals],
    }


def _row(proposal: Proposal, num_derived: int) -> Mapping[str, Any]:
    gain = proposal.gain
    return {
        "name": proposal.name,
        "left": proposal.left,
        "right": proposal.right,
        "requires": proposal.requires,
        "level": str(proposal.level),
        "instances": proposal.num_instances,
        "places": len(proposal.examples),
        "derived_places": num_derived,
        "left_us": None if gain is None else round(gain.left_us, 2),
        "right_us": None if gain is None else round(gain.right_us, 2),
        "measured_at": None if gain is None else gain.instance,
        "text": proposal.text,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Infer, compare with what ships, print; return 0 where the goals are met: four fifths found, five new ones."""
    parser = argparse.ArgumentParser(prog="python -m bench.infer", description=__doc__)
    parser.add_argument("--operators", nargs="+", default=list(DEFAULT_OPERATORS), help="operators of the terms")
    parser.add_argument("--max-operators", type=int, default=3, help="operators of a side")
    parser.add_argument("--time-limit-s", type=float, default=TIME_LIMIT_S, help="seconds for the inference")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go")
    given = parser.parse_args(arguments)
    shipped = load_rules()
    began = time.monotonic()

    def say(message: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {message}", flush=True)

    question = Question(
        operators=tuple(given.operators),
        max_operators=given.max_operators,
        time_limit_s=given.time_limit_s,
        seed=given.seed,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Runtime() as runtime,
        PriceDatabase(Path(folder) / "prices") as prices,
    ):
        pricer = Pricer(
            runtime=runtime,
            database=prices,
            settings=SessionSettings(threads=THREADS),
            opset=OPSET,
            now=time.time,
            clock=time.monotonic,
        )
        found = infer(question, book=facts_of(shipped), pricer=pricer, on_progress=say)
    seconds = time.monotonic() - began
    rules = (*facts_of(shipped).rules, *(each.rule for each in found.proposals))
    known = coverage(shipped, replace(shipped, rules=rules), set(given.operators), given.max_operators)
    derivable = places(found.proposals, everything(shipped))
    new = new_ones(found.proposals, derivable)
    num_general = sum(0 < derivable[each.name] < len(each.examples) for each in found.proposals)
    shown = Console()
    if not shown.is_terminal:
        shown.width = max(shown.width, MIN_WIDTH)
    for table in tables(known, new):
        shown.print(table)
    for cut in found.cuts:
        say(f"left out: {cut}")
    say(f"{len(found.proposals)} rules, {len(new)} of them new, {num_general} generalisations")
    say(f"{len(known.found)} of {len(known.found) + len(known.missed)} shipped rules rediscovered ({known.share:.0%})")
    write_document(given.json, document(found, known, derivable, seconds))
    return int(known.share < GOAL_SHARE or len(new) < GOAL_NEW)


if __name__ == "__main__":
    sys.exit(main())

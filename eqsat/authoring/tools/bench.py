"""What one rule alone is worth on a model, measured: the model with the rule's forms wherever they fit, and without."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.authoring.tools.availability import needed_first
from eqsat.egraph.build import Built, build
from eqsat.egraph.enode import CONST, STRUCTURE, ENode
from eqsat.egraph.session import Session
from eqsat.errors import EqsatError, VerificationError
from eqsat.extraction.cpsat import solve
from eqsat.extraction.problem import ExtractionProblem, NoSelectionError, forbid
from eqsat.rules.rule import FloatClass, RuleKind
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.measurements import Contender
from eqsat.verify.inputs import input_specs, random_feeds
from eqsat.verify.sizes import default_sizes
from eqsat.verify.verify import verify
from ir.inner_sizes import inner_sizes
from ir.writer import UnwritableError

if TYPE_CHECKING:
    from eqsat.rules.book import RuleBook
    from eqsat.rules.rule import Rule
    from eqsat.runtime.runtime import Runtime
    from eqsat.runtime.settings import SessionSettings
    from ir.graph import Graph

MAX_ROUNDS: Final = 8
"""Rounds in which the rule is applied wherever it matches; its own results may match again."""

OWN_PRICE: Final = 1000.0
"""Price of a node of the model where one that the rule made costs 1: the rule's forms are used wherever they can be."""

NUM_PAIRS: Final = 40
MAX_NEEDS: Final = 3
"""Rules that a line names at most."""

SOLVE_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a rule is worth on a model.

    Attributes:
        rule: Name of the rule.
        num_applied: Places at which it was applied; None for a rule that is always applied, which nobody counts.
        change: Nodes more or fewer, by operator.
        is_same: True where ONNX Runtime makes the same of both models, so that there is nothing to measure.
        speedup: Latency without over latency with the rule; 1.0 where nothing was measured.
        speedup_low: Lower end of the 95 % interval.
        speedup_high: Upper end of it.
        without_us: Latency without the rule; None where nothing was measured.
        with_us: Latency with it.
        num_pairs: Pairs of fresh sessions behind these numbers.
        needs: Where it was applied nowhere, the rules one of which must be applied first.
    """

    rule: str
    num_applied: int | None
    change: Mapping[str, int]
    is_same: bool = False
    speedup: float = 1.0
    speedup_low: float = 1.0
    speedup_high: float = 1.0
    without_us: float | None = None
    with_us: float | None = None
    num_pairs: int = 0
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """How the effect of a rule is measured.

    Attributes:
        runtime: Runs and measures.
        settings: How the model will be run.
        input_shapes: Shapes by input name, for inputs with symbolic dimensions.
        folder: Where the models are written.
        deadline: Point on the clock at which measuring ends with what it has.
        seed: Of inputs and orders.
        clock: Seconds on a clock that only goes forward.
    """

    runtime: Runtime
    settings: SessionSettings
    input_shapes: Mapping[str, tuple[int, ...]]
    folder: Path
    deadline: float
    seed: int = 0
    clock: Callable[[], float] = time.monotonic

    def measure(self, source: Path, graph: Graph, book: RuleBook, name: str) -> Measured:
        """Measure a rule on a model.

        Args:
            source: The model.
            graph: The same, read.
            book: Every rule there is.
            name: The rule.

        Raises:
            VerificationError: With the rule, the model computes something else.
            EqsatError: A model cannot be built or run.
            UnsupportedInputError: No random input can be made for the model.
        """
        rule = book.rule(name)
        session = _applied(graph, book, rule)
        num_applied = session.applied[name] if rule.kind is RuleKind.OPT else None
        if num_applied == 0:
            operators = {node.operator for node in graph.nodes if node.operator}
            needs = needed_first(book.rules, rule, operators)
            return Measured(rule=name, num_applied=0, change={}, is_same=True, needs=needs)
        problem, enodes, made = _problem(session, name)
        with_rule = self._build(session, problem, enodes, "with.onnx")
        if made:
            without = self._build(session, forbid(problem, made), enodes, "without.onnx")
        else:  # it only made known values equal, so that the e-graph itself is another without it
            plain = _applied(graph, book.select(skip=[name]), None)
            without = self._build(plain, *_problem(plain, name)[:2], "without.onnx")
        change = Counter(with_rule.operators)
        change.subtract(without.operators)
        result = Measured(
            rule=name,
            num_applied=num_applied,
            change={operator: count for operator, count in sorted(change.items()) if count},
        )
        self._verify(source, graph, with_rule, rule.floats)
        return self._compared(graph, without, with_rule, result)

    def _build(self, session: Session, problem: ExtractionProblem, enodes: list[tuple[int, ENode]], name: str) -> Built:
        try:
            choice = solve(problem, time_limit_s=SOLVE_S, seed=self.seed).selection.choice
            chosen = {enodes[index][0]: enodes[index][1] for index in choice.values()}
            return build(session, chosen, self.runtime, self.folder / name)
        except (NoSelectionError, UnwritableError) as error:
            raise EqsatError(f"the model cannot be written {name.removesuffix('.onnx')} the rule: {error}") from error

    def _verify(self, source: Path, graph: Graph, built: Built, floats: FloatClass) -> None:
        found = verify(
            source,
            built.path,
            graph,
            self.runtime,
            settings=self.settings,
            num_checks=1,
            seed=self.seed + 1,
            float_class=floats if floats is not FloatClass.EXACT else FloatClass.ROUNDS,
            input_shapes=self.input_shapes,
        )
        if not found.is_equal:
            raise VerificationError(f"{source}: with the rule it computes something else: {found.detail}")

    def _compared(self, graph: Graph, without: Built, with_rule: Built, result: Measured) -> Measured:
        sizes = inner_sizes(graph, default_sizes(graph, self.input_shapes))
        specs = input_specs(graph, self.input_shapes)
        feeds = random_feeds(graph, specs, np.random.default_rng(self.seed), sizes)
        contenders = [Contender(path=each.path, settings=self.settings) for each in (without, with_rule)]
        try:
            prints = [self.runtime.optimized_fingerprint(each.path, self.settings) for each in contenders]
            if prints[0] == prints[1]:
                return replace(result, is_same=True)
            comparison = self.runtime.compare(
                contenders, feeds, num_pairs=NUM_PAIRS, seed=self.seed, deadline=self.deadline
            )
        except MeasurementError as error:
            raise EqsatError(f"the rule could not be measured: {error}") from error
        found = comparison.results.get(1)
        if found is None:
            reason = comparison.failures.get(1, "no time was left; raise --time-limit")
            raise EqsatError(f"the rule could not be measured: {reason}")
        return replace(
            result,
            speedup=found.speedup,
            speedup_low=found.speedup_low,
            speedup_high=found.speedup_high,
            without_us=comparison.results[0].latency_us,
            with_us=found.latency_us,
            num_pairs=found.num_pairs,
        )


def _applied(graph: Graph, book: RuleBook, rule: Rule | None) -> Session:
    """Return the model with one rule applied wherever it matches, again and again, and what is always applied."""
    name = rule.name if rule is not None else ""
    rules = tuple(each for each in book.rules if each.kind is not RuleKind.OPT or each.name == name)
    session = Session(graph, replace(book, rules=rules))
    for _ in range(MAX_ROUNDS):
        if not session.candidates() or not session.apply(list(session.candidates())):
            break
    return session


def _problem(session: Session, name: str) -> tuple[ExtractionProblem, list[tuple[int, ENode]], frozenset[int]]:
    """Return the e-graph priced in favour of a rule, the e-node behind each number, and those that the rule made."""
    canonical = session.mirror.canonical
    order = {handle: number for number, (handle, _) in enumerate(session.eclasses())}
    enodes = [(handle, enode) for handle, members in session.eclasses() for enode in members]
    own = session.model_nodes()
    made = frozenset(
        index
        for index, (_, enode) in enumerate(enodes)
        if (origin := session.mirror.origins.get(enode)) is not None and origin.rule == name and enode not in own
    )
    constants = session.constants()
    cost_us = [
        0.0
        if enode.operator in STRUCTURE or enode.operator == CONST
        else 0.001
        if handle in constants
        else 1.0
        if index in made
        else OWN_PRICE
        for index, (handle, enode) in enumerate(enodes)
    ]
    pinned = [canonical[session.encoding.values[each]] for each in sorted(session.encoding.pinned)]
    problem = ExtractionProblem(
        node_class=[order[handle] for handle, _ in enodes],
        children=[tuple(sorted({order[canonical[child]] for child in enode.children})) for _, enode in enodes],
        cost_us=cost_us,
        num_classes=len(order),
        roots=tuple(order[root] for root in dict.fromkeys((*session.roots(), *pinned))),
    )
    return problem, enodes, made


def told(found: Measured) -> list[str]:
    """Return what was measured as lines for people."""
    if found.num_applied == 0 and found.needs:
        first = ", ".join(found.needs[:MAX_NEEDS]) + (" or another" if len(found.needs) > MAX_NEEDS else "")
        return [f"{found.rule} does not match this model by itself: it needs what {first} makes of it"]
    if found.num_applied == 0:
        return [f"{found.rule} does not match this model; why-not says why"]
    times = "once" if found.num_applied == 1 else f"{found.num_applied} times"
    places = "" if found.num_applied is None else f", applied {times}"
    change = ", ".join(f"{operator} {count:+d}" for operator, count in found.change.items()) or "no other nodes"
    lines = [f"{found.rule}{places}: {change}"]
    if found.is_same or found.without_us is None or found.with_us is None:
        return [*lines, "ONNX Runtime makes the same of both models: the rule changes nothing here"]
    interval = f"{found.speedup_low:.3f} to {found.speedup_high:.3f}"
    latencies = f"{found.without_us / 1e3:.3f} ms without, {found.with_us / 1e3:.3f} ms with"
    return [*lines, f"x{found.speedup:.3f} ({interval}), {latencies}, {found.num_pairs} pairs"]

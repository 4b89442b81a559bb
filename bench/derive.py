"""Which substitutions of TASO the rules derive: ``python -m bench.derive [--rules FILE] [--budget-s N] [--json FILE]``.

For each substitution the source is loaded as a model whose inputs are arbitrary tensors, nothing of it constant. All
rules are applied, round by round, until nothing is left or the budget ends, and the target is looked up in the e-graph.
It is derived where each of its outputs is found in the e-class of that output of the source which it stands for. Both
sides are also evaluated, at several sizes: where they never agree, the substitution is unsound as published.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

from bench.sides import OPSET, TOLERANCE, error, models
from bench.sizes import Sizes, draw_sizes
from bench.substitutions import NotExpressibleError, Substitution, parse
from eqsat.egraph.enode import ABSENT, CONS, INPUT, NIL, OUT, ENode
from eqsat.egraph.session import Session
from eqsat.errors import RulesError
from eqsat.rules.book import RuleBook, load_rules
from eqsat.search.interface import Arena, SearchBudget, StopReason
from eqsat.search.saturation import Saturate
from ir.availability import available_operators
from ir.operators import OPERATORS
from ir.reader import read

if TYPE_CHECKING:
    from eqsat.cost.problem import PricedProblem
    from ir.graph import Graph, Node

PUBLISHED: Final = Path(__file__).parents[2] / "shared" / "data" / "taso" / "graph_subst.json"
"""The decoded file, beside the checkout."""


class Verdict(StrEnum):
    """What became of a substitution."""

    DERIVED = "derived"
    NOT_DERIVED = "not derived"
    UNSOUND = "unsound"
    NOT_EXPRESSIBLE = "not expressible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the saturation of one substitution may use."""

    seconds: float = 20.0
    max_enodes: int = 4_000
    max_rounds: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the score.

    Attributes:
        number: Place of the substitution in the file, from 0.
        verdict: What became of it.
        stop_reason: The limit that ended a saturation without success; empty where there was none.
        num_rounds: Rounds until the target was found or saturation ended.
        num_enodes: Size of the e-graph then.
        seconds: Time that it took.
        sizes: Shapes of the inputs.
        note: Sizes at which the sides differ, what of the target is missing, or why there is no verdict.
    """

    number: int
    verdict: Verdict
    stop_reason: str = ""
    num_rounds: int = 0
    num_enodes: int = 0
    seconds: float = 0.0
    sizes: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Sizes at which both sides compute the same, and sizes at which they do not; None where no draw gave any."""

    sound: Sizes | None
    unsound: Sizes | None


def judge(substitution: Substitution) -> Judgement:
    """Evaluate both sides at random sizes.

    Raises:
        NotExpressibleError: No sizes fit.
    """
    rng = np.random.default_rng(substitution.number)
    sound: Sizes | None = None
    unsound: Sizes | None = None
    for sizes in draw_sizes(substitution, random.Random(substitution.number)):
        if error(substitution, sizes, rng) <= TOLERANCE:
            sound = sound or sizes
        else:
            unsound = unsound or sizes
    return Judgement(sound=sound, unsound=unsound)


def load_graph(model: onnx.ModelProto) -> Graph:
    """Return a model in normal form."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "side.onnx"
        onnx.save(model, path)
        return read(path)


def missing(session: Session, target: Graph) -> str:
    """Return the first value of ``target`` that the e-graph does not hold; empty where all outputs are in their place.

    Equal sums in another order may be two e-classes, so that one value may be found in several.
    """
    found: dict[str, set[int]] = {}
    for name in target.inputs:
        found[name] = _standing(session, [ENode(INPUT, (), (name,))])
    for node in target.nodes:
        for name, handles in zip(node.outputs, _outputs(session, node, found), strict=True):
            found[name] = handles
            if not handles:
                return f"{node.operator} {name}"
    for name, root in zip(target.outputs, session.roots(), strict=True):
        if root not in found[name]:
            return f"{name} is there, but not known to be equal"
    return ""


def _standing(session: Session, enodes: Iterable[ENode]) -> set[int]:
    mirror = session.mirror
    return {mirror.canonical[mirror.enodes[enode]] for enode in enodes if enode in mirror.enodes}


def _outputs(session: Session, node: Node, found: dict[str, set[int]]) -> list[set[int]]:
    """Return the e-classes that hold each output of a node, over all e-classes that hold its inputs."""
    row = OPERATORS[node.operator]
    absent = _standing(session, [ENode(ABSENT)])
    inputs = [sorted(found[name] if name else absent) for name in node.inputs]
    children: list[tuple[int, ...]]
    if row.is_variadic:
        lists = _standing(session, [ENode(NIL)])
        for handles in reversed(inputs):
            lists = _standing(session, (ENode(CONS, pair) for pair in product(handles, lists)))
        children = [(handle,) for handle in lists]
    else:
        children = list(product(*inputs))
        if row.is_commutative:
            children += [each[::-1] for each in children]
    attributes = tuple(node.attributes.values())
    results = _standing(session, (ENode(node.operator, each, attributes) for each in children))
    if not row.is_multi:
        return [results]
    return [
        _standing(session, (ENode(OUT, (multi,), (index,)) for multi in results)) for index in range(len(node.outputs))
    ]


def derive(substitution: Substitution, rules: RuleBook, budget: Budget) -> Result:
    """Saturate the source of a substitution and look for its target."""
    try:
        judgement = judge(substitution)
    except NotExpressibleError as reason:
        return Result(number=substitution.number, verdict=Verdict.NOT_EXPRESSIBLE, note=str(reason))
    if judgement.sound is None:
        note = f"the sides differ at {judgement.unsound}"
        return Result(number=substitution.number, verdict=Verdict.UNSOUND, note=note)
    source, target = (load_graph(model) for model in models(substitution, judgement.sound))
    began = time.monotonic()
    session = Session(source, rules)
    arena = Arena(session=session, build_problem=_no_prices, clock=time.monotonic, rng=random.Random(0))
    step = SearchBudget(deadline=began + budget.seconds, max_enodes=budget.max_enodes, max_steps=1)
    num_rounds, reason, lacking = 0, StopReason.STEP_LIMIT, missing(session, target)
    while lacking and reason is StopReason.STEP_LIMIT and num_rounds < budget.max_rounds:
        reason = Saturate().run(arena, step).stop_reason
        num_rounds += 1
        lacking = missing(session, target)
    notes = [f"not found: {lacking}"] if lacking else []
    if judgement.unsound is not None:
        notes.append(f"the sides differ at {judgement.unsound}")
    if session.refused:
        notes.append(f"rules refused: {', '.join(session.refused)}")
    return Result(
        number=substitution.number,
        verdict=Verdict.NOT_DERIVED if lacking else Verdict.DERIVED,
        stop_reason=reason if lacking else "",
        num_rounds=num_rounds,
        num_enodes=session.size().num_enodes,
        seconds=time.monotonic() - began,
        sizes=str(judgement.sound),
        note="; ".join(notes),
    )


def _no_prices() -> PricedProblem:
    raise NotImplementedError("saturation asks for no prices")


def line(result: Result) -> str:
    """Return a result as one line."""
    parts = [f"{result.number:3}  {result.verdict:15}"]
    if result.verdict in {Verdict.DERIVED, Verdict.NOT_DERIVED}:
        parts.append(f"{result.num_rounds:3} rounds {result.num_enodes:5} e-nodes {result.seconds:6.2f} s")
    parts += [part for part in (result.stop_reason, result.note) if part]
    return "  ".join(parts)


def score(results: Sequence[Result]) -> str:
    """Return the sum of it all as one line."""
    num_derived = sum(result.verdict is Verdict.DERIVED for result in results)
    others = [
        f"{count} {verdict}"
        for verdict in Verdict
        if verdict is not Verdict.DERIVED and (count := sum(result.verdict is verdict for result in results))
    ]
    seconds = sum(result.seconds for result in results)
    return ", ".join([f"{num_derived} of {len(results)} derived", *others, f"{seconds:.0f} s"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Derive what the flags ask for; return 0 where everything sound was derived, 1 where not, 2 without the file."""
    parser = argparse.ArgumentParser(prog="python -m bench.derive", description=__doc__)
    parser.add_argument("--data", type=Path, default=PUBLISHED, help="the substitutions (graph_subst.json)")
    parser.add_argument("--rules", type=Path, action="append", default=[], help="more rules; may be repeated")
    parser.add_argument("--only", type=int, nargs="+", default=[], help="numbers of substitutions")
    parser.add_argument("--budget-s", type=float, default=Budget().seconds, help="seconds for each substitution")
    parser.add_argument("--max-enodes", type=int, default=Budget().max_enodes, help="e-nodes for each substitution")
    parser.add_argument("--max-rounds", type=int, default=Budget().max_rounds, help="rounds for each substitution")
    parser.add_argument("--json", type=Path, help="write the results here")
    given = parser.parse_args(arguments)
    try:
        text = given.data.read_text(encoding="utf-8")
    except FileNotFoundError:
        print(f"skipped: {given.data} does not exist; --data FILE names TASO's decoded substitutions", file=sys.stderr)
        return 2
    try:
        book = load_rules(given.rules)
    except RulesError as error_:
        print(error_, file=sys.stderr)
        return 2
    rules = book.select(available_operators=available_operators(OPSET, has_provider_operators=True))
    budget = Budget(seconds=given.budget_s, max_enodes=given.max_enodes, max_rounds=given.max_rounds)
    results = []
    for substitution in parse(text):
        if not given.only or substitution.number in given.only:
            results.append(derive(substitution, rules, budget))
            print(line(results[-1]), flush=True)
    print(score(results))
    if given.json:
        document = {"budget": asdict(budget), "opset": OPSET, "results": [asdict(result) for result in results]}
        given.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return int(any(result.verdict is Verdict.NOT_DERIVED for result in results))


if __name__ == "__main__":
    sys.exit(main())

"""Which substitutions of TASO the rules derive: ``python -m bench.derive [--enable NAMES] [--json FILE]``.

For each substitution the source is loaded as a model whose inputs are arbitrary tensors, nothing of it constant. The
rules that ship, those of tier ``wide`` among them (``--enable`` without a name leaves them out), are applied, round by
round, until nothing is left or the budget ends, and the target is looked up in the e-graph. It is derived where each of
its outputs is found in the e-class of that output of the source which it stands for. Both sides are also evaluated, at
several sizes: where they never agree, the substitution is unsound as published.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx

from bench.documents import write_results
from bench.lookup import missing
from bench.sides import OPSET, TOLERANCE, error, models
from bench.sizes import Sizes, draw_sizes
from bench.substitutions import NotExpressibleError, Substitution, parse
from eqsat.egraph.session import Session
from eqsat.errors import RulesError
from eqsat.rules.book import RuleBook, load_rules
from eqsat.search.interface import Arena, SearchBudget, StopReason
from eqsat.search.saturation import Saturate
from ir.availability import available_operators
from ir.reader import read

if TYPE_CHECKING:
    from eqsat.prices.problem import PricedProblem
    from ir.graph import Graph

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """How a saturation ended.

    Attributes:
        num_rounds: Rounds in which everything on offer was applied.
        lacking: What of the target is missing; empty where it was found.
        stop_reason: What ended a saturation without success; a limit of steps stands for one of rounds.
    """

    num_rounds: int
    lacking: str
    stop_reason: StopReason


def saturate(session: Session, target: Graph, budget: Budget) -> Saturation:
    """Apply everything on offer, round by round, until the target is found or the budget ends."""
    arena = Arena(session=session, build_problem=_no_prices, clock=time.monotonic, rng=random.Random(0))
    deadline = time.monotonic() + budget.seconds
    one_round = SearchBudget(deadline=deadline, max_enodes=budget.max_enodes, max_steps=1)
    num_rounds, reason, lacking = 0, StopReason.STEP_LIMIT, missing(session, target)
    while lacking and reason is StopReason.STEP_LIMIT and num_rounds < budget.max_rounds:
        reason = Saturate().run(arena, one_round).stop_reason
        num_rounds += 1
        lacking = missing(session, target)
    return Saturation(num_rounds=num_rounds, lacking=lacking, stop_reason=reason)


def derive(substitution: Substitution, rules: RuleBook, budget: Budget) -> Result:
    """Saturate the source of a substitution and look for its target."""
    try:
        judgement = judge(substitution)
    except NotExpressibleError as obstacle:
        return Result(number=substitution.number, verdict=Verdict.NOT_EXPRESSIBLE, note=str(obstacle))
    if judgement.sound is None:
        note = f"the sides differ at {judgement.unsound}"
        return Result(number=substitution.number, verdict=Verdict.UNSOUND, note=note)
    source, target = (load_graph(model) for model in models(substitution, judgement.sound))
    began = time.monotonic()
    session = Session(source, rules)
    ended = saturate(session, target, budget)
    notes = [f"not found: {ended.lacking}"] if ended.lacking else []
    if judgement.unsound is not None:
        notes.append(f"not at all sizes: the sides differ at {judgement.unsound}")
    if session.refused:
        notes.append(f"rules refused: {', '.join(session.refused)}")
    return Result(
        number=substitution.number,
        verdict=Verdict.NOT_DERIVED if ended.lacking else Verdict.DERIVED,
        stop_reason=ended.stop_reason if ended.lacking else "",
        num_rounds=ended.num_rounds,
        num_enodes=session.size().num_enodes,
        seconds=time.monotonic() - began,
        sizes=str(judgement.sound),
        note="; ".join(notes),
    )


def _no_prices(_: Session) -> PricedProblem:
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
    """Derive what the flags ask for; return 0 where everything sound was derived, 1 where not, 2 without the files."""
    parser = argparse.ArgumentParser(prog="python -m bench.derive", description=__doc__)
    parser.add_argument("--data", type=Path, default=PUBLISHED, help="the substitutions (graph_subst.json)")
    parser.add_argument("--rules", type=Path, action="append", default=[], help="more rules; may be repeated")
    parser.add_argument("--enable", nargs="*", default=["wide"], help="names of rules, groups or tiers to switch on")
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
    except RulesError as refusal:
        print(refusal, file=sys.stderr)
        return 2
    rules = book.select(
        enable=given.enable, available_operators=available_operators(OPSET, has_provider_operators=True)
    )
    budget = Budget(seconds=given.budget_s, max_enodes=given.max_enodes, max_rounds=given.max_rounds)
    results = []
    for substitution in parse(text):
        if not given.only or substitution.number in given.only:
            results.append(derive(substitution, rules, budget))
            print(line(results[-1]), flush=True)
    enabled = f"with {', '.join(given.enable)}" if given.enable else "with what is on by default"
    print(f"{score(results)}, {enabled}")
    if given.json:
        document = {
            "budget": asdict(budget),
            "opset": OPSET,
            "enabled": given.enable,
            "results": [asdict(result) for result in results],
        }
        write_results(given.json, document, "egglog")
    return int(any(result.verdict is Verdict.NOT_DERIVED for result in results))


if __name__ == "__main__":
    sys.exit(main())

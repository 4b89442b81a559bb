"""Instances put to the test: does the rule match, can its right side exist, and are both sides the same?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, final

from eqsat.authoring.soundness.agreement import Agreement, Outcome, owners
from eqsat.authoring.soundness.closure import companions, only, standing_free
from eqsat.egglog.schema import HANDLES
from eqsat.egraph.heads import IllTypedError, UndefinedError, evaluate_head
from eqsat.egraph.mirror import UntypedError
from eqsat.egraph.session import Session, UnsoundRulesError
from eqsat.rules.parts import Parts, together
from ir.availability import available_operators
from ir.data_types import numpy_dtype
from ir.inference import TypeInferenceError, UnknownTypeError
from ir.operators import OPERATORS
from ir.types import TensorType
from ir.writer import UnwritableError

if TYPE_CHECKING:
    import numpy as np

    from eqsat.authoring.soundness.evaluator import Evaluator
    from eqsat.egraph.view import Candidate
    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.gate import GatedRule
    from eqsat.rules.instances import Drawn

MAX_PLACES: Final = 4
"""Matches that are applied in one instance."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """What became of an instance.

    Attributes:
        drawn: The instance.
        is_matched: Whether the rule matched, at one place at least.
        problem: Why the right side cannot be; empty where it can.
        outcomes: What each evaluator found, by its name.
    """

    drawn: Drawn
    is_matched: bool = False
    problem: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def wrong(self) -> str:
        """What is wrong with the rule here; empty where nothing is, or where one evaluator sees nothing wrong."""
        if not self.is_matched or self.is_agreed:
            return ""
        for name, outcome in self.outcomes.items():
            if outcome.is_evaluated and outcome.disagreements:
                return f"{outcome.disagreements[0].reason} ({name})"
        return self.problem if self.is_evaluated else ""

    @property
    def is_agreed(self) -> bool:
        """Whether someone evaluated every form, there were several, and they were the same."""
        is_possible = self.is_matched and not self.problem
        return is_possible and any(outcome.is_agreed for outcome in self.outcomes.values())

    @property
    def is_evaluated(self) -> bool:
        """Whether someone could evaluate all that was loaded."""
        return any(outcome.is_evaluated for outcome in self.outcomes.values())


def instances_of(session: Session, candidate: Candidate, owned: Mapping[int, frozenset[int]]) -> frozenset[int]:
    """Return the instances that a match lies in: those that all of its values belong to; none where it joins several.

    Args:
        session: Holds the instances.
        candidate: The match.
        owned: Instances of each e-class.
    """
    gated = session.rule_of(candidate)
    among = [
        owned[value]
        for sort, value in zip(gated.sorts, candidate.bindings, strict=True)
        if sort in HANDLES and isinstance(value, int) and value in owned
    ]
    return frozenset.intersection(*among) if among else frozenset()


@final
class Judged:
    """A session that holds instances, the rule applied wherever it matches."""

    def __init__(self, rules: RuleBook, rule: Rule, instances: Sequence[Drawn], rng: np.random.Generator) -> None:
        """Load instances and apply the rule.

        Args:
            rules: What takes part, the rule among them as a candidate.
            rule: The rule.
            instances: Instances of one opset that ask for the same further rules.
            rng: Source of chance.

        Raises:
            UnsoundRulesError: A rule that needs no choice contradicts the types.
        """
        self.parts: Parts = together(instances, rng)
        self.trials = [Trial(drawn=part.drawn) for part in self.parts.parts]
        self.session = Session(self.parts.graph, rules)
        for other in instances[0].others:
            self._apply_all(other)
        self._apply(rule)
        for other in companions(rules, rule):
            self._apply_all(other)

    def evaluate(self, evaluator: Evaluator, rule: Rule) -> Agreement:
        """Evaluate every form with one evaluator."""
        agreement = Agreement(self.session, self.parts, evaluator, rule.floats)
        for trial, outcome in zip(self.trials, agreement.run(), strict=True):
            trial.outcomes[evaluator.name] = outcome
        return agreement

    def _apply_all(self, name: str) -> None:
        session = self.session
        session.apply([each for each in session.candidates() if session.rule_of(each).rule.name == name])

    def _apply(self, rule: Rule) -> None:
        session = self.session
        owned = owners(session, self.parts)
        places: defaultdict[int, int] = defaultdict(int)
        chosen: list[Candidate] = []
        for candidate in session.candidates():
            if session.rule_of(candidate).rule.name != rule.name:
                continue
            indices = instances_of(session, candidate, owned)
            if not indices or all(places[index] >= MAX_PLACES for index in indices):
                continue
            problem = self._problem(candidate)
            if problem is None:
                continue
            for index in indices:
                places[index] += 1
                self.trials[index].is_matched = True
                self.trials[index].problem = self.trials[index].problem or problem
            if not problem:
                chosen.append(candidate)
        session.apply(chosen)

    def _problem(self, candidate: Candidate) -> str | None:
        """Return why the right side cannot be, empty where it can; None where the match says nothing."""
        session = self.session
        gated = session.rule_of(candidate)
        bindings = dict(zip(gated.variables, candidate.bindings, strict=True))
        try:
            evaluate_head(gated.head, bindings, session.mirror.draft(gated.rule.name), session.program.signatures)
        except IllTypedError as error:
            return f"the right side has another type: {error}"
        except TypeInferenceError as error:
            if isinstance(error, UnknownTypeError) or isinstance(error.__cause__, UnwritableError):
                return None  # the opset has no words for it or says nothing of it, so that the rule gives nothing
            return f"the right side cannot exist: {error} (with {self._values(gated, candidate)})"
        except (UndefinedError, UntypedError):
            return None
        return ""

    def _values(self, gated: GatedRule, candidate: Candidate) -> str:
        """The variables of a match that are tensors, with their types."""
        mirror = self.session.mirror
        found = []
        for name, sort, value in zip(gated.variables, gated.sorts, candidate.bindings, strict=True):
            if sort != "Tensor" or not isinstance(value, int) or name.endswith("_"):
                continue
            type_ = mirror.types[mirror.canonical[value]]
            if isinstance(type_, TensorType):
                found.append(f"{name} {numpy_dtype(type_.dtype)}{list(type_.shape)}")
        return ", ".join(found)


@final
class Trials:
    """Tries instances of one rule."""

    def __init__(self, book: RuleBook, rule: Rule) -> None:
        """Try ``rule``, with the facts of ``book``."""
        self._book = book
        self.rule = rule
        self._companions = companions(book, rule)
        self._rules: dict[tuple[str, ...], RuleBook] = {}

    def run(self, instances: Sequence[Drawn], evaluators: Sequence[Evaluator], rng: np.random.Generator) -> list[Trial]:
        """Return what becomes of instances; those that no graph can hold are left out.

        Args:
            instances: Any instances.
            evaluators: Who evaluates: the first judges, those after it what it could not.
            rng: Source of chance.
        """
        groups: defaultdict[tuple[int, tuple[str, ...]], list[Drawn]] = defaultdict(list)
        for drawn in instances:
            groups[drawn.opset, drawn.others].append(drawn)
        trials: list[Trial] = []
        for (opset, others), group in groups.items():
            rules = self.taking_part(others, opset)
            if rules is not None:
                trials += _try_group(rules, self.rule, group, evaluators, rng)
        return trials

    def taking_part(self, others: tuple[str, ...], opset: int) -> RuleBook | None:
        """Return the rules for instances of an opset; None where the rule takes no part in models of that opset."""
        available = available_operators(opset, has_provider_operators=True)
        if (self.rule.operators_made & OPERATORS.keys()) - available:
            return None
        if others not in self._rules:
            needed = only(self._book, {self.rule.name, *others, *self._companions})
            rules = tuple(standing_free(each) if each.name == self.rule.name else each for each in needed.rules)
            self._rules[others] = replace(needed, rules=rules)
        return self._rules[others]


def _try_group(
    rules: RuleBook, rule: Rule, group: Sequence[Drawn], evaluators: Sequence[Evaluator], rng: np.random.Generator
) -> list[Trial]:
    try:
        judged = Judged(rules, rule, group, rng)
    except UnsoundRulesError as error:
        if len(group) == 1:
            return [Trial(drawn=group[0], is_matched=True, problem=str(error))]
        middle = len(group) // 2
        halves = (group[:middle], group[middle:])
        return [trial for half in halves for trial in _try_group(rules, rule, half, evaluators, rng)]
    for evaluator in evaluators:
        judged.evaluate(evaluator, rule)
        if all(trial.is_agreed or not trial.is_matched for trial in judged.trials):
            break
    return judged.trials

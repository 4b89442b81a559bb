"""What a rule of facts says of a value itself, put to the test: is what it calls finite so, and a number that number?

Relations that rules files declare mean what the rules that ask for them take them to mean; ``finite`` and ``scalar``
have a meaning of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, final

import numpy as np

from eqsat.authoring.soundness.agreement import Agreement, owners
from eqsat.authoring.soundness.counterexample import one_sided
from eqsat.authoring.soundness.sources import Source
from eqsat.authoring.soundness.trial import Trials, instances_of
from eqsat.authoring.soundness.values import Style
from eqsat.authoring.soundness.verdict import Counterexample, Level, Verdict
from eqsat.egglog.commands import Call, Expr, Expr_, Lit, Set, Var
from eqsat.egglog.primitives import NoValueError, compute
from eqsat.egraph.session import Session
from eqsat.rules import FloatClass, RuleKind
from eqsat.rules.parts import together

if TYPE_CHECKING:
    from eqsat.authoring.soundness.evaluator import Evaluator
    from eqsat.egglog.primitives import Attribute
    from eqsat.egraph.view import Candidate
    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Drawn

FINITE: Final = "finite"
SCALAR: Final = "scalar"

STYLES: Final[Mapping[Style, float]] = {
    Style.NORMAL: 0.2,
    Style.WHOLE: 0.15,
    Style.POSITIVE: 0.1,
    Style.LARGE: 0.15,
    Style.SPECIAL: 0.2,
    Style.EXTREME: 0.2,
}
"""How often instances of each style are drawn."""

_BATCH: Final = 40
_MAX_EMPTY_BATCHES: Final = 6
_TOLERANCE: Final = 1e-6
"""How far a number may be from what a rule says it is, relative to it: numbers of rules are float32."""

_Bindings: TypeAlias = "Mapping[str, Attribute]"


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that a rule says of a value.

    Attributes:
        relation: ``finite`` or ``scalar``.
        term: The value.
        number: Which number it is said to be; None where it is only called finite.
    """

    relation: str
    term: Expr
    number: Expr | None = None


def claims(rule: Rule) -> tuple[Claim, ...]:
    """Return what a rule says of values themselves."""
    found: list[Claim] = []
    for action in rule.head:
        match action:
            case Expr_(expr=Call(name=name, args=[term])) if name == FINITE:
                found.append(Claim(name, term))
            case Set(lhs=name, args=[term], rhs=number) if name == SCALAR:
                found.append(Claim(name, term, number))
            case _:
                pass
    return tuple(found)


def is_judged_alone(rule: Rule) -> bool:
    """Return whether a rule can be judged without the rules that ask for what it says."""
    return rule.kind is not RuleKind.FACTS or bool(claims(rule))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """An instance at which a rule says what is not so."""

    drawn: Drawn
    reason: str
    handle: int
    evaluator: Evaluator

    @property
    def extent(self) -> tuple[int, int]:
        """How much there is to look at."""
        leaves = self.drawn.leaves.values()
        return (len(self.drawn.lets), sum(leaf.array.size + leaf.array.ndim for leaf in leaves))


@final
class _Held:
    """A session that holds instances, with their values."""

    def __init__(
        self, rules: RuleBook, group: Sequence[Drawn], evaluators: Sequence[Evaluator], rng: np.random.Generator
    ) -> None:
        self.parts = together(group, rng)
        self.session = Session(self.parts.graph, rules)
        self.owned = owners(self.session, self.parts)
        self.agreements: list[tuple[Evaluator, Agreement]] = []
        for evaluator in evaluators:
            agreement = Agreement(self.session, self.parts, evaluator, FloatClass.EXACT)
            agreement.run()
            self.agreements.append((evaluator, agreement))


@final
class ClaimJudge:
    """Judges what one rule says of values."""

    def __init__(self, book: RuleBook, rule: Rule, evaluators: Sequence[Evaluator], rng: np.random.Generator) -> None:
        """Prepare to judge.

        Args:
            book: All rules.
            rule: The rule.
            evaluators: Who evaluates: where the first has no value, the next is asked.
            rng: Source of chance.
        """
        self._rule = rule
        self._claims = claims(rule)
        self._trials = Trials(book, rule)
        self._source = Source(book, rule, shares=STYLES)
        self._evaluators = evaluators
        self._rng = rng
        self._num_right = 0

    def run(self, num_instances: int, is_over: Callable[[], bool]) -> Verdict:
        """Return the verdict.

        Args:
            num_instances: Instances at which what the rule says must be so.
            is_over: Tells when there is no more time.
        """
        if any(not isinstance(claim.term, Var) for claim in self._claims):
            return self._refused("it speaks of a value that its left side does not name", None)
        num_empty = 0
        while self._num_right < num_instances and not is_over() and num_empty < _MAX_EMPTY_BATCHES:
            before = self._num_right
            failures = self._batch(is_small=False, is_over=is_over)
            if failures:
                failures += self._batch(is_small=True, is_over=is_over)
                smallest = min(failures, key=lambda failure: failure.extent)
                return self._refused(smallest.reason, self._example(smallest))
            num_empty = num_empty + 1 if self._num_right == before else 0
        if self._num_right < num_instances:
            reason = f"only {self._num_right} instances were found and evaluated, not {num_instances}"
            return Verdict(
                rule=self._rule.name,
                level=None,
                is_sound=False,
                num_instances=self._num_right,
                reason=f"unknown: {reason}",
                unknown=reason,
            )
        return Verdict(
            rule=self._rule.name,
            level=Level.TESTED,
            is_sound=True,
            num_instances=self._num_right,
            unknown="facts are tested, not proved",
        )

    def _refused(self, reason: str, example: Counterexample | None) -> Verdict:
        return Verdict(
            rule=self._rule.name,
            level=None,
            is_sound=False,
            num_instances=self._num_right,
            reason=reason,
            counterexample=example,
        )

    def _batch(self, *, is_small: bool, is_over: Callable[[], bool]) -> list[_Failure]:
        groups: defaultdict[int, list[Drawn]] = defaultdict(list)
        for sample in self._source.draw(self._rng, _BATCH, is_small=is_small, is_over=is_over):
            groups[sample.drawn.opset].append(sample.drawn)
        return [failure for opset, group in groups.items() for failure in self._group(opset, group)]

    def _group(self, opset: int, group: Sequence[Drawn]) -> list[_Failure]:
        rules = self._trials.taking_part((), opset)
        if rules is None:
            return []
        held = _Held(rules, group, self._evaluators, self._rng)
        found: list[_Failure] = []
        right: set[int] = set()
        for candidate in held.session.candidates():
            indices = instances_of(held.session, candidate, held.owned)
            if held.session.rule_of(candidate).rule.name != self._rule.name or not indices:
                continue
            failure = self._wrong(held, candidate, held.parts.parts[min(indices)].drawn)
            if isinstance(failure, _Failure):
                found.append(failure)
            elif failure:
                right.add(min(indices))
        self._num_right += len(right)
        return found

    def _wrong(self, held: _Held, candidate: Candidate, drawn: Drawn) -> _Failure | bool:
        """What is not as the rule says; True where all is, False where no evaluator can tell."""
        bindings = dict(zip(held.session.rule_of(candidate).variables, candidate.bindings, strict=True))
        for evaluator, agreement in held.agreements:
            is_known = True
            for claim in self._claims:
                handle = bindings.get(claim.term.name) if isinstance(claim.term, Var) else None
                value = agreement.values.get(held.session.mirror.canonical[handle]) if isinstance(handle, int) else None
                if not isinstance(value, np.ndarray) or not isinstance(handle, int):
                    is_known = False
                    continue
                is_constant = held.session.mirror.canonical[handle] in held.session.constants()
                reason = _wrong(claim, value, bindings, is_constant=is_constant)
                if reason:
                    said = f"`{claim.term}` is no {_WORDS[claim.relation]}: {reason}"
                    return _Failure(drawn=drawn, reason=said, handle=handle, evaluator=evaluator)
            if is_known:
                return True
        return False

    def _example(self, failure: _Failure) -> Counterexample | None:
        """The failing instance alone: the values of a session have other numbers there."""
        rules = self._trials.taking_part((), failure.drawn.opset)
        if rules is None:
            return None
        held = _Held(rules, [failure.drawn], [failure.evaluator], self._rng)
        for candidate in held.session.candidates():
            if held.session.rule_of(candidate).rule.name != self._rule.name:
                continue
            again = self._wrong(held, candidate, failure.drawn)
            if isinstance(again, _Failure):
                return one_sided(
                    held.session,
                    held.parts,
                    held.agreements[0][1],
                    again.handle,
                    rule=self._rule.name,
                    reason=failure.reason,
                    evaluator=failure.evaluator,
                )
        return None


_WORDS: Final = {FINITE: "finite value", SCALAR: "number as it says"}


def _wrong(claim: Claim, value: np.ndarray, bindings: _Bindings, *, is_constant: bool) -> str:
    """Why a value is not what is said of it; empty where it is."""
    if claim.number is None:
        return _not_finite(value)
    try:
        number = _number(claim.number, bindings)
    except NoValueError:
        return ""
    return _not_number(value, number, is_constant=is_constant)


def _not_finite(value: np.ndarray) -> str:
    if value.dtype.kind != "f" or bool(np.isfinite(value).all()):
        return ""
    return f"it has {value[~np.isfinite(value)].reshape(-1)[0]}"


def _not_number(value: np.ndarray, number: float, *, is_constant: bool) -> str:
    if not is_constant:
        return "it is not constant"
    if value.size != 1:
        return f"it has {value.size} elements"
    with np.errstate(all="ignore"):
        found, said = float(value.reshape(-1)[0]), float(np.asarray(number, value.dtype))
    if found == said or (np.isnan(found) and np.isnan(said)):
        return ""
    return "" if abs(found - said) <= _TOLERANCE * max(abs(said), 1.0) else f"it is {found:g}, not {said:g}"


def _number(term: Expr, bindings: _Bindings) -> float:
    value = _value(term, bindings)
    if isinstance(value, bool | str | tuple):
        raise NoValueError("no number")
    return float(value)


def _value(term: Expr, bindings: _Bindings) -> Attribute:
    match term:
        case Var(name=name):
            if name not in bindings:
                raise NoValueError(name)
            return bindings[name]
        case Lit():
            literal: Attribute = term.value.value  # type: ignore[union-attr]  # a unit stands in no rule
            return literal
        case Call(name=name, args=arguments):
            return compute(name, [_value(argument, bindings) for argument in arguments])

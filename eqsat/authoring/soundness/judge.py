"""The verdict on a rule: instances until there are enough, a counterexample, or no more time."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.authoring.soundness.claims import ClaimJudge, claims
from eqsat.authoring.soundness.closure import asserted, companions, only
from eqsat.authoring.soundness.counterexample import counterexample
from eqsat.authoring.soundness.coverage import never_given
from eqsat.authoring.soundness.evaluators import ReferenceNumbers, RuntimeNumbers
from eqsat.authoring.soundness.pattern import Patterns, schema_signatures
from eqsat.authoring.soundness.proof import Proved, prove
from eqsat.authoring.soundness.second_opinion import is_confirmed
from eqsat.authoring.soundness.sources import Sample, Source
from eqsat.authoring.soundness.trial import Trial, Trials
from eqsat.authoring.soundness.verdict import Level, Verdict
from eqsat.egglog.commands import Union
from eqsat.rules import FloatClass, RuleKind
from eqsat.rules.atoms import check_grounded
from eqsat.rules.instances import InstanceError, Precision, draw
from eqsat.rules.sorts import infer_sorts
from eqsat.rules.terms import body_terms, calls
from eqsat.runtime import Runtime

if TYPE_CHECKING:
    from eqsat.authoring.soundness.evaluator import Evaluator
    from eqsat.authoring.soundness.verdict import Counterexample
    from eqsat.rules import Rule, RuleBook
    from eqsat.rules.instances import Drawn

NUM_INSTANCES: Final = 200
"""Instances at which a rule must be right to count as tested."""

NODE_TIMEOUT_S: Final = 10.0
"""Seconds after which ONNX Runtime is taken not to come to an end with a few small nodes."""

_FIRST_BATCH: Final = 16
_LATER_BATCH: Final = 40
_NUM_NEAR_MISS_DRAWS: Final = 3
_NUM_SMALLER: Final = 30
_MAX_EMPTY_BATCHES: Final = 6
_MAX_USERS: Final = 5
"""Rules among which the instances for a rule of facts are shared out."""

_SHARE_OF_USER: Final = 0.25
"""How much of the time that is left one of these rules may take."""


def judge(
    book: RuleBook,
    name: str,
    *,
    num_instances: int = NUM_INSTANCES,
    seed: int = 0,
    time_limit_s: float = 60.0,
    runtime: Runtime | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Return whether a rule is sound.

    A rule of facts that says of a value that it is finite, or which number it is, is judged by that; another one by the
    rules that ask for what it says: it is sound where they are with it.

    Args:
        book: All rules; facts that the rule's left side asks for come from here.
        name: The rule's name.
        num_instances: Instances at which both sides must agree.
        seed: Seed of everything random.
        time_limit_s: Seconds after which what is unknown stays so.
        runtime: Where ONNX Runtime runs; one of its own where it is left out.
        clock: Seconds on a clock that only goes forward.

    Raises:
        KeyError: There is no such rule.
        RulesError: A rule does not fit the schema.
    """
    rule = book.rule(name)
    _check_sorts(book, rule)
    limits = _Limits(num_instances=num_instances, deadline=clock() + time_limit_s, clock=clock)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if runtime is not None:
        return _verdict(book, rule, runtime, limits, rng)
    with Runtime(timeout_s=NODE_TIMEOUT_S) as own:
        return _verdict(book, rule, own, limits, rng)


def _check_sorts(book: RuleBook, rule: Rule) -> None:
    """Refuse what no e-graph would take, before anything is made of it."""
    needed = only(book, {rule.name, *companions(book, rule)})
    signatures = schema_signatures().extended(declaration.command for declaration in needed.declarations)
    for each in needed.rules:
        infer_sorts(each.body, each.head, signatures, each.location)
        check_grounded(each.body, signatures, each.location)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """When there has been enough of it."""

    num_instances: int
    deadline: float
    clock: Callable[[], float]

    def is_over(self) -> bool:
        return self.clock() > self.deadline


def _verdict(book: RuleBook, rule: Rule, runtime: Runtime, limits: _Limits, rng: np.random.Generator) -> Verdict:
    if rule.kind is not RuleKind.FACTS or any(isinstance(action, Union) for action in rule.head):
        return _Judge(book, rule, runtime, limits, rng).run()
    if claims(rule):
        evaluators = (ReferenceNumbers(), RuntimeNumbers(runtime))
        return ClaimJudge(book, rule, evaluators, rng).run(limits.num_instances, limits.is_over)
    return _verdict_of_users(book, rule, runtime, limits, rng)


def _verdict_of_users(
    book: RuleBook, rule: Rule, runtime: Runtime, limits: _Limits, rng: np.random.Generator
) -> Verdict:
    """The verdict on a rule of facts: what the rules that ask for these facts make of them."""
    others = [each for each in book.rules if each.kind is not RuleKind.FACTS]
    users = [each for each in others if Patterns(book, each).depends_on(rule.name)]
    # Those that ask for the fact itself, with little beside it, show soonest what it is worth.
    given = asserted(rule)
    users.sort(key=lambda each: (given.isdisjoint(calls(body_terms(each.body))), len(list(body_terms(each.body)))))
    num_instances_each = max(limits.num_instances // max(min(len(users), _MAX_USERS), 1), 1)
    num_instances = 0
    unknown = "no rule asks for what it says" if not users else ""
    for user in users:
        if num_instances >= limits.num_instances or limits.is_over():
            break
        deadline = min(limits.deadline, limits.clock() + _SHARE_OF_USER * (limits.deadline - limits.clock()))
        share = replace(limits, num_instances=num_instances_each, deadline=deadline)
        panel = _Judge(book, user, runtime, share, rng, forced=rule.name)
        found = panel.run()
        num_instances += found.num_instances
        if found.counterexample is not None and not panel.is_wrong_without(rule.name):
            reason = f"with it, `{user.name}` is wrong: {found.reason}"
            return replace(found, rule=rule.name, num_instances=num_instances, reason=reason)
    if not unknown and num_instances < limits.num_instances:
        unknown = f"only {num_instances} instances were found and evaluated, not {limits.num_instances}"
    return Verdict(
        rule=rule.name,
        level=None if unknown else Level.TESTED,
        is_sound=not unknown,
        num_instances=num_instances,
        reason=f"unknown: {unknown}" if unknown else "",
        unknown=unknown,
    )


@final
class _Judge:
    def __init__(
        self,
        book: RuleBook,
        rule: Rule,
        runtime: Runtime,
        limits: _Limits,
        rng: np.random.Generator,
        forced: str = "",
    ) -> None:
        self._book = book
        self._rule = rule
        self._limits = limits
        self._rng = rng
        self._is_forced = bool(forced)
        self._reference = ReferenceNumbers()
        self._runtime = RuntimeNumbers(runtime)
        self._trials = Trials(book, rule)
        self._source = Source(book, rule, forced)
        self._agreed: list[Drawn] = []
        self._num_matched = 0
        self._unknowns: dict[str, int] = {}
        self._matched_lines: set[int] = set()
        self._failing: Drawn | None = None

    def run(self) -> Verdict:
        """Return the verdict."""
        try:
            return (None if self._is_forced else self._near_misses()) or self._instances()
        except InstanceError as error:
            return self._refused(f"an INSTANCE line cannot be read: {error}", None)

    def is_wrong_without(self, name: str) -> bool:
        """Return whether the failing instance fails without a rule of facts just as well."""
        if self._failing is None:
            return False
        book = replace(self._book, rules=tuple(rule for rule in self._book.rules if rule.name != name))
        evaluators = self._evaluators(self._failing)
        trials = Trials(book, self._rule).run([self._failing], evaluators, self._rng)
        return any(trial.wrong for trial in trials)

    # --- what must not match ----------------------------------------------------------------------------------

    def _near_misses(self) -> Verdict | None:
        for line in self._rule.near_misses:
            for _ in range(_NUM_NEAR_MISS_DRAWS):
                drawn = draw(line, self._rng, Precision.SINGLE)
                for trial in self._trials.run([drawn], self._evaluators(drawn), self._rng):
                    if trial.is_matched:
                        reason = f"matches at its own NEAR-MISS: {line}"
                        return self._refused(reason, self._example(drawn, trial, reason))
        return None

    # --- what must be right -----------------------------------------------------------------------------------

    def _instances(self) -> Verdict:
        size = _FIRST_BATCH
        num_empty = 0
        while (
            len(self._agreed) < self._limits.num_instances
            and not self._limits.is_over()
            and num_empty < _MAX_EMPTY_BATCHES
        ):
            samples = self._source.draw(self._rng, size, is_over=self._limits.is_over)
            num_before = len(self._agreed)
            wrong = self._batch(samples)
            if wrong is not None:
                return self._wrong(wrong)
            num_empty = num_empty + 1 if len(self._agreed) == num_before else 0
            size = _LATER_BATCH
        return self._settled()

    def _batch(self, samples: Sequence[Sample]) -> Trial | None:
        """Judge a batch; return what is wrong, if something is."""
        by_drawn = {id(sample.drawn): sample for sample in samples}
        wrong: list[Trial] = []
        for group in _by_evaluators([sample.drawn for sample in samples]):
            evaluators = self._evaluators(group[0])
            for trial in self._trials.run(group, evaluators, self._rng):
                sample = by_drawn[id(trial.drawn)]
                self._source.learn(sample, is_judged=trial.is_agreed)
                self._take(trial, sample)
                if trial.wrong:
                    wrong.append(trial)
        wrong.sort(key=_extent)
        for trial in wrong:
            if is_confirmed(self._trials, trial, (self._runtime, self._reference), self._rng):
                return trial
        return None

    def _take(self, trial: Trial, sample: Sample) -> None:
        self._num_matched += trial.is_matched
        if trial.is_matched:
            self._matched_lines.add(sample.line)
        if trial.is_agreed:
            self._agreed.append(trial.drawn)
        elif trial.is_matched:
            for outcome in trial.outcomes.values():
                if outcome.unknown:
                    self._unknowns[outcome.unknown] = self._unknowns.get(outcome.unknown, 0) + 1

    def _evaluators(self, drawn: Drawn) -> tuple[Evaluator, ...]:
        """The evaluator that sees more comes first; where values are strange only ONNX's own word counts."""
        if drawn.has_extremes and self._rule.floats is FloatClass.ROUNDS:
            return (self._runtime,)  # where NaN and infinities come from is the kernels' business, not the definition's
        if prefers_runtime(drawn):
            return (self._runtime, self._reference)
        return (self._reference, self._runtime)

    # --- the verdict ------------------------------------------------------------------------------------------

    def _settled(self) -> Verdict:
        count = len(self._agreed)
        missed = [line for index, line in enumerate(self._rule.instances) if index not in self._matched_lines]
        if missed and count and not self._is_forced:
            return self._refused(f"does not match at its own INSTANCE: {missed[0]}", None)
        unknown = self._shortfall()
        if unknown:
            return self._unknown(unknown)
        proof = Proved(is_proved=False) if self._is_forced else prove(self._trials, self._agreed, self._rng)
        level = Level.PROVED if proof.is_proved else Level.TESTED
        return Verdict(rule=self._rule.name, level=level, is_sound=True, num_instances=count, unknown=proof.unknown)

    def _shortfall(self) -> str:
        """Return what the instances leave open, one line; empty where they are enough."""
        count = len(self._agreed)
        if not self._num_matched:
            return "no instance found that matches"
        if not count:
            return f"no instance could be evaluated: {self._most_unknown()}"
        if all(_is_degenerate(drawn) for drawn in self._agreed):
            return "it matches only where all sizes are one"
        if count < self._limits.num_instances:
            return f"only {count} instances were found and evaluated, not {self._limits.num_instances}"
        missing = never_given(self._rule, self._agreed)
        return f"{missing} is missing in every instance that could be evaluated" if missing else ""

    def _most_unknown(self) -> str:
        return max(self._unknowns, key=self._unknowns.__getitem__, default="the left side has no values")

    def _unknown(self, reason: str) -> Verdict:
        return Verdict(
            rule=self._rule.name,
            level=None,
            is_sound=False,
            num_instances=len(self._agreed),
            reason=f"unknown: {reason}",
            unknown=reason,
        )

    def _refused(self, reason: str, example: Counterexample | None) -> Verdict:
        return Verdict(
            rule=self._rule.name,
            level=None,
            is_sound=False,
            num_instances=len(self._agreed),
            reason=reason,
            counterexample=example,
        )

    def _wrong(self, trial: Trial) -> Verdict:
        smallest = self._smaller(trial)
        self._failing = smallest.drawn
        return self._refused(smallest.wrong, self._example(smallest.drawn, smallest, smallest.wrong))

    def _smaller(self, trial: Trial) -> Trial:
        """Return the smallest failing instance among some more, drawn small."""
        samples = [sample.drawn for sample in self._source.draw(self._rng, _NUM_SMALLER, is_small=True)]
        found = [trial]
        for group in _by_evaluators(samples):
            trials = self._trials.run(group, self._evaluators(group[0]), self._rng)
            found += [each for each in trials if each.wrong and bool(each.problem) == bool(trial.problem)]
        for each in sorted(found, key=_extent):
            if each is trial or is_confirmed(self._trials, each, (self._runtime, self._reference), self._rng):
                return each
        return trial

    def _example(self, drawn: Drawn, trial: Trial, reason: str) -> Counterexample | None:
        rules = self._trials.taking_part(drawn.others, drawn.opset)
        if rules is None:
            return None
        evaluators = self._evaluators(drawn)
        named = [each for each in evaluators if each.name in trial.outcomes]
        seeing = [each for each in named if trial.outcomes[each.name].disagreements]
        evaluable = [each for each in named if trial.outcomes[each.name].is_evaluated]
        evaluator = next(iter([*seeing, *evaluable, *evaluators]))
        return counterexample(rules, self._rule, drawn, evaluator, reason, self._rng)


def prefers_runtime(drawn: Drawn) -> bool:
    """Return whether ONNX Runtime judges an instance first: single precision, and nothing infinite or NaN."""
    dtypes = {leaf.array.dtype.name for leaf in drawn.leaves.values() if leaf.array.dtype.kind == "f"}
    is_finite = all(bool(np.isfinite(leaf.array).all()) for leaf in drawn.leaves.values())
    return is_finite and bool(dtypes) and "float64" not in dtypes


def _by_evaluators(instances: Sequence[Drawn]) -> list[list[Drawn]]:
    groups: dict[tuple[bool, bool], list[Drawn]] = {}
    for drawn in instances:
        groups.setdefault((prefers_runtime(drawn), drawn.has_extremes), []).append(drawn)
    return list(groups.values())


def _extent(trial: Trial) -> tuple[int, int]:
    """How much there is to look at: nodes, then elements."""
    leaves = trial.drawn.leaves.values()
    return (len(trial.drawn.lets) + len(leaves), sum(leaf.array.size + leaf.array.ndim for leaf in leaves))


def _is_degenerate(drawn: Drawn) -> bool:
    return all(size <= 1 for leaf in drawn.leaves.values() for size in leaf.array.shape)

"""Entries put to the judge: the strictest float class that stands, and no near miss that is a match after all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, final

from eqsat.authoring.inference.entries import Entry, without
from eqsat.authoring.soundness.judge import NUM_INSTANCES, judge
from eqsat.authoring.soundness.verdict import Level, Verdict
from eqsat.rules import FloatClass, RuleBook, RuleKind, read_rules

if TYPE_CHECKING:
    from eqsat.rules import Rule
    from eqsat.runtime import Runtime

NUM_FIRST: Final = 60
"""Instances at which an entry is tested first; a proof needs no more."""

_FLOATS: Final = tuple(each for each in FloatClass if each is not FloatClass.APPROXIMATES)
"""Float classes, the strictest first."""

_MAX_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """An entry that the judge believes.

    Attributes:
        entry: The entry, its float class and near misses as they stand.
        rule: The rule that it is.
        level: How well it is known to be sound.
        num_instances: Instances at which both sides were equal.
    """

    entry: Entry
    rule: Rule
    level: Level
    num_instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An entry that it does not believe.

    Attributes:
        reason: Why, in one line.
    """

    reason: str


@final
class Verifier:
    """Judges entries one by one."""

    def __init__(
        self,
        book: RuleBook,
        runtime: Runtime,
        *,
        seed: int,
        time_limit_s: float,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            book: Facts that conditions ask for come from here.
            runtime: Where ONNX Runtime runs.
            seed: Seed of the judge.
            time_limit_s: Seconds for each verdict.
            deadline: Point on the clock after which there is no verdict any more.
            clock: Seconds on a clock that only goes forward.
        """
        self._facts = replace(book, rules=book.of_kind(RuleKind.FACTS))
        self._runtime = runtime
        self._seed = seed
        self._time_limit_s = time_limit_s
        self._deadline = deadline
        self._clock = clock

    def verified(self, entry: Entry) -> Verified | Refused:
        """Return an entry as it can be believed, or why it cannot.

        After a refusal what may be left of it is judged again: without the near miss that is a match after all, or in
        a weaker float class.
        """
        reason = ""
        for _ in range(_MAX_TRIES):
            (rule,) = read_rules([(entry.text, "inferred")]).rules
            verdict = self._judge(rule, NUM_FIRST)
            if verdict.is_sound and verdict.level is not Level.PROVED:
                verdict = self._judge(rule, NUM_INSTANCES)
            if verdict.is_sound and verdict.level is not None:
                return Verified(entry=entry, rule=rule, level=verdict.level, num_instances=verdict.num_instances)
            reason = " ".join(verdict.reason.split())
            weaker = _weaker(entry, verdict)
            if weaker is None:
                break
            entry = weaker
        return Refused(reason=reason)

    def _judge(self, rule: Rule, num_instances: int) -> Verdict:
        book = replace(self._facts, rules=(*self._facts.rules, rule))
        return judge(
            book,
            rule.name,
            num_instances=num_instances,
            seed=self._seed,
            time_limit_s=min(self._time_limit_s, self._deadline - self._clock()),
            runtime=self._runtime,
            clock=self._clock,
        )


def _weaker(entry: Entry, verdict: Verdict) -> Entry | None:
    """Return what may be left of an entry after a refusal; None where nothing is."""
    matched = [line for line in entry.near_misses if verdict.reason.endswith(line)]
    if matched:
        return without(entry, matched[0])
    weaker = _FLOATS[_FLOATS.index(FloatClass(entry.floats)) + 1 :]
    return replace(entry, floats=str(weaker[0])) if weaker and not verdict.unknown else None

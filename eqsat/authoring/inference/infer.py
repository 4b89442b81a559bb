"""New rules, proposed: found by enumeration, believed by the judge, not derivable from what is there."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, final

from eqsat.authoring.inference.derivation import derived
from eqsat.authoring.inference.discovery import Discovery
from eqsat.authoring.inference.entries import Entry, Writer
from eqsat.authoring.inference.gain import Gain, Prices, measure
from eqsat.authoring.inference.instances import Instances
from eqsat.authoring.inference.operators import ROWS
from eqsat.authoring.inference.terms import size
from eqsat.authoring.inference.verification import Verified, Verifier
from eqsat.errors import UsageError
from eqsat.rules import RuleKind
from eqsat.runtime import Runtime

if TYPE_CHECKING:
    from eqsat.authoring.soundness.verdict import Level
    from eqsat.rules import Rule, RuleBook

VERDICT_S: Final = 40.0
"""Seconds for the verdict on one entry."""

DISCOVERY_SHARE: Final = 0.4
"""Share of the time after which no more laws are looked for."""

_JUDGING_SHARE: Final = 0.95
_JUDGING_SHARE_MEASURED: Final = 0.85
"""Shares of the time after which no more entries are looked at: the rest is for measurements."""

_CHUNK: Final = 12
"""Entries that are looked up in one go, before those among them that are new are judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What rules are looked for.

    Attributes:
        operators: Names of operators, among :data:`~eqsat.authoring.inference.operators.ROWS`.
        max_operators: Operators of a side.
        time_limit_s: Seconds after which the rules found so far are all there are.
        seed: Seed of everything random; within the time limit equal seeds give equal rules.
        keeps_derivable: True keeps what the book derives, but for what follows from the rules kept before it.
    """

    operators: tuple[str, ...]
    max_operators: int = 3
    time_limit_s: float = 300.0
    seed: int = 0
    keeps_derivable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A rule that could be added.

    Attributes:
        name: Its name.
        text: The entry, ready to be put into a rules file.
        left: Left side as egglog.
        right: Right side as egglog.
        requires: Conditions in words; empty where there are none.
        examples: Both sides where the rule matches, as instances with two roots.
        num_left: Operators of the left side.
        num_right: Operators of the right side.
        is_derivable: Whether the rules that there were derive it.
        level: How well it is known to be sound.
        num_instances: Instances at which both sides were equal.
        gain: Measured prices of both sides; None where none were asked for.
        rule: The rule itself.
    """

    name: str
    text: str
    left: str
    right: str
    requires: str
    examples: tuple[str, ...]
    num_left: int
    num_right: int
    is_derivable: bool
    level: Level
    num_instances: int
    gain: Gain | None
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What was found.

    Attributes:
        proposals: The rules, those of the smallest terms first, or by their gain where it was measured.
        cuts: What was left out, in words.
    """

    proposals: tuple[Proposal, ...]
    cuts: tuple[str, ...]


def infer(
    question: Question,
    *,
    book: RuleBook,
    pricer: Prices | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Inference:
    """Return rules over some operators that the rules at hand do not derive.

    Args:
        question: The operators and the limits.
        book: What is there. Its facts are what conditions may ask for; rules of tiers count too.
        pricer: Measures both sides, and ranks by that; None for no measurement.
        on_progress: Is told what is being done.
        clock: Seconds on a clock that only goes forward.

    Raises:
        UsageError: An operator is not known.
    """
    unknown = [name for name in question.operators if name not in ROWS]
    if unknown:
        raise UsageError(f"no terms can be made of {', '.join(unknown)}; there are: {', '.join(sorted(ROWS))}")
    return _Search(question, book, on_progress, clock).run(pricer)


@final
class _Search:
    def __init__(
        self, question: Question, book: RuleBook, on_progress: Callable[[str], None], clock: Callable[[], float]
    ) -> None:
        self._question = question
        self._book = book
        self._on_progress = on_progress
        self._clock = clock
        self._began = clock()
        self._cuts: list[str] = []
        self._proposals: list[Proposal] = []

    def run(self, pricer: Prices | None) -> Inference:
        entries = self._entries()
        self._on_progress(f"{len(entries)} entries")
        deadline = self._deadline(_JUDGING_SHARE if pricer is None else _JUDGING_SHARE_MEASURED)
        with Runtime() as runtime:
            verifier = Verifier(
                self._book,
                runtime,
                seed=self._question.seed,
                time_limit_s=VERDICT_S,
                deadline=deadline,
                clock=self._clock,
            )
            for start in range(0, len(entries), _CHUNK):
                num_left = self._look(entries[start : start + _CHUNK], verifier, deadline)
                if num_left:
                    num_left += max(len(entries) - start - _CHUNK, 0)
                    self._cuts.append(f"{num_left} of {len(entries)} entries not looked at for lack of time")
                    break
                self._on_progress(
                    f"{min(start + _CHUNK, len(entries))} of {len(entries)} entries, {len(self._proposals)} proposed"
                )
        if pricer is not None:
            self._rank(entries, pricer)
        return Inference(proposals=tuple(self._proposals), cuts=tuple(self._cuts))

    def _deadline(self, share: float) -> float:
        return self._began + share * self._question.time_limit_s

    def _entries(self) -> list[Entry]:
        """Return every law that can be found, as entries of a rules file."""
        declared = {each.name for each in self._book.declarations}
        deadline = self._deadline(DISCOVERY_SHARE)
        discovery = Discovery(
            [ROWS[name] for name in dict.fromkeys(self._question.operators)],
            max_operators=self._question.max_operators,
            seed=self._question.seed,
            declared=declared,
            is_over=lambda: self._clock() > deadline,
            on_progress=self._on_progress,
        )
        laws = sorted(discovery.run(), key=lambda law: law.order)
        self._cuts += discovery.cuts
        taken = {name for rule in self._book.rules for name in (rule.name, rule.entry)}
        instances = Instances(random.Random(self._question.seed))
        writer = Writer(taken, declared=declared, instances=instances)
        return [entry for law in laws for entry in writer.entries(law)]

    def _look(self, chunk: Sequence[Entry], verifier: Verifier, deadline: float) -> int:
        """Propose those of some entries that are new and sound; return how many were left for lack of time."""
        if self._clock() > deadline:
            return len(chunk)
        keeps = self._question.keeps_derivable
        base = replace(self._book, rules=self._book.of_kind(RuleKind.FACTS)) if keeps else self._book
        for place, (entry, is_known) in enumerate(zip(chunk, _derivable(chunk, self._book), strict=True)):
            if is_known and not keeps:
                continue
            if self._clock() > deadline:
                return len(chunk) - place
            rules = (*base.rules, *(each.rule for each in self._proposals))
            if self._proposals and all(_derivable([entry], replace(base, rules=rules))):
                continue
            found = verifier.verified(entry)
            if isinstance(found, Verified):
                self._proposals.append(_proposal(found, is_derivable=is_known))
            else:
                self._cuts.append(f"{entry.name} not proposed: {found.reason}")
        return 0

    def _rank(self, entries: Sequence[Entry], pricer: Prices) -> None:
        """Measure the proposals, and put those first that gain most."""
        by_name = {entry.name: entry for entry in entries}
        deadline = self._deadline(1.0)
        num_open = 0
        for place, each in enumerate(self._proposals):
            if self._clock() < deadline:
                self._proposals[place] = replace(each, gain=measure(by_name[each.name], pricer))
            else:
                num_open += 1
        if num_open:
            self._cuts.append(f"{num_open} of {len(self._proposals)} proposals not measured for lack of time")
        self._proposals.sort(key=lambda each: 0.0 if each.gain is None else -each.gain.speedup)


def _derivable(entries: Sequence[Entry], book: RuleBook) -> list[bool]:
    """Return for each entry whether a book derives it wherever it is looked up."""
    found = iter(derived([line for entry in entries for line in entry.examples], book))
    return [all(islice(found, len(entry.examples))) for entry in entries]


def _proposal(found: Verified, *, is_derivable: bool) -> Proposal:
    entry = found.entry
    return Proposal(
        name=entry.name,
        text=entry.text,
        left=entry.left,
        right=entry.right,
        requires=entry.requires,
        examples=entry.examples,
        num_left=size(entry.law.left),
        num_right=size(entry.law.right),
        is_derivable=is_derivable,
        level=found.level,
        num_instances=found.num_instances,
        gain=None,
        rule=found.rule,
    )

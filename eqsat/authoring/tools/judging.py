"""Soundness of rules, judged in a process that may be lost: a rule that runs for ever is one refused rule."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from eqsat.authoring.soundness.verdict import Level
from eqsat.authoring.tools.isolation import LimitError, Limits, isolated
from eqsat.authoring.tools.reading import read_all, sources

SOFT_SHARE: Final = 0.75
"""Share of the time of a rule after which judging it ends by itself; at all of it, its process is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was found out about a rule, as plain values.

    Attributes:
        rule: Name of the rule.
        level: How well it is known to be sound; None where it is not.
        num_instances: Instances at which both sides were found equal.
        reason: Why it is refused; empty for a sound rule.
        unknown: What stayed unknown; empty where nothing did.
        script: A program that shows where it is wrong; empty without a counterexample.
        num_lines: INSTANCE lines of its header.
        num_near_misses: NEAR-MISS lines of its header.
        seconds: What it took.
    """

    rule: str
    level: Level | None
    num_instances: int = 0
    reason: str = ""
    unknown: str = ""
    script: str = ""
    num_lines: int = 0
    num_near_misses: int = 0
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        """Whether the rule may be used."""
        return self.level is not None and not self.reason

    def to_fields(self) -> Mapping[str, object]:
        """Return it as plain values, for JSON."""
        return {
            "rule": self.rule,
            "level": self.level.value if self.level is not None else None,
            "num_instances": self.num_instances,
            "reason": self.reason,
            "unknown": self.unknown,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be judged, and how closely.

    Attributes:
        files: Rules files; the one that ships is read before them.
        names: Rules to judge.
        num_instances: Random instances of each.
        seed: Of the instances.
    """

    files: tuple[str, ...]
    names: tuple[str, ...]
    num_instances: int = 200
    seed: int = 0


def judge_all(order: Order, limits: Limits) -> Iterator[Judged]:
    """Yield what is found out about each rule, in the order asked for.

    A rule whose process has to be ended is refused, and the next one is judged in a new process.

    Args:
        order: What is to be judged.
        limits: What one process may take; its time counts for each rule.

    Raises:
        EqsatError: The rules cannot be read.
    """
    todo = list(order.names)
    while todo:
        try:
            rest = replace(order, names=tuple(todo))
            for judged in isolated(judge_here, rest, SOFT_SHARE * limits.time_s, limits=limits):
                todo.remove(judged.rule)
                yield judged
        except LimitError as error:
            yield Judged(rule=todo.pop(0), level=None, reason=f"judging it {error}")


def judge_here(order: Order, time_limit_s: float) -> Iterator[Judged]:
    """Judge rules in this process, each for so long at most."""
    from eqsat.authoring.soundness.judge import NODE_TIMEOUT_S, judge
    from eqsat.runtime.runtime import Runtime

    book = read_all(sources([Path(file) for file in order.files])).book
    with Runtime(timeout_s=NODE_TIMEOUT_S) as runtime:
        for name in order.names:
            began = time.monotonic()
            verdict = judge(
                book,
                name,
                num_instances=order.num_instances,
                seed=order.seed,
                time_limit_s=time_limit_s,
                runtime=runtime,
            )
            yield Judged(
                rule=name,
                level=verdict.level if verdict.is_sound else None,
                num_instances=verdict.num_instances,
                reason="" if verdict.is_sound else verdict.reason or "it was not shown to be sound",
                unknown=verdict.unknown,
                script=verdict.counterexample.script() if verdict.counterexample is not None else "",
                num_lines=len(book.rule(name).instances),
                num_near_misses=len(book.rule(name).near_misses),
                seconds=time.monotonic() - began,
            )


def told(judged: Judged) -> list[str]:
    """Return what was found out about a rule as lines for people."""
    if judged.is_sound and judged.level is not None:
        lines = [
            f"{judged.rule}: {judged.level.value}",
            f"  both sides are equal at {judged.num_instances} random instances",
            f"  its {judged.num_lines} INSTANCE lines match, its {judged.num_near_misses} NEAR-MISS lines do not",
        ]
    else:
        lines = [f"{judged.rule}: refused: {judged.reason}"]
        if judged.num_instances:
            lines.append(f"  both sides are equal at {judged.num_instances} other random instances")
    if judged.unknown and judged.unknown not in judged.reason:
        lines.append(
            f"  not proved, no fault of the rule: the proof knows too little of its operators ({judged.unknown})"
            if judged.is_sound
            else f"  not known: {judged.unknown}"
        )
    return [*lines, f"  {judged.seconds:.1f} s"]

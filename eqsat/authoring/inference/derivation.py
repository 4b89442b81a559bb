"""Whether rules make two terms equal.

Both terms are loaded into one e-graph, as in Ruler (Nandi et al. 2021, section 3.1), and the rules applied to whatever
they match: the terms follow from each other where they end in one e-class. So a rule that makes terms smaller derives
its own reverse, and what follows through a larger term is derived only where a rule makes that larger term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from eqsat.egraph.session import Session, UnsoundRulesError
from eqsat.rules.instances import Precision, draw
from eqsat.rules.parts import together

if TYPE_CHECKING:
    from eqsat.rules import RuleBook
    from eqsat.rules.instances import Drawn

BATCH: Final = 8
"""Equations in one e-graph: making one takes longer than a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long rules are applied.

    Attributes:
        max_rounds: Rounds in which everything on offer is applied.
        max_enodes: Size of the e-graph, for each equation in it, from which on nothing more is applied.
    """

    max_rounds: int = 4
    max_enodes: int = 250


def derived(lines: Sequence[str], book: RuleBook, effort: Effort | None = None) -> list[bool]:
    """Return for each equation whether rules derive it.

    Args:
        lines: Instances, each with two roots: the terms.
        book: The rules.
        effort: How long they are applied.
    """
    rng = np.random.default_rng(0)
    return derived_instances([draw(line, rng, Precision.SINGLE) for line in lines], book, effort)


def derived_instances(drawn: Sequence[Drawn], book: RuleBook, effort: Effort | None = None) -> list[bool]:
    """Return the same for equations that are drawn already."""
    found: list[bool] = []
    for start in range(0, len(drawn), BATCH):
        found += _derived(drawn[start : start + BATCH], book, effort or Effort())
    return found


def _derived(batch: Sequence[Drawn], book: RuleBook, effort: Effort) -> list[bool]:
    parts = together(batch, np.random.default_rng(0))
    try:
        session = Session(parts.graph, book)
        _saturate(session, effort, len(batch))
    except UnsoundRulesError:
        if len(batch) == 1:
            return [False]
        middle = len(batch) // 2
        return [*_derived(batch[:middle], book, effort), *_derived(batch[middle:], book, effort)]
    roots = iter(session.roots())
    equal = {id(part.drawn): next(roots) == next(roots) for part in parts.parts}
    return [equal.get(id(drawn), False) for drawn in batch]


def _saturate(session: Session, effort: Effort, num_equations: int) -> None:
    for _ in range(effort.max_rounds):
        roots = session.roots()
        if all(one == two for one, two in zip(roots[::2], roots[1::2], strict=True)):
            return
        room = effort.max_enodes * num_equations - session.size().num_enodes
        candidates = session.candidates()[: max(room, 0)]
        if not candidates or not session.apply(candidates):
            return

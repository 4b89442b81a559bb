"""What a rule is worth on its own: the prices of the nodes of both sides, measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from eqsat.authoring.inference.instances import both_sides
from eqsat.authoring.inference.naming import names_of
from eqsat.authoring.inference.terms import Typing, shape_of, subterms
from eqsat.egraph.session import Session
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.rules import RuleBook
from eqsat.rules.instances import Precision, draw
from eqsat.rules.parts import together

if TYPE_CHECKING:
    from eqsat.authoring.inference.entries import Entry
    from eqsat.authoring.inference.law import Law
    from eqsat.egraph.enode import ENode

MAX_SCALE: Final = 48
MAX_ELEMENTS: Final = 2**18
"""Sizes of an instance are made larger, by this factor at most and until a value has so many elements: what is small
costs only its overhead."""

_MAX_RANK: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Prices of both sides of a rule at one instance.

    Attributes:
        left_us: Of the nodes of the left side.
        right_us: Of those of the right side.
        instance: The instance.
    """

    left_us: float
    right_us: float
    instance: str

    @property
    def speedup(self) -> float:
        """Price of the left side over that of the right, as if one microsecond stood for the rest of a model."""
        return (self.left_us + 1.0) / (self.right_us + 1.0)


class Prices(Protocol):
    """What gives prices: a :class:`~eqsat.prices.pricing.Pricer`."""

    def price(self, clusters: Iterable[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        """Return the price of each cluster in microseconds."""


def measure(entry: Entry, pricer: Prices) -> Gain:
    """Return what an entry is worth at its first example, with sizes as models have them.

    Constants are folded for nothing in a model, so no leaf is one here.
    """
    small = [typing for typing in entry.typings if all(len(shape) <= _MAX_RANK for shape in typing.shapes)]
    typing = (small or list(entry.typings))[0]
    line = both_sides(entry.law, names_of(entry.law, {}), scaled(entry.law, typing))
    parts = together([draw(line, np.random.default_rng(0), Precision.SINGLE)], np.random.default_rng(0))
    session = Session(parts.graph, RuleBook(rules=(), declarations=()))
    sides = [_enodes(session, root) for root in session.roots()]
    clusters = {enode: Cluster((enode,)) for side in sides for enode in side}
    prices = pricer.price(clusters.values(), MicroMaker(session, {}))
    left_us, right_us = (sum(prices[clusters[enode]] for enode in side) for side in sides)
    return Gain(left_us=left_us, right_us=right_us, instance=line)


def scaled(law: Law, typing: Typing) -> Typing:
    """Return a typing whose sizes are larger by one factor, axes of size one excepted."""
    values = [*subterms(law.left), *subterms(law.right)]
    found = typing
    for factor in range(2, MAX_SCALE + 1):
        shapes = tuple(tuple(size if size == 1 else size * factor for size in shape) for shape in typing.shapes)
        larger = Typing(shapes, typing.slots)
        sizes = [math.prod(shape) for each in values if (shape := shape_of(each, larger)) is not None]
        if len(sizes) < len(values) or max(sizes) > MAX_ELEMENTS:
            break
        found = larger
    return found


def _enodes(session: Session, root: int) -> set[ENode]:
    found: set[ENode] = set()
    todo = [root]
    while todo:
        enode = session.members(todo.pop())[0]
        if enode not in found:
            found.add(enode)
            todo += enode.children
    return found

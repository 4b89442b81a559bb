"""Lays a pattern on an e-graph where it fits best: all of it, or with as few demands unmet as can be.

The demands are met one by one; one that cannot be met is passed over and counted. Places with the fewest such demands
are searched first for none, then one, then two: the first that are found are the closest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never, final

from eqsat.authoring.tools.pattern import (
    Bindings,
    Demand,
    Equal,
    Holds,
    Lookup,
    Node,
    Test,
    all_laid_on,
    is_bound,
    is_layable,
    laid_on,
    value_of,
)
from eqsat.authoring.tools.schema import COMMUTATIVE
from eqsat.egglog.commands import Expr, Var
from eqsat.egglog.primitives import NoValueError
from eqsat.egglog.schema import GRAINS
from eqsat.egraph.language import NEAR_SMALLEST

if TYPE_CHECKING:
    from eqsat.authoring.tools.tables import Tables
    from eqsat.egraph.enode import ENode
    from eqsat.egraph.heads import Binding

MAX_STEPS: Final = 400_000
"""Demands that are looked at in one search; what was found by then has to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A pattern laid on a place.

    Attributes:
        bindings: What its variables stand for, as far as they stand for anything.
        unmet: The demands that are not met although everything around them is known, in order.
        num_unmet: All that are not met, those included that nothing could be said of.
    """

    bindings: Bindings
    unmet: tuple[Demand, ...]
    num_unmet: int


def closest(
    demands: Sequence[Demand], tables: Tables, start: Bindings | None = None, *, max_places: int = 50
) -> list[Placed]:
    """Return the places at which the fewest demands are unmet, in the order of the e-graph.

    Args:
        demands: The pattern.
        tables: The e-graph.
        start: What variables stand for from the beginning.
        max_places: Places to return at most.
    """
    search = _Search(tables)
    for limit in range(len(demands) + 1):
        found: dict[tuple[object, ...], Placed] = {}
        for placed in search.run(list(demands), dict(start or {}), limit):
            key = (tuple(sorted((name, str(value)) for name, value in placed.bindings.items())), str(placed.unmet))
            found.setdefault(key, placed)
            if len(found) >= max_places:
                break
        if found:
            return list(found.values())
    return []


@final
class _Search:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._steps = 0

    def run(self, todo: list[Demand], bindings: Bindings, limit: int) -> Iterator[Placed]:
        """Yield the places with ``limit`` unmet demands at most."""
        self._steps = 0
        yield from self._next(todo, bindings, (), 0, limit)

    def _next(
        self, todo: list[Demand], bindings: Bindings, unmet: tuple[Demand, ...], num_unmet: int, limit: int
    ) -> Iterator[Placed]:
        self._steps += 1
        if num_unmet > limit or self._steps > MAX_STEPS:
            return
        demand = self._choose(todo, bindings, may_start_anew=not unmet)
        if demand is None:
            # What is left hangs on values that no demand gave.
            total = num_unmet + len(todo)
            if total <= limit:
                yield Placed(bindings=bindings, unmet=unmet, num_unmet=total)
            return
        rest = [each for each in todo if each is not demand]
        is_met = False
        for extended in extensions(demand, bindings, self._tables):
            is_met = True
            yield from self._next(rest, extended, unmet, num_unmet, limit)
        if not is_met:
            yield from self._next(rest, bindings, (*unmet, demand), num_unmet + 1, limit)

    def _choose(self, todo: Sequence[Demand], bindings: Bindings, *, may_start_anew: bool) -> Demand | None:
        """Return the first demand that hangs together with what is known; where none does, the first that can begin.

        Once a demand is unmet, what does not hang together with the rest hangs on that demand: to begin anew would
        find places that have nothing to do with this one.
        """
        for demand in todo:
            if is_ready(demand, bindings):
                return demand
        if bindings and not may_start_anew:
            return None
        return next((demand for demand in todo if isinstance(demand, Node | Holds)), None)


def is_ready(demand: Demand, bindings: Bindings) -> bool:
    """Return whether enough is known to look at a demand."""
    match demand:
        case Node():
            return demand.output in bindings or any(child in bindings for child in demand.children)
        case Lookup():
            return all(is_bound(argument, bindings) for argument in demand.arguments)
        case Holds():
            return any(isinstance(each, Var) and each.name in bindings for each in demand.arguments)
        case Equal():
            left, right = demand.left, demand.right
            return (is_bound(left, bindings) and is_layable(right, bindings)) or (
                is_bound(right, bindings) and is_layable(left, bindings)
            )
        case Test():
            return is_bound(demand.term, bindings)
        case _:
            assert_never(demand)


def extensions(demand: Demand, bindings: Bindings, tables: Tables) -> Iterator[Bindings]:
    """Yield every way to meet a demand, as what its variables stand for then."""
    match demand:
        case Node():
            yield from _nodes(demand, bindings, tables)
        case Lookup():
            yield from _values(demand, bindings, tables)
        case Holds():
            yield from _rows(demand, bindings, tables)
        case Equal():
            yield from _equal(demand, bindings)
        case Test():
            if _is_true(demand.term, bindings):
                yield bindings
        case _:
            assert_never(demand)


def _nodes(demand: Node, bindings: Bindings, tables: Tables) -> Iterator[Bindings]:
    seen: set[tuple[tuple[str, str], ...]] = set()
    for handle, enode in _candidates(demand, bindings, tables):
        children = tables.children(enode)
        orders = [children]
        if demand.operator in COMMUTATIVE and children[0] != children[1]:
            orders.append((children[1], children[0], *children[2:]))
        for order in orders:
            found = _with_children(demand, handle, order, bindings)
            if found is not None:
                found = _with_attributes(demand, enode.attributes, found)
            if found is not None:
                key = tuple(sorted((name, str(value)) for name, value in found.items()))
                if key not in seen:
                    seen.add(key)
                    yield found


def _candidates(demand: Node, bindings: Bindings, tables: Tables) -> Iterator[tuple[int, ENode]]:
    output = bindings.get(demand.output)
    if isinstance(output, int):
        yield from ((output, enode) for enode in tables.members(output) if enode.operator == demand.operator)
        return
    child = next((bindings[each] for each in demand.children if each in bindings), None)
    if isinstance(child, int):
        yield from tables.readers(demand.operator, child)
    else:
        yield from tables.enodes(demand.operator)


def _with_children(demand: Node, handle: int, children: Sequence[int], bindings: Bindings) -> Bindings | None:
    if len(children) != len(demand.children):
        return None
    found = dict(bindings)
    for name, value in ((demand.output, handle), *zip(demand.children, children, strict=True)):
        if found.setdefault(name, value) != value:
            return None
    return found


def _with_attributes(demand: Node, values: Sequence[object], bindings: Bindings) -> Bindings | None:
    patterns = demand.attributes
    if not patterns:
        return bindings
    wanted = values if len(patterns) == len(values) else (tuple(values),)
    if len(patterns) != len(wanted):
        return None
    return all_laid_on(patterns, wanted, bindings)  # type: ignore[arg-type]  # attributes of an e-node


def _values(demand: Lookup, bindings: Bindings, tables: Tables) -> Iterator[Bindings]:
    try:
        arguments = tuple(value_of(argument, bindings) for argument in demand.arguments)
    except NoValueError:
        return
    value = tables.value(demand.function, arguments)
    if value is None:
        return
    found = laid_on(demand.value, value, bindings)
    if found is not None:
        yield found


def _rows(demand: Holds, bindings: Bindings, tables: Tables) -> Iterator[Bindings]:
    if demand.relation == "near" and all(is_bound(each, bindings) for each in demand.arguments):
        # A session knows this fact only for the numbers that rules ask for which can match.
        value, number = (value_of(each, bindings) for each in demand.arguments)
        if _is_near(tables.value("scalar", (value,)), number, tables.value("dtype", (value,))):
            yield bindings
        return
    for row in tables.rows(demand.relation):
        found = all_laid_on(demand.arguments, row, bindings)
        if found is not None:
            yield found


def _is_near(found: Binding | None, number: Binding, dtype: Binding | None) -> bool:
    if not isinstance(found, float | int) or not isinstance(number, float | int):
        return False
    grain = GRAINS.get(dtype, 0.0) if isinstance(dtype, int) else 0.0
    return abs(found - number) <= grain * max(abs(number), NEAR_SMALLEST)


def _equal(demand: Equal, bindings: Bindings) -> Iterator[Bindings]:
    known, other = demand.left, demand.right
    if not is_bound(known, bindings):
        known, other = other, known
    try:
        found = laid_on(other, value_of(known, bindings), bindings)
    except NoValueError:
        return
    if found is not None:
        yield found


def _is_true(term: Expr, bindings: Bindings) -> bool:
    try:
        value_of(term, bindings)
    except NoValueError:
        return False
    return True

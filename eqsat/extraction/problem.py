"""What extraction is given and what it returns: a priced e-graph in plain numbers, and one e-node per e-class."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise

from eqsat.errors import EqsatError


class NoSelectionError(EqsatError):
    """A root has no finite, acyclic selection: every e-node that could stand for it is forbidden or cyclic."""

    def __init__(self, root: int) -> None:
        super().__init__(
            f"e-class {root} is needed and has no e-node that may be chosen: "
            "give one of its e-nodes, and of the e-classes below it, a finite price"
        )
        self.root = root


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionProblem:
    """A priced e-graph. E-classes and e-nodes are numbered from zero.

    Attributes:
        node_class: E-class of every e-node.
        children: Child e-classes of every e-node, ascending, each one once.
        cost_us: Price of every e-node in microseconds, zero or above; ``math.inf`` where it may not be chosen.
        num_classes: Number of e-classes.
        roots: E-classes that every selection must cover, one for each output of the graph; repeats are allowed.

    Raises:
        ValueError: The lengths differ, a number is out of range, a price is negative or not a number, or the
            children of an e-node are not ascending.
    """

    node_class: Sequence[int]
    children: Sequence[tuple[int, ...]]
    cost_us: Sequence[float]
    num_classes: int
    roots: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what the algorithms could not make sense of."""
        if not len(self.node_class) == len(self.children) == len(self.cost_us):
            lengths = f"{len(self.node_class)}, {len(self.children)}, {len(self.cost_us)}"
            message = f"node_class, children and cost_us differ in length: {lengths}"
            raise ValueError(message)
        if not all(0 <= root < self.num_classes for root in self.roots):
            message = f"a root is not an e-class below {self.num_classes}: {self.roots}"
            raise ValueError(message)
        for enode, (eclass, children, cost_us) in enumerate(
            zip(self.node_class, self.children, self.cost_us, strict=True)
        ):
            if not 0 <= eclass < self.num_classes:
                message = f"e-node {enode} lies in e-class {eclass}, which is not below {self.num_classes}"
                raise ValueError(message)
            if not cost_us >= 0:
                message = f"e-node {enode} has the price {cost_us}, which is not zero or above"
                raise ValueError(message)
            if children and not _is_ascending(children, self.num_classes):
                message = f"e-node {enode} has the children {children}: they must ascend, in range, no repeats"
                raise ValueError(message)

    @property
    def num_enodes(self) -> int:
        """Number of e-nodes."""
        return len(self.node_class)

    def members(self) -> list[list[int]]:
        """Return the e-nodes of every e-class, ascending."""
        members: list[list[int]] = [[] for _ in range(self.num_classes)]
        for enode, eclass in enumerate(self.node_class):
            members[eclass].append(enode)
        return members

    def users(self) -> list[list[int]]:
        """Return, for every e-class, the e-nodes that have it as a child, ascending."""
        users: list[list[int]] = [[] for _ in range(self.num_classes)]
        for enode, children in enumerate(self.children):
            for child in children:
                users[child].append(enode)
        return users


def _is_ascending(children: tuple[int, ...], num_classes: int) -> bool:
    if children[0] < 0 or children[-1] >= num_classes:
        return False
    return all(left < right for left, right in pairwise(children))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One e-node for every e-class that the roots need.

    Attributes:
        choice: E-node by e-class, only e-classes that the roots reach. Its order is topological: an e-class
            comes after all the e-classes that its e-node uses.
        cost_us: Sum of the prices of the chosen e-nodes, each counted once.
    """

    choice: Mapping[int, int]
    cost_us: float

    @property
    def enodes(self) -> frozenset[int]:
        """The chosen e-nodes."""
        return frozenset(self.choice.values())


def dag_cost_us(problem: ExtractionProblem, choice: Mapping[int, int]) -> float:
    """Return the price of a choice, every e-node that the roots reach counted once.

    Args:
        problem: The priced e-graph.
        choice: E-node by e-class; it may name more e-classes than the roots reach.

    Returns:
        Microseconds; infinite where the choice is cyclic or takes an e-node that may not be chosen.

    Raises:
        KeyError: An e-class that the roots reach has no choice.
        ValueError: An e-node does not lie in the e-class that it is chosen for.
    """
    order = topological_order(problem, choice)
    return math.inf if order is None else math.fsum(problem.cost_us[choice[eclass]] for eclass in order)


def select(problem: ExtractionProblem, choice: Mapping[int, int]) -> Selection:
    """Return the selection that a choice makes: what the roots reach, in topological order, priced.

    Raises:
        KeyError: An e-class that the roots reach has no choice.
        ValueError: The choice is cyclic, or an e-node does not lie in the e-class that it is chosen for.
    """
    order = topological_order(problem, choice)
    if order is None:
        message = "the choice is cyclic: an e-class needs itself"
        raise ValueError(message)
    reached = {eclass: choice[eclass] for eclass in order}
    return Selection(choice=reached, cost_us=math.fsum(problem.cost_us[enode] for enode in reached.values()))


class _Mark(Enum):
    OPEN = 0
    CLOSED = 1


def topological_order(problem: ExtractionProblem, choice: Mapping[int, int]) -> list[int] | None:
    """Return the e-classes that the roots reach through a choice, children first; ``None`` for a cyclic choice.

    Raises:
        KeyError: An e-class that the roots reach has no choice.
        ValueError: An e-node does not lie in the e-class that it is chosen for.
    """
    marks: dict[int, _Mark] = {}
    order: list[int] = []
    for root in problem.roots:
        if root in marks:
            continue
        stack = [_open(problem, choice, root, marks)]
        while stack:
            eclass, rest = stack[-1]
            child = next(rest, None)
            if child is None:
                stack.pop()
                marks[eclass] = _Mark.CLOSED
                order.append(eclass)
            elif child not in marks:
                stack.append(_open(problem, choice, child, marks))
            elif marks[child] is _Mark.OPEN:
                return None
    return order


def _open(
    problem: ExtractionProblem, choice: Mapping[int, int], eclass: int, marks: dict[int, _Mark]
) -> tuple[int, Iterator[int]]:
    enode = choice[eclass]
    if problem.node_class[enode] != eclass:
        message = f"e-node {enode} is chosen for e-class {eclass} and lies in {problem.node_class[enode]}"
        raise ValueError(message)
    marks[eclass] = _Mark.OPEN
    return eclass, iter(problem.children[enode])


def forbid(problem: ExtractionProblem, enodes: Collection[int]) -> ExtractionProblem:
    """Return the problem in which none of ``enodes`` may be chosen."""
    cost_us = list(problem.cost_us)
    for enode in enodes:
        cost_us[enode] = math.inf
    return replace(problem, cost_us=cost_us)


def discount(problem: ExtractionProblem, enodes: Collection[int], factor: float) -> ExtractionProblem:
    """Return the problem in which each of ``enodes`` costs ``factor`` times its price; what is forbidden stays so.

    Raises:
        ValueError: The factor is negative, infinite or not a number.
    """
    if not 0 <= factor < math.inf:
        message = f"the factor {factor} is not zero or above"
        raise ValueError(message)
    cost_us = list(problem.cost_us)
    for enode in enodes:
        if cost_us[enode] < math.inf:
            cost_us[enode] *= factor
    return replace(problem, cost_us=cost_us)

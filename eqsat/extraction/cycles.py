"""Cycles between e-classes: where they can be, the short ones, and those of one choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from eqsat.extraction.problem import ExtractionProblem


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CyclePart:
    """The part of an e-graph in which cycles can be: the edges inside strongly connected components.

    Attributes:
        edges: E-class -> child e-class in the same component -> the e-nodes that make this edge.
        component_size: Number of e-classes in the component of every e-class.
    """

    edges: Mapping[int, Mapping[int, tuple[int, ...]]]
    component_size: Sequence[int]


def cycle_part(problem: ExtractionProblem) -> CyclePart:
    """Return the edges on which cycles can be."""
    successors: list[set[int]] = [set() for _ in range(problem.num_classes)]
    for eclass, children in zip(problem.node_class, problem.children, strict=True):
        successors[eclass].update(children)
    component = strong_components([sorted(children) for children in successors])
    size = [0] * problem.num_classes
    for label in component:
        size[label] += 1
    edges: dict[int, dict[int, list[int]]] = {}
    for enode, (eclass, children) in enumerate(zip(problem.node_class, problem.children, strict=True)):
        for child in children:
            if component[child] == component[eclass]:
                edges.setdefault(eclass, {}).setdefault(child, []).append(enode)
    return CyclePart(
        edges={
            eclass: {child: tuple(enodes) for child, enodes in by_child.items()} for eclass, by_child in edges.items()
        },
        component_size=[size[label] for label in component],
    )


def strong_components(successors: Sequence[Sequence[int]]) -> list[int]:
    """Return the label of every vertex's strongly connected component, below the number of vertices.

    Tarjan's algorithm (SIAM Journal on Computing 1, 1972) with its own stack, for graphs of any depth.
    """
    num_vertices = len(successors)
    index = [-1] * num_vertices
    low = [0] * num_vertices
    component = [-1] * num_vertices
    open_vertices: list[int] = []
    num_seen = 0
    num_components = 0
    for start in range(num_vertices):
        if index[start] >= 0:
            continue
        path = [(start, iter(successors[start]))]
        index[start] = low[start] = num_seen
        num_seen += 1
        open_vertices.append(start)
        while path:
            vertex, rest = path[-1]
            successor = next(rest, None)
            if successor is None:
                path.pop()
                if path:
                    parent = path[-1][0]
                    low[parent] = min(low[parent], low[vertex])
                if low[vertex] == index[vertex]:
                    _close(vertex, open_vertices, component, num_components)
                    num_components += 1
            elif index[successor] < 0:
                index[successor] = low[successor] = num_seen
                num_seen += 1
                open_vertices.append(successor)
                path.append((successor, iter(successors[successor])))
            elif component[successor] < 0:
                low[vertex] = min(low[vertex], index[successor])
    return component


def _close(vertex: int, open_vertices: list[int], component: list[int], label: int) -> None:
    while True:
        member = open_vertices.pop()
        component[member] = label
        if member == vertex:
            return


def short_cycles(part: CyclePart) -> Iterator[tuple[int, ...]]:
    """Yield every cycle of two or three e-classes once, starting from its lowest e-class."""
    edges = part.edges
    for first, children in edges.items():
        for second in children:
            if second <= first:
                continue
            onward = edges.get(second, {})
            if first in onward:
                yield (first, second)
            for third in onward:
                if third > first and third != second and first in edges.get(third, {}):
                    yield (first, second, third)


def chosen_cycles(problem: ExtractionProblem, choice: Mapping[int, int]) -> list[tuple[int, ...]]:
    """Return cycles of e-classes that the roots reach through a choice; none where it is acyclic.

    Every cyclic choice gives at least one cycle, each as a path of e-classes whose last one uses the first one.
    """
    found: list[tuple[int, ...]] = []
    position: dict[int, int | None] = {}  # on the path, or None once left
    for root in problem.roots:
        if root in position:
            continue
        path = [root]
        position[root] = 0
        rests = [iter(problem.children[choice[root]])]
        while rests:
            child = next(rests[-1], None)
            if child is None:
                rests.pop()
                position[path.pop()] = None
            elif child not in position:
                position[child] = len(path)
                path.append(child)
                rests.append(iter(problem.children[choice[child]]))
            elif (start := position[child]) is not None:
                found.append(tuple(path[start:]))
    return found

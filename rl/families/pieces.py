"""Graphs from the rules' own left sides: instances of many rules, joined where a result fits an input.

The instances are those in the headers of the rules, at sizes drawn at random. So every rule that ships has graphs in
which it matches, and an agent meets rules that no known network needs.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from eqsat.rules.book import load_rules
from eqsat.rules.instances import DEFAULT_OPSET, InstanceError, Precision, draw
from eqsat.rules.parts import together
from eqsat.rules.rule import RuleKind
from rl.families.choices import chance, pick

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from eqsat.rules.instances import Drawn
    from ir.graph import Graph
    from ir.types import TensorType

SIZES: Final = (2, 4, 6, 8, 12, 16)
"""What a letter of an instance may stand for; a graph has three of them, so that shapes fit each other."""

JOINED: Final = 0.6
"""Share of inputs that become a result of another instance where one fits."""

MAX_ELEMENTS: Final = 1 << 17
"""Elements of a value that nothing computes; an instance with more is drawn again."""


@cache
def _lines() -> tuple[str, ...]:
    """Return the instances of all rules that are candidates."""
    return tuple(line for rule in load_rules().of_kind(RuleKind.OPT) for line in rule.instances)


def stitched(rng: np.random.Generator, num_values: int) -> tuple[Graph, Mapping[int, int]]:
    """Return a graph of instances and the size of each of its symbols.

    Args:
        rng: The only source of chance.
        num_values: About as many values it has, those that nothing computes among them.
    """
    sizes = [pick(rng, SIZES) for _ in range(3)]
    instances: list[Drawn] = []
    count = 0
    while count < num_values:
        drawn = _drawn(rng, sizes)
        if drawn is not None:
            instances += [drawn] * (1 if chance(rng, 0.7) else 2)
            count += len(drawn.leaves) + len(drawn.lets) + 2 * len(drawn.roots)
    parts = together(instances, rng)
    return _joined(parts.graph, rng), parts.sizes


def _drawn(rng: np.random.Generator, sizes: list[int]) -> Drawn | None:
    """Return an instance; None where the sizes fit none of the line, where it is too large or of a newer opset."""
    try:
        drawn = draw(pick(rng, _lines()), rng, Precision.SINGLE, sizes)
    except InstanceError:
        return None
    is_small = all(leaf.array.size <= MAX_ELEMENTS for leaf in drawn.leaves.values())
    return drawn if is_small and drawn.opset == DEFAULT_OPSET else None


def _joined(graph: Graph, rng: np.random.Generator) -> Graph:
    """Return the graph with some of its inputs replaced by results that stand before them and have their types."""
    results: defaultdict[TensorType, list[str]] = defaultdict(list)
    outputs = set(graph.outputs)
    inputs = set(graph.inputs)
    renamed: dict[str, str] = {}
    kept: set[str] = set()
    nodes = []
    for node in graph.nodes:
        for name in node.inputs:
            if name in inputs and name not in renamed and name not in kept:
                fitting = results[graph.types[name]]
                if fitting and chance(rng, JOINED):
                    renamed[name] = pick(rng, fitting)
                else:
                    kept.add(name)
        nodes.append(replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs)))
        for name in node.outputs:
            if name in outputs and name in graph.types:
                results[graph.types[name]].append(name)
    read = set(renamed.values())
    return replace(
        graph,
        inputs=tuple(name for name in graph.inputs if name in kept),
        outputs=tuple(name for name in graph.outputs if name not in read) or graph.outputs,
        nodes=tuple(nodes),
    )

"""Where the boxes of a small graph go: layers from top to bottom, few crossings, always the same for the same graph.

This is the method of Sugiyama, Tagawa and Toda (1981) in its simplest form: layers by the longest way to a box that
nothing reads, joints where a line crosses a layer, order by the middle of the neighbours, places by the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_SWEEPS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place in a layer.

    Attributes:
        box: Number of the box; None for a joint of a line that goes on.
        source: Number of the box that the line comes from; of the box itself for a box.
        x: Left edge.
        width: Extent from there.
    """

    box: int | None
    source: int
    x: int
    width: int

    @property
    def middle(self) -> int:
        """The column at which lines leave."""
        return self.x + self.width // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A graph with its places.

    Attributes:
        layers: From top to bottom, each from left to right.
        width: Extent of all of it.
    """

    layers: tuple[tuple[Slot, ...], ...]
    width: int


@dataclass(slots=True)
class _Item:
    box: int | None
    source: int
    above: tuple[int, ...]
    """Sources in the layer above, in order of the inputs."""
    width: int
    x: int = 0


def lay_out(inputs: Sequence[Sequence[int]], width: Callable[[int], int], gap: int) -> Layout:
    """Place boxes.

    Args:
        inputs: For every box those that it reads; a box comes after those.
        width: Extent of a box.
        gap: Space between neighbours.
    """
    height = _heights(inputs)
    layers = _layers(inputs, height, width)
    for sweep in range(_SWEEPS):
        _order(layers, is_downward=sweep % 2 == 0)
    _order(layers, is_downward=True)
    _place(layers, gap)
    left = min((item.x for layer in layers for item in layer), default=0)
    placed = tuple(
        tuple(Slot(box=item.box, source=item.source, x=item.x - left, width=item.width) for item in layer)
        for layer in layers
    )
    return Layout(layers=placed, width=max((slot.x + slot.width for layer in placed for slot in layer), default=0))


def _heights(inputs: Sequence[Sequence[int]]) -> list[int]:
    """Return for every box the longest way to one that nothing reads."""
    height = [0] * len(inputs)
    for box in reversed(range(len(inputs))):
        for source in inputs[box]:
            height[source] = max(height[source], height[box] + 1)
    return height


def _layers(inputs: Sequence[Sequence[int]], height: Sequence[int], width: Callable[[int], int]) -> list[list[_Item]]:
    top = max(height, default=-1)
    layers: list[list[_Item]] = [[] for _ in range(top + 1)]
    lowest = list(height)
    for box, sources in enumerate(inputs):
        for source in sources:
            lowest[source] = min(lowest[source], height[box] + 1)
    for box in _reading_order(inputs):
        layers[top - height[box]].append(
            _Item(box=box, source=box, above=tuple(dict.fromkeys(inputs[box])), width=width(box))
        )
        for level in range(height[box] - 1, lowest[box] - 1, -1):
            layers[top - level].append(_Item(box=None, source=box, above=(box,), width=1))
    return layers


def _reading_order(inputs: Sequence[Sequence[int]]) -> list[int]:
    """Return the boxes as a reader of the last one meets them: inputs from left to right, each before its reader."""
    read = {source for sources in inputs for source in sources}
    order: dict[int, None] = {}

    def visit(box: int) -> None:
        for source in inputs[box]:
            if source not in order:
                visit(source)
        order.setdefault(box)

    for box in range(len(inputs)):
        if box not in read:
            visit(box)
    return list(order)


def _order(layers: list[list[_Item]], *, is_downward: bool) -> None:
    """Put every layer into the order of the middles of its neighbours above, or below."""
    pairs = list(pairwise(layers))
    if is_downward:
        for upper, lower in pairs:
            place = {item.source: position for position, item in enumerate(upper)}
            _sort(lower, lambda item, place=place: [place[source] for source in item.above])  # type: ignore[misc]
    else:
        for upper, lower in reversed(pairs):
            below = _below(lower)
            _sort(upper, lambda item, below=below: below.get(item.source, []))  # type: ignore[misc]


def _below(lower: Sequence[_Item]) -> dict[int, list[float]]:
    """Return for every source where it is read in the next layer, to fractions of a place by the order of inputs."""
    found: dict[int, list[float]] = {}
    for position, item in enumerate(lower):
        for port, source in enumerate(item.above):
            found.setdefault(source, []).append(position + (port + 1) / (len(item.above) + 1))
    return found


def _sort(layer: list[_Item], neighbours: Callable[[_Item], Sequence[float]]) -> None:
    keys: list[tuple[float, int]] = []
    for position, item in enumerate(layer):
        places = neighbours(item)
        keys.append((sum(places) / len(places) if places else float(position), position))
    layer[:] = [layer[position] for _, position in sorted(keys)]


def _place(layers: list[list[_Item]], gap: int) -> None:
    for layer in layers:
        _push_apart(layer, [0] * len(layer), gap)
    for _ in range(_SWEEPS):
        for upper, lower in pairwise(layers):
            middle = {item.source: item.x + item.width // 2 for item in upper}
            _push_apart(lower, [_wish(item, [middle[source] for source in item.above]) for item in lower], gap)
        for upper, lower in reversed(list(pairwise(layers))):
            readers = _reader_middles(lower)
            _push_apart(upper, [_wish(item, readers.get(item.source, [])) for item in upper], gap)


def _reader_middles(lower: Sequence[_Item]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {}
    for item in lower:
        for port, source in enumerate(item.above):
            found.setdefault(source, []).append(item.x + item.width * (port + 1) // (len(item.above) + 1))
    return found


def _wish(item: _Item, middles: Sequence[int]) -> int:
    """Return the left edge at which an item would stand in the middle of its neighbours."""
    return sum(middles) // len(middles) - item.width // 2 if middles else item.x


def _push_apart(layer: list[_Item], wishes: Sequence[int], gap: int) -> None:
    """Give every item its wish as far as its neighbours let it; what overlaps is spread around its common middle."""
    groups: list[tuple[list[int], int]] = []  # items of a group touch each other; a group has one left edge
    offsets = [0] * len(layer)
    for position, wish in enumerate(wishes):
        members, left = [position], wish
        offsets[position] = 0
        while groups and groups[-1][1] + _extent(layer, groups[-1][0], gap) > left:
            before, _ = groups.pop()
            shift = _extent(layer, before, gap)
            for member in members:
                offsets[member] += shift
            members = [*before, *members]
            left = round(sum(wishes[member] - offsets[member] for member in members) / len(members))
        groups.append((members, left))
    for members, left in groups:
        for member in members:
            layer[member].x = left + offsets[member]


def _extent(layer: Sequence[_Item], members: Sequence[int], gap: int) -> int:
    return sum(layer[member].width + gap for member in members)

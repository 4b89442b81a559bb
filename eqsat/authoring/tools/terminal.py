"""A side of a rule drawn with characters, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from eqsat.authoring.tools.layout import Slot, lay_out
from eqsat.authoring.tools.sides import Look

if TYPE_CHECKING:
    from eqsat.authoring.tools.sides import Box, Side

GAP: Final = 3
"""Columns between boxes."""

DETAIL_WIDTH: Final = 26
ARROW: Final = "  ==>  "

_LINES: Final = {
    frozenset("ud"): "│", frozenset("u"): "│", frozenset("d"): "│", frozenset("lr"): "─", frozenset("l"): "─",
    frozenset("r"): "─", frozenset("ur"): "└", frozenset("ul"): "┘", frozenset("dr"): "┌", frozenset("dl"): "┐",
    frozenset("udr"): "├", frozenset("udl"): "┤", frozenset("ulr"): "┴", frozenset("dlr"): "┬",
    frozenset("udlr"): "┼", frozenset(): " ",
}  # fmt: skip
"""What joins the given directions: up, down, left, right."""

_BORDERS: Final = {Look.OPERATOR: tuple("┌─┐│└┘"), Look.FACT: tuple("╭╌╮┆╰╯")}
_ASCII: Final = str.maketrans("│─└┘┌┐├┤┴┬┼╭╌╮┆╰╯", "|-++++++++++-+:++")


def draw(side: Side) -> list[str]:
    """Return a side as lines of text: what is read above what reads it, the result at the bottom."""
    texts = [_text(box) for box in side.boxes]
    inputs = [box.inputs for box in side.boxes]
    layout = lay_out(inputs, lambda number: _width(side.boxes[number], texts[number]), GAP)
    lines: list[str] = []
    for number, layer in enumerate(layout.layers):
        above = layout.layers[number - 1] if number else ()
        ports = {slot: _ports(slot, inputs, above) for slot in layer}
        lines += _channel(above, layer, ports)
        lines += _layer(layer, side.boxes, texts, ports)
    return [line.rstrip() for line in lines]


def side_by_side(left: Sequence[str], right: Sequence[str], width: int) -> list[str]:
    """Return two drawings beside each other, or one below the other where they are too wide for that."""
    reach = max((len(line) for line in left), default=0)
    if reach + len(ARROW) + max((len(line) for line in right), default=0) > width:
        return [*left, "", ARROW.strip(), "", *right]
    height = max(len(left), len(right))
    rows = zip_longest(_centred(left, height), _centred(right, height), fillvalue="")
    middle = height // 2
    return [
        f"{one:{reach}}{ARROW if row == middle else ' ' * len(ARROW)}{two}".rstrip()
        for row, (one, two) in enumerate(rows)
    ]


def as_ascii(line: str) -> str:
    """Return a line for a terminal that has no box-drawing characters."""
    return line.translate(_ASCII)


def _centred(lines: Sequence[str], height: int) -> list[str]:
    return [*[""] * ((height - len(lines)) // 2), *lines]


def _text(box: Box) -> list[str]:
    label = f"{box.name} = {box.label}" if box.name else box.label
    return [label, *textwrap.wrap(box.detail, max(DETAIL_WIDTH, len(label)))]


def _width(box: Box, text: Sequence[str]) -> int:
    widest = max(len(line) for line in text)
    return widest if box.look is Look.VALUE else max(widest + 4, 2 * len(box.inputs) + 3)


def _ports(slot: Slot, inputs: Sequence[Sequence[int]], above: Iterable[Slot]) -> list[tuple[int, int]]:
    """Return the source of every line that ends at a slot, and the column at which it ends."""
    if slot.box is None:
        return [(slot.source, slot.middle)]
    sources = inputs[slot.box]
    leaving = {other.middle: other.source for other in above}
    taken: set[int] = set()
    found: list[tuple[int, int]] = []
    for port, source in enumerate(sources):
        wanted = slot.x + slot.width * (port + 1) // (len(sources) + 1)
        if len(sources) == 1:
            wanted = slot.middle
        columns = sorted(range(slot.x + 1, slot.x + slot.width - 1), key=lambda column: (abs(column - wanted), column))
        free = [column for column in columns if column not in taken]
        clear = [column for column in free if leaving.get(column, source) == source]
        column = next(iter((*clear, *free, wanted)))
        taken.add(column)
        found.append((source, column))
    return found


@dataclass(slots=True)
class _Net:
    """A line from one slot to all that read it in the next layer."""

    start: int
    ends: list[int] = field(default_factory=list)
    track: int = -1

    @property
    def is_straight(self) -> bool:
        return set(self.ends) == {self.start}

    @property
    def reach(self) -> tuple[int, int]:
        return min(self.start, *self.ends), max(self.start, *self.ends)


def _channel(
    above: Sequence[Slot],
    layer: Sequence[Slot],
    ports: Mapping[Slot, Sequence[tuple[int, int]]],
) -> list[str]:
    """Draw the lines between two layers; each that bends has a track of its own where others are in the way."""
    if not above:
        return []
    nets = {slot.source: _Net(slot.middle) for slot in above}
    for slot in layer:
        for source, column in ports[slot]:
            nets[source].ends.append(column)
    drawn = [net for net in nets.values() if net.ends]
    num_tracks = _assign_tracks([net for net in drawn if not net.is_straight])
    height = max(num_tracks, 1)
    rows: list[dict[int, str]] = []
    for row in range(height):
        cells: dict[int, str] = {}
        for net in drawn:
            for column, joined in _cells(net, row):
                # A vertical line goes over a horizontal one of another net.
                if column not in cells or cells[column] == "─":
                    cells[column] = _LINES[joined]
        rows.append(cells)
    return [_line(cells) for cells in rows]


def _cells(net: _Net, row: int) -> Iterable[tuple[int, frozenset[str]]]:
    if net.is_straight or row < net.track:
        yield net.start, frozenset("ud")
    elif row > net.track:
        yield from ((column, frozenset("ud")) for column in net.ends)
    else:
        low, high = net.reach
        for column in range(low, high + 1):
            joined = {"l" if column > low else "", "r" if column < high else ""}
            joined |= {"u" if column == net.start else "", "d" if column in net.ends else ""}
            yield column, frozenset(joined - {""})


def _assign_tracks(nets: list[_Net]) -> int:
    """Give every net a row such that no two lie on each other; return the number of rows."""
    todo = sorted(nets, key=lambda net: net.reach)
    taken: list[list[tuple[int, int]]] = []
    while todo:
        # A net that leaves at a column where another one ends must bend first.
        ready = [net for net in todo if not any(other.start in net.ends for other in todo if other is not net)]
        net = (ready or todo)[0]
        todo.remove(net)
        before = [other.track for other in nets if other is not net and other.track >= 0 and other.start in net.ends]
        low, high = net.reach
        row = max(before, default=-1) + 1
        while row < len(taken) and any(low <= end and start <= high for start, end in taken[row]):
            row += 1
        taken += [[] for _ in range(row + 1 - len(taken))]
        taken[row].append((low, high))
        net.track = row
    return len(taken)


def _layer(
    layer: Sequence[Slot],
    boxes: Sequence[Box],
    texts: Sequence[Sequence[str]],
    ports: Mapping[Slot, Sequence[tuple[int, int]]],
) -> list[str]:
    blocks = [(slot, _block(slot, boxes, texts, [column for _, column in ports[slot]])) for slot in layer]
    height = max(len(block) for _, block in blocks)
    rows: list[dict[int, str]] = [{} for _ in range(height)]
    for slot, block in blocks:
        is_leaf = slot.box is not None and boxes[slot.box].look is Look.VALUE
        first = height - len(block) if is_leaf else 0
        for row, text in enumerate(block, start=first):
            rows[row].update({slot.x + offset: character for offset, character in enumerate(text)})
        is_read = slot.box is None or _is_read(slot.box, boxes)
        for row in range(first + len(block), height):
            if is_read:
                rows[row][slot.middle] = "│"
    return [_line(cells) for cells in rows]


def _block(slot: Slot, boxes: Sequence[Box], texts: Sequence[Sequence[str]], ports: Sequence[int]) -> list[str]:
    if slot.box is None:
        return ["│"]
    box, text = boxes[slot.box], texts[slot.box]
    if box.look is Look.VALUE:
        return [line.center(slot.width) for line in text]
    top_left, across, top_right, down, bottom_left, bottom_right = _BORDERS[box.look]
    top = [top_left, *across * (slot.width - 2), top_right]
    bottom = [bottom_left, *across * (slot.width - 2), bottom_right]
    for column in ports:
        top[column - slot.x] = "┴"
    if _is_read(slot.box, boxes):
        bottom[slot.middle - slot.x] = "┬"
    inside = [f"{down}{line.center(slot.width - 2)}{down}" for line in text]
    return ["".join(top), *inside, "".join(bottom)]


def _is_read(number: int, boxes: Sequence[Box]) -> bool:
    return any(number in box.inputs for box in boxes)


def _line(cells: dict[int, str]) -> str:
    return "".join(cells.get(column, " ") for column in range(max(cells, default=-1) + 1))

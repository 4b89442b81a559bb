"""Both sides of a rule drawn as one SVG picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from eqsat.authoring.tools.layout import Slot, lay_out
from eqsat.authoring.tools.sides import Look
from eqsat.text.shown import plain

if TYPE_CHECKING:
    from eqsat.authoring.tools.sides import Box, Side

LETTER: Final = 8
"""Width of a letter in pixels, at the size of the labels."""

LINE: Final = 18
"""Height of a line of text."""

PAD: Final = 10
GAP: Final = 28
RISE: Final = 40
"""Space between two layers."""

ARROW: Final = 90
MARGIN: Final = 20
NOTE_LETTER: Final = 7

_STYLE: Final = (
    "text{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px;fill:#1c2430}"
    ".label{font-weight:600}.detail,.note{font-size:12px;fill:#56606e}"
    ".operator{fill:#eaf1fb;stroke:#3c6fb6}.fact{fill:#fbf4e4;stroke:#b98a2f;stroke-dasharray:5 3}"
    ".line,.arrow{fill:none;stroke:#56606e;stroke-width:1.4}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    width: int
    height: int
    shapes: tuple[str, ...]


def svg(title: str, left: Side, right: Side) -> str:
    """Return the picture of a rule: what it looks for, an arrow, what it makes, and the conditions below.

    Args:
        title: Name of the rule, for readers that do not see the picture.
        left: The side that is looked for.
        right: The side that is made.
    """
    one, two = _picture(left), _picture(right)
    height = max(one.height, two.height)
    notes = [*left.notes, *(f"then {note}" for note in right.notes)]
    notes_width = max((NOTE_LETTER * len(note) for note in notes), default=0)
    width = max(one.width + ARROW + two.width, notes_width) + 2 * MARGIN
    total = height + LINE * len(notes) + 2 * MARGIN + (LINE if notes else 0)
    middle = MARGIN + height // 2
    start = MARGIN + one.width + 16
    end = MARGIN + one.width + ARROW - 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" viewBox="0 0 {width} {total}">',
        f"<title>{_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _moved(one, MARGIN, MARGIN + (height - one.height) // 2),
        f'<path class="arrow" d="M{start} {middle}H{end}m-8 -6l8 6l-8 6"/>',
        _moved(two, MARGIN + one.width + ARROW, MARGIN + (height - two.height) // 2),
    ]
    for number, note in enumerate(notes):
        top = MARGIN + height + LINE * (number + 2)
        parts.append(f'<text class="note" x="{MARGIN}" y="{top}">{_text(note)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _text(text: str) -> str:
    """Return text for XML, which has no place for control characters."""
    return escape(plain(text))


def _moved(picture: _Picture, x: int, y: int) -> str:
    return "\n".join([f'<g transform="translate({x} {y})">', *picture.shapes, "</g>"])


def _picture(side: Side) -> _Picture:
    layout = lay_out([box.inputs for box in side.boxes], lambda number: _width(side.boxes[number]), GAP)
    tops: list[int] = []
    heights: list[int] = []
    bottom = 0
    for layer in layout.layers:
        tops.append(bottom)
        heights.append(max(_height(side.boxes[slot.box]) if slot.box is not None else 0 for slot in layer))
        bottom += heights[-1] + RISE
    shapes: list[str] = []
    for number, layer in enumerate(layout.layers):
        above = {slot.source: slot for slot in layout.layers[number - 1]} if number else {}
        for slot in layer:
            ends = [(above[source], port) for source, port in _ports(slot, side.boxes)] if above else []
            for upper, column in ends:
                start = tops[number - 1] + (
                    heights[number - 1] if upper.box is None else _height(side.boxes[upper.box])
                )
                shapes.append(_line(upper, start, column, tops[number]))
            if slot.box is None:
                middle = slot.middle
                shapes.append(f'<path class="line" d="M{middle} {tops[number]}V{tops[number] + heights[number]}"/>')
            else:
                shapes += _box(slot, side.boxes[slot.box], tops[number])
    return _Picture(width=layout.width, height=max(bottom - RISE, 0), shapes=tuple(shapes))


def _line(upper: Slot, start: int, column: int, end: int) -> str:
    bend = (start + end) // 2
    return f'<path class="line" d="M{upper.middle} {start}C{upper.middle} {bend} {column} {bend} {column} {end}"/>'


def _ports(slot: Slot, boxes: Sequence[Box]) -> list[tuple[int, int]]:
    if slot.box is None:
        return [(slot.source, slot.middle)]
    sources = boxes[slot.box].inputs
    return [(source, slot.x + slot.width * (port + 1) // (len(sources) + 1)) for port, source in enumerate(sources)]


def _label(box: Box) -> str:
    return f"{box.name} = {box.label}" if box.name else box.label


def _width(box: Box) -> int:
    letters = max(LETTER * len(_label(box)), NOTE_LETTER * len(box.detail))
    return letters + 2 * PAD


def _height(box: Box) -> int:
    return LINE * (2 if box.detail else 1) + PAD


def _box(slot: Slot, box: Box, top: int) -> Iterator[str]:
    height = _height(box)
    if box.look is not Look.VALUE:
        look = "operator" if box.look is Look.OPERATOR else "fact"
        yield f'<rect class="{look}" x="{slot.x}" y="{top}" width="{slot.width}" height="{height}" rx="5"/>'
    texts = [("label", _label(box)), *([("detail", box.detail)] if box.detail else [])]
    for number, (look, text) in enumerate(texts):
        baseline = top + PAD // 2 + LINE * number + 14
        yield f'<text class="{look}" x="{slot.middle}" y="{baseline}" text-anchor="middle">{_text(text)}</text>'

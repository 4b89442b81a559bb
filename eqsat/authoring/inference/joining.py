"""Which terms of a universe are equal already by the laws found so far.

Only terms that are equal at every point share a class, and the laws of smaller terms are found first: so a term follows
from the laws where one of them leads from its root to another term of its class, and everything below may be replaced
by the smallest term of its class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, final

from eqsat.authoring.inference.conditions import Sight
from eqsat.authoring.inference.terms import Apply, Leaf, Slot, Term, Typing

if TYPE_CHECKING:
    from eqsat.authoring.inference.law import Law
    from eqsat.authoring.inference.rows import Value
    from eqsat.authoring.inference.space import Node, Space


class _Binding:
    """What leaves and slots of a pattern stand for: classes and attributes."""

    __slots__ = ("classes", "slots")

    def __init__(self, classes: Mapping[int, int], slots: Mapping[int, Value]) -> None:
        self.classes = classes
        self.slots = slots


@final
class Joined:
    """Terms of a space, joined by laws."""

    def __init__(self, space: Space) -> None:
        """Start with nothing joined."""
        self.space = space
        self._parent: list[int] = []

    def root(self, number: int) -> int:
        """Return the term that stands for all that a term is joined with."""
        parent = self._parent
        parent.extend(range(len(parent), len(self.space.nodes)))
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def follows(self, number: int) -> bool:
        """Return whether a term is joined with the smallest of its class."""
        eclass = self.space.eclasses[self.space.eclass_of[number]]
        return self.root(number) == self.root(eclass.members[0])

    def apply(self, law: Law, number: int) -> bool:
        """Join a term with those that a law leads to from its root; return whether there are any."""
        found = [target for target in self.targets(law, number) if target != number]
        for target in found:
            self.join(number, target)
        return bool(found)

    def join(self, one: int, two: int) -> None:
        """Take two terms to follow from each other."""
        first, second = sorted((self.root(one), self.root(two)))
        self._parent[second] = first

    def targets(self, law: Law, number: int) -> Iterator[int]:
        """Yield the terms that a law leads to."""
        space = self.space
        node = space.nodes[number]
        if node.operator != law.left.operator:
            return
        root = space.eclasses[space.eclass_of[number]].shape
        operands = tuple(space.eclasses[each].shape for each in node.operands)
        for binding in self._match(law.left, node, law.numbers, _Binding({}, {})):
            classes = binding.classes
            shapes = tuple(space.eclasses[classes[leaf]].shape for leaf in range(len(law.numbers)))
            typing = Typing(shapes, tuple(binding.slots[slot] for slot in range(len(binding.slots))))
            sight = Sight(typing, root, operands)
            if all(condition.holds(sight) for condition in law.conditions):
                target = self._built(law.right, classes, typing)
                if target is not None and space.eclass_of[target] == space.eclass_of[number]:
                    yield target

    def _match(
        self, pattern: Apply, node: Node, numbers: tuple[int | None, ...], binding: _Binding
    ) -> Iterator[_Binding]:
        if node.operator != pattern.operator or len(node.operands) != len(pattern.operands):
            return
        slots = dict(binding.slots)
        for attribute, value in zip(pattern.attributes, node.attributes, strict=True):
            if isinstance(attribute, Slot):
                slots[attribute.index] = value
        orders = [node.operands]
        if node.operator in self.space.commutative and node.operands[0] != node.operands[1]:
            orders.append(node.operands[::-1])
        for operands in orders:
            yield from self._match_all(pattern.operands, operands, numbers, _Binding(binding.classes, slots))

    def _match_all(
        self, patterns: tuple[Term, ...], operands: tuple[int, ...], numbers: tuple[int | None, ...], binding: _Binding
    ) -> Iterator[_Binding]:
        if not patterns:
            yield binding
            return
        pattern, operand = patterns[0], operands[0]
        for each in self._match_class(pattern, operand, numbers, binding):
            yield from self._match_all(patterns[1:], operands[1:], numbers, each)

    def _match_class(
        self, pattern: Term, place: int, numbers: tuple[int | None, ...], binding: _Binding
    ) -> Iterator[_Binding]:
        eclass = self.space.eclasses[place]
        if isinstance(pattern, Leaf):
            bound = binding.classes.get(pattern.index)
            if bound is None and self._is_number(place, numbers[pattern.index]):
                yield _Binding({**binding.classes, pattern.index: place}, binding.slots)
            elif bound == place:
                yield binding
            return
        for number in eclass.by_operator.get(pattern.operator, ()):
            if self.space.nodes[number].size == eclass.size and self.follows(number):
                yield from self._match(pattern, self.space.nodes[number], numbers, binding)

    def _is_number(self, place: int, wanted: int | None) -> bool:
        if wanted is None:
            return True
        first = self.space.nodes[self.space.eclasses[place].members[0]]
        if first.operator:
            return False
        (index,) = first.attributes
        return isinstance(index, int) and self.space.universe.numbers[index] == wanted

    def _built(self, term: Term, classes: Mapping[int, int], typing: Typing) -> int | None:
        """Return the term that a right side becomes, as a node."""
        if isinstance(term, Leaf):
            return self.space.eclasses[classes[term.index]].members[0]
        operands = []
        for operand in term.operands:
            if isinstance(operand, Leaf):
                operands.append(classes[operand.index])
                continue
            below = self._built(operand, classes, typing)
            if below is None:
                return None
            operands.append(self.space.eclass_of[below])
        values = tuple(value for attribute in term.attributes if (value := attribute.at(typing)) is not None)
        return self.space.find_or_add(term.operator, values, tuple(operands))

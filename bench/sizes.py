"""Sizes at which both sides of a substitution exist.

What operators ask of sizes is linear once the groups of each convolution are chosen: a concatenation adds sizes, a
convolution multiplies them by its groups, everything else makes them equal. The unknowns that are left over by
elimination get random sizes.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from typing_extensions import override

from bench.substitutions import Application, NotExpressibleError, Operation, Port, Substitution

SMALLEST: Final = 2
"""Sizes that nothing determines are at least this, so that nothing broadcasts by accident."""

LARGEST: Final = 7
"""Sizes that nothing determines are at most this."""

MAX_GROUPS: Final = 2
"""Most groups of a convolution that are tried."""

NUM_DRAWS: Final = 200

DEFAULT_RANK: Final = 2
"""Rank of tensors that only operators of any rank touch."""

Shape: TypeAlias = "tuple[int, ...]"
Affine: TypeAlias = "dict[str, Fraction]"
"""A size: a factor for each unknown, and a constant under the empty name; nothing is kept at a factor of zero."""

Side: TypeAlias = "dict[Port, tuple[Affine, ...]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Shapes of everything in a substitution.

    Attributes:
        free: Of each free input.
        source: Of each output of the source's applications.
        target: Of each output of the target's applications.
    """

    free: Mapping[Port, Shape]
    source: Mapping[Port, Shape]
    target: Mapping[Port, Shape]

    @override
    def __str__(self) -> str:
        return " ".join(
            f"{port}[{','.join(map(str, shape))}]" for port, shape in sorted(self.free.items(), reverse=True)
        )


def draw_sizes(substitution: Substitution, rng: random.Random) -> Iterator[Sizes]:
    """Yield sizes for a substitution, with few groups before many: a convolution of one group is the common case.

    For each choice of groups that sizes can fit, one draw makes sizes differ that nothing makes equal, and the other
    makes them all alike.

    Raises:
        NotExpressibleError: No sizes fit, or there is another obstacle.
    """
    if substitution.obstacle:
        raise NotExpressibleError(substitution.obstacle)
    num_convolutions = sum(each.operation is Operation.CONV for each in (*substitution.source, *substitution.target))
    every = itertools.product(range(1, MAX_GROUPS + 1), repeat=num_convolutions)
    is_fitting = False
    for groups in sorted(every, key=lambda choice: (sum(choice), choice)):
        demands = _Demands(substitution, groups)
        for draw in (_different, _alike):
            values = _solve(demands.equations, list(demands.unknowns), draw, rng)
            if values is not None:
                is_fitting = True
                yield demands.sizes(values)
    if not is_fitting:
        raise NotExpressibleError("no sizes fit both sides")


class _Demands:
    """What the operators of both sides ask of sizes."""

    def __init__(self, substitution: Substitution, groups: Sequence[int]) -> None:
        self.equations: list[Affine] = []
        self.unknowns: dict[str, None] = {}
        self._groups: Iterator[int] = iter(groups)
        self._ranks = _ranks(substitution)
        self._free: Side = {}
        self._source = self._side(substitution.source)
        self._target = self._side(substitution.target)
        for left, right in substitution.outputs:
            self._same(self._source[left], self._target[right])

    def sizes(self, values: Mapping[str, Fraction]) -> Sizes:
        """Return the shapes that these values of the unknowns give."""
        free, source, target = (
            {port: tuple(int(_evaluate(dim, values)) for dim in dims) for port, dims in side.items()}
            for side in (self._free, self._source, self._target)
        )
        return Sizes(free=free, source=source, target=target)

    def _unknown(self) -> Affine:
        name = f"size{len(self.unknowns)}"
        self.unknowns[name] = None
        return {name: Fraction(1)}

    def _tensor(self, port: Port, side: Side) -> tuple[Affine, ...]:
        if not port.is_free:
            return side[port]
        if port not in self._free:
            self._free[port] = tuple(self._unknown() for _ in range(self._ranks[port]))
        return self._free[port]

    def _equal(self, one: Affine, two: Affine) -> None:
        self.equations.append(_plus(one, two, factor=-1))

    def _same(self, one: Sequence[Affine], two: Sequence[Affine], *, but_axis: int = -1) -> None:
        for axis, (left, right) in enumerate(zip(one, two, strict=True)):
            if axis != but_axis:
                self._equal(left, right)

    def _side(self, applications: Sequence[Application]) -> Side:
        side: Side = {}
        for index, application in enumerate(applications):
            inputs = [self._tensor(port, side) for port in application.inputs]
            for output, dims in enumerate(self._outputs(application, inputs)):
                side[Port(index, output)] = dims
        return side

    def _outputs(self, application: Application, inputs: Sequence[tuple[Affine, ...]]) -> list[tuple[Affine, ...]]:
        first, last, axis = inputs[0], inputs[-1], application.axis
        match application.operation:
            case Operation.RELU:
                return [first]
            case Operation.ADD | Operation.MUL:
                self._same(first, last)
                return [first]
            case Operation.MATMUL:
                self._equal(first[1], last[0])
                return [(first[0], last[1])]
            case Operation.CONCAT:
                for other in inputs[1:]:
                    self._same(first, other, but_axis=axis)
                return [(*first[:axis], _total([dims[axis] for dims in inputs]), *first[axis + 1 :])]
            case Operation.SPLIT:
                pieces = [self._unknown() for _ in range(application.num_outputs)]
                self._equal(first[axis], _total(pieces))
                return [(*first[:axis], piece, *first[axis + 1 :]) for piece in pieces]
            case Operation.CONV:
                groups = next(self._groups)
                self._equal(first[1], _plus({}, last[1], factor=groups))
                self._equal(last[0], _plus({}, self._unknown(), factor=groups))
                self._same(last[2:], [{"": Fraction(size)} for size in application.kernel])
                return [(first[0], last[0], *first[2:])]


def _ranks(substitution: Substitution) -> dict[Port, int]:
    """Return the rank of each free input."""
    ranks: dict[tuple[int, Port], int] = {}
    sides = (substitution.source, substitution.target)
    todo = [
        ([_place(side, port) for port in application.inputs] + [(side, Port(index, 0))], application)
        for side, applications in enumerate(sides)
        for index, application in enumerate(applications)
    ]
    pairs = [[(0, left), (1, right)] for left, right in substitution.outputs]
    while True:
        before = dict(ranks)
        for places, application in todo:
            rank = _rank(application) or max(ranks.get(place, 0) for place in places)
            ranks.update(dict.fromkeys(places, rank) if rank else {})
        for pair in pairs:
            rank = max(ranks.get(place, 0) for place in pair)
            ranks.update(dict.fromkeys(pair, rank) if rank else {})
        if ranks == before:
            break
    return {port: ranks.get((0, port)) or DEFAULT_RANK for places, _ in todo for _, port in places if port.is_free}


def _place(side: int, port: Port) -> tuple[int, Port]:
    """A free input is the same on both sides."""
    return (0, port) if port.is_free else (side, port)


def _rank(application: Application) -> int:
    match application.operation:
        case Operation.MATMUL:
            return 2
        case Operation.CONV:
            return 2 + len(application.kernel)
        case _:
            return application.rank


def _plus(one: Affine, two: Affine, *, factor: Fraction | int = 1) -> Affine:
    total = dict(one)
    for name, value in two.items():
        total[name] = total.get(name, Fraction(0)) + factor * value
    return {name: value for name, value in total.items() if value}


def _total(sizes: Sequence[Affine]) -> Affine:
    total: Affine = {}
    for size in sizes:
        total = _plus(total, size)
    return total


def _evaluate(size: Affine, values: Mapping[str, Fraction]) -> Fraction:
    return sum((value * (values[name] if name else 1) for name, value in size.items()), Fraction(0))


def _different(num_sizes: int, rng: random.Random) -> list[int]:
    choices = range(SMALLEST, LARGEST + 1)
    return [size for _ in range(0, num_sizes, len(choices)) for size in rng.sample(choices, len(choices))][:num_sizes]


def _alike(num_sizes: int, rng: random.Random) -> list[int]:
    return [rng.randint(SMALLEST, LARGEST)] * num_sizes


def _solve(
    equations: Sequence[Affine],
    unknowns: Sequence[str],
    draw: Callable[[int, random.Random], Sequence[int]],
    rng: random.Random,
) -> dict[str, Fraction] | None:
    """Return whole numbers above 0 that make every equation zero, None where none were found."""
    solved = _eliminate(equations)
    if solved is None:
        return None
    loose = [name for name in unknowns if name not in solved]
    for _ in range(NUM_DRAWS):
        values = {name: Fraction(size) for name, size in zip(loose, draw(len(loose), rng), strict=True)}
        values |= {name: _evaluate(size, values) for name, size in solved.items()}
        if all(value >= 1 and value.denominator == 1 for value in values.values()):
            return values
    return None


def _eliminate(equations: Sequence[Affine]) -> dict[str, Affine] | None:
    """Return unknowns in terms of those that stay loose (Gauss-Jordan), None where the equations contradict."""
    solved: dict[str, Affine] = {}
    for equation in equations:
        left = _substitute(equation, solved)
        names = sorted(name for name in left if name)
        if not names:
            if left:
                return None
            continue
        pivot = names[-1]
        rest = {name: -value / left[pivot] for name, value in left.items() if name != pivot}
        solved = {name: _substitute(size, {pivot: rest}) for name, size in solved.items()} | {pivot: rest}
    return solved


def _substitute(size: Affine, known: Mapping[str, Affine]) -> Affine:
    total: Affine = {}
    for name, value in size.items():
        total = _plus(total, known.get(name, {name: Fraction(1)}), factor=value)
    return total

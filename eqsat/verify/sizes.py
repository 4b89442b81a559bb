"""Sizes for a model's symbolic dimensions: the user's, or sensible ones."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from eqsat.errors import UsageError
from eqsat.text.suggest import did_you_mean
from eqsat.verify.errors import UnsupportedInputError
from ir.graph import Graph
from ir.interface import op_type, tensor_dtype
from ir.types import TensorType

NUM_SIZES: Final = 3
"""Assignments that a dynamic model is verified at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeKind:
    """One kind of dimension and the sizes to try for it.

    Attributes:
        words: A dimension with one of these words in its name is of this kind.
        sizes: One size for each assignment, the default first.
        others: Sizes to try where the model does not run at the default.
    """

    words: frozenset[str]
    sizes: tuple[int, int, int]
    others: tuple[int, ...]


_PAST: Final = SizeKind(words=frozenset({"past", "cache", "history"}), sizes=(16, 1, 7), others=(0, 1, 128))
_BATCH: Final = SizeKind(
    words=frozenset({"batch", "batchsize", "bs", "b", "n", "samples"}), sizes=(1, 2, 3), others=(2, 4)
)
_SEQUENCE: Final = SizeKind(
    words=frozenset({"seq", "sequence", "seqlen", "length", "len", "tokens", "time", "t", "l", "frames", "steps"}),
    sizes=(128, 8, 37),
    others=(512, 64, 16, 1),
)
_SPATIAL: Final = SizeKind(
    words=frozenset({"height", "width", "h", "w", "rows", "cols"}),
    sizes=(224, 96, 160),
    others=(320, 640, 256, 512, 48, 32),
)
_ITEMS: Final = SizeKind(
    words=frozenset({"nodes", "edges", "vertices", "points", "atoms", "boxes", "rois", "items", "entities"}),
    sizes=(64, 7, 33),
    others=(16, 256, 2),
)
_OTHER: Final = SizeKind(words=frozenset(), sizes=(4, 1, 5), others=(3, 1, 16, 2, 8, 64, 128))
_BY_NAME: Final = (_PAST, _BATCH, _SEQUENCE, _SPATIAL, _ITEMS)
"""In order of precedence: ``past_sequence`` is a past, ``batch_length`` a batch."""

_MEANINGLESS: Final = re.compile(r"(s|unk|dim|d|u|axis)_*\d+|unk__.*")
"""Names that exporters make up, and those of dimensions that have none."""

MAX_EDGES: Final = 12
"""Assignments with a size of 0 or 1, at most."""

_EXPRESSION: Final = re.compile(r"[A-Za-z_0-9 +*()-]{3,200}")

_MAX_SIZE: Final = 2**24
"""An expression that comes to more is taken for a mere name: an input of that size would fill the memory."""

_IMAGE_CHANNELS: Final = frozenset({1, 3, 4})


def resolved_shapes(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes by input name that somebody means who speaks of inputs and of symbolic dimensions.

    Args:
        graph: The model.
        shapes: Shapes by the name of an input, or of a symbolic dimension, whose size it is then; an empty name is that
            of the only input. Dimensions below zero are open.

    Returns:
        Shapes of inputs, in which a dimension that nobody gave is what it is in the model.

    Raises:
        UsageError: A name is neither, or two sizes are given for one dimension.
    """
    inputs: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    symbols = {graph.symbols.name(dim) for name in graph.inputs for dim in _stated(graph, name) if dim < 0}
    for given, shape in shapes.items():
        name = given or _only_input(graph, shape)
        if name in graph.inputs:
            inputs[name] = shape
        elif name in symbols and len(shape) == 1:
            sizes[name] = shape[0]
        else:
            there = ", ".join(graph.inputs)
            named = f" and the symbolic dimensions {', '.join(sorted(symbols))}" if symbols else ""
            hint = did_you_mean(name, (*graph.inputs, *sorted(symbols)))
            raise UsageError(f"--input-shape names {name!r}; there are the inputs {there}{named}{hint}")
    for name in graph.inputs:
        stated = _stated(graph, name)
        shape = inputs.get(name, stated)
        if len(shape) != len(stated):
            continue  # which of the two is wrong is said where the shapes are used
        filled = tuple(dim if dim >= 0 else own for dim, own in zip(shape, stated, strict=True))
        filled = tuple(sizes.get(graph.symbols.name(dim), dim) if dim < 0 else dim for dim in filled)
        if filled != stated:
            inputs[name] = filled
    return inputs


def _stated(graph: Graph, name: str) -> tuple[int, ...]:
    return graph.types[name].shape if name in graph.types else ()


def _only_input(graph: Graph, shape: tuple[int, ...]) -> str:
    if len(graph.inputs) != 1:
        text = ",".join("?" if dim < 0 else str(dim) for dim in shape)
        raise UsageError(f"--input-shape {text} needs a name, NAME:{text}; the inputs are {', '.join(graph.inputs)}")
    return graph.inputs[0]


def input_types(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorType]:
    """Return the type of every input; where the model leaves the rank open, the user's shape stands in.

    Raises:
        UsageError: A shape names no input.
        UnsupportedInputError: An input is no tensor, or has a rank that nobody states.
    """
    for name in input_shapes:
        if name not in graph.inputs:
            raise UsageError(f"--input-shape names {name!r}; the inputs are: {', '.join(graph.inputs) or 'none'}")
    types: dict[str, TensorType] = {}
    for name in graph.inputs:
        dtype = tensor_dtype(graph, name)
        if dtype is None:
            raise UnsupportedInputError(f"input {name!r} is no tensor of a stated type: no value can be made for it")
        if name in graph.types:
            types[name] = graph.types[name]
        elif name in input_shapes and min(input_shapes[name], default=0) >= 0:
            types[name] = TensorType(dtype, input_shapes[name])
        else:
            raise UnsupportedInputError(f"input {name!r} has no stated rank; give it with --input-shape {name}:1,2,3")
    return types


def default_sizes(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]]) -> dict[int, int]:
    """Return a size for each symbol that the inputs determine.

    Args:
        graph: The model.
        input_shapes: The user's shapes by input name; every other dimension gets a size by its name and place.

    Returns:
        Sizes by symbol. Symbols of inner values are there only where their name is a sum or product of symbols of
        inputs (``past + sequence``).

    Raises:
        UsageError: A shape names no input, contradicts the model or another shape.
        UnsupportedInputError: An input is no tensor, or has a rank that nobody states.
    """
    return verification_sizes(graph, input_shapes)[0]


def given_symbols(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]]) -> frozenset[int]:
    """Return the symbols whose sizes the user's shapes say.

    Arguments and errors are those of :func:`default_sizes`.
    """
    return frozenset(_given_sizes(graph, input_types(graph, input_shapes), input_shapes))


def verification_sizes(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]]) -> tuple[dict[int, int], ...]:
    """Return the assignments to verify at: the default one first, and two more where a dimension is free.

    Arguments, contents and errors are those of :func:`default_sizes`.
    """
    types = input_types(graph, input_shapes)
    fixed = _given_sizes(graph, types, input_shapes)
    kinds = _kinds(graph, types)
    assignments: list[dict[int, int]] = []
    for index in range(NUM_SIZES):
        sizes = {**{symbol: kind.sizes[index] for symbol, kind in kinds.items()}, **fixed}
        _complete(graph, types, kinds, fixed, sizes, index)
        if sizes not in assignments:
            assignments.append(sizes)
    return tuple(assignments)


def _complete(  # what an assignment hangs on
    graph: Graph,
    types: Mapping[str, TensorType],
    kinds: Mapping[int, SizeKind],
    fixed: Mapping[int, int],
    sizes: dict[int, int],
    index: int = 0,
) -> None:
    """Add what follows from the sizes at hand: totals, and sums and products of other dimensions."""
    sizes.update(_totals(graph, kinds, sizes, fixed))
    _add_expressions(graph, sizes)
    for type_ in types.values():
        for axis, dim in enumerate(type_.shape):
            if dim < 0:
                sizes.setdefault(dim, _kind_of_place(type_, axis).sizes[index])


def alternative_sizes(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]]) -> Iterator[dict[int, int]]:
    """Yield further assignments that a user might run a model at, for where the default one is refused.

    First dimensions are as in the inputs of the same rank whose shapes are given; then one kind of dimension after
    the other has other sizes; then all kinds have.

    Arguments and errors are those of :func:`default_sizes`.
    """
    types = input_types(graph, input_shapes)
    fixed = _given_sizes(graph, types, input_shapes)
    kinds = _kinds(graph, types)
    default = {**{symbol: kind.sizes[0] for symbol, kind in kinds.items()}, **fixed}
    free = {symbol: kind for symbol, kind in kinds.items() if symbol not in fixed}
    changes = [_as_given(types, input_shapes, free)]
    present = [kind for kind in (_SPATIAL, _SEQUENCE, _ITEMS, _OTHER, _PAST, _BATCH) if kind in free.values()]
    for kind in present:
        changes += [dict.fromkeys((s for s, each in free.items() if each is kind), size) for size in kind.others]
    longest = max((len(kind.others) for kind in present), default=0)
    changes += [
        {symbol: kind.others[min(k, len(kind.others) - 1)] for symbol, kind in free.items()} for k in range(longest)
    ]
    seen: list[dict[int, int]] = []
    for change in changes:
        sizes = {**default, **change}
        _complete(graph, types, kinds, fixed, sizes)
        if change and sizes not in seen:
            seen.append(sizes)
            yield sizes


def _as_given(
    types: Mapping[str, TensorType], input_shapes: Mapping[str, tuple[int, ...]], free: Mapping[int, SizeKind]
) -> dict[int, int]:
    change: dict[int, int] = {}
    for type_ in types.values():
        for shape in input_shapes.values():
            if len(shape) == type_.rank:
                pairs = zip(type_.shape, shape, strict=True)
                change |= {dim: size for dim, size in pairs if dim in free and size >= 0}
    return change


def edge_sizes(
    graph: Graph, input_shapes: Mapping[str, tuple[int, ...]], base: Mapping[int, int]
) -> Iterator[dict[int, int]]:
    """Yield assignments with sizes of 0 and 1: all free dimensions 1, then each in turn.

    Dimensions without a name of their own that stand at the same place of inputs of the same rank change together.

    Args:
        graph: The model.
        input_shapes: The user's shapes by input name; they stay as they are.
        base: Sizes by symbol of all the others.

    Raises:
        UsageError: A shape names no input, contradicts the model or another shape.
        UnsupportedInputError: An input is no tensor, or has a rank that nobody states.
    """
    types = input_types(graph, input_shapes)
    fixed = _given_sizes(graph, types, input_shapes)
    kinds = _kinds(graph, types)
    groups: dict[object, set[int]] = {}
    for type_ in types.values():
        for axis, dim in enumerate(type_.shape):
            if dim in kinds and dim not in fixed and "total" not in graph.symbols.name(dim).lower():
                name = graph.symbols.name(dim)
                groups.setdefault((type_.rank, axis) if _MEANINGLESS.fullmatch(name) else name, set()).add(dim)
    if not groups:
        return
    changes = [dict.fromkeys((dim for group in groups.values() for dim in group), 1)]
    changes += [dict.fromkeys(group, size) for group in groups.values() for size in (0, 1)]
    seen = [dict(base)]
    for change in changes[:MAX_EDGES]:
        sizes = {symbol: base[symbol] for symbol in kinds if symbol in base} | dict(fixed) | change
        _complete(graph, types, kinds, fixed, sizes)
        if sizes not in seen:
            seen.append(sizes)
            yield sizes


def contradicted_names(graph: Graph, shapes: Mapping[str, tuple[int, ...]]) -> frozenset[str]:
    """Return the names of dimensions to which the shapes of one set of inputs give different sizes.

    ONNX Runtime takes such inputs, so that the names are no equalities.

    Args:
        graph: The model.
        shapes: Shapes by input name.
    """
    sizes: dict[int, set[int]] = {}
    for name, shape in shapes.items():
        stated = graph.types.get(name)
        if stated is not None and stated.rank == len(shape):
            for dim, size in zip(stated.shape, shape, strict=True):
                sizes.setdefault(dim, set()).update({size} - {dim})
    return frozenset(graph.symbols.name(dim) for dim, found in sizes.items() if dim < 0 and len(found) > 1)


def _given_sizes(
    graph: Graph, types: Mapping[str, TensorType], input_shapes: Mapping[str, tuple[int, ...]]
) -> dict[int, int]:
    fixed: dict[int, int] = {}
    for name, shape in input_shapes.items():
        stated = types[name].shape
        if len(shape) != len(stated):
            raise UsageError(f"--input-shape {name} has {len(shape)} dimensions; the model states {len(stated)}")
        for dim, size in zip(stated, shape, strict=True):
            if size < 0:
                continue
            if dim >= 0 and dim != size:
                raise UsageError(f"--input-shape {name} has a dimension of {size} where the model states {dim}")
            if dim < 0 and fixed.setdefault(dim, size) != size:
                symbol = graph.symbols.name(dim)
                raise UsageError(f"--input-shape {name} gives {symbol!r} the size {size}; it is {fixed[dim]} elsewhere")
    return fixed


def _kinds(graph: Graph, types: Mapping[str, TensorType]) -> dict[int, SizeKind]:
    """The kind of each input dimension whose name is no expression of others."""
    expressions = {symbol for symbol, _ in _expressions(graph)}
    kinds: dict[int, SizeKind] = {}
    for type_ in types.values():
        for axis, dim in enumerate(type_.shape):
            if dim < 0 and dim not in kinds and dim not in expressions:
                kinds[dim] = _kind_of_name(graph.symbols.name(dim)) or _kind_of_place(type_, axis)
    return kinds


def _kind_of_name(name: str) -> SizeKind | None:
    if _MEANINGLESS.fullmatch(name):
        return None
    words = set(re.findall(r"[a-z]+", name.lower()))
    return next((kind for kind in _BY_NAME if kind.words & words), None)


def _kind_of_place(type_: TensorType, axis: int) -> SizeKind:
    shape, is_float = type_.shape, type_.dtype in {1, 10, 11, 16}
    if type_.rank > 1 and axis == 0:
        return _BATCH
    if type_.rank == 4:
        is_channels_last = shape[3] in _IMAGE_CHANNELS and shape[1] not in _IMAGE_CHANNELS
        return _SPATIAL if axis in ({1, 2} if is_channels_last else {2, 3}) else _OTHER
    is_text = type_.rank == 2 and not is_float
    is_series = type_.rank == 3 and is_float and sum(dim < 0 for dim in shape[1:]) == 1
    if type_.rank == 3 and shape[0] in _IMAGE_CHANNELS and shape[1] < 0 and shape[2] < 0:
        return _SPATIAL
    return _SEQUENCE if is_text or is_series else _OTHER


def _totals(
    graph: Graph, kinds: Mapping[int, SizeKind], sizes: Mapping[int, int], fixed: Mapping[int, int]
) -> dict[int, int]:
    """``total_sequence_length`` is the past and the present together."""
    totals = [symbol for symbol in kinds if "total" in graph.symbols.name(symbol).lower()]
    past = [sizes[symbol] for symbol, kind in kinds.items() if kind is _PAST and symbol not in totals]
    present = [sizes[symbol] for symbol, kind in kinds.items() if kind is _SEQUENCE and symbol not in totals]
    if not past or not present:
        return {}
    return {symbol: past[0] + present[0] for symbol in totals if symbol not in fixed}


_RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})


def contradiction(graph: Graph, sizes: Mapping[int, int], outputs: Mapping[str, np.ndarray]) -> str:
    """Return why ONNX Runtime's outputs at a size of 0 are no yardstick, in one line; empty where they are one.

    ONNX Runtime gives a reduction of an empty tensor that counts its axes from the back the shape of its input, and the
    last states of a recurrence of no steps are whatever lay in their memory.

    Args:
        graph: The model.
        sizes: Sizes by symbol.
        outputs: What ONNX Runtime gave for it, by name.
    """
    recurrent = next((kind for node in graph.nodes if (kind := op_type(node)) in _RECURRENT), "")
    if recurrent:
        return f"ONNX Runtime leaves the last states of {recurrent} of no steps unset"
    for name, array in outputs.items():
        type_ = graph.types.get(name)
        if type_ is None:
            continue
        dims = [dim if dim >= 0 else sizes.get(dim, dim) for dim in type_.shape]
        is_other = any(dim >= 0 and dim != size for dim, size in zip(dims, array.shape, strict=False))
        if len(dims) != array.ndim or is_other:
            return f"ONNX Runtime gives output {name!r} the shape {list(array.shape)}, which ONNX does not"
    return ""


_OPERATIONS: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def _expressions(graph: Graph) -> Iterator[tuple[int, ast.BinOp]]:
    """Symbols whose names are sums, differences or products of other symbols' names."""
    names = graph.symbols.names()
    for name in names:
        if not _EXPRESSION.fullmatch(name):
            continue
        try:
            parsed = ast.parse(name, mode="eval").body
        except SyntaxError:
            continue
        used = {node.id for node in ast.walk(parsed) if isinstance(node, ast.Name)}
        if isinstance(parsed, ast.BinOp) and used and used.issubset(names):
            yield graph.symbols.intern(name), parsed


def _add_expressions(graph: Graph, sizes: dict[int, int]) -> None:
    pending = dict(_expressions(graph))
    while pending:
        by_name = {graph.symbols.name(symbol): size for symbol, size in sizes.items()}
        found = {symbol: _evaluate(tree, by_name) for symbol, tree in pending.items()}
        new = {symbol: size for symbol, size in found.items() if size is not None and 0 <= size <= _MAX_SIZE}
        if not new:
            return
        for symbol, size in new.items():
            sizes.setdefault(symbol, size)
            del pending[symbol]


def _evaluate(tree: ast.expr, by_name: Mapping[str, int]) -> int | None:
    match tree:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name):
            return by_name.get(name)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            one, two = _evaluate(left, by_name), _evaluate(right, by_name)
            return None if one is None or two is None else _OPERATIONS[type(operation)](one, two)
        case _:
            return None

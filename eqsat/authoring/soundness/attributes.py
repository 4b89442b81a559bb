"""Attributes of operators, drawn so that they are likely to fit the inputs: a row for each kind, and some by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ir.operators import OPERATORS, Kind

if TYPE_CHECKING:
    from eqsat.authoring.soundness.sizes import Shape, Sizes
    from eqsat.egglog.primitives import Attribute
    from ir.operators import Attribute as Column

Template: TypeAlias = "tuple[Attribute | None, ...]"
"""A vector or shape of known length some elements of which are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Attributes of one node to be drawn.

    Attributes:
        operator: Row of the operator table.
        shapes: Shapes of its inputs; None for one that is missing.
        dtype: Element type of its first input.
        known: What is known already.
        templates: What is known of the elements of vectors.
        sizes: Source of chance and sizes.
        numbers: Numbers that the rule names itself.
        wanted: A shape that what the node goes into would take; None where nothing is known of it.
    """

    operator: str
    shapes: Sequence[Shape | None]
    dtype: int
    known: Mapping[str, Attribute]
    templates: Mapping[str, Template]
    sizes: Sizes
    numbers: Sequence[float]
    wanted: Shape | None = None

    @property
    def source(self) -> Shape:
        """Shape of the first input."""
        return (self.shapes[0] if self.shapes else None) or ()

    @property
    def rank(self) -> int:
        """Rank of the first input."""
        return len(self.source)


def propose(opened: Open) -> dict[str, Attribute]:
    """Return every attribute of a node."""
    found: dict[str, Attribute] = {}
    for column in OPERATORS[opened.operator].attributes:
        if column.name in opened.known:
            found[column.name] = opened.known[column.name]
            continue
        template = opened.templates.get(column.name)
        found[column.name] = _value(column, opened, found, template)
    return found


def _value(column: Column, opened: Open, found: Mapping[str, Attribute], template: Template | None) -> Attribute:
    own = _BY_OPERATOR.get((opened.operator, column.name))
    if column.kind is Kind.DIMS:
        return _DIMS.get(opened.operator, _filled_shape)(opened, template)
    if own is not None:
        value = own(opened, found)
    elif column.name in _BY_NAME:
        value = _BY_NAME[column.name](opened, found)
    else:
        value = _BY_KIND[column.kind](column, opened)
    if template is not None and isinstance(value, tuple):
        padding = (*value, *([value[-1]] * len(template) if value else [1] * len(template)))
        return tuple(padding[place] if known is None else known for place, known in enumerate(template))
    return value


# --- by kind ---------------------------------------------------------------------------------------------------


def _float(column: Column, opened: Open) -> Attribute:
    default = column.default if isinstance(column.default, float) else 1.0
    if opened.numbers and opened.sizes.chance(0.4):
        return float(opened.sizes.pick(opened.numbers))
    return float(opened.sizes.pick([default, default, 0.5, 0.25, 1.0, 2.0]))


def _axis(column: Column, opened: Open) -> Attribute:
    del column
    return int(opened.sizes.rng.integers(max(opened.rank, 1)))


def _last(column: Column, opened: Open) -> Attribute:
    del column
    return -1 if opened.sizes.chance(0.5) else -int(opened.sizes.rng.integers(1, max(opened.rank, 1) + 1))


def _some_axes(opened: Open) -> list[int]:
    if not opened.rank:
        return []
    count = 1 if opened.sizes.chance(0.65) else int(opened.sizes.rng.integers(1, opened.rank + 1))
    return sorted(int(axis) for axis in opened.sizes.rng.choice(opened.rank, count, replace=False))


def _axes(column: Column, opened: Open) -> Attribute:
    del column
    return tuple(_some_axes(opened))


def _lasts(column: Column, opened: Open) -> Attribute:
    del column
    if opened.rank and opened.sizes.chance(0.4):
        return (-1,)
    return tuple(axis - opened.rank for axis in _some_axes(opened))


def _int(column: Column, opened: Open) -> Attribute:
    default = column.default if isinstance(column.default, int) else 0
    return opened.sizes.pick([0, 1]) if column.default in {0, 1} else default


def _string(column: Column, opened: Open) -> Attribute:
    del opened
    return column.default if isinstance(column.default, str) else ""


def _ints(column: Column, opened: Open) -> Attribute:
    del column
    return tuple(1 for _ in range(opened.rank))


_BY_KIND: Final[Mapping[Kind, Callable[[Column, Open], Attribute]]] = {
    Kind.INT: _int,
    Kind.FLOAT: _float,
    Kind.STRING: _string,
    Kind.INTS: _ints,
    Kind.AXIS: _axis,
    Kind.LAST: _last,
    Kind.AXES: _axes,
    Kind.LASTS: _lasts,
}

# --- shapes ----------------------------------------------------------------------------------------------------


def _new_shape(opened: Open, template: Template | None) -> Attribute:
    """Another shape of as many elements, symbols kept."""
    sizes = opened.sizes
    symbols = [size for size in opened.source if size < 0]
    numbers = [size for size in opened.source if size >= 0]
    if template is not None:
        return _completed(template, symbols, numbers)
    shape = list(opened.source)
    way = _WAYS[int(sizes.rng.choice(len(_WAYS), p=_WAY_SHARES))]
    return tuple(way(opened, shape))


def _merged(opened: Open, shape: list[int]) -> list[int]:
    if len(shape) < 2:
        return shape
    place = int(opened.sizes.rng.integers(len(shape) - 1))
    one, two = shape[place : place + 2]
    return [*shape[:place], one * two, *shape[place + 2 :]] if one >= 0 and two >= 0 else shape


def _with_unit(opened: Open, shape: list[int]) -> list[int]:
    place = int(opened.sizes.rng.integers(len(shape) + 1))
    return [*shape[:place], 1, *shape[place:]]


def _factors(opened: Open, shape: list[int]) -> list[int]:
    found: list[int] = []
    for size in shape:
        divisors = [divisor for divisor in range(2, size) if size % divisor == 0]
        if divisors:
            divisor = opened.sizes.pick(divisors)
            found += [divisor, size // divisor]
        else:
            found.append(size)
    return found


_WAYS: Final[Sequence[Callable[[Open, list[int]], list[int]]]] = (
    lambda _, shape: shape,
    _merged,
    _with_unit,
    lambda _, shape: [size for size in shape if size != 1],
    lambda _, shape: shape[::-1],
    _factors,
)
_WAY_SHARES: Final = (0.2, 0.25, 0.2, 0.1, 0.1, 0.15)


def _completed(template: Template, symbols: list[int], numbers: list[int]) -> Attribute:
    """Fill a template so that the number of elements stays."""
    left = list(symbols)
    total = 1
    for size in numbers:
        total *= size
    for known in template:
        if isinstance(known, int) and known in left:
            left.remove(known)
        elif isinstance(known, int) and known > 0 and total % known == 0:
            total //= known
    found: list[Attribute] = []
    num_open = sum(known is None for known in template)
    for known in template:
        if known is not None:
            found.append(known)
            continue
        num_open -= 1
        if left:
            found.append(left.pop(0))
        elif num_open:
            divisor = next((size for size in (2, 3, 5) if total > size and total % size == 0), 1)
            total //= divisor
            found.append(divisor)
        else:
            found.append(total)
    return tuple(found)


def _wider_shape(opened: Open, template: Template | None) -> Attribute:
    """A shape that the input broadcasts to."""
    sizes = opened.sizes
    source = opened.source
    if template is None and opened.wanted is not None and all(size == 1 for size in source) and sizes.chance(0.7):
        return opened.wanted
    if template is not None:
        padded = [1] * (len(template) - len(source)) + list(source)
        wide = [sizes.size() if size == 1 else size for size in padded[-len(template) :]] if template else []
        return tuple(size if known is None else known for known, size in zip(template, wide, strict=False))
    shape = tuple(sizes.size() if size == 1 and sizes.chance(0.8) else size for size in source)
    return (sizes.size(), *shape) if sizes.chance(0.25) and len(shape) < 5 else shape


def _filled_shape(opened: Open, template: Template | None) -> Attribute:
    if template is None and opened.wanted is not None and opened.sizes.chance(0.7):
        return tuple(max(opened.sizes.concrete.get(size, size), 0) for size in opened.wanted)
    if template is not None:
        return tuple(opened.sizes.known() if known is None else known for known in template)
    return tuple(opened.sizes.known() for _ in range(opened.sizes.rank(0, 3)))


_DIMS: Final[Mapping[str, Callable[[Open, Template | None], Attribute]]] = {
    "Reshape": _new_shape,
    "Expand": _wider_shape,
}

# --- by name ---------------------------------------------------------------------------------------------------

_Found: TypeAlias = "Mapping[str, Attribute]"
_Row: TypeAlias = Callable[["Open", "Mapping[str, Attribute]"], "Attribute"]


def _one_of(*choices: Attribute) -> _Row:
    return lambda opened, _: opened.sizes.pick(choices)


def _spatial_rank(opened: Open) -> int:
    pads = opened.known.get("pads")
    if isinstance(pads, tuple):
        return len(pads) // 2
    for name in ("strides", "dilations", "kernel_shape"):
        value = opened.known.get(name) or opened.templates.get(name)
        if isinstance(value, tuple):
            return len(value)
    return max(opened.rank - 2, 1)


def _kernel(opened: Open, found: _Found) -> Attribute:
    del found
    if opened.sizes.chance(0.15):
        return (1,) * _spatial_rank(opened)
    return tuple(opened.sizes.pick([1, 2, 3, 3]) for _ in range(_spatial_rank(opened)))


def _strides(opened: Open, found: _Found) -> Attribute:
    del found
    if opened.sizes.chance(0.5):
        return (1,) * _spatial_rank(opened)
    return tuple(opened.sizes.pick([1, 2, 2, 3]) for _ in range(_spatial_rank(opened)))


def _dilations(opened: Open, found: _Found) -> Attribute:
    del found
    is_plain = opened.sizes.chance(0.75)
    return tuple(1 if is_plain else opened.sizes.pick([1, 2]) for _ in range(_spatial_rank(opened)))


def _pads(opened: Open, found: _Found) -> Attribute:
    del found
    rank = _spatial_rank(opened)
    kind = opened.sizes.rng.random()
    if kind < 0.35:
        return (0,) * (2 * rank)
    if kind < 0.65:
        return (1,) * (2 * rank)
    return tuple(opened.sizes.pick([0, 1, 1, 2]) for _ in range(2 * rank))


def _group(opened: Open, found: _Found) -> Attribute:
    del found
    weights = opened.shapes[1] if len(opened.shapes) > 1 else None
    if weights is None or opened.rank < 2 or len(weights) < 2:
        return 1
    if opened.operator == "ConvTranspose":
        return opened.sizes.pick([1, 1, 2])
    return max(opened.source[1] // max(weights[1], 1), 1)


def _permutation(opened: Open, found: _Found) -> Attribute:
    del found
    order = [int(axis) for axis in opened.sizes.rng.permutation(opened.rank)]
    if opened.rank > 1 and opened.sizes.chance(0.4):
        order = [*range(opened.rank - 2), opened.rank - 1, opened.rank - 2]
    return tuple(order)


def _pieces(opened: Open, found: _Found) -> Attribute:
    axis = found.get("axis", 0)
    size = opened.source[axis] if isinstance(axis, int) and 0 <= axis < opened.rank else 1
    if size < 0:
        size = opened.sizes.concrete.get(size, 2)
    template = opened.templates.get("split")
    count = len(template) if template is not None else opened.sizes.pick([1, 2, 2, 2, 3])
    if count == 1 or size < count:
        return (size, *([0] * (count - 1)))
    if size % count == 0 and opened.sizes.chance(0.4):
        return (size // count,) * count
    cuts = sorted(int(cut) for cut in opened.sizes.rng.choice(range(1, size), count - 1, replace=False))
    return tuple(end - start for start, end in zip([0, *cuts], [*cuts, size], strict=True))


def _starts(opened: Open, found: _Found) -> Attribute:
    del found
    length = _vector_length(opened)
    rng = opened.sizes.rng
    if opened.sizes.chance(0.3):
        return (0,) * length
    return tuple(int(rng.integers(-2 if rng.random() < 0.3 else 0, 4)) for _ in range(length))


def _ends(opened: Open, found: _Found) -> Attribute:
    starts = found.get("starts")
    rng = opened.sizes.rng
    ends = []
    for start in starts if isinstance(starts, tuple) else ():
        kind = rng.random()
        if kind < 0.2:
            ends.append(2**63 - 1 if rng.random() < 0.3 else 9)
        elif kind < 0.35:
            ends.append(-int(rng.integers(1, 3)))
        elif kind < 0.45:
            ends.append(-100)
        else:
            ends.append(min(max(start if isinstance(start, int) else 0, 0), _FAR) + int(rng.integers(1, 4)))
    return tuple(ends)


_FAR: Final = 2**31
"""A start that no axis has."""


def _vector_length(opened: Open) -> int:
    for name in ("starts", "ends", "axes", "steps"):
        value = opened.known.get(name) or opened.templates.get(name)
        if isinstance(value, tuple):
            return len(value)
    return 1 if opened.sizes.chance(0.7) else max(min(opened.rank, 2), 1)


def _sliced_axes(opened: Open, found: _Found) -> Attribute:
    starts = found.get("starts")
    count = len(starts) if isinstance(starts, tuple) else 1
    if count > opened.rank:
        return tuple(range(count))
    return tuple(sorted(int(axis) for axis in opened.sizes.rng.choice(opened.rank, count, replace=False)))


def _steps(opened: Open, found: _Found) -> Attribute:
    starts, ends = found.get("starts"), found.get("ends")
    if not isinstance(starts, tuple) or not isinstance(ends, tuple):
        return (1,)
    return tuple(
        -1 if isinstance(end, int) and end < -2 else opened.sizes.pick([1, 1, 1, 1, 2, -1])
        for _, end in zip(starts, ends, strict=False)
    )


def _border(opened: Open, found: _Found) -> Attribute:
    del found
    count = 2 * opened.rank
    kind = opened.sizes.rng.random()
    if kind < 0.15:
        return (0,) * count
    choices = [0, 0, 1, 2] if kind < 0.9 else [-1, 0, 1]
    return tuple(opened.sizes.pick(choices) for _ in range(count))


def _same_type(opened: Open, found: _Found) -> Attribute:
    del found
    return opened.dtype


def _divisor_of_channels(opened: Open, found: _Found) -> Attribute:
    del found
    channels = opened.source[1] if opened.rank > 1 else 1
    divisors = [size for size in (1, 2, 3, 4) if channels > 0 and channels % size == 0]
    return opened.sizes.pick(divisors or [1])


def _divisor_of_width(opened: Open, found: _Found) -> Attribute:
    del found
    width = opened.source[-1] if opened.rank else 1
    divisors = [size for size in (1, 2, 3, 4) if width > 0 and width % size == 0]
    return opened.sizes.pick(divisors or [1])


def _join_axis(opened: Open, found: _Found) -> Attribute:
    """The axis along which the inputs differ, if there is one."""
    del found
    shapes = [shape for shape in opened.shapes if shape is not None]
    for axis in range(opened.rank):
        if any(len(shape) == opened.rank and shape[axis] != opened.source[axis] for shape in shapes):
            return axis
    return int(opened.sizes.rng.integers(max(opened.rank, 1)))


def _hidden(opened: Open, found: _Found) -> Attribute:
    del found
    recurrence = opened.shapes[2] if len(opened.shapes) > 2 else None
    return recurrence[2] if recurrence is not None and len(recurrence) == 3 else 2


def _output_padding(opened: Open, found: _Found) -> Attribute:
    strides = found.get("strides")
    if not isinstance(strides, tuple) or opened.sizes.chance(0.6):
        return (0,) * _spatial_rank(opened)
    return tuple(1 if isinstance(stride, int) and stride > 1 else 0 for stride in strides)


def _shape_end(opened: Open, found: _Found) -> Attribute:
    start = found.get("start", 0)
    low = start if isinstance(start, int) and 0 <= start <= opened.rank else 0
    return opened.rank if opened.sizes.chance(0.7) else int(opened.sizes.rng.integers(low, opened.rank + 1))


_BY_NAME: Final[Mapping[str, _Row]] = {
    "keepdims": _one_of(0, 1),
    "epsilon": _one_of(1e-5, 1e-3, 0.1, 0.5, 1.0),
    "strides": _strides,
    "dilations": _dilations,
    "pads": _pads,
    "kernel_shape": _kernel,
    "group": _group,
    "to": _one_of(1, 1, 11, 10, 7, 6, 9),
    "dtype": _same_type,
    "blocksize": _one_of(2),
    "p": _one_of(1, 2),
    "k": _one_of(-1, 0, 0, 1),
    "hidden_size": _hidden,
    "direction": _one_of("forward", "reverse", "bidirectional"),
    "value": _one_of(0.0, 1.0, 1.0, 2.0, -1.0),
    "stash_type": _one_of(1),
    "ceil_mode": _one_of(0, 0, 1),
    "softcap": _one_of(0.0, 0.0, 0.0, 3.0),
    "scale": _one_of(0.25, 0.5, 1.0, 2.0),
    "num_heads": _divisor_of_width,
    "q_num_heads": _one_of(0),
    "kv_num_heads": _one_of(0),
    "rotary_embedding_dim": _one_of(0, 0, 2),
    "transBatchA": _one_of(0, 0, 0, 1),
    "transBatchB": _one_of(0, 0, 0, 1),
    "batch_dims": _one_of(0, 0, 1),
    "center_point_box": _one_of(0),
    "layout": _one_of(0, 0, 0, 1),
    "sorted": _one_of(1),
    "storage_order": _one_of(0),
    "output_padding": _output_padding,
    "reduction": _one_of("none", "add", "mul"),
    "exclude_outside": _one_of(0),
}

_BY_OPERATOR: Final[Mapping[tuple[str, str], _Row]] = {
    ("Transpose", "perm"): _permutation,
    ("Split", "split"): _pieces,
    ("Slice", "starts"): _starts,
    ("Slice", "ends"): _ends,
    ("Slice", "axes"): _sliced_axes,
    ("Slice", "steps"): _steps,
    ("Pad", "pads"): _border,
    ("Pad", "mode"): _one_of("constant", "constant", "reflect", "edge"),
    ("Tile", "repeats"): lambda opened, _: tuple(int(each) for each in opened.sizes.rng.integers(1, 3, opened.rank)),
    ("Concat", "axis"): _join_axis,
    ("GroupNormalization", "num_groups"): _divisor_of_channels,
    ("Gelu", "approximate"): _one_of("none", "tanh"),
    ("DepthToSpace", "mode"): _one_of("DCR", "CRD"),
    ("BitShift", "direction"): _one_of("LEFT", "RIGHT"),
    ("Einsum", "equation"): _one_of("ij,jk->ik", "bij,bjk->bik", "bhid,bhjd->bhij", "bij,jk->bik", "ij->ji", "ij->i"),
    ("TopK", "K"): _one_of(1, 2),
    ("LRN", "size"): _one_of(1, 3, 5),
    ("Mod", "fmod"): _one_of(0, 1),
    ("Shape", "start"): lambda opened, _: opened.sizes.pick([0, 0, int(opened.sizes.rng.integers(opened.rank + 1))]),
    ("Shape", "end"): _shape_end,
    ("OneHot", "axis"): _one_of(-1, 0),
    ("QuantizeLinear", "axis"): _one_of(1, 0),
    ("DequantizeLinear", "axis"): _one_of(1, 0),
    ("ReverseSequence", "batch_axis"): _one_of(1, 1, 0),
    ("ReverseSequence", "time_axis"): lambda _, found: 1 if found.get("batch_axis") == 0 else 0,
    ("Resize", "mode"): _one_of("nearest", "linear"),
    ("Resize", "coordinate_transformation_mode"): _one_of("half_pixel", "asymmetric", "align_corners"),
    ("GridSample", "mode"): _one_of("linear", "nearest"),
    ("GridSample", "padding_mode"): _one_of("zeros", "border"),
    ("Attention", "is_causal"): _one_of(0, 0, 1),
    ("MsMultiHeadAttention", "unidirectional"): _one_of(0, 0, 1),
}

"""Shapes of the inputs of operators, drawn so that they are likely to fit: one row a family of operators.

A proposal need not be right: ONNX's own inference judges every node, and a bad one is drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ir.operators import OPERATORS, Kind

if TYPE_CHECKING:
    from eqsat.authoring.soundness.sizes import Shape, Sizes
    from eqsat.egglog.primitives import Attribute

BROADCASTING: Final = frozenset(
    {
        *("Add", "Mul", "Sub", "Div", "Pow", "Mod", "PRelu", "Where", "Sum", "Max", "Min", "Mean", "Expand"),
        *("And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift"),
        *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
    }
)
"""Operators whose inputs broadcast."""

KEEPING: Final = (
    BROADCASTING
    | frozenset(
        row.name
        for row in OPERATORS.values()
        if row.num_inputs == 1 and not row.is_multi and not row.attributes and not row.name.startswith("Global")
    )
    | frozenset(
        {
            *("Cast", "Clip", "Softmax", "LogSoftmax", "Dropout", "LeakyRelu", "Elu", "Celu", "HardSigmoid"),
            *("Gelu", "Swish", "MsQuickGelu"),
        }
    )
)
"""Operators that keep the shape of their first input, or broadcast it: what they are used for decides their rank."""

NORMALISING: Final = frozenset(
    {"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization", "BatchNormalization"}
)
"""Operators that keep the shape of their first input too, of which they ask a little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An input to be drawn.

    Attributes:
        operator: Row of the operator table.
        position: Which of its inputs.
        known: Shapes of its inputs as far as they are known; None for the others.
        attributes: Its attributes as far as they are known.
        sizes: Source of sizes.
    """

    operator: str
    position: int
    known: Sequence[Shape | None]
    attributes: Mapping[str, Attribute]
    sizes: Sizes

    def shape(self, position: int) -> Shape | None:
        """Return the shape of an input, None where it is not known."""
        return self.known[position] if position < len(self.known) else None

    def beside(self) -> Shape:
        """Return the first known shape of a further input, empty where there is none: a scale is known before its x."""
        return next((shape for shape in self.known[1:] if shape), ())

    def integer(self, name: str, default: int = 0) -> int:
        """Return an attribute that is an integer."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a vector of integers, None where it is not known."""
        value = self.attributes.get(name)
        if not isinstance(value, tuple):
            return None
        return tuple(element for element in value if isinstance(element, int))


def propose(site: Site) -> Shape:
    """Return a shape for an input."""
    row = _ROWS.get(site.operator)
    if row is not None:
        return row(site)
    return _broadcast(site) if site.operator in BROADCASTING or site.position else _any(site)


def lowest_rank(site: Site) -> tuple[int, int]:
    """Return the ranks between which the first input must lie, by the attributes that are known."""
    low, high = 0, 5
    for column in OPERATORS[site.operator].attributes:
        value = site.attributes.get(column.name)
        match column.kind, value:
            case Kind.AXIS, int():
                low = max(low, value + 1)
            case Kind.LAST, int():
                low = max(low, -value)
            case Kind.AXES, tuple():
                low = max([low, *(axis + 1 for axis in value if isinstance(axis, int))])
            case Kind.LASTS, tuple():
                low = max([low, *(-axis for axis in value if isinstance(axis, int))])
            case Kind.AXIS | Kind.LAST | Kind.AXES | Kind.LASTS, None:
                low = max(low, 1)
            case _:
                pass
    return low, max(low, high)


def _any(site: Site) -> Shape:
    low, high = lowest_rank(site)
    return site.sizes.shape(site.sizes.rank(low, high))


def _broadcast(site: Site) -> Shape:
    given = [shape for shape in site.known if shape is not None]
    if not given:
        return _any(site)
    return site.sizes.broadcast(max(given, key=len) if site.sizes.chance(0.8) else given[0])


def _matmul(site: Site) -> Shape:
    sizes = site.sizes
    other = site.shape(1 - site.position)
    is_left = site.position == 0
    if other is None or not other:
        return sizes.shape(sizes.rank(1, 4) if sizes.chance(0.1) else sizes.rank(2, 4))
    inner = other[-1] if not is_left else other[max(len(other) - 2, 0)]
    if sizes.chance(0.06):
        return (inner,)
    matrix = (sizes.size(), inner) if is_left else (inner, sizes.size())
    if len(other) > 2 and sizes.chance(0.55):
        batch = other[:-2] if sizes.chance(0.7) else sizes.broadcast(other[:-2])
        return (*batch, *matrix)
    return (sizes.size(), *matrix) if sizes.chance(0.15) else matrix


def _fused_matmul(site: Site) -> Shape:
    shape = _matmul(site)
    is_left = site.position == 0
    is_turned = site.integer("transA" if is_left else "transB")
    other_turned = site.integer("transB" if is_left else "transA")
    other = site.shape(1 - site.position)
    if len(shape) < 2 or (other is not None and len(other) < 2):
        return site.sizes.shape(2)
    if other is not None:
        rows, columns = (other[-1], other[-2]) if other_turned else (other[-2], other[-1])
        matrix = (site.sizes.size(), rows) if is_left else (columns, site.sizes.size())
        shape = (*shape[:-2], *matrix)
    return (*shape[:-2], shape[-1], shape[-2]) if is_turned else shape


def _gemm(site: Site) -> Shape:
    sizes = site.sizes
    left, right = site.shape(0), site.shape(1)
    if site.position == 2 and left is not None and right is not None and len(left) == len(right) == 2:
        rows = left[1] if site.integer("transA") else left[0]
        columns = right[0] if site.integer("transB") else right[1]
        return tuple(sizes.pick([(rows, columns), (columns,), (columns,), (1, columns), (rows, 1), (), (1,)]))
    if site.position == 1 and left is not None and len(left) == 2:
        inner = left[0] if site.integer("transA") else left[1]
        return (sizes.size(), inner) if site.integer("transB") else (inner, sizes.size())
    if site.position == 0 and right is not None and len(right) == 2:
        inner = right[1] if site.integer("transB") else right[0]
        return (inner, sizes.size()) if site.integer("transA") else (sizes.size(), inner)
    return sizes.shape(2)


def _image(site: Site) -> Shape:
    """Batch, channels and two or so spatial axes that are large enough for a window."""
    sizes = site.sizes
    windows = site.integers("kernel_shape") or site.integers("strides")
    pads = site.integers("pads")
    rank = len(windows) + 2 if windows else (len(pads) // 2 + 2 if pads else sizes.pick([3, 4, 4, 4, 5]))
    group = max(site.integer("group", 1), 1)
    channels = group * sizes.pick([1, 2, 2, 3, 4])
    if group == 1 and sizes.chance(0.3):
        channels = sizes.pick([4, 6, 8, 16])
    spatial = tuple(sizes.pick([1, 3, 4, 5, 5, 6]) for _ in range(rank - 2))
    batch = sizes.size()
    return (batch, channels, *spatial)


def _convolution(site: Site) -> Shape:
    sizes = site.sizes
    source, weights = site.shape(0), site.shape(1)
    is_transposed = site.operator == "ConvTranspose"
    if site.position == 0:
        return _image_for(site, weights) if weights is not None and len(weights) > 2 else _image(site)
    group = max(site.integer("group", 1), 1)
    if site.position == 1 and source is not None and len(source) > 2:
        channels = max(source[1], 1)
        if "group" not in site.attributes:
            group = int(sizes.pick([1, 1, *(size for size in (2, 3, 4, channels) if channels % size == 0)]))
        kernel = tuple(sizes.pick([1, 1, 2, 3, 3]) for _ in source[2:])
        if sizes.chance(0.25):
            kernel = (1,) * len(kernel)
        outside = group * sizes.pick([1, 1, 2, 3])
        if is_transposed:
            return (channels, max(outside // group, 1), *kernel)
        return (outside, max(channels // group, 1), *kernel)
    if site.position == 2 and weights is not None and weights:
        return (weights[1] * group if is_transposed and len(weights) > 1 else weights[0],)
    if site.position == 2:
        return (sizes.known(),)
    return (sizes.pick([1, 2, 3, 4, 6, 8, 16]), sizes.known(), sizes.pick([1, 3]), sizes.pick([1, 3]))


def _image_for(site: Site, weights: Shape) -> Shape:
    group = max(site.integer("group", site.sizes.pick([1, 1, 1, 2, 4, 8])), 1)
    channels = weights[0] if site.operator == "ConvTranspose" else weights[1] * group
    spatial = tuple(site.sizes.pick([3, 4, 5, 6]) for _ in weights[2:])
    return (site.sizes.size(), channels, *spatial)


def _channels(site: Site) -> Shape:
    source = site.shape(0)
    if site.position == 0:
        shape, beside = site.sizes.shape(site.sizes.rank(2, 5)), site.beside()
        return (shape[0], beside[0], *shape[2:]) if beside else shape
    return (source[1] if source is not None and len(source) > 1 else site.sizes.size(),)


def _normalised(site: Site) -> Shape:
    """The axes from ``axis`` on, or something that broadcasts to them."""
    source = site.shape(0)
    axis = site.integer("axis", -1)
    if site.position == 0 or source is None or not source:
        beside = site.beside()
        rank = site.sizes.rank(max(-axis, len(beside), 1), 4)
        return (*site.sizes.shape(rank - len(beside)), *beside)
    wanted = source[axis:]
    return site.sizes.broadcast(wanted) if site.sizes.chance(0.2) else wanted


def _skip(site: Site) -> Shape:
    source = site.shape(0)
    if site.position == 0 or source is None:
        return (*site.sizes.shape(2), *(site.beside()[-1:] or site.sizes.shape(1)))
    return source if site.position == 1 else source[-1:]


def _last(site: Site) -> Shape:
    source = site.shape(0)
    if site.position == 0 or not source:
        beside = site.beside()[-1:]
        return (*site.sizes.shape(site.sizes.rank(1, 4) - len(beside)), *beside)
    return source[-1:]


def _joined(site: Site) -> Shape:
    """As the others, but for one axis."""
    given = [shape for shape in site.known if shape is not None]
    if not given:
        return _any(site)
    shape = given[0]
    if not shape or site.sizes.chance(0.3):
        return shape
    axis = site.integer("axis", int(site.sizes.rng.integers(len(shape))))
    return tuple(site.sizes.size() if place == axis else size for place, size in enumerate(shape))


def _transposed(site: Site) -> Shape:
    order = site.integers("perm")
    return site.sizes.shape(len(order)) if order is not None else _any(site)


def _padded(site: Site) -> Shape:
    pads = site.integers("pads")
    if site.position:
        return ()
    return site.sizes.shape(len(pads) // 2) if pads is not None else site.sizes.shape(site.sizes.rank(1, 4))


def _tiled(site: Site) -> Shape:
    repeats = site.integers("repeats")
    return site.sizes.shape(len(repeats)) if repeats is not None else _any(site)


def _reshaped(site: Site) -> Shape:
    """Another factorisation of as many elements."""
    target = site.integers("shape")
    if target is None:
        return site.sizes.shape(site.sizes.rank(0, 4))
    kind = site.sizes.rng.random()
    if kind < 0.3 or not target:
        return target
    if kind < 0.65 and len(target) > 1 and all(size >= 0 for size in target):
        place = int(site.sizes.rng.integers(len(target) - 1))
        return (*target[:place], target[place] * target[place + 1], *target[place + 2 :])
    if kind < 0.85:
        place = int(site.sizes.rng.integers(len(target) + 1))
        return (*target[:place], 1, *target[place:])
    return tuple(reversed(target))


def _split(site: Site) -> Shape:
    pieces = site.integers("split")
    low, high = lowest_rank(site)
    shape = site.sizes.shape(site.sizes.rank(max(low, 1), high))
    if pieces is None or "axis" not in site.attributes:
        return shape
    axis = site.integer("axis")
    return tuple(sum(pieces) if place == axis else size for place, size in enumerate(shape))


def _four_axes(site: Site) -> Shape:
    return (site.sizes.size(), 4 * site.sizes.pick([1, 2]), 4, 2)


def _indices(site: Site) -> Shape:
    if site.position == 0:
        low, high = lowest_rank(site)
        return site.sizes.shape(site.sizes.rank(max(low, 1), high))
    if site.operator.startswith("GatherElements") or site.operator.startswith("ScatterElements"):
        return site.shape(0) or ()
    return site.sizes.shape(site.sizes.rank(0, 2))


def _scalar(site: Site) -> Shape:
    return _any(site) if site.position == 0 and site.operator != "Range" else ()


def _attention(site: Site) -> Shape:
    """Heads on an axis of their own: [batch, heads, sequence, width]."""
    sizes = site.sizes
    query, key = site.shape(0), site.shape(1)
    if site.position == 0:
        return sizes.shape(4)
    if query is None or len(query) != 4:
        return sizes.shape(4)
    if site.position == 1:
        return (query[0], query[1], sizes.size(), query[3])
    if site.position == 2 and key is not None and len(key) == 4:
        return (key[0], key[1], key[2], sizes.size())
    full = (query[0], query[1], query[2], key[2] if key is not None and len(key) == 4 else sizes.size())
    return sizes.broadcast(full) if sizes.chance(0.6) else full[-2:]


def _packed_attention(site: Site) -> Shape:
    """[batch, sequence, heads * width]; a mask that is known before says how long the sequences are."""
    sizes = site.sizes
    heads = max(site.integer("num_heads", 2), 1)
    query, key = site.shape(0), site.shape(1)
    mask = site.shape(5) or ()
    batch, _, queries, keys = mask if len(mask) == 4 else (1, 1, sizes.size(), sizes.size())
    if site.position == 0 or query is None or len(query) != 3:
        return (sizes.size() if batch == 1 else batch, queries, heads * sizes.known())
    if site.position == 1:
        return (query[0], keys, query[2])
    if site.position == 2 and key is not None and len(key) == 3:
        return (key[0], key[1], heads * sizes.known())
    length = key[1] if key is not None and len(key) == 3 else sizes.size()
    value = site.shape(2)
    rows: Mapping[int, Shape] = {
        3: (2 * query[2] + (value[2] if value is not None and len(value) == 3 else query[2]),),
        4: (query[0], length),
        6: (query[0], heads, sizes.known(), max(query[2] // heads, 1)),
        7: (query[0], heads, sizes.known(), max(query[2] // heads, 1)),
    }
    mask = (query[0] if sizes.chance(0.6) else 1, heads if sizes.chance(0.6) else 1, query[1], length)
    return rows.get(site.position, mask)


def _recurrent(site: Site) -> Shape:
    """[places, batch, width], weights for each direction and gate, states as [directions, batch, hidden size].

    With a layout of one the batch comes first.
    """
    sizes = site.sizes
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[site.operator]
    is_batch_first = site.integer("layout") == 1
    states = [shape for place in (5, 6) if (shape := site.shape(place)) is not None and len(shape) == 3]
    hidden = max(site.integer("hidden_size", states[0][2] if states else 2), 1)
    ways = 2 if site.attributes.get("direction") == "bidirectional" else 1
    source = site.shape(0)
    if source is not None and len(source) == 3:
        batch, width = source[0 if is_batch_first else 1], source[2]
    else:
        batch = states[0][0 if is_batch_first else 1] if states else sizes.known()
        width = sizes.known()
        source = (batch, sizes.known(), width) if is_batch_first else (sizes.known(), batch, width)
    rows: Mapping[int, Shape] = {
        0: source,
        1: (ways, gates * hidden, width),
        2: (ways, gates * hidden, hidden),
        3: (ways, 2 * gates * hidden),
        4: (batch,),
        7: (ways, 3 * hidden),
    }
    state = (batch, ways, hidden) if is_batch_first else (ways, batch, hidden)
    return rows.get(site.position, state)


def _einsum(site: Site) -> Shape:
    """Sizes by the letters of the equation."""
    text = site.attributes.get("equation")
    if not isinstance(text, str):
        return site.sizes.shape(site.sizes.rank(1, 4))
    terms = text.replace(" ", "").partition("->")[0].split(",")
    letters: dict[str, int] = {}
    for term, shape in zip(terms, site.known, strict=False):
        letters.update(zip(term, shape or (), strict=False))
    wanted = terms[site.position] if site.position < len(terms) else ""
    return tuple(letters.setdefault(letter, site.sizes.size()) for letter in wanted)


def _rotated(site: Site) -> Shape:
    sizes = site.sizes
    source = site.shape(0)
    if source is None or len(source) != 4:
        return (sizes.known(), sizes.known(), sizes.known(), 2 * sizes.known())
    batch, _, length, width = source
    if site.position == 3 and sizes.chance(0.5):
        return (batch, length)
    return (batch, length, width // 2)


_Row: TypeAlias = Callable[[Site], "Shape"]

_ROWS: Final[Mapping[str, _Row]] = {
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "MsFusedMatMul": _fused_matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    **dict.fromkeys(("Conv", "ConvTranspose"), _convolution),
    **dict.fromkeys(
        ("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "LRN"), _image
    ),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "GroupNormalization"), _channels),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"), _normalised),
    **dict.fromkeys(("MsSkipLayerNormalization", "MsSkipSimplifiedLayerNormalization"), _skip),
    **dict.fromkeys(("MsBiasGelu", "MsFastGelu"), _last),
    "Concat": _joined,
    "Transpose": _transposed,
    "Pad": _padded,
    "Tile": _tiled,
    **dict.fromkeys(("Reshape",), _reshaped),
    "Split": _split,
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _four_axes),
    **dict.fromkeys(("Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"), _indices),
    **dict.fromkeys(("Clip", "Range", "CumSum", "QuantizeLinear", "DequantizeLinear", "Dropout"), _scalar),
    "Attention": _attention,
    "MsMultiHeadAttention": _packed_attention,
    "RotaryEmbedding": _rotated,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
}
"""How the inputs of an operator are drawn, for those that neither broadcast nor take anything."""

"""A random graph under construction: what its values are, and how the next node finds its inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias, final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.fuzz.kernels import Kernels

Dim: TypeAlias = "int | str | None"
"""A size, the name of a symbol, or what nobody knows."""

F16, F32, F64 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE
I8, I16, I32, I64 = TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64
U8, U16, U32, U64 = TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64
BOOL, STRING = TensorProto.BOOL, TensorProto.STRING

FLOATS: Final = (F32, F16, F64)
SIGNED: Final = (I64, I32, I8, I16)
INTEGERS: Final = (*SIGNED, U8, U16, U32, U64)
NUMBERS: Final = (*FLOATS, *INTEGERS)
ANY: Final = (*NUMBERS, BOOL)

SYMBOLS: Final = ("N", "M")
MAX_RANK: Final = 5

_WEIGHTS: Final[Mapping[int, float]] = {F32: 12.0, F16: 3.0, F64: 2.0, I64: 2.0, BOOL: 1.0}
"""How often an element type is drawn next to the others, which count 0.4."""

_ODD_NAMES: Final = (
    "{} größe/層",
    "a b/{}",
    "\x1b]0;title {}\x07",
    "{}:0",
    "'{}'\"",
    "<b>{}</b>&",
    "%s{{}}{}",
    "\n{}\t",
    "-{}",
    "../{}",
    "{0}{0}{0}{0}{0}{0}{0}{0}",
)


class RefusedError(Exception):
    """A node that cannot be: the graph stays as it was, and another is tried."""


class Content(Enum):
    """What the elements of an input must be for the model to run."""

    DATA = "data"
    POSITIVE = "positive"
    INDEX = "index"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Type:
    """Element type and shape; the shape of a value is None where not even its rank is known."""

    dtype: int
    shape: tuple[Dim, ...] | None

    @property
    def rank(self) -> int:
        """Number of dimensions; -1 where it is not known."""
        return -1 if self.shape is None else len(self.shape)

    @property
    def dims(self) -> tuple[Dim, ...]:
        """The shape of a value whose rank is known."""
        if self.shape is None:
            raise RefusedError("no rank")
        return self.shape

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape of a value whose sizes are all known."""
        found = [dim for dim in self.dims if isinstance(dim, int)]
        if len(found) < len(self.dims):
            raise RefusedError("no sizes")
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input of the model.

    Attributes:
        type: Its type.
        content: What it holds.
        bound: For an index, the size that it must stay below.
        default: For one that has a default, which makes it an initializer too.
    """

    type: Type
    content: Content = Content.DATA
    bound: Dim = 1
    default: np.ndarray | None = None


def numpy_type(dtype: int) -> np.dtype[Any]:
    """Return numpy's type for an ONNX element type."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(dtype))


@final
@dataclass(slots=True, kw_only=True)
class Growing:
    """A graph, or a subgraph or function, that gets node after node.

    Attributes:
        rng: The only source of chance.
        opset: Version of the default domain.
        kernels: Knows what ONNX Runtime can run.
        is_inner: True for subgraphs and functions, which have no inputs of their own to add.
        values: What a node may use: types by name.
        constants: Of these, the constants that are known here.
        counter: Shared with subgraphs: no name is taken twice.
    """

    rng: np.random.Generator
    opset: int
    kernels: Kernels
    is_inner: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: dict[str, Input] = field(default_factory=dict)
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    functions: list[onnx.FunctionProto] = field(default_factory=list)
    values: dict[str, Type] = field(default_factory=dict)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    counter: list[int] = field(default_factory=lambda: [0])

    # --- chance ---------------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        """Return True in this share of the cases."""
        return bool(self.rng.random() < share)

    def one_of(self, items: Collection[Any]) -> Any:
        """Return one of these, each as likely as the others."""
        return list(items)[int(self.rng.integers(len(items)))]

    def between(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        return int(self.rng.integers(low, high + 1)) if high >= low else self._refuse("no number left")

    def _refuse(self, why: str) -> int:
        raise RefusedError(why)

    def dtype(self, dtypes: Sequence[int]) -> int:
        """Return one of these element types, float32 more often than others."""
        weights = np.array([_WEIGHTS.get(dtype, 0.4) for dtype in dtypes])
        return int(dtypes[int(self.rng.choice(len(dtypes), p=weights / weights.sum()))])

    def dim(self, *, is_static: bool = False) -> Dim:
        """Return a small size, now and then a symbol or 0."""
        if not is_static and not self.is_inner and self.chance(0.3):
            return str(self.one_of(SYMBOLS))
        return 0 if self.chance(0.02) else int(self.one_of((1, 1, 2, 2, 3, 3, 4, 5)))

    def name(self, stem: str = "v") -> str:
        """Return a name that nothing has, a few of them odd."""
        self.counter[0] += 1
        plain = f"{stem}{self.counter[0]}"
        return str(self.one_of(_ODD_NAMES)).format(plain) if self.chance(0.06) else plain

    # --- leaves ---------------------------------------------------------------------------------------------

    def leaf(
        self,
        dtype: int,
        shape: tuple[Dim, ...],
        content: Content = Content.DATA,
        bound: Dim = 1,
        *,
        constant: float = 0.3,
    ) -> str:
        """Return a new input, or a constant where all sizes are known: for that share of them."""
        sizes = [dim for dim in shape if isinstance(dim, int)]
        is_known = len(sizes) == len(shape) and (isinstance(bound, int) or content is not Content.INDEX)
        if is_known and (self.is_inner or self.chance(constant)):
            return self.constant(self.array(dtype, tuple(sizes), content, bound))
        if self.is_inner:
            raise RefusedError("no input can be added here")
        if None in shape:
            raise RefusedError("an input has known dimensions")
        name = self.name("x")
        type_ = Type(dtype, shape)
        default = None
        if is_known and self.chance(0.05):
            default = self.array(dtype, tuple(sizes), content, bound)
            self.initializers[name] = numpy_helper.from_array(default, name)
        self.inputs[name] = Input(type=type_, content=content, bound=bound, default=default)
        self.values[name] = type_
        return name

    def array(self, dtype: int, shape: tuple[int, ...], content: Content = Content.DATA, bound: Dim = 1) -> np.ndarray:
        """Return the elements of a constant; floats are special numbers now and then."""
        kind = numpy_type(dtype)
        if content is Content.INDEX:
            return self.rng.integers(0, max(int(bound or 0), 1), shape).astype(kind)
        if kind.kind == "b":
            return self.rng.random(shape) < 0.5
        if kind.kind in "iu":
            low = 1 if content is Content.POSITIVE else (0 if kind.kind == "u" else -3)
            return self.rng.integers(low, 5, shape).astype(kind)
        return self._floats(kind, shape, is_positive=content is Content.POSITIVE)

    def _floats(self, kind: np.dtype[Any], shape: tuple[int, ...], *, is_positive: bool) -> np.ndarray:
        info = np.finfo(kind)
        draw = self.rng.random()
        values = self.rng.standard_normal(shape)
        if draw < 0.25:
            values = np.full(shape, self.one_of((0.0, 1.0, -1.0, 2.0, 0.5, -0.0, 3.0, 1e-5)))
        elif draw < 0.31 and not is_positive:
            extremes = (float(info.max) / 4, float(info.tiny) * 4, float(info.tiny) / 4, 1e30, 1e-30)
            values = np.full(shape, min(self.one_of(extremes), float(info.max) / 2))
        elif draw < 0.33 and not is_positive:
            values = np.where(self.rng.random(shape) < 0.3, self.one_of((np.inf, -np.inf, np.nan)), values)
        if is_positive:
            values = np.abs(values) + 0.1
        return np.asarray(values).astype(kind)

    def constant(self, array: np.ndarray | list[Any]) -> str:
        """Return the name of a constant: an initializer, a ``Constant`` node, or one that exists already."""
        data = np.asarray(array) if isinstance(array, np.ndarray) else np.array(array, dtype=np.int64)
        return self.tensor(numpy_helper.from_array(data))

    def tensor(self, tensor: onnx.TensorProto) -> str:
        """Return the name of a constant with these elements."""
        if self.chance(0.5):
            for name, known in self.constants.items():
                if (
                    known.dims == tensor.dims
                    and known.raw_data == tensor.raw_data
                    and known.data_type == tensor.data_type
                ):
                    return name
        name = self.name("c")
        named = onnx.TensorProto()
        named.CopyFrom(tensor)
        named.name = name
        if self.is_inner or self.chance(0.2):
            self.nodes.append(helper.make_node("Constant", [], [name], **self._value(named)))
        else:
            self.initializers[name] = named
        self.constants[name] = named
        self.values[name] = Type(tensor.data_type, tuple(tensor.dims))
        return name

    def _value(self, tensor: onnx.TensorProto) -> dict[str, Any]:
        """Return the attribute of a ``Constant`` node, in one of the ways that the opset knows."""
        if self.opset >= 12 and self.chance(0.5) and len(tensor.dims) <= 1 and tensor.data_type in {F32, I64}:
            array = numpy_helper.to_array(tensor)
            stem = "value_float" if tensor.data_type == F32 else "value_int"
            if array.ndim == 0:
                return {stem: array.item()}
            if array.size:
                return {f"{stem}s": array.tolist()}
        return {"value": tensor}

    # --- inputs of nodes ------------------------------------------------------------------------------------

    def pick(
        self,
        dtypes: Sequence[int] = FLOATS,
        ranks: tuple[int, int] = (0, MAX_RANK),
        test: Callable[[Type], bool] = lambda _: True,
        *,
        is_static: bool = False,
        constant: float = 0.1,
    ) -> str:
        """Return a value that fits, the youngest most often; a new leaf where there is none, and now and then besides.

        Args:
            dtypes: Element types that fit.
            ranks: Smallest and largest rank that fits.
            test: What else must hold.
            is_static: True where all sizes must be known.
            constant: Share of new leaves that are constants, where all sizes are known.

        Raises:
            RefusedError: Nothing fits.
        """
        low, high = ranks
        fitting = [
            name
            for name, type_ in self.values.items()
            if type_.dtype in dtypes
            and low <= type_.rank <= high
            and (not is_static or all(isinstance(dim, int) for dim in type_.dims))
            and test(type_)
        ]
        if fitting and not self.chance(0.12):
            age = np.arange(len(fitting), 0, -1)
            weights = 0.8**age + 0.02
            return str(fitting[int(self.rng.choice(len(fitting), p=weights / weights.sum()))])
        for _ in range(8):
            rank = self.between(low, high)
            type_ = Type(self.dtype(dtypes), tuple(self.dim(is_static=is_static) for _ in range(rank)))
            if test(type_):
                return self.leaf(type_.dtype, type_.dims, constant=constant)
        if fitting:
            return str(self.one_of(fitting))
        raise RefusedError("nothing fits")

    def partner(self, type_: Type, dtype: int | None = None, content: Content = Content.DATA) -> str:
        """Return a value that broadcasts with one of this type: a value that is there, a number, or part of a shape."""
        wanted = type_.dtype if dtype is None else dtype
        draw = self.rng.random()
        same = [
            name
            for name, each in self.values.items()
            if each.dtype == wanted and each.shape is not None and each.rank <= MAX_RANK and _broadcasts(each, type_)
        ]
        if draw < 0.45 and same and content is Content.DATA:
            return str(self.one_of(same[-6:]))
        shape: tuple[Dim, ...] = type_.dims
        if draw < 0.7:
            shape = shape[len(shape) :] if self.chance(0.6) else (1,) * min(1, len(shape))
        else:
            shape = shape[self.between(0, len(shape)) :]
            shape = tuple(1 if self.chance(0.3) else dim for dim in shape)
        shape = tuple(1 if dim is None else dim for dim in shape)
        return self.leaf(wanted, shape, content, constant=0.8)

    # --- nodes ----------------------------------------------------------------------------------------------

    def add(
        self,
        op_type: str,
        inputs: Sequence[str],
        *,
        outputs: int = 1,
        unused: Sequence[int] = (),
        domain: str = "",
        types: Sequence[Type] | None = None,
        **attributes: Any,
    ) -> list[str]:
        """Add a node and return the names of its outputs; those of ``unused`` have none.

        Args:
            op_type: The operator.
            inputs: Names; empty for one that is missing.
            outputs: How many outputs it has.
            unused: Outputs without a name.
            domain: The operator's domain.
            types: Types of the outputs, where ONNX cannot infer them.
            attributes: The node's; None for one that is left out.

        Raises:
            RefusedError: ONNX finds it ill-typed, or ONNX Runtime has no kernel for it.
        """
        names = ["" if index in unused else self.name() for index in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        node = helper.make_node(op_type, list(inputs), names, domain=domain, **given)
        node.name = self.name("n") if self.chance(0.7) else ""
        found = list(types) if types is not None else self._inferred(node)
        dtypes = {name: self.values[name].dtype for name in inputs if name}
        constants = [self.constants[name] for name in dict.fromkeys(inputs) if name in self.constants]
        has_graph = any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)
        if not has_graph and domain != LOCAL and not self.kernels.has(node, self.imports(), dtypes, constants):
            raise RefusedError(f"no kernel for {op_type}")
        self.nodes.append(node)
        for name, type_ in zip(names, found, strict=True):
            if name:
                self.values[name] = type_
                self.made.append(name)
        return names

    def imports(self) -> list[onnx.OperatorSetIdProto]:
        """Return the versions of every domain in use here."""
        domains = {"": self.opset, "ai.onnx.ml": 3, "com.microsoft": 1, LOCAL: 1}
        return [helper.make_opsetid(domain, version) for domain, version in domains.items()]

    def _inferred(self, node: onnx.NodeProto) -> list[Type]:
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset if not node.domain else 3, node.domain)
            if schema.deprecated:
                raise RefusedError(f"{node.op_type} is deprecated")
            protos = {name: _proto(self.values[name]) for name in node.input if name}
            data = {name: self.constants[name] for name in node.input if name in self.constants}
            found = onnx.shape_inference.infer_node_outputs(schema, node, protos, data, opset_imports=self.imports())
        except (onnx.defs.SchemaError, onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
            raise RefusedError(str(error)) from error
        except (RuntimeError, ValueError, KeyError) as error:
            raise RefusedError(str(error)) from error
        return [_type(found[name]) if name in found else Type(0, None) for name in node.output]


LOCAL: Final = "local"
"""Domain of the model's own functions."""


def _broadcasts(one: Type, two: Type) -> bool:
    """Whether two shapes certainly broadcast, and the result has the rank of the larger."""
    pairs = zip(reversed(one.dims), reversed(two.dims), strict=False)
    return all(left == right or 1 in {left, right} for left, right in pairs if left is not None and right is not None)


def _proto(type_: Type) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(type_.dtype, type_.shape)


def _type(proto: onnx.TypeProto) -> Type:
    tensor = proto.tensor_type
    if not proto.HasField("tensor_type") or not tensor.elem_type:
        return Type(0, None)
    if not tensor.HasField("shape"):
        return Type(tensor.elem_type, None)
    return Type(
        tensor.elem_type,
        tuple(dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None) for dim in tensor.shape.dim),
    )

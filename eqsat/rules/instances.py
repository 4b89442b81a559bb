"""Instances of rules: left sides at which a rule must match, or must not, with sizes and values drawn at random.

They stand in the header of a rule::

    ; INSTANCE  x[A,?B,4] w=[4] m:b[A,1] | (let s (Add x w)) (Where m (Mul s 0.5f) s)
    ; NEAR-MISS opset=20 x[A,4] | (Relu x)

Before the bar stand settings and the values that nothing computes:

- ``x[A,?B,4]`` is an input of the model. A capital letter is a size drawn at random, the same everywhere in the
  instance; behind a question mark it is a symbol to the e-graph. Sizes may be sums and products: ``[2*A+1]``.
- ``w=[4]`` is a constant of that shape. ``m:b[A,1]`` has an element type: ``b``, ``i32``, ``i64``, ``f16``, ``f32`` or
  ``f64``. Without one a value is of the precision drawn, which is that of the last ``f32`` or ``f64`` where one is
  named. ``v+[4]`` holds positive numbers only.
- ``c=0.5`` is a constant scalar, ``c=0.5[1,1]`` a constant filled with that number.
- ``opset=20`` and ``with=rule-name`` set the opset and further rules that are applied.

Behind it stand the terms, in the rules' own notation; ``(let s term)`` names one. ``0.5f`` is a constant scalar of the
precision drawn and ``$f`` the number of that element type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

import numpy as np

DEFAULT_OPSET: Final = 18
SIZES: Final = (1, 2, 3, 4)
"""Sizes drawn for a letter."""

_DECLARATION = re.compile(
    r"(?P<name>[a-z]\w*)(?::(?P<type>[a-z]\d*))?(?P<positive>\+)?(?P<constant>=)?"
    r"(?P<fill>[-+.\de]+)?(?:\[(?P<shape>[^\]]*)\])?"
)
_NAMED_TYPE = re.compile(r":(f\d+)")
_SETTING = re.compile(r"(?P<key>opset|with)=(?P<value>[\w-]+)")
_TOKEN = re.compile(r'[()]|"[^"]*"|[^\s()]+')
_NUMBER = re.compile(r"(?P<number>-?(?:inf|\d+(?:\.\d*)?(?:e-?\d+)?))(?P<constant>f)?")
_SIZE = re.compile(r"(?:\d+|\??[A-Z])(?:[-+*](?:\d+|\??[A-Z]))*|-\d+")


class InstanceError(ValueError):
    """An instance is written in no way that can be read."""


class Precision(Enum):
    """Element type of values that name none: ONNX's number and numpy's type."""

    HALF = (10, "float16")
    SINGLE = (1, "float32")
    DOUBLE = (11, "float64")

    @property
    def number(self) -> int:
        """ONNX's number of the element type."""
        return self.value[0]

    @property
    def dtype(self) -> np.dtype:
        """The same for numpy."""
        return np.dtype(self.value[1])


TYPES: Final[Mapping[str, tuple[int, str]]] = {
    "b": (9, "bool"),
    "i32": (6, "int32"),
    "i64": (7, "int64"),
    "f16": (10, "float16"),
    "f32": (1, "float32"),
    "f64": (11, "float64"),
}


_NAMED_PRECISIONS: Final[Mapping[str, Precision]] = {"f32": Precision.SINGLE, "f64": Precision.DOUBLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A value that nothing computes.

    Attributes:
        name: Its name.
        number: ONNX's number of its element type.
        dims: Sizes as the e-graph sees them: an int, or the name of a symbol.
        is_constant: True for an initializer, False for an input.
        array: Its elements.
        is_free: True where any elements would do: no number was named, nor that they be positive.
    """

    name: str
    number: int
    dims: tuple[int | str, ...]
    is_constant: bool
    array: np.ndarray
    is_free: bool = False


@dataclass(frozen=True, slots=True)
class Symbol:
    """The name of a symbolic dimension, in a term."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """A constructor applied to terms."""

    name: str
    arguments: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A leaf, or what ``let`` named."""

    name: str


Term: TypeAlias = "Apply | Name | Symbol | int | float | str"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """An instance with everything that was open decided.

    Attributes:
        is_generic: True where no floating-point type is named, so that any will do.
        opset: Opset of the model.
        others: Further rules to apply.
        leaves: Values that nothing computes, by name.
        lets: Named terms in order.
        roots: The terms at which the rule is to match.
        sizes: Size of each symbol.
        has_extremes: True where elements are at the ends of their range, and hide what is smaller.
    """

    is_generic: bool
    opset: int
    others: tuple[str, ...]
    leaves: Mapping[str, Leaf]
    lets: Mapping[str, Term]
    roots: tuple[Term, ...]
    sizes: Mapping[str, int]
    has_extremes: bool = False


def draw(text: str, rng: np.random.Generator, precision: Precision, sizes: Sequence[int] = SIZES) -> Drawn:
    """Read an instance and decide everything that it leaves open.

    Args:
        text: What follows ``INSTANCE`` or ``NEAR-MISS``.
        rng: Source of sizes and values.
        precision: Element type of the values that name none.
        sizes: What a letter may stand for.

    Raises:
        InstanceError: The text is no instance.
    """
    before, bar, after = text.partition("|")
    if not bar:
        raise InstanceError(f"no bar between values and terms: {text}")
    named = _NAMED_TYPE.findall(before)
    for name in named:
        precision = _NAMED_PRECISIONS.get(name, precision)
    drawing = _Drawing(rng, precision, sizes, is_generic=not named)
    return drawing.run(before.split(), _TOKEN.findall(after))


class _Drawing:
    def __init__(
        self, rng: np.random.Generator, precision: Precision, letters: Sequence[int], *, is_generic: bool
    ) -> None:
        self._rng = rng
        self._letters = letters
        self._is_generic = is_generic
        self._precision = precision
        self._sizes: dict[str, int] = {}
        self._symbols: dict[str, int] = {}
        self._leaves: dict[str, Leaf] = {}
        self._settings: dict[str, list[str]] = {"opset": [], "with": []}

    def run(self, declarations: Sequence[str], tokens: list[str]) -> Drawn:
        for declaration in declarations:
            setting = _SETTING.fullmatch(declaration)
            if setting:
                self._settings[setting["key"]].append(setting["value"])
            else:
                self._leaf(declaration)
        lets: dict[str, Term] = {}
        roots: list[Term] = []
        tokens.reverse()
        while tokens:
            term = self._term(tokens)
            match term:
                case Apply("let", (Name(name), body)):
                    lets[name] = body
                case _:
                    roots.append(term)
        if not roots:
            raise InstanceError("no term behind the bar")
        return Drawn(
            is_generic=self._is_generic,
            opset=int(self._settings["opset"][0]) if self._settings["opset"] else DEFAULT_OPSET,
            others=tuple(self._settings["with"]),
            leaves=self._leaves,
            lets=lets,
            roots=tuple(roots),
            sizes=self._symbols,
        )

    def _leaf(self, text: str) -> None:
        match = _DECLARATION.fullmatch(text)
        if match is None or (match["shape"] is None and match["fill"] is None):
            raise InstanceError(f"no value: {text}")
        if match["type"] not in {None, *TYPES}:
            raise InstanceError(f"no element type: {text}")
        number, dtype = TYPES[match["type"]] if match["type"] else self._precision.value
        parts = [part for part in (match["shape"] or "").split(",") if part]
        sizes = tuple(self._size(part) for part in parts)
        dims = tuple(part.removeprefix("?") if part.startswith("?") else self._size(part) for part in parts)
        if match["fill"] is not None:
            array = np.full(sizes, float(match["fill"]), dtype)
        else:
            array = self._values(sizes, dtype, is_positive=bool(match["positive"]))
        self._leaves[match["name"]] = Leaf(
            name=match["name"],
            number=number,
            dims=dims,
            is_constant=bool(match["constant"]),
            array=array,
            is_free=match["fill"] is None and not match["positive"],
        )

    def _values(self, shape: tuple[int, ...], dtype: str, *, is_positive: bool) -> np.ndarray:
        if dtype == "bool":
            return self._rng.random(shape) < 0.7  # masks keep more than they hide
        if dtype.startswith("int"):
            return self._rng.integers(1 if is_positive else -5, 6, shape).astype(dtype)
        values = self._rng.standard_normal(shape)
        return np.asarray(np.abs(values) + 0.1 if is_positive else values, dtype=dtype)

    def _size(self, text: str) -> int:
        """Return the value of a sum of products of letters and numbers."""
        if not _SIZE.fullmatch(text):
            raise InstanceError(f"no size: {text}")
        if text.startswith("-"):
            return int(text)
        return sum(
            (-1 if product.startswith("-") else 1)
            * math.prod(self._factor(factor) for factor in product.lstrip("+-").split("*"))
            for product in re.findall(r"[-+]?[^-+]+", text)
        )

    def _factor(self, text: str) -> int:
        if text.isdigit():
            return int(text)
        letter = text.removeprefix("?")
        if letter not in self._sizes:
            self._sizes[letter] = int(self._rng.choice(self._letters))
        if text.startswith("?"):
            self._symbols[letter] = self._sizes[letter]
        return self._sizes[letter]

    def _term(self, tokens: list[str]) -> Term:
        """Read one term off the end of ``tokens``, which are in reverse."""
        token = tokens.pop()
        if token == "(":  # noqa: S105  # no password
            head = tokens.pop()
            arguments: list[Term] = []
            while tokens and tokens[-1] != ")":
                arguments.append(self._term(tokens))
            if not tokens:
                raise InstanceError("a parenthesis is missing")
            tokens.pop()
            return Apply(head, tuple(arguments))
        if token == ")":  # noqa: S105
            raise InstanceError("a parenthesis too many")
        return self._atom(token)

    def _atom(self, token: str) -> Term:
        number = _NUMBER.fullmatch(token)
        if number:
            return self._number(number["number"], is_constant=bool(number["constant"]))
        if token.startswith('"'):
            return token[1:-1]
        if re.fullmatch(r"\?[A-Z]", token):
            self._factor(token)
            return Symbol(token[1:])
        if re.fullmatch(r"[a-z]\w*", token):
            return Name(token)
        return self._precision.number if token == "$f" else self._size(token)  # noqa: S105  # no password

    def _number(self, text: str, *, is_constant: bool) -> Term:
        if is_constant:
            return self._scalar(float(text))
        return int(text) if text.lstrip("-").isdigit() else float(text)

    def _scalar(self, value: float) -> Name:
        name = f"scalar {value!r}"
        array = np.array(value, self._precision.dtype)
        self._leaves[name] = Leaf(name=name, number=self._precision.number, dims=(), is_constant=True, array=array)
        return Name(name)

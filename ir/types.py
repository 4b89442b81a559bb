"""Types of values: an element type and a shape whose unknown dimensions are interned symbols."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of one value.

    Attributes:
        dtype: An ``onnx.TensorProto.DataType`` number (1 is float32, 7 is int64, 9 is bool).
        shape: One integer a dimension. Zero and above is static, below zero is the id of a symbol
            (see :class:`Symbols`): equal ids mean equal sizes, different ids mean nothing.
    """

    dtype: int
    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        """True where no dimension is symbolic."""
        return all(dim >= 0 for dim in self.shape)


FIRST_SYMBOL = -1001
"""The id of the first symbol; ids go down from here, so that -1 never is one."""


@final
@dataclass(slots=True)
class Symbols:
    """Interns the names of symbolic dimensions as negative numbers.

    A name is a model's own ``dim_param``; a dimension of which nothing is known gets a name of its own.
    """

    _ids: dict[str, int] = field(default_factory=dict)
    _names: list[str] = field(default_factory=list)

    def intern(self, name: str) -> int:
        """Return the id of ``name``, a new one where it was never seen."""
        known = self._ids.get(name)
        if known is not None:
            return known
        symbol = FIRST_SYMBOL - len(self._names)
        self._ids[name] = symbol
        self._names.append(name)
        return symbol

    def fresh(self, prefix: str = "unk") -> int:
        """Return the id of a symbol that equals no other."""
        count = len(self._names)
        while f"{prefix}__{count}" in self._ids:
            count += 1
        return self.intern(f"{prefix}__{count}")

    def name(self, symbol: int) -> str:
        """Return the name behind an id.

        Raises:
            IndexError: The id was never handed out.
        """
        if symbol > FIRST_SYMBOL:
            raise IndexError(symbol)
        return self._names[FIRST_SYMBOL - symbol]

    def names(self) -> tuple[str, ...]:
        """Return every name interned so far, in order."""
        return tuple(self._names)

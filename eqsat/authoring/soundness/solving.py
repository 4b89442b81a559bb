"""What is known of the variables of a pattern while an instance is drawn, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, final

from eqsat.authoring.soundness.pattern import Atom, ConflictError, Pattern
from eqsat.egglog.primitives import CONDITIONS, NoValueError, compute, inverted
from eqsat.egglog.schema import GRAINS
from ir.types import TensorType

if TYPE_CHECKING:
    from eqsat.egglog.primitives import Attribute

NUMBERINGS: Final = frozenset({"tensor-at", "multi-at", "list-at"})
"""Functions from numbers that the e-graph gives to values: which they are nobody knows before it is there."""

Type: TypeAlias = "TensorType | None"
"""Type of a tensor; None where it is missing."""


@final
class Knowledge:
    """Values of variables.

    Attributes:
        values: Attributes, shapes and numbers that are known.
        types: Tensors whose type is known.
    """

    def __init__(self, pattern: Pattern) -> None:
        """Start with what the pattern says."""
        self._pattern = pattern
        self.values: dict[int, Attribute] = dict(pattern.literals)
        self.types: dict[int, Type] = {}
        self._hidden = _hidden(pattern)

    def snapshot(self) -> tuple[dict[int, Attribute], dict[int, Type]]:
        """Return the state, for :meth:`restore`."""
        return dict(self.values), dict(self.types)

    def restore(self, state: tuple[dict[int, Attribute], dict[int, Type]]) -> None:
        """Go back to a state."""
        values, types = state
        self.values, self.types = dict(values), dict(types)

    def set(self, variable: int, value: Attribute) -> bool:
        """Set a variable; return whether that is new.

        Raises:
            ConflictError: It has another value.
        """
        if variable in self._hidden:
            return False
        if variable in self.values:
            if self.values[variable] != value:
                raise ConflictError(f"{self.values[variable]} is not {value}")
            return False
        self.values[variable] = value
        return True

    def set_type(self, tensor: int, type_: Type) -> None:
        """Set a tensor's type, and all that follows.

        Raises:
            ConflictError: A condition does not hold.
        """
        self.types[tensor] = type_
        self.propagate()

    def propagate(self) -> None:
        """Work out all that follows.

        Raises:
            ConflictError: A condition does not hold.
        """
        is_growing = True
        while is_growing:
            is_growing = False
            for atom in self._pattern.records:
                is_growing |= self._record(atom)
            for atom in self._pattern.functions:
                is_growing |= self._function(atom)
            for atom in self._pattern.primitives:
                is_growing |= self._primitive(atom)

    def known(self, variables: Iterable[int]) -> tuple[Attribute | None, ...]:
        """Return what is known of some variables, None for each of which nothing is."""
        return tuple(self.values.get(variable) for variable in variables)

    def template(self, variable: int) -> tuple[Attribute | None, ...] | None:
        """Return what is known of the elements of a vector, shape or record; None where nothing is."""
        value = self.values.get(variable)
        if isinstance(value, tuple):
            return value
        for atom in (*self._pattern.records, *self._pattern.primitives):
            if atom.result == variable and (atom.name == "vec-of" or atom in self._pattern.records):
                return self.known(atom.arguments)
        for atom in self._pattern.primitives:
            length = self.values.get(atom.result)
            if atom.name == "vec-length" and atom.arguments == (variable,) and isinstance(length, int):
                return (None,) * length
        return None

    def facts(self, name: str, tensor: int) -> list[int]:
        """Return the variables that hold a fact of a tensor, such as its shape."""
        return [atom.result for atom in self._pattern.functions if atom.name == name and atom.arguments[0] == tensor]

    def fact(self, name: str, tensor: int) -> Attribute | None:
        """Return a fact of a tensor, None where it is not known."""
        return next((self.values[result] for result in self.facts(name, tensor) if result in self.values), None)

    def _record(self, atom: Atom) -> bool:
        arguments = self.known(atom.arguments)
        if all(argument is not None for argument in arguments):
            return self.set(atom.result, tuple(argument for argument in arguments if argument is not None))
        value = self.values.get(atom.result)
        if not isinstance(value, tuple):
            return False
        if len(value) != len(arguments):
            raise ConflictError("another rank")
        return sum(self.set(variable, each) for variable, each in zip(atom.arguments, value, strict=True)) > 0

    def _function(self, atom: Atom) -> bool:
        tensor = atom.arguments[0]
        if atom.name == "grain":
            return self._grain(atom)
        if atom.name not in _READ or tensor not in self.types:
            return False
        type_ = self.types[tensor]
        if type_ is None:
            raise ConflictError("a missing input has no type")
        value = _READ[atom.name](type_)
        if value is None:
            raise ConflictError("a scalar has no last dimension")
        return self.set(atom.result, value)

    def _grain(self, atom: Atom) -> bool:
        """How close a number must be to the one that a rule names hangs on its element type alone."""
        dtype = self.values.get(atom.arguments[0])
        if not isinstance(dtype, int):
            return False
        if dtype not in GRAINS:
            raise ConflictError("no number of this element type is close to another")
        return self.set(atom.result, GRAINS[dtype])

    def _primitive(self, atom: Atom) -> bool:
        if not self._hidden.isdisjoint((*atom.arguments, atom.result)):
            return False
        arguments = self.known(atom.arguments)
        try:
            if any(argument is None for argument in arguments):
                result = self.values.get(atom.result)
                found = {} if result is None else inverted(atom.name, arguments, result)
                return sum(self.set(atom.arguments[place], value) for place, value in found.items()) > 0
            value = compute(atom.name, [argument for argument in arguments if argument is not None])
        except NoValueError as error:
            raise ConflictError(str(error)) from error
        return False if atom.name in CONDITIONS else self.set(atom.result, value)


def _last(type_: TensorType) -> int | None:
    return type_.shape[-1] if type_.shape else None


_READ: Final = {
    "shape": lambda type_: type_.shape,
    "dtype": lambda type_: type_.dtype,
    "rank": lambda type_: type_.rank,
    "last": _last,
}
"""Facts that a type decides."""


def _hidden(pattern: Pattern) -> frozenset[int]:
    """Variables that only the e-graph knows: numbers of e-classes and constants, and what is computed from them."""
    found = {atom.arguments[0] for atom in pattern.nodes.values() if atom.name in {"Input", "Const"}}
    found |= {atom.arguments[0] for atom in pattern.functions if atom.name in NUMBERINGS}
    is_growing = True
    while is_growing:
        more = {
            atom.result
            for atom in pattern.primitives
            if atom.name not in CONDITIONS and not found.isdisjoint(atom.arguments)
        }
        is_growing = not more <= found
        found |= more
    return frozenset(found)


def numbers_named(pattern: Pattern) -> tuple[Sequence[int], Sequence[float]]:
    """Return the whole numbers above one and the other numbers that a pattern names, with what is close to them."""
    whole = {value for value in pattern.literals.values() if isinstance(value, int) and not isinstance(value, bool)}
    sizes = sorted(
        {size for value in whole for size in (value, value // 2, value // 4, value + 1) if 1 < size <= _MAX_NAMED}
    )
    floats = sorted({value for value in pattern.literals.values() if isinstance(value, float)})
    return sizes, floats


_MAX_NAMED: Final = 64

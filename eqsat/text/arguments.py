"""What the flags of a command line mean: durations, sizes, shapes and provider names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Final

from eqsat.errors import UsageError

_SECONDS: Final[Mapping[str, float]] = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

_BYTES: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    "k": 2**10,
    "m": 2**20,
    "g": 2**30,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}

_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*|%)\s*")
_DURATION: Final = re.compile(r"(?:\s*(?:\d+(?:\.\d*)?|\.\d+)\s*[a-zA-Z]*)+\s*")
_SHAPE: Final = re.compile(r"(?:(?P<name>.+)[:=])?(?P<dims>[^:=]*)")

_SIZES: Final = re.compile(r"[^,:=]+=\d+(?:,[^,:=]+=\d+)+")

FREE: Final = -1
"""Stands for a dimension in a shape of which nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How much larger than the input the output may be: by a share of it or by an amount, whichever is more.

    Attributes:
        share: Of the input's bytes, its external data included.
        num_bytes: An amount.
    """

    share: float = 0.1
    num_bytes: int = 2**20

    def limit_bytes(self, input_bytes: int) -> int:
        """Return the bytes by which the output of such an input may be larger."""
        return max(int(self.share * input_bytes), self.num_bytes)


def parse_duration_s(text: str) -> float:
    """Return the seconds that ``90``, ``90s``, ``10m``, ``1.5h`` or ``1m30s`` stand for.

    Raises:
        UsageError: It is none of these, or zero.
    """
    parts = [match[0] for match in _QUANTITY.finditer(text)] if _DURATION.fullmatch(text) else []
    seconds = [_quantity(part, _SECONDS) for part in parts]
    if not seconds or None in seconds or (len(parts) > 1 and parts[-1].strip()[-1].isdigit()):
        raise UsageError(f"{text!r} is no length of time; write 90, 90s, 10m, 1.5h or 1m30s")
    return sum(filter(None, seconds))


def parse_bytes(text: str) -> int:
    """Return the bytes that ``6GiB``, ``6g`` (the same), ``500MB`` or ``1000000`` stand for.

    Raises:
        UsageError: It is none of these, or zero.
    """
    num_bytes = _quantity(text, _BYTES)
    if num_bytes is None:
        raise UsageError(f"{text!r} is no amount of memory; write 6GiB, 6g, 500MB or a number of bytes")
    return int(num_bytes)


def parse_growth(text: str) -> Growth:
    """Return the growth of a file that ``0``, ``10%``, ``1.5x`` (times its size) or ``64MiB`` stand for.

    Raises:
        UsageError: It is none of these, or a factor below one.
    """
    match = _QUANTITY.fullmatch(text)
    number, unit = (float(match[1]), match[2].lower()) if match is not None else (0.0, "?")
    if unit == "%":
        return Growth(share=number / 100, num_bytes=0)
    if unit == "x" and number >= 1.0:
        return Growth(share=number - 1.0, num_bytes=0)
    if unit in _BYTES:
        return Growth(share=0.0, num_bytes=int(number * _BYTES[unit]))
    raise UsageError(f"{text!r} is no growth of a file; write 0, 10%, 1.5x or 64MiB")


def _quantity(text: str, units: Mapping[str, float]) -> float | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    unit = units.get(match[2].lower())
    if unit is None:
        return None
    return float(match[1]) * unit or None


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes by name that ``name:1,3,224,224``, ``name=1x3x224x224`` or ``batch=4`` stand for.

    What is no number in a shape (``name:N,21``) is left open, as :data:`FREE`. A name may be that of an input or of a
    symbolic dimension; only the model says which. ``batch=4,seq=128`` gives the sizes of two. A bare
    ``1,3`` is that of the only input: its name is empty.

    Raises:
        UsageError: One is none of these, has a dimension of zero, or names an input again.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in (part for each in texts for part in (each.split(",") if _SIZES.fullmatch(each) else [each])):
        match = _SHAPE.fullmatch(text)
        shape = _dims(match["dims"]) if match is not None else None
        if match is None or not shape:
            raise UsageError(f"--input-shape {text!r} is no shape; write name:1,3,224,224, or batch=4")
        if 0 in shape:
            raise UsageError(f"--input-shape {text!r} has a dimension of zero; every dimension is at least 1")
        name = match["name"] or ""
        if name in shapes:
            raise UsageError(f"--input-shape gives {name!r} twice" if name else "--input-shape is given twice, no name")
        shapes[name] = shape
    return shapes


def _dims(text: str) -> tuple[int, ...] | None:
    """The dimensions in a text; None where it holds none."""
    parts = re.split(",", text) if "," in text or not re.fullmatch(r"\d+(x\d+)*", text) else text.split("x")
    words = [part.strip() for part in parts]
    dims = tuple(int(word) if word.isdecimal() else FREE for word in words)
    is_shape = all(words) and not any(word.startswith("-") for word in words) and max(dims) > FREE
    return dims if is_shape else None


def checked_shapes(shapes: Mapping[str, int | Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that somebody gave in Python; a number alone is the size of a symbolic dimension.

    Raises:
        UsageError: A dimension is no number above zero.
    """
    if not isinstance(shapes, Mapping):
        raise UsageError(f"input_shapes is {shapes!r}; it can be a mapping, as in {{'x': (1, 3, 224, 224)}}")
    found = {}
    for name, shape in shapes.items():
        dims = (shape,) if isinstance(shape, Integral) else tuple(shape) if isinstance(shape, Sequence) else ()
        is_shape = isinstance(shape, Integral | Sequence) and not isinstance(shape, str | bytes | bool)
        if not is_shape or any(not isinstance(dim, Integral) or dim < 1 for dim in dims):
            raise UsageError(f"input_shapes[{name!r}] is {shape!r}; it can be numbers above 0, as in (1, 3, 224, 224)")
        found[str(name)] = tuple(int(dim) for dim in dims)
    return found


def several(name: str, values: object) -> tuple[str, ...]:
    """Return what was given in Python where several names or paths are meant; one alone is one of them.

    Raises:
        UsageError: It is something else.
    """
    items: tuple[object, ...] = (None,)
    if isinstance(values, str | os.PathLike):
        items = (values,)
    elif isinstance(values, Iterable) and not isinstance(values, bytes | Mapping):
        items = tuple(values)
    texts = tuple(os.fspath(item) for item in items if isinstance(item, str | os.PathLike))
    if len(texts) < len(items):
        raise UsageError(f"{name} is {values!r}; it can be a text or path, or several of them")
    return texts


def library_paths(paths: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    """Return the full paths of libraries of custom operators.

    Raises:
        UsageError: One is no file.
    """
    found = []
    for path in paths:
        if not Path(path).is_file():
            raise UsageError(f"--custom-ops {os.fspath(path)} is no file; give the shared library itself")
        found.append(str(Path(path).resolve()))
    return tuple(dict.fromkeys(found))


def parse_options(texts: Iterable[str]) -> dict[str, str]:
    """Return the options by name that ``name=value`` stand for.

    Raises:
        UsageError: One has no name or no ``=``.
    """
    options: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise UsageError(f"--search-option {text!r} is no name and value; write name=value")
        options[name] = value
    return options


def split_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the names in ``texts``, each of which may be a list with commas, in order and once each."""
    names = (name.strip() for text in texts for name in text.split(","))
    return tuple(dict.fromkeys(name for name in names if name))

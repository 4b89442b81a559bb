"""What the flags of a command line mean: durations, sizes, shapes and provider names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from eqsat.errors import UsageError
from eqsat.job import Growth

_SHORT_PROVIDERS: Final[Mapping[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

_SECONDS: Final[Mapping[str, float]] = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

_BYTES: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}

_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*|%)\s*")
_SHAPE: Final = re.compile(r"(?P<name>.+):(?P<dims>\d+(?:[,x]\d+)*)")


def parse_duration_s(text: str) -> float:
    """Return the seconds that ``90``, ``90s``, ``10m`` or ``1.5h`` stand for.

    Raises:
        UsageError: It is none of these, or zero.
    """
    seconds = _quantity(text, _SECONDS)
    if seconds is None:
        raise UsageError(f"{text!r} is no length of time; write 90, 90s, 10m or 1.5h")
    return seconds


def parse_bytes(text: str) -> int:
    """Return the bytes that ``6GiB``, ``500MB`` or ``1000000`` stand for.

    Raises:
        UsageError: It is none of these, or zero.
    """
    num_bytes = _quantity(text, _BYTES)
    if num_bytes is None:
        raise UsageError(f"{text!r} is no amount of memory; write 6GiB, 500MB or a number of bytes")
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
    """Return the shapes by input name that ``name:1,3,224,224`` or ``name:1x3x224x224`` stand for.

    Raises:
        UsageError: One is none of these, has a dimension of zero, or names an input again.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise UsageError(f"--input-shape {text!r} is no name and shape; write name:1,3,224,224")
        shape = tuple(int(dim) for dim in re.split("[,x]", match["dims"]))
        if 0 in shape:
            raise UsageError(f"--input-shape {text!r} has a dimension of zero; every dimension is at least 1")
        if match["name"] in shapes:
            raise UsageError(f"--input-shape names the input {match['name']!r} twice")
        shapes[match["name"]] = shape
    return shapes


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


def provider_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Return ONNX Runtime's names of the providers in ``texts``, short names (``cpu``, ``cuda``) spelt out."""
    return tuple(dict.fromkeys(_SHORT_PROVIDERS.get(name.lower(), name) for name in split_names(texts)))

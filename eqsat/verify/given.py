"""The user's own inputs: read from files or from a function, and checked against the model.

::

    feeds.npz              one set of inputs: an array for each input, by name
    folder/                one set for each .npz file, in the order of their names; or
    folder/NAME.npy        one set: an array for each input; or
    folder/test_data_set_0/input_0.pb
                           one set for each such folder, in the layout of ONNX's own test data
    package.module:name    what the function returns: a mapping of arrays by input name, or several of them
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from eqsat.errors import UsageError
from eqsat.text.suggest import did_you_mean
from ir.data_types import numpy_dtype
from ir.graph import Graph
from ir.interface import optional_inputs, tensor_dtype
from ir.test_data import read_test_data

Feeds = Mapping[str, np.ndarray]

MAX_SETS: Final = 64
"""Sets of inputs that are taken; each is run many times."""

_FUNCTION: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_STRING: Final = 8


def check_source(source: str) -> None:
    """Check that a source of inputs is there, before any work is done.

    Raises:
        UsageError: It is no file or folder, and does not look like a function of a module.
    """
    path = Path(source)
    if path.is_dir() or (path.is_file() and path.suffix == ".npz") or _is_function(source):
        return
    if path.exists():
        raise UsageError(f"--inputs {source} is no .npz file; save one with numpy.savez(file, name=array)")
    raise UsageError(f"--inputs {source} does not exist; give FILE.npz, a folder, or module:function")


def given_inputs(source: str, graph: Graph) -> tuple[Feeds, ...]:
    """Return the sets of inputs of a source, fit for the model.

    Args:
        source: A file, a folder, or ``module:function``.
        graph: The model.

    Raises:
        UsageError: There are none, they cannot be read, or one does not fit the model.
    """
    check_source(source)
    path = Path(source)
    if path.is_file():
        sets = [_read_npz(path)]
    elif path.is_dir():
        sets = _read_folder(path, graph)
    else:
        sets = _call(source)
    if not sets:
        raise UsageError(f"--inputs {source} holds no inputs")
    return tuple(_fit(each, graph, f"--inputs {source}, set {number}") for number, each in enumerate(sets, 1))


def save_inputs(inputs: object, folder: Path) -> None:
    """Write inputs as files that :func:`given_inputs` reads again.

    Args:
        inputs: A mapping of arrays by input name, several of them, or a function that returns either.
        folder: Is made.

    Raises:
        UsageError: They are something else, or hold objects.
    """
    folder.mkdir()
    for number, feeds in enumerate(_as_sets(inputs, "inputs")):
        with zipfile.ZipFile(folder / f"{number:04}.npz", "w") as file:
            for name, value in feeds.items():
                array = np.asarray(value)
                array = array.astype(np.str_) if array.dtype == object and _holds_text(array) else array
                if array.dtype.hasobject:
                    raise UsageError(f"inputs: {name!r} holds Python objects; give an array of numbers or strings")
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _is_function(source: str) -> bool:
    return not Path(source).exists() and _FUNCTION.fullmatch(source) is not None


def _holds_text(array: np.ndarray) -> bool:
    return all(isinstance(element, str) for element in array.reshape(-1))


def _as_sets(inputs: object, where: str) -> list[Feeds]:
    """One mapping, several, or a function that returns either, as a list."""
    if callable(inputs) and not isinstance(inputs, Mapping):
        inputs = inputs()
    if isinstance(inputs, Mapping):
        return [inputs]
    if not isinstance(inputs, Iterable) or isinstance(inputs, str | bytes | np.ndarray):
        raise UsageError(f"{where}: a {type(inputs).__name__} is no mapping of arrays by input name, nor several")
    sets = list(islice(inputs, MAX_SETS + 1))
    for number, each in enumerate(sets, 1):
        if not isinstance(each, Mapping):
            raise UsageError(f"{where}: set {number} is a {type(each).__name__}, no mapping of arrays by input name")
    _limit(sets, where)
    return sets


def _limit(sets: Sequence[object], where: str) -> None:
    if len(sets) > MAX_SETS:
        raise UsageError(f"{where}: more than {MAX_SETS} sets of inputs; give the most different ones")


def _call(source: str) -> list[Feeds]:
    module, _, name = source.partition(":")
    folder = os.getcwd()  # noqa: PTH109 -- as Python itself names it on sys.path
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _as_sets(getattr(importlib.import_module(module), name), f"--inputs {source}")
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"--inputs {source} failed: {type(error).__name__}: {error}") from error


def _read_folder(folder: Path, graph: Graph) -> list[Feeds]:
    archives = sorted(folder.glob("*.npz"))
    if archives:
        _limit(archives, f"--inputs {folder}")
        return [_read_npz(path) for path in archives]
    arrays = sorted(folder.glob("*.npy"))
    if arrays:
        return [{path.stem: _read_array(path) for path in arrays}]
    sets = sorted(folder.glob("test_data_set_*")) or [folder]
    _limit(sets, f"--inputs {folder}")
    found: list[Feeds] = []
    for each in sets:
        try:
            feeds = read_test_data(each, graph.inputs)
        except (OSError, ValueError) as error:
            raise UsageError(f"--inputs {each} cannot be read: {error}") from error
        if feeds:
            found.append(feeds)
    return found


def _read_npz(path: Path) -> Feeds:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise UsageError(
                    f"--inputs {path} holds one array without a name; save with numpy.savez(file, x=array)"
                )
            return {name: archive[name] for name in archive.files}
    except _READING_ERRORS as error:
        raise UsageError(f"--inputs {path} cannot be read: {_one_line(error)}") from error


def _read_array(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    except _READING_ERRORS as error:
        raise UsageError(f"--inputs {path} cannot be read: {_one_line(error)}") from error
    return array


_READING_ERRORS: Final = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for a file that is torn, encrypted, or holds Python objects."""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _fit(feeds: Feeds, graph: Graph, where: str) -> Feeds:
    """Return a set of inputs in the model's own types.

    Raises:
        UsageError: A name, type or shape is not the model's, or an input is NaN.
    """
    takes = ", ".join(graph.inputs) or "none"
    unknown = [name for name in feeds if name not in graph.inputs]
    if unknown:
        near = did_you_mean(unknown[0], graph.inputs)
        raise UsageError(f"{where} names {unknown[0]!r}; the inputs are: {takes}{near}")
    missing = [name for name in graph.inputs if name not in feeds and name not in optional_inputs(graph)]
    if missing:
        raise UsageError(f"{where} lacks {missing[0]!r}; the inputs are: {takes}")
    return {name: _fit_array(name, np.asarray(array), graph, where) for name, array in feeds.items()}


def _fit_array(name: str, array: np.ndarray, graph: Graph, where: str) -> np.ndarray:
    number = tensor_dtype(graph, name)
    if number is None:
        raise UsageError(f"{where}: the input {name!r} is no dense tensor, so that no array can be given for it")
    array = _in_type(name, array, number, where)
    stated = graph.types[name].shape if name in graph.types else None
    if stated is not None:
        is_fit = len(stated) == array.ndim
        is_fit = is_fit and all(dim < 0 or dim == size for dim, size in zip(stated, array.shape, strict=True))
        if not is_fit:
            dims = ", ".join(str(dim) if dim >= 0 else "any" for dim in stated)
            raise UsageError(f"{where}: {name!r} has the shape {list(array.shape)}; the model takes [{dims}]")
    if array.dtype != object and np.isnan(array.astype(np.float64)).any():
        raise UsageError(f"{where}: {name!r} holds NaN, which compares with nothing")
    return array


def _in_type(name: str, array: np.ndarray, number: int, where: str) -> np.ndarray:
    if number == _STRING:
        if array.dtype.kind not in "USO" or (array.dtype == object and not _holds_text(array)):
            raise UsageError(f"{where}: {name!r} holds {array.dtype}; the model takes strings")
        return array.astype(np.str_).astype(object)
    kind = np.dtype(numpy_dtype(number))
    if array.dtype.kind == "V" and array.dtype.itemsize == kind.itemsize:
        array = array.view(kind)  # what NumPy's files keep of bfloat16 and 8 bit floats
    if array.dtype != kind:
        raise UsageError(f"{where}: {name!r} holds {array.dtype}; the model takes {kind}: array.astype({str(kind)!r})")
    return array

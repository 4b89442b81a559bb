"""Where a run reads and writes: checked before any work is done, written at its end.

Writing goes to a temporary name first, which is then renamed (:mod:`ir.atomic_file`), external data before the
``.onnx`` file: whoever opens the output at any moment finds the old model or the new one, complete.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from eqsat.errors import ModelError, StorageError, UsageError
from eqsat.pipeline.job import Job
from eqsat.pipeline.provenance import Provenance, content_sha256, read_provenance
from ir import atomic_file
from ir.errors import InvalidModelError

_SUFFIX: Final = ".onnx"

_STDIN: Final = Path("-")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""A path that began as an address: two slashes in a row have become one."""

MAX_MODEL_BYTES: Final = 2**31 - 1
"""The largest message that protobuf reads."""


def default_output(input_path: Path) -> Path:
    """Return where the result goes when nothing is said: ``a.onnx`` gives ``a.opt.onnx``, in the same folder."""
    stem = input_path.name.removesuffix(_SUFFIX)
    return input_path.with_name(f"{stem}.opt{_SUFFIX}")


def check_input(path: Path) -> None:
    """Check that ``path`` can be a model at all.

    Raises:
        ModelError: It is missing, empty, no file, too large for an ONNX file, not readable, or has a name that ONNX
            Runtime cannot open.
    """
    if path == _STDIN:
        raise ModelError("INPUT - would be stdin, and a model is read from a file only; give its path")
    if _URL.match(str(path)):
        raise ModelError(f"{path} is an address; download the file and give its path")
    if "\0" in str(path):
        raise ModelError(f"{str(path)!r} has a null character in its name, which no file has")
    if any(0xDC80 <= ord(letter) <= 0xDCFF for letter in str(path)):
        raise ModelError(f"{path} has a name that is not UTF-8, which ONNX Runtime cannot open; rename it")
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ModelError(f"{path} is a folder; give the .onnx file in it")
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{path} is a pipe or a device; give a file")
        if found.st_size > MAX_MODEL_BYTES:
            raise ModelError(f"{path} is no ONNX model: one has less than 2 GiB, and external data for what is larger")
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if is_empty:
        raise ModelError(f"{path} is empty; an ONNX model has at least one byte")


def check_output(input_path: Path, output_path: Path, *, is_forced: bool = False, may_copy: bool = True) -> None:
    """Check that the result can go to ``output_path`` without harm to the input, or to anybody else's file.

    Args:
        input_path: The model.
        output_path: Where the result goes.
        is_forced: True lets it replace a file that does not say that it was made of this input.
        may_copy: Whether the result may be a copy of the input, whose external data keep their names.

    Raises:
        UsageError: It is the input, no ``.onnx`` name, nothing to write to, in a folder that is missing or not
            writable, or a file that was not made of this input.
    """
    if output_path == _STDIN or _URL.match(str(output_path)):
        raise UsageError(f"OUTPUT {output_path} is no file on this machine; give the path of one")
    if "\0" in str(output_path):
        raise UsageError(f"OUTPUT {str(output_path)!r} has a null character in its name")
    if output_path.suffix != _SUFFIX:
        raise UsageError(f"OUTPUT {output_path} does not end in {_SUFFIX}")
    _check_writable("OUTPUT", output_path)
    if output_path.exists() and output_path.samefile(input_path):
        raise UsageError(f"OUTPUT {output_path} is the input, which is never overwritten; give another name")
    if output_path.is_file() and not is_forced:
        _check_own(input_path, output_path)
    _check_data(input_path, output_path, may_copy=may_copy)
    if _data_path(output_path).is_file() and not (output_path.exists() or is_forced):
        raise UsageError(f"{_data_path(output_path)} exists, where data of OUTPUT may go; --force replaces it")


def _check_own(input_path: Path, output_path: Path) -> None:
    """Check that a file was made of the input: by its metadata, or because it is a copy.

    Raises:
        UsageError: It was not.
    """
    found = read_provenance(output_path)
    if found is None and not filecmp.cmp(input_path, output_path, shallow=False):
        raise UsageError(
            f"{output_path} exists and was not made from {input_path.name}; --force replaces it "
            f"(several models: one run for each, for m in *.onnx; do eqsat run $m; done)"
        )
    if found is not None and found.input != input_path.name:
        raise UsageError(f"{output_path} was made from {found.input}, not from {input_path.name}; --force replaces it")


def check_settings(job: Job) -> None:
    """Check that a faster model of an earlier run, which stays where this one finds nothing, may stay by its settings.

    Raises:
        UsageError: It was made with settings that this job does not allow.
    """
    path = Path(job.output_path)
    found = read_provenance(path) if path.is_file() and not job.is_forced else None
    unwanted = found.unwanted(job) if found is not None else ()
    if unwanted:
        said = ", ".join(unwanted)
        raise UsageError(f"{path} was made {said}; --force replaces it, or give another OUTPUT")


def faster_before(input_path: Path, output_path: Path) -> Provenance | None:
    """Return what an earlier run says of a file that is a faster model than this very input; None for any other.

    Raises:
        ModelError: The input is no model.
    """
    found = read_provenance(output_path) if output_path.is_file() else None
    if found is None or found.speedup_low <= 1.0:
        return None
    try:
        return found if found.input_sha256 == content_sha256(input_path) else None
    except InvalidModelError as error:
        raise ModelError(str(error)) from error


def check_report(path: Path, job: Job) -> None:
    """Check that a report can be written to ``path``.

    Raises:
        UsageError: It is the input, the output, nothing to write to, or in a folder that is not writable.
    """
    _check_writable("--json", path)
    if path.resolve() in {Path(taken).resolve() for taken in (job.input_path, job.output_path) if taken}:
        raise UsageError(f"--json {path} is the model; give another name")


def make_folder(folder: Path) -> None:
    """Make a folder for results, where it is not there yet.

    Raises:
        UsageError: It cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_file.check_writable(folder / "result")
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made or written to: {error.strerror}") from None


def _check_writable(what: str, path: Path) -> None:
    try:
        if path.is_dir():
            raise UsageError(f"{what} {path} is a folder; give a file name in it")
        _data_path(path).exists()  # a name that is too long is found out here
        atomic_file.check_writable(path)
    except OSError as error:
        folder = Path(os.path.realpath(path)).parent
        if error.errno in {errno.ENOENT, errno.ENOTDIR} and not folder.is_dir():
            raise UsageError(f"the folder {folder} does not exist; make it first") from None
        is_own_fault = error.errno == errno.ENAMETOOLONG or _is_special(path)
        refused = f"{what} {path}" if is_own_fault else f"the folder {folder}"
        raise UsageError(f"{refused} cannot be written to: {error.strerror}") from error


def _is_special(path: Path) -> bool:
    with suppress(OSError):
        return path.exists() and not path.is_file()
    return False


def _data_path(path: Path) -> Path:
    """Where the external data of a result go."""
    return path.with_name(f"{path.name}.data")


def write_input_copy(input_path: Path, output_path: Path) -> None:
    """Put the input at ``output_path``, byte for byte, with its external data.

    Raises:
        UsageError: The output's folder already has other external data under the same name, or the output is the data
            of the input.
        StorageError: The output cannot be written.
    """
    from ir.onnx_file import copy_model

    _check_data(input_path, output_path)
    _write(copy_model, input_path, output_path)


def write_result(model_path: Path, output_path: Path, *, input_path: Path) -> None:
    """Put the model that the worker left at ``output_path``; its external data, if any, is named after the output.

    Raises:
        UsageError: The output or its external data would overwrite the input's data.
        StorageError: The output cannot be written.
    """
    from ir.onnx_file import move_model

    for path in (output_path, _data_path(output_path)):
        _check_apart(path, input_path)
    _write(move_model, model_path, output_path)


def write_text(path: Path, text: str) -> None:
    """Put ``text`` into ``path``: a regular file in one step, a pipe or a device by writing into it.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        atomic_file.write_text(path, text)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error


def _check_data(input_path: Path, output_path: Path, *, may_copy: bool = True) -> None:
    """Check that no external data of this model or another are in the way, of a copy of the input or of a result.

    Raises:
        ModelError: The input is no model.
        UsageError: They are.
    """
    folder, goal_folder = input_path.parent.resolve(), output_path.parent.resolve()
    if _data_path(output_path).is_dir():
        raise UsageError(
            f"{_data_path(output_path)} is a folder, where data of OUTPUT may go; give OUTPUT another name"
        )
    if folder == goal_folder and not output_path.exists() and not _data_path(output_path).exists():
        return
    for path in (output_path, _data_path(output_path)):
        _check_apart(path, input_path)
    for data in _external_files(input_path) if may_copy else ():
        goal = goal_folder / data.resolve().relative_to(folder)
        if goal.exists() and not (goal.samefile(data) or filecmp.cmp(goal, data, shallow=False)):
            raise UsageError(f"{goal} belongs to another model and would be overwritten; give OUTPUT another folder")


def _check_apart(path: Path, input_path: Path) -> None:
    if path.exists() and any(path.samefile(data) for data in _external_files(input_path)):
        raise UsageError(f"{path} holds the data of the input and would be overwritten; give OUTPUT another name")


def _external_files(model_path: Path) -> tuple[Path, ...]:
    from ir.onnx_file import external_files

    try:
        return external_files(model_path)
    except InvalidModelError as error:
        raise ModelError(str(error)) from error


def _write(put: Callable[[Path, Path], None], source: Path, output_path: Path) -> None:
    try:
        put(source, output_path)
    except InvalidModelError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise StorageError(f"{output_path} cannot be written: {error.strerror}") from error

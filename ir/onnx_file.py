"""ONNX files: read safely and lazily, write atomically, copy with their external data."""

from __future__ import annotations

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx
import onnx_ir
from google.protobuf.message import DecodeError
from onnx import ModelProto

from ir.atomic_file import replacing
from ir.errors import InvalidModelError, UnsupportedModelError
from ir.external_data import attach, outer_bytes, tensors, with_inner_data, with_outer_data
from ir.serialised import cause, cloned, model_of
from ir.streaming import write_streamed
from ir.tensor_data import check_tensors, take_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MAX_PROTO_BYTES",
    "ModelFile",
    "ModelProto",
    "copy_model",
    "external_files",
    "load_model",
    "model_to_path",
    "move_model",
    "num_parameters",
    "open_model",
    "operator_counts",
    "path_to_model",
    "weights_bytes",
    "with_input_shapes",
    "write_model",
    "written_bytes",
]

MAX_PROTO_BYTES: Final = 2**31 - 2**24
"""Above this the tensors go to a file beside the model: protobuf ends at 2 GiB."""

MIN_OUTER_BYTES: Final = 2**26
"""Bytes of external tensors from which on a model that is written has them outside too."""

_PROTOBUF: Final = "protobuf"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file that is safe to open: every tensor is as long as it says, and external ones lie in the file's folder.

    Attributes:
        path: Where it is.
        proto: What stands in it.
        data_files: The files that hold its external tensors, each once.
    """

    path: Path
    proto: onnx.ModelProto
    data_files: tuple[Path, ...]


def open_model(path: Path) -> ModelFile:
    """Open a file and check that it is safe; whether the model makes sense is not looked at.

    Raises:
        InvalidModelError: The file is missing, empty or no ONNX model, data do not fit their tensor, or external
            data lie outside its own folder.
    """
    if not path.exists():
        raise InvalidModelError(f"{path}: no such file")
    if path.is_dir():
        raise InvalidModelError(f"{path}: is a folder, not an ONNX file")
    try:
        if path.stat().st_size == 0:
            raise InvalidModelError(f"{path}: the file is empty")
        proto = onnx.load_model(path, format=_PROTOBUF, load_external_data=False)
        if not proto.ir_version or not proto.HasField("graph"):
            raise InvalidModelError(f"{path}: not an ONNX model")
        return ModelFile(path=path, proto=proto, data_files=check_tensors(path, proto))
    except (DecodeError, UnicodeDecodeError) as error:
        raise InvalidModelError(f"{path}: not an ONNX model, or a truncated one") from error
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read ({error.strerror})") from error


def load_model(source: Path | ModelFile) -> onnx_ir.Model:
    """Read a model; its external tensors stay on disk until they are asked for.

    Nodes that stand before what they use are put in order.

    Args:
        source: A path, or a file that is open; sparse tensors in it become dense.

    Raises:
        UnsupportedModelError: It cannot be rewritten: its version is not known, its names do not fit, or it has a
            part that would be lost. A session tells whether it runs.
        InvalidModelError: As :func:`open_model`.
    """
    file = source if isinstance(source, ModelFile) else open_model(source)
    model = model_of(file.proto, file.path)
    try:
        attach(model, file.path.parent.resolve())
    except TypeError as error:
        raise UnsupportedModelError(f"{file.path}: an attribute cannot be followed ({cause(error)})") from error
    return model


def with_input_shapes(model: onnx_ir.Model, shapes: Mapping[str, tuple[int, ...]]) -> onnx_ir.Model:
    """Return a copy whose inputs have the shapes given; what else it says of shapes is forgotten, for it may be less.

    Args:
        model: The model.
        shapes: Shapes by input name; a dimension below zero stays as it is.
    """
    copy = cloned(model)
    for value in copy.graph.inputs:
        given = shapes.get(value.name or "")
        if given is not None:
            own = value.shape or [None] * len(given)
            value.shape = onnx_ir.Shape([new if new >= 0 else old for new, old in zip(given, own, strict=True)])
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    return copy


def external_files(path: Path) -> tuple[Path, ...]:
    """Return the files that hold the external tensors of a model, each once.

    Raises:
        InvalidModelError: As :func:`open_model`.
    """
    return open_model(path).data_files


def weights_bytes(model: onnx_ir.Model) -> int:
    """Return the bytes of all tensors of a model."""
    return sum(tensor.nbytes for tensor in tensors(model))


def num_parameters(model: onnx_ir.Model) -> int:
    """Return the elements of all tensors of a model."""
    return sum(tensor.size for tensor in tensors(model))


def write_model(model: onnx_ir.Model, path: Path, *, is_durable: bool = True) -> None:
    """Write a model atomically into one file, or its tensors to ``<name>.data`` beside it, written first.

    The latter where one file would have over 2 GiB, and where tensors lay outside already and are not few: a runtime
    maps them into memory, where it would copy them out of one file.

    Args:
        model: The model; where its external tensors lie now does not matter, the files are only read.
        path: The file to write.
        is_durable: Wait until everything is on the disk; scratch files need not.

    Raises:
        OSError: The folder cannot be written.
    """
    if weights_bytes(model) > MAX_PROTO_BYTES or outer_bytes(model) >= MIN_OUTER_BYTES:
        model = with_outer_data(model, _data_path(path), is_durable=is_durable)
    else:
        model = with_inner_data(model)
    with replacing(path, is_durable=is_durable) as temporary, temporary.open("wb") as file:
        write_streamed(model, file)


def model_to_path(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model that is held in memory to ``folder`` and return its path.

    Raises:
        InvalidModelError: The model is over 2 GiB and cannot be rewritten.
        OSError: The folder cannot be written.
    """
    path = folder / name
    if model.ByteSize() > MAX_PROTO_BYTES:
        write_model(model_of(model, path), path, is_durable=False)
    else:
        with replacing(path, is_durable=False) as temporary:
            temporary.write_bytes(model.SerializeToString())
    return path


def path_to_model(path: Path) -> onnx.ModelProto:
    """Read a model into memory as it is, external data included.

    Raises:
        InvalidModelError: As :func:`open_model`.
    """
    file = open_model(path)
    take_in(file.proto, path.parent.resolve())
    return file.proto


def copy_model(source: Path, target: Path) -> None:
    """Copy a model byte for byte, its external data files first.

    Where another file has the name of an external data file already, the model is written anew instead, with its
    tensors inside or under its own name, and that file stays as it is.

    Raises:
        InvalidModelError: As :func:`open_model`, or the model must be written anew and cannot be.
        OSError: The target cannot be written.
    """
    folder = source.parent.resolve()
    copies = [(data, target.parent.resolve() / data.resolve().relative_to(folder)) for data in external_files(source)]
    if any(copy.exists() and not filecmp.cmp(data, copy, shallow=False) for data, copy in copies):
        write_model(load_model(source), target)
        return
    for data, copy in copies:
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(data, copy)
    _copy_file(source, target)


def move_model(source: Path, target: Path) -> None:
    """Put a model that :func:`write_model` wrote into its place, its external data under the target's name.

    Raises:
        InvalidModelError: As :func:`load_model`.
        OSError: The target cannot be written.
    """
    if _data_path(source).exists():
        write_model(load_model(source), target)
    else:
        _copy_file(source, target)


def written_bytes(path: Path) -> int:
    """Return the bytes on disk of a model that :func:`write_model` wrote, its external data included."""
    return sum(file.stat().st_size for file in (path, _data_path(path)) if file.exists())


def _data_path(path: Path) -> Path:
    """Where :func:`write_model` puts what does not fit into the model's own file."""
    return path.with_name(f"{path.name}.data")


def _copy_file(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def operator_counts(nodes: Iterable[onnx_ir.Node]) -> dict[str, int]:
    """Return how often each operator type occurs, most frequent first."""
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

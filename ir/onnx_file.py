"""ONNX files: read safely and lazily, write atomically, copy with their external data."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import google.protobuf.message
import onnx
import onnx.defs
import onnx.shape_inference
import onnx_ir
import onnx_ir.traversal

from ir.errors import InvalidModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_PROTO_BYTES: Final = 2**31 - 2**24
"""Above this the tensors go to a file beside the model: protobuf ends at 2 GiB."""


def load_model(path: Path) -> onnx_ir.Model:
    """Read a model; its external tensors stay on disk until they are asked for.

    Raises:
        InvalidModelError: The file is missing, empty, no ONNX model, of a version that is too new, or names
            external data outside its own folder.
    """
    if not path.exists():
        raise InvalidModelError(f"{path}: no such file")
    if path.is_dir():
        raise InvalidModelError(f"{path}: is a folder, not an ONNX file")
    if path.stat().st_size == 0:
        raise InvalidModelError(f"{path}: the file is empty")
    try:
        proto = onnx.load_model(path, load_external_data=False)
    except (google.protobuf.message.DecodeError, UnicodeDecodeError, onnx.checker.ValidationError) as error:
        raise InvalidModelError(f"{path}: not an ONNX model, or a truncated one") from error
    except OSError as error:
        raise InvalidModelError(f"{path}: cannot be read ({error.strerror})") from error
    _check_header(path, proto)
    try:
        model = onnx_ir.from_proto(proto)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InvalidModelError(f"{path}: not a valid ONNX model ({_first_line(error)})") from error
    _attach_external_data(model, path)
    return model


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _check_header(path: Path, proto: onnx.ModelProto) -> None:
    if not proto.ir_version or not proto.HasField("graph"):
        raise InvalidModelError(f"{path}: not an ONNX model")
    if not proto.opset_import:
        raise InvalidModelError(f"{path}: the model imports no operator set")
    for entry in proto.opset_import:
        newest = onnx.defs.onnx_opset_version()
        if entry.domain in {"", "ai.onnx"} and not 1 <= entry.version <= newest:
            raise InvalidModelError(f"{path}: opset {entry.version} is not known (1 to {newest} are)")
    if not proto.graph.output:
        raise InvalidModelError(f"{path}: the graph has no output")


def _tensors(model: onnx_ir.Model) -> Iterator[onnx_ir.TensorProtocol]:
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.type == onnx_ir.AttributeType.TENSOR and not attribute.is_ref():
                    yield attribute.as_tensor()


def external_files(model: onnx_ir.Model) -> tuple[Path, ...]:
    """Return the files that hold the model's external tensors, each once."""
    found = {Path(tensor.path): None for tensor in _tensors(model) if isinstance(tensor, onnx_ir.ExternalTensor)}
    return tuple(found)


def _attach_external_data(model: onnx_ir.Model, path: Path) -> None:
    """Point external tensors at the model's folder, and refuse those that lead out of it."""
    folder = path.parent.resolve()
    for tensor in _tensors(model):
        if not isinstance(tensor, onnx_ir.ExternalTensor):
            continue
        location = Path(tensor.location)
        target = folder / location
        is_inside = not location.is_absolute() and ".." not in location.parts
        if not is_inside or not _is_plain_file_below(target, folder):
            raise InvalidModelError(
                f"{path}: external data {str(tensor.location)!r} of {tensor.name!r} is missing or leaves the "
                "model's folder (absolute paths, '..' and links are refused)",
            )
        tensor.base_dir = str(folder)
        size = target.stat().st_size
        if (tensor.offset or 0) + (tensor.length if tensor.length is not None else tensor.nbytes) > size:
            raise InvalidModelError(f"{path}: external data {str(tensor.location)!r} is shorter than {tensor.name!r}")


def _is_plain_file_below(target: Path, folder: Path) -> bool:
    if target.is_symlink() or not target.is_file() or target.stat().st_nlink > 1:
        return False
    return target.resolve().is_relative_to(folder)


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the custom metadata of a model file.

    Raises:
        InvalidModelError: As :func:`load_model`.
    """
    return dict(load_model(Path(path)).metadata_props)


def infer_types(model: onnx_ir.Model) -> onnx_ir.Model:
    """Return a model without weights whose values carry the types that ONNX's inference finds.

    Inference that fails leaves the types the file states.
    """
    proto = onnx_ir.to_proto(_without_weights(model))
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except (RuntimeError, ValueError, onnx.shape_inference.InferenceError):
        return onnx_ir.from_proto(proto)
    return onnx_ir.from_proto(inferred)


_SMALL_BYTES: Final = 4096


def _without_weights(model: onnx_ir.Model) -> onnx_ir.Model:
    """A copy in which big initializers are inputs: inference needs their types only."""
    copy = model.clone()
    graph = copy.graph
    for name, value in list(graph.initializers.items()):
        if value.const_value is None or value.const_value.nbytes <= _SMALL_BYTES:
            continue
        value.shape = onnx_ir.Shape(value.const_value.shape)
        value.type = onnx_ir.TensorType(value.const_value.dtype)
        value.const_value = None
        del graph.initializers[name]
        if value not in graph.inputs:
            graph.inputs.append(value)
    return copy


def weights_bytes(model: onnx_ir.Model) -> int:
    """Return the bytes of all tensors of a model."""
    return sum(tensor.nbytes for tensor in _tensors(model))


def write_model(model: onnx_ir.Model, path: Path) -> None:
    """Write a model atomically; over 2 GiB its tensors go to ``<name>.data`` beside it, written first.

    Raises:
        OSError: The folder cannot be written.
    """
    folder = path.parent
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=folder)
    os.close(handle)
    try:
        if weights_bytes(model) > MAX_PROTO_BYTES:
            onnx_ir.save(model, temporary, format="protobuf", external_data=f"{path.name}.data")
        else:
            onnx_ir.save(model, temporary, format="protobuf")
        _flush(Path(temporary))
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def model_to_path(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """Write a model that is held in memory to ``folder`` and return its path."""
    path = folder / name
    write_model(onnx_ir.from_proto(model), path)
    return path


def path_to_model(path: Path) -> onnx.ModelProto:
    """Read a model into memory, external data included.

    Raises:
        InvalidModelError: As :func:`load_model`.
    """
    load_model(path)
    return onnx.load_model(path)


def copy_model(source: Path, target: Path) -> None:
    """Copy a model byte for byte, its external data files first.

    Raises:
        InvalidModelError: As :func:`load_model`.
        OSError: The target cannot be written.
    """
    folder = source.parent.resolve()
    for data in external_files(load_model(source)):
        destination = target.parent.resolve() / data.resolve().relative_to(folder)
        if destination != data.resolve():
            destination.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(data, destination)
    _copy_file(source, target)


def move_model(source: Path, target: Path) -> None:
    """Put a model that :func:`write_model` wrote into its place, its external data under the target's name.

    Raises:
        InvalidModelError: As :func:`load_model`.
        OSError: The target cannot be written.
    """
    model = load_model(source)
    if external_files(model):
        write_model(model, target)
    else:
        _copy_file(source, target)


def _copy_file(source: Path, target: Path) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    try:
        shutil.copyfile(source, temporary)
        _flush(Path(temporary))
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def operator_counts(nodes: Iterable[onnx_ir.Node]) -> dict[str, int]:
    """Return how often each operator type occurs, most frequent first."""
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

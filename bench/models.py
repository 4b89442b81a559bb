"""Real models to optimise, exported on demand with random weights, and a command that writes one to a file.

    python -m bench.models --list
    python -m bench.models bert-4l --size small -o bert.onnx

Exports are kept in ``.cache/models`` of the repository, under a name that holds everything they depend on.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from bench import light
from bench.catalogue import MODELS
from bench.inputs import sample
from bench.spec import Attention, ModelSpec, Size, Variant
from ir.atomic_file import replacing

DEFAULT_OPSET = 18
OPSETS = (18, 20, 23)
DEFAULT_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "models"
SEED = 0
LIBRARIES = ("numpy", "onnx", "onnxscript", "torch", "transformers")
SHARED_SOURCES = (
    "exporter.py",
    "gain.py",
    "inputs.py",
    "light.py",
    "architectures/build.py",
    "architectures/layers.py",
    "architectures/weights.py",
)
LAYERS_SUFFIX = re.compile(r"(?P<base>.+)-(?P<num_layers>[1-9]\d*)l")
EXAMPLE_BATCH = 2
"""Batch of the example behind a dynamic export: the exporter takes a dimension of 1 for a constant."""


class UnknownModelError(LookupError):
    """No benchmark model has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown model {name!r}; 'python -m bench.models --list' prints the names")


class UnsupportedVariantError(ValueError):
    """The model cannot be exported in the form asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model of the registry and the form of it that a name and the options ask for."""

    spec: ModelSpec
    variant: Variant


def list_models() -> tuple[ModelSpec, ...]:
    """Return every model of the registry."""
    return MODELS


def find(name: str, *, size: str = "full", attention: str = "sdpa") -> Choice:
    """Return what a name stands for; ``bert-4l`` is ``bert`` with 4 blocks.

    Raises:
        UnknownModelError: No model has that name, or it has no number of blocks to set.
        ValueError: ``size`` or ``attention`` is none of their words.
    """
    by_name = {spec.name: spec for spec in MODELS}
    form = Size(size), Attention(attention)
    if name in by_name:
        return Choice(spec=by_name[name], variant=Variant(size=form[0], attention=form[1]))
    match = LAYERS_SUFFIX.fullmatch(name)
    spec = by_name.get(match["base"]) if match else None
    if match is None or spec is None or not spec.has_layers:
        raise UnknownModelError(name)
    return Choice(spec=spec, variant=Variant(size=form[0], attention=form[1], num_layers=int(match["num_layers"])))


def inputs(
    name: str, *, size: str = "full", axes: Mapping[str, int] | None = None, seed: int = SEED
) -> dict[str, np.ndarray]:
    """Return a seeded sample of the inputs of a model, by input name.

    Args:
        name: The model.
        size: ``small`` or ``full``.
        axes: Sizes for a dynamic export, such as ``{"batch": 2, "sequence": 64}``; the static ones by default.
        seed: Of the random generator.

    Raises:
        UnknownModelError: No model has that name.
    """
    choice = find(name, size=size)
    return sample(choice.spec.inputs(choice.variant), axes=axes or {}, seed=seed)


def export(
    name: str,
    *,
    size: str = "full",
    opset: int = DEFAULT_OPSET,
    dynamic: bool = False,
    attention: str = "sdpa",
    cache: Path | None = None,
) -> Path:
    """Return the path of an exported model, from the cache where it is there.

    Args:
        name: The model; the ``light_*`` files have one size and keep the opset 9 they were published with.
        size: ``small`` or ``full``.
        opset: Opset of the default domain.
        dynamic: Leave the batch, and for text the sequence, open.
        attention: ``sdpa`` or ``eager``.
        cache: Folder of the exports; ``.cache/models`` of the repository by default.

    Raises:
        UnknownModelError: No model has that name.
        UnsupportedVariantError: The model cannot be exported in that form.
    """
    choice = find(name, size=size, attention=attention)
    spec = choice.spec
    if not spec.architecture and dynamic:
        raise UnsupportedVariantError(f"{name} ships as a file with static shapes; leave --dynamic out")
    options = f"{size}.opset{opset}{'.dynamic' * dynamic}{'.eager' * (attention == 'eager')}"
    form = options if spec.architecture else "published"
    path = (cache or DEFAULT_CACHE) / f"{name}.{form}.{digest(spec)}.onnx"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if spec.architecture:
        export_architecture(choice, path, opset=opset, is_dynamic=dynamic)
    else:
        with replacing(path) as part:
            part.write_bytes(light.with_weights(spec.name, seed=SEED).SerializeToString())
    return path


def export_architecture(choice: Choice, path: Path, *, opset: int, is_dynamic: bool) -> None:
    """Build the module of a model, draw its weights and export it to ``path``."""
    from bench.architectures.build import build_module
    from bench.exporter import export_module

    specs = choice.spec.inputs(choice.variant)
    axes = {"batch": EXAMPLE_BATCH} if is_dynamic else {}
    export_module(
        build_module(choice.spec, choice.variant, seed=SEED),
        specs,
        sample(specs, axes=axes, seed=SEED),
        path,
        opset=opset,
        is_dynamic=is_dynamic,
        has_math_attention=choice.spec.has_math_attention,
    )


def digest(spec: ModelSpec) -> str:
    """Return a short hash of everything an export depends on besides its options: versions and source text."""
    here = Path(__file__).parent
    sources = list(SHARED_SOURCES)
    if spec.architecture:
        sources.append(f"architectures/{spec.architecture.partition(':')[0]}.py")
    content = hashlib.sha256()
    for library in LIBRARIES:
        content.update(f"{library} {metadata.version(library)}\n".encode())
    for source in sources:
        content.update((here / source).read_bytes())
    return content.hexdigest()[:8]


def copy_export(path: Path, output: Path) -> None:
    """Copy an export and, where it has one, its external data file, which keeps its name."""
    data = path.with_name(path.name + ".data")
    if data.exists():
        shutil.copyfile(data, output.parent / data.name)
    shutil.copyfile(path, output)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.models", description="Export a benchmark model.")
    parser.add_argument("name", nargs="?", help="the model; NAME-4l builds a transformer with 4 blocks")
    parser.add_argument("--list", action="store_true", help="print every model and its class")
    parser.add_argument("--size", choices=[size.value for size in Size], default=Size.FULL.value)
    parser.add_argument("--opset", type=int, choices=OPSETS, default=DEFAULT_OPSET)
    parser.add_argument("--dynamic", action="store_true", help="leave the batch, and for text the sequence, open")
    parser.add_argument("--attention", choices=[kind.value for kind in Attention], default=Attention.SDPA.value)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder of the exports")
    parser.add_argument("-o", "--output", type=Path, help="copy the export to this file")
    parsed = parser.parse_args(arguments)
    if parsed.name is None and not parsed.list:
        parser.error("give the name of a model, or --list")
    return parsed


def main(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    options = parse_arguments(arguments)
    if options.list:
        for spec in list_models():
            print(f"{spec.name:20} {spec.model_class.value:32} {spec.summary}")
        return 0
    try:
        path = export(
            options.name,
            size=options.size,
            opset=options.opset,
            dynamic=options.dynamic,
            attention=options.attention,
            cache=options.cache,
        )
    except (UnknownModelError, UnsupportedVariantError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.output is not None:
        copy_export(path, options.output)
    print(options.output or path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

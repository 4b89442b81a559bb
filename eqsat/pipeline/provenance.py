"""Where an output comes from: it stands in its metadata, so that no run takes somebody else's file for its own.

A copy of the input has none of it: it is the input, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eqsat.pipeline.job import Job, Target
from eqsat.text.versions import __version__
from ir.errors import InvalidModelError
from ir.metadata import METADATA_PREFIX

if TYPE_CHECKING:
    from eqsat.pipeline.report_parts import Latency

_PLACES: Final = frozenset({"input_path", "output_path", "scratch_dir", "cost_db", "is_forced"})
"""Fields of a job that say where things lie on this machine, and nothing about the output."""


_FILES: Final = frozenset({"rule_files", "custom_ops", "inputs"})
"""Fields that name files, of which only the names are kept."""

_LONGEST: Final = 999.0
"""A speed-up that takes as many digits as any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an output comes from.

    Attributes:
        version: Of this package.
        input: File name of the input.
        input_sha256: See :func:`content_sha256`.
        options: Settings of the run that are not the default, by field of :class:`~eqsat.pipeline.job.Job`, as JSON.
        provider: ONNX Runtime's name of the provider that it was measured on.
        threads: Intra-op threads; 0 is ONNX Runtime's default.
        shapes: Shapes by input name that it was measured at, as JSON.
        speedup: Over the input, as a plain session.
        speedup_low: Lower end of its 95 % interval.
        speedup_high: Upper end of it.
    """

    version: str
    input: str
    input_sha256: str
    options: str
    provider: str
    threads: int
    shapes: str
    speedup: float
    speedup_low: float
    speedup_high: float

    def entries(self) -> dict[str, str]:
        """Return the metadata entries that say it."""
        return {
            f"{METADATA_PREFIX}{name}": f"{value:.4f}" if isinstance(value, float) else str(value)
            for name, value in asdict(self).items()
        }

    def unwanted(self, job: Job) -> tuple[str, ...]:
        """Return the settings that this output was made with and that the job does not allow, as words; mostly none."""
        then, now = json.loads(self.options), _options(job)
        rules, enabled = (
            sorted({*then.get(name, ())} - {*now.get(name, ())}) for name in ("rule_files", "enable_rules")
        )
        skipped = sorted({*now.get("skip_rules", ())} - {*then.get("skip_rules", ())})
        return (
            *(["without --strict"] if job.is_strict and not then.get("is_strict") else ()),
            *(["without --target portable"] if job.target is Target.PORTABLE and "target" not in then else ()),
            *(f"with the rules of {name}" for name in rules),
            *(f"with --enable-rules {name}" for name in enabled),
            *(f"without --skip-rules {name}" for name in skipped),
        )

    @classmethod
    def from_entries(cls, entries: Mapping[str, str]) -> Provenance | None:
        """Return what the metadata of a model says; None where it says nothing of the kind."""
        kinds = {"threads": int, "speedup": float, "speedup_low": float, "speedup_high": float}
        with suppress(KeyError, ValueError):
            return cls(
                **{
                    each.name: kinds.get(each.name, str)(entries[f"{METADATA_PREFIX}{each.name}"])
                    for each in fields(cls)
                }
            )
        return None


def provenance(
    job: Job, latency: Latency | None, shapes: Mapping[str, tuple[int, ...]], input_sha256: str = "0" * 64
) -> Provenance:
    """Return where the output of a job comes from.

    Args:
        job: The run.
        latency: What was measured; None as long as nothing was, for an entry of the same length.
        shapes: Shapes by input name that it was measured at.
        input_sha256: See :func:`content_sha256`.
    """
    return Provenance(
        version=__version__,
        input=Path(job.input_path).name,
        input_sha256=input_sha256,
        options=json.dumps(_options(job)),
        provider=job.providers[0],
        threads=job.threads,
        shapes=json.dumps(shapes),
        speedup=_LONGEST if latency is None else latency.speedup,
        speedup_low=_LONGEST if latency is None else latency.speedup_low,
        speedup_high=_LONGEST if latency is None else latency.speedup_high,
    )


def _options(job: Job) -> dict[str, Any]:
    options = _changes(asdict(job), asdict(Job(input_path="")))
    for name in _PLACES:
        options.pop(name, None)
    for name in _FILES & options.keys():
        paths = options[name]
        options[name] = Path(paths).name if isinstance(paths, str) else [Path(path).name for path in paths]
    return options


def _changes(given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the usual ones, inside groups of settings too."""
    return {
        name: _changes(value, usual[name]) if isinstance(value, dict) and usual[name] else value
        for name, value in given.items()
        if value != usual[name]
    }


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of a model file and, after it, of the files of its external data in order of their names.

    Raises:
        OSError: A file cannot be read.
        InvalidModelError: It is no model.
    """
    from ir.onnx_file import external_files

    digest = hashlib.sha256()
    for file in (path, *sorted(external_files(path))):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def read_provenance(path: Path) -> Provenance | None:
    """Return where a file comes from; None where this package did not write it, or nobody can tell."""
    from ir.metadata import read_metadata

    try:
        return Provenance.from_entries(read_metadata(path))
    except InvalidModelError:
        return None

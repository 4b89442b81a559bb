"""Execution providers of ONNX Runtime, a row each: all that this package needs to know of one.

A provider without a row runs too, by its full name: as one without a device of its own, operators of its own, or
fusions that prices know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from eqsat.runtime.fusions import FUSIONS, Fusion
from eqsat.runtime.settings import CPU_PROVIDER, CUDA_PROVIDER
from eqsat.text.arguments import split_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One execution provider.

    Attributes:
        name: ONNX Runtime's name.
        short: What a user may write instead; empty for none.
        device: Where inputs and outputs of a timed run live, in ONNX Runtime's words, so that no copy is timed.
        has_operators: Whether it has kernels for the operators of ``com.microsoft``.
        fusions: Pairs of operators that it runs as one kernel, as far as prices know them.
    """

    name: str
    short: str = ""
    device: str = "cpu"
    has_operators: bool = False
    fusions: tuple[Fusion, ...] = ()

    @property
    def needs_cuda(self) -> bool:
        """Whether it starts on a CUDA device alone."""
        return self.device == "cuda"


_ROWS: Final = (
    Provider(name=CPU_PROVIDER, short="cpu", has_operators=True, fusions=FUSIONS),
    Provider(name=CUDA_PROVIDER, short="cuda", device="cuda", has_operators=True, fusions=FUSIONS),
    Provider(name="TensorrtExecutionProvider", short="tensorrt", device="cuda"),
)

PROVIDERS: Final[Mapping[str, Provider]] = {row.name: row for row in _ROWS}
"""Rows by ONNX Runtime's name."""

SHORT_NAMES: Final[Mapping[str, str]] = {row.short: row.name for row in _ROWS if row.short}
"""ONNX Runtime's names by short ones."""


def provider_row(name: str) -> Provider:
    """Return the row of a provider, a plain one where it has none."""
    return PROVIDERS.get(name) or Provider(name=name)


def provider_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Return ONNX Runtime's names of the providers in ``texts``, short names (``cpu``, ``cuda``) spelt out."""
    return tuple(dict.fromkeys(SHORT_NAMES.get(name.lower(), name) for name in split_names(texts)))

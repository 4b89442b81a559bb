"""How a session is made, and what it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"


REFUSED = "ONNX Runtime refuses the model"
"""How the message of a model begins of which ONNX Runtime makes no session."""

CUSTOM_OPS_FAILED = "the library of custom operators"
"""How the message goes on where a library of custom operators cannot be loaded."""


class OptimizationLevel(StrEnum):
    """ONNX Runtime's own graph optimisation level; the values name its ``GraphOptimizationLevel`` members."""

    ALL = "ORT_ENABLE_ALL"
    LAYOUT = "ORT_ENABLE_LAYOUT"
    EXTENDED = "ORT_ENABLE_EXTENDED"
    BASIC = "ORT_ENABLE_BASIC"
    DISABLED = "ORT_DISABLE_ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """All that a session here may differ in from ``onnxruntime.InferenceSession(path)``.

    Attributes:
        providers: ONNX Runtime provider names in order of priority.
        threads: Intra-op threads; 0 is ONNX Runtime's default, one a physical core.
        level: Graph optimisation level.
        disabled_optimizers: Names of ONNX Runtime optimizers that are left out.
        custom_ops: Paths of libraries of custom operators.
    """

    providers: tuple[str, ...] = (CPU_PROVIDER,)
    threads: int = 0
    level: OptimizationLevel = OptimizationLevel.ALL
    disabled_optimizers: tuple[str, ...] = ()
    custom_ops: tuple[str, ...] = ()

    def to_fields(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> SessionSettings:
        """Return the settings that :meth:`to_fields` wrote."""
        return cls(
            providers=tuple(fields["providers"]),
            threads=int(fields["threads"]),
            level=OptimizationLevel(fields["level"]),
            disabled_optimizers=tuple(fields["disabled_optimizers"]),
            custom_ops=tuple(fields["custom_ops"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a price was measured on: prices of equal devices may be shared.

    Attributes:
        provider: ONNX Runtime provider name.
        name: Model name of the processor or of the graphics card.
        ort_version: Version of ONNX Runtime.
    """

    provider: str
    name: str
    ort_version: str

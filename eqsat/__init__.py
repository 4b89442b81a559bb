"""Faster ONNX models that compute the same: equality saturation, priced by latencies measured on your own device.

    import eqsat

    result = eqsat.optimize("model.onnx", provider="CPUExecutionProvider")
    print(result.report.status, result.report.reason)
    result.save("model.opt.onnx")

    session = eqsat.load("model.opt.onnx")

Importing this package is quick: what a name needs is imported when the name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from eqsat.text.versions import __version__

if TYPE_CHECKING:
    from eqsat.api.interface import InterruptedRun, Result, load, optimize
    from eqsat.errors import (
        BudgetError,
        EqsatError,
        ModelError,
        ProviderError,
        RulesError,
        UsageError,
        VerificationError,
    )
    from eqsat.pipeline.events import Event
    from eqsat.pipeline.job import Budget
    from eqsat.pipeline.report import Report

__all__ = [
    "Budget",
    "BudgetError",
    "EqsatError",
    "Event",
    "InterruptedRun",
    "ModelError",
    "ProviderError",
    "Report",
    "Result",
    "RulesError",
    "UsageError",
    "VerificationError",
    "__version__",
    "load",
    "optimize",
]

_HOMES: Final = {
    "eqsat.api.interface": ("InterruptedRun", "Result", "load", "optimize"),
    "eqsat.errors": (
        "BudgetError",
        "EqsatError",
        "ModelError",
        "ProviderError",
        "RulesError",
        "UsageError",
        "VerificationError",
    ),
    "eqsat.pipeline.events": ("Event",),
    "eqsat.pipeline.job": ("Budget",),
    "eqsat.pipeline.report": ("Report",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What the commands of ``eqsat rules`` share: arguments, limits, work in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from eqsat.cli.face import InterruptedRunError
from eqsat.errors import BudgetError, EqsatError
from eqsat.pipeline import output
from eqsat.runtime.providers import provider_names
from eqsat.text import arguments

if TYPE_CHECKING:
    from eqsat.authoring.tools.isolation import Limits
    from eqsat.authoring.tools.models import Setting

T = TypeVar("T")

GRACE_S: Final = 30.0
"""Seconds after its time at which work on a model is ended; it ends by itself before that."""

Rules = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="A further rules file, read after the one that ships.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
TimeLimit = Annotated[str, typer.Option(metavar="TIME", help="How long it may take: 90, 90s, 10m or 1.5h.")]
MemoryLimit = Annotated[str, typer.Option(metavar="SIZE", help="Memory it may take: 6GiB, 500MB or bytes.")]
Provider = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="ONNX Runtime provider, in order of priority.")
]
Threads = Annotated[int, typer.Option(min=0, help="Intra-op threads the model will run with; 0: default.")]
InputShape = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME:1,3,224,224", help="Shape to measure at, for an input with symbolic dimensions."),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX model.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a rule.", show_default=False)]


def limits_of(time_limit: str, memory_limit: str) -> Limits:
    """Return the limits that two flags stand for."""
    from eqsat.authoring.tools.isolation import Limits

    return Limits(time_s=arguments.parse_duration_s(time_limit), memory_bytes=arguments.parse_bytes(memory_limit))


def setting_of(
    model: Path,
    rules: Sequence[Path] | None,
    provider: Sequence[str] | None,
    threads: int,
    input_shape: Sequence[str] | None,
    time_limit: str,
    memory_limit: str,
) -> tuple[Setting, Limits]:
    """Return how a model is to be run, and what the work may take: some time more than it means to."""
    from eqsat.authoring.tools.models import Setting

    limits = limits_of(time_limit, memory_limit)
    output.check_input(model)
    setting = Setting(
        model=model,
        files=tuple(rules or ()),
        providers=provider_names(provider or ()) or Setting(model=model).providers,
        threads=threads,
        input_shapes=arguments.parse_input_shapes(input_shape or ()),
        time_s=limits.time_s,
    )
    return setting, replace(limits, time_s=limits.time_s + max(GRACE_S, 0.5 * limits.time_s))


def only(work: Callable[..., Iterator[T]], *given: object, limits: Limits) -> T:
    """Return the one thing that a work gives in a process of its own."""
    from eqsat.authoring.tools.isolation import CrashError, LimitError, isolated

    try:
        (found,) = isolated(work, *given, limits=limits)
    except CrashError as error:
        raise EqsatError(f"internal error: the work {error}") from None
    except LimitError as error:
        raise BudgetError(f"the work {error}") from None
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted before there was any result") from None
    return found

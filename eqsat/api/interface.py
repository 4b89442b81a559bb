"""The Python interface: :func:`optimize` and :func:`load`. Nothing here prints."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar, final

from typing_extensions import override

from eqsat.api.supervisor import Isolation, ignore, supervise
from eqsat.errors import ModelError, UsageError
from eqsat.isolation.temporary import TemporaryFolder
from eqsat.pipeline import output
from eqsat.pipeline.events import Event
from eqsat.pipeline.job import Budget, Job, Prices, Target, check_count
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Ending, Status
from eqsat.runtime.providers import provider_names
from eqsat.text.arguments import (
    Growth,
    checked_shapes,
    library_paths,
    parse_growth,
    several,
    split_names,
)
from eqsat.text.suggest import did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from eqsat.runtime.types import InferenceSession
    from ir.onnx_file import ModelProto

    Feeds = Mapping[str, np.ndarray]
    Inputs = Feeds | Iterable[Feeds] | Callable[[], Feeds | Iterable[Feeds]]

_MODEL_NAME: Final = "model.onnx"

_Word = TypeVar("_Word", bound=StrEnum)


@final
class Result:
    """What :func:`optimize` found.

    The model lives in a temporary folder that goes when this object goes: :meth:`save` it, or use :attr:`model`.

    Attributes:
        report: Everything there is to say about it.
    """

    def __init__(self, report: Report, folder: TemporaryFolder, source: Path) -> None:
        self.report = report
        self._folder = folder
        self._source = source

    @override
    def __repr__(self) -> str:
        """Return what the report says, as the command prints it at its end."""
        return repr(self.report)

    @property
    def path(self) -> Path:
        """The model's file, as long as this object lives."""
        return _result_path(self._folder.path)

    @cached_property
    def model(self) -> ModelProto:
        """The model in memory, external data included; read when it is first asked for."""
        from ir.onnx_file import path_to_model

        return path_to_model(self.path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model, with its external data where it has any, and return its path.

        Raises:
            UsageError: The path is the input or cannot be written to, or external data of another model is in the way.
        """
        goal = Path(path)
        for taken in (self._source, self.path):
            if taken.exists():
                may_copy = self.report.status is Status.UNCHANGED
                output.check_output(taken, goal, is_forced=True, may_copy=may_copy)
        match self.report.status:
            case Status.OPTIMIZED:
                output.write_result(self.path, goal, input_path=self.path)
            case Status.UNCHANGED:
                output.write_input_copy(self.path, goal)
        return goal


class InterruptedRun(KeyboardInterrupt):
    """The user ended :func:`optimize`.

    Attributes:
        result: The faster model that was found until then; None where there was none.
    """

    def __init__(self, result: Result | None = None) -> None:
        super().__init__()
        self.result = result


def optimize(
    model: str | os.PathLike[str] | ModelProto,
    *,
    provider: str | Sequence[str] = "CPUExecutionProvider",
    threads: int = 0,
    input_shapes: Mapping[str, int | Sequence[int]] | None = None,
    inputs: Inputs | None = None,
    custom_ops: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    search: str = "auto",
    search_options: Mapping[str, str] | None = None,
    prices: Prices | Literal["needed", "all", "auto"] = Prices.AUTO,
    budget: Budget | None = None,
    rules: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    skip_rules: str | Sequence[str] = (),
    enable_rules: str | Sequence[str] = (),
    target: Target | Literal["provider", "portable"] = Target.PROVIDER,
    max_growth: str | int | None = None,
    strict: bool = False,
    checks: int = 3,
    seed: int = 0,
    cost_db: str | os.PathLike[str] | None = None,
    isolation: Isolation | Literal["process", "none"] = Isolation.PROCESS,
    progress: Callable[[Event], None] | None = None,
) -> Result:
    """Look for a faster model that computes the same.

    Args:
        model: A path, or a model in memory. Neither is changed.
        provider: ONNX Runtime's name of the execution provider (``"cpu"`` and ``"cuda"`` will do), or several in order
            of priority.
        threads: Intra-op threads the model will run with; 0 is ONNX Runtime's default.
        input_shapes: Shapes by input name to price, verify and measure at, for inputs with symbolic dimensions; a
            number by the name of such a dimension is its size everywhere.
        inputs: Your own inputs to measure and verify with: a mapping of arrays by input name, several of them (the
            first are measured with, all are verified on), or a function that returns either.
        custom_ops: Libraries of custom operators for ONNX Runtime.
        search: Name of the search.
        search_options: Options of the search, by name.
        prices: ``"all"`` measures the price of every operator of the e-graph, ``"needed"`` those that the result
            depends on, ``"auto"`` does this where all would take more than 20 seconds.
        budget: Limits on time, memory and e-nodes.
        rules: Further rules files.
        skip_rules: Rules or groups of rules to leave out.
        enable_rules: Rules that are off by default (lossy ones) to use.
        target: ``"portable"`` allows standard ONNX operators only, ``"provider"`` the provider's own too.
        max_growth: How much larger than the model its replacement may be: bytes, or a text such as ``"10%"``,
            ``"1.5x"`` or ``"64MiB"``; None is 10 %, and at least 1 MiB.
        strict: Use the rules alone that keep infinities and NaN where they are.
        checks: Random inputs to verify the result on.
        seed: Seed of every random choice.
        cost_db: Path of the price database; None is the one in the user's cache folder.
        isolation: ``"process"`` runs in a worker process, which holds the limits and survives native crashes;
            ``"none"`` runs in this one.
        progress: Is called with every event, in this thread.

    Returns:
        The faster model, or the model unchanged and the reason why. Where an internal error ended the run after there
        was a result, the result comes with a ``RuntimeWarning``, and ``report.fault`` says the same.

    Raises:
        ModelError: The model is missing, broken or not supported.
        UsageError: An argument is wrong.
        RulesError: A rules file is broken or unsafe.
        VerificationError: What was found does not compute the same.
        BudgetError: A limit was reached before there was any result.
        ProviderError: The provider is not available on this machine.
        InterruptedRun: The user ended it; it is a ``KeyboardInterrupt`` and holds the best result until then.
    """
    check_count("threads", threads, at_least=0)
    check_count("checks", checks, at_least=1)
    check_count("seed", seed, at_least=0)
    if progress is not None and not callable(progress):
        raise UsageError(f"progress is {progress!r}; it can be a function that takes an eqsat.Event")
    with ExitStack() as on_error:
        held = on_error.enter_context(TemporaryFolder())
        folder = held.path
        _result_path(folder).parent.mkdir()
        job = Job(
            input_path=str(_path_of(model, folder)),
            output_path=str(_result_path(folder)),
            providers=_providers("provider", provider),
            threads=threads,
            input_shapes=checked_shapes({} if input_shapes is None else input_shapes),
            inputs="" if inputs is None else _written(inputs, folder / "inputs"),
            custom_ops=library_paths(several("custom_ops", custom_ops)),
            rule_files=several("rules", rules),
            skip_rules=split_names(several("skip_rules", skip_rules)),
            enable_rules=split_names(several("enable_rules", enable_rules)),
            search=_one("search", search),
            search_options=_options(search_options or {}),
            prices=_member(Prices, prices, "prices"),
            budget=_budget(budget),
            target=_member(Target, target, "target"),
            max_growth=Growth() if max_growth is None else parse_growth(str(max_growth)),
            is_strict=_flag("strict", strict),
            num_checks=checks,
            seed=seed,
            cost_db="" if cost_db is None else _one("cost_db", cost_db),
        )
        try:
            report = supervise(job, isolation=_member(Isolation, isolation, "isolation"), on_event=progress or ignore)
        except KeyboardInterrupt:
            raise InterruptedRun from None
        on_error.pop_all()
    if report.fault:
        warnings.warn(report.fault, RuntimeWarning, stacklevel=2)
    result = Result(replace(report, output=""), held, Path(job.input_path))
    if report.ending is Ending.INTERRUPTED:
        raise InterruptedRun(result)
    return result


def load(
    path: str | os.PathLike[str],
    providers: str | Sequence[str] | None = None,
    *,
    threads: int = 0,
    custom_ops: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
) -> InferenceSession:
    """Return a session of a model with the session options that were found to be the fastest for it.

    Args:
        path: A model that :func:`optimize` wrote; any other model gets ONNX Runtime's defaults.
        providers: ONNX Runtime's names of the execution providers (``"cpu"`` and ``"cuda"`` will do), in order of
            priority. None is the one that the model was optimised for, and the CPU's; for any other model, all that
            start on this machine.
        threads: Intra-op threads; 0 is ONNX Runtime's default.
        custom_ops: Libraries of custom operators for ONNX Runtime.

    Raises:
        UsageError: An argument is wrong, or a library is no file.
        ProviderError: This ONNX Runtime has no such provider.
        ModelError: The file is no model, or the options in it are none that this version knows.
    """
    from eqsat.runtime.drop_in import load as load_session
    from ir.errors import InvalidModelError

    check_count("threads", threads, at_least=0)
    names = None if providers is None else _providers("providers", providers)
    libraries = library_paths(several("custom_ops", custom_ops))
    try:
        return load_session(Path(path), names, threads=threads, custom_ops=libraries)
    except InvalidModelError as error:
        raise ModelError(str(error)) from error


def _providers(name: str, given: object) -> tuple[str, ...]:
    names = provider_names(several(name, given))
    if not names:
        raise UsageError(f"{name} is {given!r}; it can be 'cpu', 'cuda', or another execution provider of ONNX Runtime")
    return names


def _one(name: str, given: object) -> str:
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"{name} is {given!r}; it can be a text{' or path' if name == 'cost_db' else ''}")
    return str(os.fspath(given))


def _flag(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise UsageError(f"{name} is {given!r}; it can be True or False")
    return given


def _options(options: object) -> dict[str, str]:
    if not isinstance(options, Mapping):
        raise UsageError(f"search_options is {options!r}; it can be a mapping of options by name")
    return {str(name): str(value) for name, value in options.items()}


def _budget(budget: object) -> Budget:
    if budget is not None and not isinstance(budget, Budget):
        raise UsageError(f"budget is {budget!r}; it can be an eqsat.Budget")
    return budget or Budget()


def _member(kind: type[_Word], word: str, name: str) -> _Word:
    try:
        return kind(word)
    except ValueError:
        hint = did_you_mean(str(word), kind)
        raise UsageError(f"{name} is {word!r}; it can be {', '.join(kind)}{hint}") from None


def _written(inputs: Inputs, folder: Path) -> str:
    from eqsat.verify.given import save_inputs

    save_inputs(inputs, folder)
    return str(folder)


def _result_path(folder: Path) -> Path:
    return folder / "output" / _MODEL_NAME


def _path_of(model: str | os.PathLike[str] | ModelProto, folder: Path) -> Path:
    if isinstance(model, str | os.PathLike):
        return Path(model)
    if not hasattr(model, "SerializeToString"):
        raise UsageError(f"model is {model!r}; it can be a path or an onnx.ModelProto")
    from ir.onnx_file import model_to_path

    return model_to_path(model, folder)

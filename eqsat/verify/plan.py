"""What a model is fed: the user's own inputs, or random ones of which it was found out that the model runs on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

import numpy as np

from eqsat.errors import EqsatError, UsageError
from eqsat.runtime.errors import MeasurementError, UnsupportedValueError
from eqsat.runtime.settings import REFUSED, SessionSettings
from eqsat.verify.content import BOOL, Content, Role
from eqsat.verify.errors import UnsupportedInputError
from eqsat.verify.inputs import INTEGERS, InputSpec, input_specs, random_feeds
from eqsat.verify.judge import Runner
from eqsat.verify.sizes import alternative_sizes, default_sizes, edge_sizes, given_symbols, verification_sizes
from ir.graph import Graph

Feeds = Mapping[str, np.ndarray]

MAX_ATTEMPTS: Final = 32
"""Random inputs that the original is tried on until it runs."""

MAX_CHOICES: Final = 64
"""Different whole numbers of the user's own input up to which random ones are drawn from just these."""

_BOUND: Final = re.compile(r"inclusive range \[-?\d+, ?(\d+)\]")
"""How ONNX Runtime names the largest index that it takes."""


class OriginalFailedError(EqsatError):
    """The original does not run, on any inputs that were tried; the message is ONNX Runtime's.

    Attributes:
        shapes: Shapes by input name that were tried first.
    """

    def __init__(self, message: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(message)
        self.shapes = shapes

    @property
    def is_refused(self) -> bool:
        """Whether there is not even a session of it, so that no inputs would help."""
        return str(self).startswith(REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """What a model is fed.

    Attributes:
        graph: The model.
        specs: What random inputs are like; empty where none can be drawn.
        assignments: Sizes by symbol to draw random inputs at, those to measure at first.
        input_shapes: The user's shapes by input name; they stay as they are.
        samples: The user's own inputs; the first ones are measured with.
        assumptions: What was assumed of the inputs, one line each.
    """

    graph: Graph
    specs: tuple[InputSpec, ...]
    assignments: tuple[Mapping[int, int], ...]
    input_shapes: Mapping[str, tuple[int, ...]]
    samples: tuple[Feeds, ...] = ()
    assumptions: tuple[str, ...] = ()

    @property
    def can_draw(self) -> bool:
        """Whether random inputs can be drawn."""
        return bool(self.assignments)

    def sizes(self) -> Mapping[int, int]:
        """Return the sizes to price and measure at, by symbol."""
        return self.sizes_of(self.samples[0]) if self.samples else self.assignments[0]

    def feeds(self, rng: np.random.Generator) -> Feeds:
        """Return the inputs to measure with."""
        return self.samples[0] if self.samples else random_feeds(self.graph, self.specs, rng, self.assignments[0])

    def sizes_of(self, feeds: Feeds) -> Mapping[int, int]:
        """Return the sizes of a set of inputs, by symbol."""
        return default_sizes(self.graph, {name: array.shape for name, array in feeds.items()})

    def named(self, sizes: Mapping[int, int]) -> dict[str, int]:
        """Return the sizes of the inputs' own dimensions by name."""
        types = self.graph.types
        own = {dim for name in self.graph.inputs if name in types for dim in types[name].shape}
        return {self.graph.symbols.name(symbol): size for symbol, size in sizes.items() if symbol in own}

    def assumed_sizes(self) -> dict[str, int]:
        """Return the sizes of the inputs' own dimensions that nobody gave, by name."""
        if self.samples:
            return {}
        given = given_symbols(self.graph, self.input_shapes)
        return self.named({symbol: size for symbol, size in self.sizes().items() if symbol not in given})

    def edges(self, base: Mapping[int, int]) -> Iterator[Mapping[int, int]]:
        """Yield assignments in which dimensions have size 0 or 1, the others being as in ``base``."""
        return edge_sizes(self.graph, self.input_shapes, base)


def input_plan(graph: Graph, input_shapes: Mapping[str, tuple[int, ...]], samples: Sequence[Feeds] = ()) -> InputPlan:
    """Return how to feed a model, by what stands in it; nothing is run.

    Args:
        graph: The model.
        input_shapes: The user's shapes by input name.
        samples: The user's own inputs, checked.

    Raises:
        UsageError: A shape names no input, contradicts the model or another shape.
        UnsupportedInputError: There are no samples, and no value can be made for an input.
    """
    shapes = {name: array.shape for name, array in samples[0].items()} if samples else input_shapes
    try:
        specs = input_specs(graph, shapes)
    except UnsupportedInputError:
        if not samples:
            raise
        return InputPlan(graph=graph, specs=(), assignments=(), input_shapes={}, samples=tuple(samples))
    if not samples:
        assignments = verification_sizes(graph, input_shapes)
        return InputPlan(graph=graph, specs=specs, assignments=assignments, input_shapes=input_shapes)
    free = {name: shape for name, shape in shapes.items() if name not in graph.types}
    assignments = (default_sizes(graph, shapes), *verification_sizes(graph, free)[1:])
    seen = tuple(_as_seen(spec, samples) for spec in specs)
    return InputPlan(graph=graph, specs=seen, assignments=assignments, input_shapes=free, samples=tuple(samples))


def find_plan(  # one keyword for each setting
    graph: Graph,
    original: Path,
    runner: Runner,
    *,
    settings: SessionSettings,
    input_shapes: Mapping[str, tuple[int, ...]],
    samples: Sequence[Feeds] = (),
    seed: int = 0,
    is_late: Callable[[], bool] = lambda: False,
) -> InputPlan:
    """Return how to feed a model so that it runs: where it refuses random inputs, what its error says is followed.

    Args:
        graph: The model.
        original: Its file.
        runner: Runs it.
        settings: How sessions are made.
        input_shapes: The user's shapes by input name.
        samples: The user's own inputs, checked.
        seed: Of the random inputs.
        is_late: Is asked before each attempt but the first; nothing more is tried once it is true.

    Raises:
        UsageError: A shape names no input, contradicts the model or another shape, or the model does not run on the
            user's own inputs.
        UnsupportedInputError: No value can be made for an input.
        OriginalFailedError: The model does not run.
        ProviderError: The execution provider is not available.
    """
    plan = input_plan(graph, input_shapes, samples)
    for number, sample in enumerate(samples, 1):
        try:
            runner.outputs(original, sample, settings)
        except MeasurementError as error:
            if str(error).startswith(REFUSED) or isinstance(error, UnsupportedValueError):
                raise OriginalFailedError(str(error), _shapes(sample)) from error
            raise UsageError(f"the model does not run on set {number} of the inputs given: {error}") from error
    return plan if samples else _Search(graph, original, runner, settings, plan, seed, is_late).run()


@final
class _Search:
    """Tries random inputs until the original runs."""

    def __init__(  # what it needs to run the model
        self,
        graph: Graph,
        original: Path,
        runner: Runner,
        settings: SessionSettings,
        plan: InputPlan,
        seed: int,
        is_late: Callable[[], bool],
    ) -> None:
        self._graph = graph
        self._original = original
        self._runner = runner
        self._settings = settings
        self._plan = plan
        self._seed = seed
        self._is_late = is_late
        self._num_left = MAX_ATTEMPTS

    def run(self) -> InputPlan:
        first: MeasurementError | None = None
        for specs, sizes in self._attempts():
            tried = specs
            while self._num_left == MAX_ATTEMPTS or (self._num_left > 0 and not self._is_late()):
                failure = self._failure(tried, sizes)
                if failure is None:
                    return self._found(tried, sizes)
                first = first or failure
                if str(failure).startswith(REFUSED) or isinstance(failure, UnsupportedValueError):
                    raise self._failed(failure)
                narrower = _narrowed(tried, str(failure))
                if narrower is None:
                    break
                tried = narrower
        raise self._failed(first)

    def _failed(self, first: MeasurementError | None) -> OriginalFailedError:
        plan = self._plan
        feeds = random_feeds(self._graph, plan.specs, np.random.default_rng(self._seed), plan.assignments[0])
        error = OriginalFailedError(str(first or ""), _shapes(feeds))
        error.__cause__ = first
        return error

    def _attempts(self) -> Iterator[tuple[tuple[InputSpec, ...], Mapping[int, int]]]:
        """What is most likely first: as the model says it, with smaller whole numbers, at other sizes."""
        specs, sizes = self._plan.specs, self._plan.assignments[0]
        yield specs, sizes
        for other in _other_values(specs):
            yield other, sizes
        for other_sizes in alternative_sizes(self._graph, self._plan.input_shapes):
            yield specs, other_sizes
            small = _small(specs, 1)
            if small is not None:
                yield small, other_sizes

    def _failure(self, specs: tuple[InputSpec, ...], sizes: Mapping[int, int]) -> MeasurementError | None:
        """Why the original does not run; None where it does."""
        self._num_left -= 1
        feeds = random_feeds(self._graph, specs, np.random.default_rng(self._seed), sizes)
        try:
            self._runner.outputs(self._original, feeds, self._settings)
        except MeasurementError as error:
            return error
        return None

    def _found(self, specs: tuple[InputSpec, ...], sizes: Mapping[int, int]) -> InputPlan:
        before = self._plan.assignments
        assignments: tuple[Mapping[int, int], ...] = before
        if sizes != before[0]:
            twice = [{**other, **sizes} for other in before[1:]]
            assignments = (sizes, *(each for each in (*before[1:], *twice) if each != sizes))
        return replace(
            self._plan,
            specs=specs,
            assignments=assignments,
            assumptions=tuple(filter(None, map(_told, specs))),
        )


def _shapes(feeds: Feeds) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in feeds.items()}


def _narrowed(specs: tuple[InputSpec, ...], message: str) -> tuple[InputSpec, ...] | None:
    """Whole numbers below the bound that the runtime names; None where that changes nothing."""
    found = _BOUND.search(message)
    if found is None:
        return None
    high = int(found[1]) + 1
    for roles in ({Role.DATA}, {Role.INDEX, Role.COUNT}):
        new = tuple(
            _indices(spec, high) if _is_whole(spec) and spec.content.role in roles and _exceeds(spec, high) else spec
            for spec in specs
        )
        if new != specs:
            return new
    return None


def _exceeds(spec: InputSpec, high: int) -> bool:
    return spec.content.role is Role.DATA or spec.content.high > high


def _other_values(specs: tuple[InputSpec, ...]) -> Iterator[tuple[InputSpec, ...]]:
    """Single choices where there are several, then whole numbers below 2, and zeros."""
    for place, spec in enumerate(specs):
        for value in spec.content.values if spec.content.role is Role.CHOICE else ():
            content = Content(role=Role.CHOICE, values=(value,))
            yield (*specs[:place], replace(spec, content=content, is_fixed=True), *specs[place + 1 :])
    for high in (2, 1):
        small = _small(specs, high)
        if small is not None:
            yield small


def _small(specs: tuple[InputSpec, ...], high: int) -> tuple[InputSpec, ...] | None:
    """Whole numbers of which nothing is known, and indices, below ``high``; None where there are none."""
    new = tuple(
        _indices(spec, high) if _is_whole(spec) and spec.content.role in {Role.DATA, Role.INDEX} else spec
        for spec in specs
    )
    return new if new != specs else None


def _indices(spec: InputSpec, high: int) -> InputSpec:
    return replace(spec, content=Content(role=Role.INDEX, low=0, high=max(high, 1)), is_fixed=True)


def _is_whole(spec: InputSpec) -> bool:
    return spec.type.dtype in INTEGERS


def _as_seen(spec: InputSpec, samples: Sequence[Feeds]) -> InputSpec:
    """Whole numbers of which nothing is known are drawn from the user's own."""
    if not _is_whole(spec) or spec.content.role is not Role.DATA:
        return spec
    values = np.unique(np.concatenate([sample[spec.name].reshape(-1) for sample in samples if spec.name in sample]))
    if values.size == 0:
        return spec
    if values.size <= MAX_CHOICES:
        content = Content(role=Role.CHOICE, values=tuple(int(value) for value in values))
    else:
        content = Content(role=Role.INDEX, low=int(values[0]), high=int(values[-1]) + 1)
    return replace(spec, content=content, is_fixed=True)


def _told(spec: InputSpec) -> str:
    """What is assumed of an input, as one line; empty for plain numbers."""
    content = spec.content
    what = ""
    match content.role:
        case Role.INDEX | Role.COUNT if content.high - content.low == 1:
            what = f"is {content.low}"
        case Role.INDEX:
            what = f"holds indices from {content.low} to {content.high - 1}"
        case Role.COUNT:
            what = f"holds numbers from {content.low} to {content.high - 1}"
        case Role.MASK:
            what = "holds 1, and 0 on the right of a row"
        case Role.SHAPE:
            what = f"is the shape {list(content.values)}"
        case Role.CHOICE if len(content.values) == 1:
            what = f"is {content.values[0]}"
        case Role.CHOICE:
            what = f"is one of {', '.join(map(str, content.values))}"
        case Role.DATA if spec.type.dtype in INTEGERS | {BOOL}:
            what = "holds any small whole numbers" if spec.type.dtype != BOOL else "holds true and false"
        case Role.DATA:
            pass
    return f"{spec.name} {what}" if what else ""

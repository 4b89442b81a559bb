"""Work on rules and a model, for a process of its own: paths and names in, plain values out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eqsat.authoring.tools.availability import selected
from eqsat.authoring.tools.catalogue import read_book
from eqsat.authoring.tools.why_not import WhyNot, why_not
from eqsat.egglog.commands import EgglogError
from eqsat.egraph.session import Session, UnsoundRulesError
from eqsat.errors import RulesError, UsageError
from eqsat.rules.rule import FloatClass, RuleKind
from eqsat.verify.errors import UnsupportedInputError
from ir.inner_sizes import inner_sizes
from ir.onnx_file import load_model, with_input_shapes
from ir.reader import graph_of, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from eqsat.authoring.tools.bench import Measured
    from eqsat.authoring.tools.stats import Stats
    from eqsat.prices.problem import PricedProblem
    from eqsat.rules.book import RuleBook
    from eqsat.rules.rule import Rule
    from eqsat.runtime.runtime import Runtime
    from ir.graph import Graph

PRICE_SHARE: Final = 0.6
"""Share of the time that is gone when prices must be measured; sizes stand in for what is missing."""

SEARCH_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a model is run while rules are measured on it.

    Attributes:
        model: Its path.
        files: Further rules files.
        providers: ONNX Runtime's names, in order of priority.
        threads: Intra-op threads; 0 is ONNX Runtime's default.
        input_shapes: Shapes by input name, for inputs with symbolic dimensions.
        time_s: Seconds for all of it.
        max_enodes: E-nodes at which no more rules are applied.
        cost_db: Price database; empty for the user's own.
        seed: Of every random choice.
    """

    model: Path
    files: tuple[Path, ...] = ()
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    threads: int = 0
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    time_s: float = 180.0
    max_enodes: int = 50_000
    cost_db: str = ""
    seed: int = 0


def explain(
    files: Sequence[Path],
    name: str,
    model: Path,
    node: str,
    after: Sequence[str],
    max_places: int,
    input_shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[WhyNot]:
    """Yield why a rule does not match a model: once.

    Raises:
        RulesError: The rules are broken, or contradict the model's types.
        InvalidModelError: The model cannot be read.
        UsageError: There is no such node.
    """
    book = read_book(files)
    graph = _read_at(model, input_shapes)
    with _blamed(model):
        yield why_not(book, name, graph, node=node, after=after, max_places=max_places)


def count(setting: Setting, *, has_prices: bool) -> Iterator[Stats]:
    """Yield what each rule does on a model: once.

    Raises:
        RulesError: The rules are broken, or contradict the model's types.
        InvalidModelError: The model cannot be read.
        ProviderError: The provider is not available.
        UsageError: The model cannot be run on random inputs.
    """
    from eqsat.authoring.tools.stats import count as count_here

    began = time.monotonic()
    graph = read(setting.model)
    book = selected(read_book(setting.files), graph.opset)
    with _blamed(setting.model), _runtime() as runtime:
        session = Session(graph, book)
        price_until = began + PRICE_SHARE * setting.time_s
        prices = _prices(setting, graph, session, runtime, price_until) if has_prices else None
        yield count_here(
            session, max_enodes=setting.max_enodes, deadline=began + SEARCH_SHARE * setting.time_s, prices=prices
        )


def measure(setting: Setting, name: str) -> Iterator[Measured]:
    """Yield what a rule alone is worth on a model: once.

    Raises:
        RulesError: The rules are broken, or contradict the model's types.
        InvalidModelError: The model cannot be read.
        ProviderError: The provider is not available.
        UsageError: The rule only states facts, or the model cannot be run on random inputs.
        VerificationError: With the rule, the model computes something else.
        EqsatError: A model cannot be built or run.
    """
    from eqsat.authoring.tools.bench import Bench
    from eqsat.runtime.settings import SessionSettings
    from eqsat.verify.sizes import resolved_shapes

    began = time.monotonic()
    graph = read(setting.model)
    book, rule = _with(read_book(setting.files), name, graph.opset)
    with _blamed(setting.model), _runtime() as runtime, tempfile.TemporaryDirectory(prefix="eqsat-") as folder:
        runtime.require_providers(setting.providers)
        bench = Bench(
            runtime=runtime,
            settings=SessionSettings(providers=setting.providers, threads=setting.threads),
            input_shapes=resolved_shapes(graph, setting.input_shapes),
            folder=Path(folder),
            deadline=began + 0.9 * setting.time_s,
            seed=setting.seed,
        )
        yield bench.measure(setting.model, graph, book, rule.name)


def _with(book: RuleBook, name: str, opset: int) -> tuple[RuleBook, Rule]:
    """Return the rules that take part in a run, this one too where it has only to be switched on."""
    rule = book.rule(name)
    if rule.kind is RuleKind.FACTS:
        raise UsageError(f"{name} only states facts: nothing changes by it, so there is nothing to measure")
    names = [rule.name] if rule.floats is FloatClass.APPROXIMATES or rule.tier else []
    chosen = selected(book, opset, enable=names)
    dropped = chosen.dropped.get(name)
    if dropped is not None:
        raise UsageError(f"{name} takes no part on this model: {dropped}")
    return chosen, rule


@contextmanager
def _blamed(model: Path) -> Iterator[None]:
    """Turn what the e-graph says against the rules, or inputs against the model, into errors for the user."""
    try:
        yield
    except (UnsoundRulesError, EgglogError) as error:
        raise RulesError(f"the rules contradict the types of {model}: {error}") from error
    except UnsupportedInputError as error:
        raise UsageError(f"{model} cannot be run on random inputs: {error}") from error


@contextmanager
def _runtime() -> Iterator[Runtime]:
    from eqsat.runtime.runtime import Runtime

    with Runtime() as runtime:
        yield runtime


def _prices(
    setting: Setting, graph: Graph, session: Session, runtime: Runtime, until: float
) -> Callable[[], PricedProblem]:
    from eqsat.prices.database import PriceDatabase
    from eqsat.prices.micro import MicroMaker
    from eqsat.prices.pricing import Pricer
    from eqsat.prices.problem import build_problem
    from eqsat.runtime.settings import SessionSettings
    from eqsat.verify.sizes import default_sizes, resolved_shapes

    runtime.require_providers(setting.providers)
    sizes = inner_sizes(graph, default_sizes(graph, resolved_shapes(graph, setting.input_shapes)))

    def price() -> PricedProblem:
        with PriceDatabase(Path(setting.cost_db) if setting.cost_db else None) as database:
            pricer = Pricer(
                runtime=runtime,
                database=database,
                settings=SessionSettings(providers=setting.providers, threads=setting.threads),
                opset=graph.opset,
                now=time.time,
                clock=time.monotonic,
            )
            return build_problem(session, pricer, MicroMaker(session, sizes), setting.providers[0], deadline=until)

    return price


def write_template(
    model: Path, nodes: Sequence[str], name: str, input_shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    """Yield the text of a rule whose left side is a part of a model: once.

    Raises:
        InvalidModelError: The model cannot be read.
        UsageError: There is no such node, or the rules cannot say it.
    """
    from eqsat.authoring.tools.template import template

    yield template(_read_at(model, input_shapes), nodes, name)


def _read_at(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Graph:
    """Read a model as one of these input shapes alone.

    Raises:
        InvalidModelError: The model cannot be read.
        UsageError: A name is neither an input nor a symbolic dimension, or a shape does not fit.
    """
    from eqsat.verify.sizes import default_sizes, resolved_shapes

    model = load_model(path)
    graph = graph_of(model)
    if not shapes:
        return graph
    found = resolved_shapes(graph, shapes)
    default_sizes(graph, found)  # says what does not fit
    return graph_of(with_input_shapes(model, found))

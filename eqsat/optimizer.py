"""One run, from the file that is read to the result that is kept: the product's main road, top to bottom."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.cost.database import PriceDatabase
from eqsat.cost.micro import MicroMaker
from eqsat.cost.pricing import Pricer
from eqsat.cost.problem import PricedProblem, build_problem
from eqsat.egraph.session import Session
from eqsat.errors import VerificationError
from eqsat.events import Event, Stage
from eqsat.extraction.cpsat import ExtractionResult, solve
from eqsat.finalists.build import Built
from eqsat.finalists.tournament import Finalist, Tournament
from eqsat.finalists.tuning import tune
from eqsat.job import Job, Target
from eqsat.outcome import Findings, optimized_report, unchanged_report
from eqsat.report import Report
from eqsat.rules.book import RuleBook, load_rules
from eqsat.rules.rule import FloatClass, RuleKind
from eqsat.runtime.drop_in import DISABLED_OPTIMIZERS_KEY, LEVEL_KEY
from eqsat.runtime.errors import MeasurementError
from eqsat.runtime.measurements import Contender, ContenderResult
from eqsat.runtime.runtime import Runtime
from eqsat.runtime.settings import CPU_PROVIDER, CUDA_PROVIDER, SessionSettings
from eqsat.scratch import keep_best
from eqsat.search.interface import Arena, SearchBudget
from eqsat.search.registry import make_search
from eqsat.verify.errors import UnsupportedInputError
from eqsat.verify.inputs import input_specs, random_feeds
from eqsat.verify.sizes import default_sizes
from eqsat.verify.verify import Verification, verify
from ir.availability import available_operators
from ir.onnx_file import load_model, move_model, write_model
from ir.reader import read

if TYPE_CHECKING:
    from ir.graph import Graph

SEARCH_SHARE: Final = 0.2
"""Share of the time budget that is gone when the search must have ended; the next stages likewise."""
PRICE_SHARE: Final = 0.4
FINALS_SHARE: Final = 0.7
CONFIRM_SHARE: Final = 0.85
TUNING_SHARE: Final = 0.95

MAX_SOLVE_S: Final = 30.0
CONFIRM_PAIRS: Final = 16
CONFIRM_ROUNDS: Final = 15
QUICK_CHECKS: Final = 1
"""Random inputs on which a finalist is verified before it is measured; the winner gets all that the job asks for."""

_PROVIDERS_WITH_OPERATORS: Final = frozenset({CPU_PROVIDER, CUDA_PROVIDER})


def optimize(job: Job, emit: Callable[[Event], None]) -> Report:
    """Run a job; leave its best result in the job's scratch folder as soon as there is one.

    Args:
        job: What to do.
        emit: Is told what happens.

    Raises:
        UsageError: An argument contradicts the model.
        InvalidModelError: The model cannot be read.
        RulesError: A rules file is broken.
        ProviderError: The provider is not available.
        VerificationError: The result does not compute what the input computes.
    """
    run = _Run(job, emit)
    with Runtime(scratch_dir=Path(job.scratch_dir) if job.scratch_dir else None) as runtime:
        return run.execute(runtime)


@final
class _Run:
    def __init__(self, job: Job, emit: Callable[[Event], None]) -> None:
        self.job = job
        self.emit = emit
        self.start = time.monotonic()
        self.findings = Findings(job=job)
        self.settings = SessionSettings(providers=job.providers, threads=job.threads)
        self.folder = Path(job.scratch_dir)
        self.source = Path(job.input_path)
        self.rng = random.Random(job.seed)

    def deadline(self, share: float) -> float:
        return self.start + share * self.job.budget.time_s

    @contextmanager
    def stage(self, stage: Stage, message: str) -> Iterator[None]:
        self.tell(stage, message)
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = self.findings.seconds
            seconds[stage.value] = seconds.get(stage.value, 0.0) + time.monotonic() - began

    def tell(self, stage: Stage, message: str, fraction: float | None = None) -> None:
        self.emit(Event(stage=stage, message=message, fraction=fraction, best_speedup=self.findings.best_speedup))

    def execute(self, runtime: Runtime) -> Report:
        with self.stage(Stage.LOAD, f"reading {self.source.name}"):
            graph = read(self.source)
            self.findings.graph = graph
            runtime.require_providers(self.job.providers)
            rules = self._rules(graph)
        try:
            sizes = default_sizes(graph, self.job.input_shapes)
            specs = input_specs(graph, self.job.input_shapes)
            feeds = random_feeds(graph, specs, np.random.default_rng(self.job.seed), sizes)
        except UnsupportedInputError as error:
            return self._unchanged(f"nothing could be verified: {error}")
        self._unchanged("the run ended before a faster model was found")
        with PriceDatabase(
            Path(self.job.cost_db) if self.job.cost_db else None,
            on_warning=self.findings.warnings.append,
        ) as database:
            return self._optimize(runtime, database, graph, rules, sizes, feeds)

    def _rules(self, graph: Graph) -> RuleBook:
        has_provider_operators = (
            self.job.target is Target.PROVIDER and self.job.providers[0] in _PROVIDERS_WITH_OPERATORS
        )
        book = load_rules(self.job.rule_files)
        return book.select(
            skip=self.job.skip_rules,
            enable=self.job.enable_rules,
            is_strict=self.job.is_strict,
            available_operators=available_operators(graph.opset, has_provider_operators=has_provider_operators),
        )

    def _optimize(
        self,
        runtime: Runtime,
        database: PriceDatabase,
        graph: Graph,
        rules: RuleBook,
        sizes: Mapping[int, int],
        feeds: Mapping[str, np.ndarray],
    ) -> Report:
        with self.stage(Stage.LOAD, f"{len(graph.nodes)} nodes, {len(rules.rules)} rules"):
            session = Session(graph, rules)

        def build_prices() -> PricedProblem:
            maker = MicroMaker(session, sizes)
            pricer = Pricer(
                maker=maker,
                runtime=runtime,
                database=database,
                settings=self.settings,
                opset=graph.opset,
                now=time.time,
                clock=time.monotonic,
            )
            priced = build_problem(
                session,
                pricer,
                maker,
                self.job.providers[0],
                deadline=self.deadline(PRICE_SHARE),
                on_progress=self._price_progress,
            )
            self.findings.prices = pricer.account
            return priced

        with self.stage(Stage.SEARCH, f"search: {self.job.search}"):
            self._search(session, build_prices)
        self.findings.warnings.extend(
            f"rule {name} is unsound and was switched off: {why}" for name, why in session.refused.items()
        )
        if not session.applied:
            return self._unchanged("no rule applies to this model")
        with self.stage(Stage.PRICE, "pricing operators on the device"):
            priced = build_prices()
        with self.stage(Stage.EXTRACT, f"extracting from {priced.problem.num_enodes} e-nodes"):
            limit_s = min(MAX_SOLVE_S, max(self.deadline(FINALS_SHARE) - time.monotonic(), 1.0))
            extracted = solve(priced.problem, time_limit_s=limit_s, seed=self.job.seed)
            self.findings.extraction = extracted
        return self._finals(runtime, session, rules, priced, extracted, feeds)

    def _price_progress(self, done: int, total: int) -> None:
        if total and done % 10 == 0:
            self.tell(Stage.PRICE, f"{done} of {total} prices measured", done / total)

    def _search(self, session: Session, build_prices: Callable[[], PricedProblem]) -> None:
        arena = Arena(
            session=session,
            build_problem=build_prices,
            clock=time.monotonic,
            rng=self.rng,
            on_progress=lambda message: self.tell(Stage.SEARCH, message),
        )
        budget = SearchBudget(deadline=self.deadline(SEARCH_SHARE), max_enodes=self.job.budget.max_enodes)
        outcome = make_search(self.job.search, self.job.search_options).run(arena, budget)
        self.findings.size = session.size()
        self.findings.search = outcome

    def _finals(
        self,
        runtime: Runtime,
        session: Session,
        rules: RuleBook,
        priced: PricedProblem,
        extracted: ExtractionResult,
        feeds: Mapping[str, np.ndarray],
    ) -> Report:
        def check(built: Built, num_checks: int, settings: SessionSettings | None = None) -> Verification:
            return verify(
                self.source,
                built.path,
                session.graph,
                runtime,
                settings=self.settings,
                candidate_settings=settings,
                num_checks=num_checks,
                seed=self.job.seed,
                float_class=_loosest(rules, built.origins),
                input_shapes=self.job.input_shapes,
            )

        def accepts(built: Built) -> bool:
            with self.stage(Stage.VERIFY, "checking a finalist"):
                found = check(built, QUICK_CHECKS)
            if not found.is_equal:
                used = ", ".join(sorted(built.origins))
                self.findings.warnings.append(f"a graph was refused: {found.detail or found.reason} (rules: {used})")
            return found.is_equal

        tournament = Tournament(
            session=session,
            priced=priced,
            runtime=runtime,
            settings=self.settings,
            feeds=feeds,
            folder=self.folder,
            clock=time.monotonic,
            accepts=accepts,
            seed=self.job.seed,
        )
        with self.stage(Stage.BUILD, "building the cheapest graph"):
            first = tournament.entrant(extracted.selection)
        if first is None:
            return self._unchanged(self._why_no_finalist())
        with self.stage(Stage.MEASURE, "measuring the finalists"):
            winner = tournament.refine(
                first,
                extracted.selection,
                self.deadline(FINALS_SHARE),
                lambda message: self.tell(Stage.MEASURE, message),
            )
        self.findings.decisions = tuple(tournament.decisions)
        with self.stage(Stage.MEASURE, "measuring the best against the input"):
            result = self._confirm(runtime, winner, feeds)
        if result is None or result.speedup_low <= 1.0:
            return self._unchanged(_no_gain(result))
        with self.stage(Stage.VERIFY, f"verifying on {self.job.num_checks} random inputs"):
            verification = check(winner.built, self.job.num_checks)
        if not verification.is_equal:
            raise VerificationError(f"{self.source}: {verification.detail or verification.reason}; nothing was written")
        self.findings.verification = verification
        report = self._keep(winner, None, None)
        with self.stage(Stage.MEASURE, "trying session options"):
            tuned = tune(
                winner.built.path,
                runtime,
                self.settings,
                feeds,
                deadline=self.deadline(TUNING_SHARE),
                seed=self.job.seed,
                is_sound=lambda settings: check(winner.built, QUICK_CHECKS, settings).is_equal,
            )
            tuned_result = self._confirm(runtime, winner, feeds, tuned) if tuned != self.settings else None
        if tuned_result is not None and tuned_result.speedup > result.speedup and tuned_result.speedup_low > 1.0:
            return self._keep(winner, tuned, tuned_result)
        return report

    def _confirm(
        self,
        runtime: Runtime,
        winner: Finalist,
        feeds: Mapping[str, np.ndarray],
        tuned: SessionSettings | None = None,
    ) -> ContenderResult | None:
        """The paired test of the winner against the input, on sessions nobody has chosen by."""
        contenders = [
            Contender(path=self.source, settings=self.settings),
            Contender(path=winner.built.path, settings=tuned or self.settings),
        ]
        try:
            comparison = runtime.compare(
                contenders,
                feeds,
                num_pairs=CONFIRM_PAIRS,
                rounds=CONFIRM_ROUNDS,
                seed=self.job.seed + 1,
                deadline=self.deadline(CONFIRM_SHARE if tuned is None else 1.0),
            )
        except MeasurementError as error:
            self.findings.warnings.append(f"the result could not be measured: {error}")
            return None
        result = comparison.results.get(1)
        if tuned is None:
            self.findings.comparison = comparison
        return result

    def _keep(self, winner: Finalist, tuned: SessionSettings | None, tuned_result: ContenderResult | None) -> Report:
        report = optimized_report(self.findings, winner, tuned, tuned_result)
        metadata = {}
        if tuned is not None:
            metadata[LEVEL_KEY] = tuned.level.value
            metadata[DISABLED_OPTIMIZERS_KEY] = ",".join(tuned.disabled_optimizers)

        def write(path: Path) -> None:
            if metadata:
                model = load_model(winner.built.path)
                model.metadata_props.update(metadata)
                write_model(model, path)
            else:
                move_model(winner.built.path, path)

        with self.stage(Stage.WRITE, "keeping the result"):
            keep_best(self.folder, report, model_name=self._model_name(), write_model=write)
        return report

    def _unchanged(self, reason: str) -> Report:
        report = unchanged_report(self.findings, reason)
        keep_best(self.folder, report, model_name=self._model_name(), write_model=None)
        return report

    def _model_name(self) -> str:
        return Path(self.job.output_path or "model.onnx").name

    def _why_no_finalist(self) -> str:
        refused = next((line for line in self.findings.warnings if line.startswith("a graph was refused")), "")
        return refused or "the cheapest graph cannot be written or run"


def _no_gain(result: ContenderResult | None) -> str:
    if result is None:
        return "the best graph could not be measured"
    interval = f"x{result.speedup:.3f} [{result.speedup_low:.3f}, {result.speedup_high:.3f}]"
    return f"no graph is clearly faster than the input (the best one: {interval})"


_LOOSENESS: Final = (FloatClass.EXACT, FloatClass.REASSOCIATES, FloatClass.FINITE, FloatClass.APPROXIMATES)


def _loosest(rules: RuleBook, origins: Mapping[str, int]) -> FloatClass:
    """The loosest float class of the rules behind a model, those that simplify without being asked included."""
    classes = [rule.floats for rule in rules.rules if rule.name in origins or rule.kind is RuleKind.SIMP]
    return max(classes, key=_LOOSENESS.index, default=FloatClass.EXACT)

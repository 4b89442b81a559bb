"""One run, from the file that is read to the result that is kept: the product's main road, top to bottom."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never, final

from eqsat.egglog.commands import EgglogError
from eqsat.egraph.session import Session, UnsoundRulesError
from eqsat.errors import EqsatError, ModelError, RulesError, UsageError
from eqsat.extraction.cpsat import solve
from eqsat.extraction.problem import NoSelectionError
from eqsat.pipeline.culprits import culprits
from eqsat.pipeline.events import Event, Stage
from eqsat.pipeline.finals import Explored, Finals, Opened, keep_input
from eqsat.pipeline.job import Job, Prices, Target
from eqsat.pipeline.outcome import Findings
from eqsat.pipeline.progress import FINALS_SHARE, PRICE_SHARE, SEARCH_SHARE, TUNED_SHARE, Progress, Schedule
from eqsat.pipeline.reasons import Why, listed, told, what_to_give, why_refused
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Amounts, Status
from eqsat.pipeline.scratch import read_best
from eqsat.pipeline.search_clock import SearchClock
from eqsat.prices.database import PriceDatabase
from eqsat.prices.frugal import Frugal
from eqsat.prices.metered import Metered
from eqsat.prices.micro import MicroMaker
from eqsat.prices.pricing import Pricer
from eqsat.prices.problem import PricedProblem
from eqsat.prices.reference import reference_prices
from eqsat.rules.book import DropReason, RuleBook, load_rules
from eqsat.runtime.errors import BrokenModelError, MeasurementError, SessionFailedError, UnsupportedValueError
from eqsat.runtime.measurements import Contender
from eqsat.runtime.providers import provider_row
from eqsat.runtime.runtime import Runtime
from eqsat.runtime.settings import CUSTOM_OPS_FAILED, SessionSettings
from eqsat.search.interface import Arena, SearchBudget, SearchFactory, StopReason, Surroundings
from eqsat.search.registry import check_search, make_search
from eqsat.verify.errors import UnsupportedInputError
from eqsat.verify.given import given_inputs
from eqsat.verify.plan import OriginalFailedError, find_plan
from eqsat.verify.sizes import contradicted_names, resolved_shapes
from ir.availability import available_operators
from ir.errors import InvalidModelError, UnsupportedModelError
from ir.inner_sizes import inner_sizes
from ir.onnx_file import open_model
from ir.reader import read

if TYPE_CHECKING:
    from eqsat.verify.plan import Feeds
    from ir.graph import Graph
    from ir.onnx_file import ModelFile

MAX_SOLVE_S: Final = 30.0

INPUT_SOLVE_S: Final = 2.0
"""Seconds in which the model itself is priced: all that is open is what the provider fuses."""

LEAST_S: Final = 3.0
"""Seconds that must be left for measuring what decides nothing."""

TRYING_SHARE: Final = 0.1
"""Share of the time budget in which random inputs are looked for that the model takes."""

_NO_RULES: Final = RuleBook(rules=(), declarations=())
"""With these an e-graph is the model and nothing else."""

_NO_SEARCHES: Final[Mapping[str, SearchFactory]] = {}


def optimize(
    job: Job,
    emit: Callable[[Event], None],
    *,
    runtime: Runtime | None = None,
    clock: Callable[[], float] = time.monotonic,
    searches: Mapping[str, SearchFactory] = _NO_SEARCHES,
) -> Report:
    """Run a job; leave its best result in the job's scratch folder as soon as there is one.

    Args:
        job: What to do.
        emit: Is told what happens.
        runtime: Runs and measures models; a new one where it is left out.
        clock: Seconds on a clock that only goes forward.
        searches: Searches that are not built in, by name.

    Raises:
        UsageError: An argument contradicts the model.
        InvalidModelError: The model is broken.
        ModelError: The model does not run here, and not for want of an operator or a newer ONNX Runtime.
        RulesError: A rules file is broken, or a rule that is always applied contradicts the model's types.
        ProviderError: The provider is not available.
        VerificationError: The result does not compute what the input computes.
    """
    run = _Run(job, emit, clock, searches)
    try:
        if runtime is not None:
            return run.finished(run.execute(runtime), runtime)
        with Runtime(scratch_dir=Path(job.scratch_dir), clock=clock) as own:
            return run.finished(run.execute(own), own)
    except (UnsoundRulesError, EgglogError) as error:
        raise RulesError(f"the rules contradict the types of {job.input_path}: {error}") from error


@final
class _Run:
    def __init__(
        self,
        job: Job,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        searches: Mapping[str, SearchFactory],
    ) -> None:
        self.job = job
        self.clock = clock
        self.searches = searches
        self.schedule = Schedule(start=clock(), budget_s=job.budget.time_s)
        self.findings = Findings(job=job)
        self.progress = Progress(emit, self.findings, clock)
        self.settings = SessionSettings(providers=job.providers, threads=job.threads, custom_ops=job.custom_ops)
        self.source = Path(job.input_path)
        self.rng = random.Random(job.seed)
        self.shapes: Mapping[str, tuple[int, ...]] = {}

    def execute(self, runtime: Runtime) -> Report:
        with self.progress.stage(Stage.LOAD, f"reading {self.source.name}"):
            check_search(self.job.search, self.searches)
            file = open_model(self.source)
            runtime.require_providers(self.job.providers)
            try:
                fingerprint = runtime.optimized_fingerprint(self.source, self.settings)
                graph, samples = self._read(file)
            except BrokenModelError as error:
                raise InvalidModelError(f"{self.source}: {error}") from error
            except MeasurementError as error:
                return keep_input(self.findings, self._why_refused(error))
            except UnsupportedModelError as error:
                return keep_input(self.findings, told(Why.NOT_REWRITTEN, error))
            rules = self._rules(graph)
        until = self.schedule.deadline(TRYING_SHARE)
        try:
            with self.progress.stage(Stage.LOAD, "trying the model on inputs"):
                plan = find_plan(
                    graph,
                    self.source,
                    runtime,
                    settings=self.settings,
                    input_shapes=self.shapes,
                    samples=samples,
                    seed=self.job.seed,
                    is_late=lambda: self.clock() >= until,
                )
        except UnsupportedInputError as error:
            return keep_input(self.findings, told(Why.INPUT_UNKNOWN, error))
        except OriginalFailedError as error:
            return keep_input(self.findings, self._why_original_failed(error, graph))
        self.findings.plan = plan
        keep_input(self.findings, told(Why.CUT_SHORT))
        finals = Finals(
            findings=self.findings,
            runtime=runtime,
            settings=self.settings,
            plan=plan,
            schedule=self.schedule,
            clock=self.clock,
            progress=self.progress,
            input_fingerprint=fingerprint,
        )
        nothing = finals.why_nothing_can_be_verified()
        if nothing is not None:
            return keep_input(self.findings, nothing)
        with PriceDatabase(
            Path(self.job.cost_db) if self.job.cost_db else None,
            on_warning=self.findings.warnings.append,
        ) as database:
            pricer = Pricer(
                runtime=runtime,
                database=database,
                settings=self.settings,
                opset=graph.opset,
                now=time.time,
                clock=self.clock,
            )
            return self._optimize(finals, pricer, graph, rules, inner_sizes(graph, plan.sizes()))

    def finished(self, report: Report, runtime: Runtime) -> Report:
        """Return the report with what is worth knowing of the result but decides nothing, as far as there is time."""
        left_s = self.schedule.end - self.clock()
        if left_s < max(LEAST_S, (1.0 - TUNED_SHARE) * self.schedule.budget_s) or not self.findings.feeds:
            return report
        try:
            match report.status:
                case Status.OPTIMIZED:
                    return replace(report, memory_bytes=self._memory(runtime))
                case Status.UNCHANGED if report.original_us is None:
                    return replace(report, original_us=self._latency_us(runtime))
        except MeasurementError:
            pass
        return report

    def _memory(self, runtime: Runtime) -> Amounts:
        best = read_best(self.job.scratch_dir)
        if best is None or best.model_path is None:
            return Amounts()
        runtime.close()  # its sessions would count as ours
        with self.progress.stage(Stage.MEASURE, "measuring memory"):
            before, after = (
                runtime.peak_memory_bytes(path, self.findings.feeds, self.settings)
                for path in (self.source, best.model_path)
            )
        return Amounts(before=before, after=after)

    def _latency_us(self, runtime: Runtime) -> float:
        with self.progress.stage(Stage.MEASURE, "measuring the input"):
            contender = Contender(path=self.source, settings=self.settings)
            return runtime.latency_us(contender, self.findings.feeds, seed=self.job.seed)

    def _read(self, file: ModelFile) -> tuple[Graph, tuple[Feeds, ...]]:
        """Read the model and the user's own inputs; names that their shapes contradict are no equalities."""
        graph = self.findings.graph = read(file)
        samples = given_inputs(self.job.inputs, graph) if self.job.inputs else ()
        if samples and self.job.input_shapes:
            raise UsageError("the inputs given say the shapes; leave out --input-shape")
        self.shapes = resolved_shapes(graph, self.job.input_shapes)
        given = [{name: array.shape for name, array in sample.items()} for sample in samples]
        unequal = frozenset().union(*(contradicted_names(graph, each) for each in (given or [self.shapes])))
        if unequal:
            names = ", ".join(map(repr, sorted(unequal)))
            self.findings.warnings.append(f"the shapes given have several sizes for {names}; they count as unrelated")
            graph = self.findings.graph = read(file, unequal)
        return graph, samples

    def _why_refused(self, error: EqsatError) -> str:
        """Return why ONNX Runtime has no session of the model: it is too old for it, lacks an operator, or fails.

        Raises:
            UsageError: A library of custom operators is at fault.
            ModelError: ONNX Runtime takes the model to be wrong.
        """
        if self.job.custom_ops and CUSTOM_OPS_FAILED in str(error):
            raise UsageError(str(error))
        why, detail = why_refused(str(error))
        said = told(why, detail)
        if why is Why.REFUSED_INPUT and isinstance(error, SessionFailedError):
            raise ModelError(f"{self.source}: {said}")
        return said

    def _why_original_failed(self, error: OriginalFailedError, graph: Graph) -> str:
        """Return why the model could not be run.

        Raises:
            UsageError: A library of custom operators is at fault.
            ModelError: It does not run on inputs of these shapes.
        """
        cause = error.__cause__
        if isinstance(cause, UnsupportedValueError):
            return told(Why.UNSUPPORTED_VALUE, error)
        if not isinstance(cause, SessionFailedError):
            return told(Why.INPUT_FAILS, error)
        if error.is_refused or why_refused(str(error))[0] is not Why.REFUSED_INPUT:
            return self._why_refused(cause)
        shapes = ", ".join(f"{name}:{listed(shape)}" for name, shape in error.shapes.items())
        raise ModelError(f"{self.source}: it does not run on {shapes}: {error}; {what_to_give(graph, error.shapes)}")

    def _why_nothing_was_applied(self) -> str:
        outcome = self.findings.search
        match outcome.stop_reason if outcome is not None else StopReason.SATURATED:
            case StopReason.SATURATED:
                return told(Why.NO_RULE)
            case StopReason.NO_GAIN:
                return told(Why.NO_CHEAPER)
            case StopReason.TIME_LIMIT:
                share_s = SEARCH_SHARE * self.schedule.budget_s
                return told(Why.SEARCH_TIME, f"{share_s:.3g} s of {self.job.budget.time_s:g} s")
            case StopReason.ENODE_LIMIT:
                return told(Why.SEARCH_ENODES, self.job.budget.max_enodes)
            case StopReason.STEP_LIMIT:
                return told(Why.SEARCH_STEPS, outcome.num_steps if outcome is not None else 0)
            case never:
                assert_never(never)

    def _why_all_are_refused(self, refusal: str) -> str:
        if not refusal:
            return told(Why.NO_GRAPH)
        is_late = self.clock() >= self.schedule.deadline(FINALS_SHARE)
        return told(Why.CULPRITS_TIME if is_late else Why.ALL_REFUSED, refusal)

    def _rules(self, graph: Graph) -> RuleBook:
        has_provider_operators = (
            self.job.target is Target.PROVIDER and provider_row(self.job.providers[0]).has_operators
        )
        book = load_rules(self.job.rule_files)
        chosen = book.select(
            skip=self.job.skip_rules,
            enable=self.job.enable_rules,
            is_strict=self.job.is_strict,
            available_operators=available_operators(graph.opset, has_provider_operators=has_provider_operators),
        )
        own = {rule.name: rule.entry for rule in book.rules if rule.location.file in self.job.rule_files}
        out = {own[name]: dropped for name, dropped in chosen.dropped.items() if name in own}
        self.findings.warnings.extend(
            f"your rule {entry} takes no part: {dropped.way_out(entry, graph.opset)}"
            for entry, dropped in out.items()
            if dropped.reason is not DropReason.SKIPPED
        )
        return chosen

    def _optimize(
        self,
        finals: Finals,
        pricer: Pricer,
        graph: Graph,
        rules: RuleBook,
        sizes: Mapping[int, int],
    ) -> Report:
        def explore(rules: RuleBook, search_until: float) -> Explored | None:
            return self._explore(graph, rules, pricer, sizes, search_until)

        self.schedule.begin(self.clock())
        explored = explore(rules, self.schedule.deadline(SEARCH_SHARE))
        if explored is None:
            return keep_input(self.findings, self._why_nothing_was_applied())
        opened = finals.open(explored)
        if opened is not None:
            return finals.run(opened)
        refusal = finals.why_no_finalist()
        found = self._without_culprits(finals, explored, explore)
        if found is None:
            return keep_input(self.findings, self._why_all_are_refused(refusal))
        guilty, opened = found
        self.findings.warnings.extend(f"rule {name} was left out: {refusal}" for name in sorted(guilty))
        report = finals.run(opened)
        if report.status is Status.OPTIMIZED:
            return report
        wrong = told(Why.WRONG_RULES, ", ".join(sorted(guilty)))
        return replace(report, reason=f"{wrong}; without them: {report.reason}")

    def _explore(
        self,
        graph: Graph,
        rules: RuleBook,
        pricer: Pricer,
        sizes: Mapping[int, int],
        search_until: float,
    ) -> Explored | None:
        """Search, price and extract; None where no rule changes anything."""
        with self.progress.stage(Stage.LOAD, f"{len(graph.nodes)} nodes, {len(rules.rules)} rules"):
            first = Session(graph, rules)

        frugal, provider = self._frugal(pricer), self.job.providers[0]

        def build(session: Session) -> PricedProblem:
            return frugal.problem(session, MicroMaker(session, sizes), provider)

        def settle(session: Session) -> PricedProblem:
            return frugal.settle(session, MicroMaker(session, sizes), provider)

        clock = SearchClock(self.clock, pricer)

        def skip(seconds: float, is_on_top: bool) -> None:
            clock.skip(seconds)
            if is_on_top:
                self.schedule.start += seconds

        with self.progress.stage(Stage.SEARCH, f"by {self.job.search}"):
            arena = Arena(
                session=first,
                build_problem=build,
                settle=settle,
                clock=clock,
                rng=self.rng,
                on_progress=lambda message: self.progress.tell(Stage.SEARCH, message),
                on_uncounted=skip,
                surroundings=Surroundings(sizes=sizes, provider=provider, price=frugal.price),
            )
            session = self._search(arena, search_until)
        for name, why in session.refused.items():
            warning = f"rule {name} is unsound and was switched off: {why}"
            if warning not in self.findings.warnings:
                self.findings.warnings.append(warning)
        if not _has_changed(first) and not _has_changed(session):
            return None
        with self.progress.stage(Stage.PRICE, "pricing operators on the device"):
            priced = settle(session)
            self.findings.prices = replace(pricer.account, num_assumed=frugal.num_believed)
        with self.progress.stage(Stage.EXTRACT, f"extracting from {priced.problem.num_enodes} e-nodes"):
            left_s = self.schedule.deadline(FINALS_SHARE) - self.clock()
            extracted = solve(priced.problem, time_limit_s=min(MAX_SOLVE_S, max(left_s, 1.0)), seed=self.job.seed)
            self.findings.extraction = extracted
            self.findings.price_us = _price_us(build(Session(graph, _NO_RULES)))
        return Explored(session=session, rules=rules, priced=priced, selection=extracted.selection)

    def _price_progress(self, done: int, total: int) -> None:
        if total and done % 10 == 0:
            self.progress.tell(Stage.PRICE, f"{done} of {total} prices measured", done / total)

    def _frugal(self, pricer: Pricer) -> Frugal:
        """Return what prices the e-graphs of this run."""
        return Frugal(
            Metered(pricer),
            reference=reference_prices(self.job.providers[0]),
            patience_s=_PATIENCE_S[self.job.prices],
            seed=self.job.seed,
            is_late=lambda: self.clock() >= self.schedule.deadline(PRICE_SHARE),
            clock=self.clock,
            on_progress=self._price_progress,
        )

    def _search(self, arena: Arena, until: float) -> Session:
        """Let the search run, and return where to extract from; measuring prices takes no time from the search."""
        budget = SearchBudget(
            deadline=until, max_enodes=self.job.budget.max_enodes, training_s=self.job.budget.training_s
        )
        with arena.uncounted():
            search = make_search(self.job.search, self.job.search_options, self.searches)
        outcome = search.run(arena, budget)
        self.findings.search = replace(outcome, session=None)
        session = outcome.session or arena.session
        self.findings.size = session.size()
        return session

    def _without_culprits(
        self,
        finals: Finals,
        refused: Explored,
        explore: Callable[[RuleBook, float], Explored | None],
    ) -> tuple[frozenset[str], Opened] | None:
        """Start over without the rules that make every graph of the e-graph wrong: a false union cannot be undone."""
        deadline = self.schedule.deadline(FINALS_SHARE)
        sound: dict[frozenset[str], Opened] = {}

        def is_sound(left_out: frozenset[str]) -> bool:
            now = self.clock()
            explored = explore(refused.rules.select(skip=left_out), now + SEARCH_SHARE * (deadline - now))
            if explored is None:
                return True
            opened = finals.open(explored)
            if opened is not None:
                sound[left_out] = opened
            return opened is not None

        suspects = frozenset((*refused.session.applied, *refused.session.behind))
        if self.clock() >= deadline or not is_sound(suspects):
            return None
        guilty = culprits(suspects, is_sound, lambda: self.clock() >= deadline)
        return (guilty, sound[guilty]) if guilty in sound else None


_PATIENCE_S: Final = {Prices.NEEDED: 0.0, Prices.AUTO: 20.0, Prices.ALL: math.inf}
"""Seconds of measuring for which it is not asked what is needed; asking takes some seconds too."""


def _price_us(priced: PricedProblem) -> float | None:
    """Return the price of an e-graph of one graph alone; None where a part of it has none."""
    try:
        cost_us = solve(priced.problem, time_limit_s=INPUT_SOLVE_S).selection.cost_us
    except NoSelectionError:
        return None
    return cost_us if math.isfinite(cost_us) else None


def _has_changed(session: Session) -> bool:
    """Whether a rule was applied, or rules that are always applied have made values of the model equal."""
    is_applied = bool(session.applied or session.behind)
    return is_applied or any(handle != standing for handle, standing in enumerate(session.mirror.canonical))

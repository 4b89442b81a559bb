"""The whole road with times by table: never worse, kept early, honest about why not."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from typing_extensions import override

from eqsat.errors import ModelError, RulesError, VerificationError
from eqsat.pipeline.events import Event
from eqsat.pipeline.job import Budget, Job, Prices
from eqsat.pipeline.optimizer import optimize
from eqsat.pipeline.reasons import Why, told
from eqsat.pipeline.report import Report
from eqsat.pipeline.report_parts import Status
from eqsat.pipeline.scratch import read_best
from eqsat.rules.rule import FloatClass
from eqsat.runtime import BrokenModelError, ChildCrashedError, Contender, MeasurementError, SessionSettings, StopReason
from eqsat.search.interface import Arena, Outcome, Search, SearchBudget
from eqsat.search.interface import StopReason as EndReason
from eqsat.search.restarts import cheapest
from eqsat.text.arguments import Growth
from eqsat.verify.trials import Trials
from eqsat.verify.verify import Reason, Verification
from ir.errors import InvalidModelError
from tests.pipeline import models
from tests.pipeline.fake_runtime import FakeRuntime

TWICE = models.rewrite("(Neg (Neg x))", "(Identity x)", "neg-twice")
CEIL = models.rewrite("(Abs (Abs x))", "(Abs x)", "abs-twice")
WRONG = models.rewrite("(Relu x)", "(Sigmoid x)", "relu-sigmoid")
ILL_TYPED = models.rewrite("(Relu x)", "(Transpose x (vec-of 1 0))", "relu-transpose")

PRICES = {"Neg": 20.0, "Identity": 1.0, "Abs": 20.0, "Relu": 20.0, "Sigmoid": 1.0, "Tanh": 20.0}


@pytest.fixture(autouse=True)
def rules_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only rules: what a test writes into this file."""
    path = tmp_path / "rules.egg"
    monkeypatch.setattr("eqsat.rules.book.shipped_rules_path", lambda: path)
    write_rules(path, TWICE, CEIL)
    return path


def write_rules(path: Path, *forms: str) -> None:
    path.write_text("\n".join(models.HEADER + form for form in forms))


def model() -> onnx.ModelProto:
    """``Tanh(Abs(Abs(Relu(Neg(Neg(x))))))``."""
    operators = ["Neg", "Neg", "Relu", "Abs", "Abs", "Tanh"]
    names = ["x", "a", "b", "c", "d", "e", "y"]
    nodes = [models.node(operator, names[i], names[i + 1]) for i, operator in enumerate(operators)]
    return models.make(nodes, [("x", [2, 3])], [("y", [2, 3])])


@pytest.fixture
def job(tmp_path: Path) -> Job:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Job(
        input_path=str(models.save(tmp_path / "model.onnx", model())),
        scratch_dir=str(scratch),
        cost_db=str(tmp_path / "prices.sqlite"),
        search="saturate",
        threads=1,
    )


def run(
    job: Job, runtime: FakeRuntime, clock: Callable[[], float] = lambda: 0.0, events: list[Event] | None = None
) -> Report:
    told: list[Event] = [] if events is None else events
    return optimize(job, told.append, runtime=runtime.as_runtime(), clock=clock)


def kept(job: Job) -> list[str] | None:
    """Operators of the model that was kept; None for the input."""
    best = read_best(job.scratch_dir)
    assert best is not None
    return None if best.model_path is None else models.operators(best.model_path)


def test_a_faster_model_is_kept(job: Job) -> None:
    report = run(job, FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]
    assert {rule.name: rule.applied for rule in report.rules} == {"neg-twice": 1, "abs-twice": 1}
    assert report.latency is not None
    assert report.latency.speedup == pytest.approx(121 / 62)
    assert json.loads(report.to_json())["egraph"]["stop_reason"] == "saturated"


@pytest.mark.parametrize(("growth", "is_used"), [(Growth(share=0.0, num_bytes=0), False), (Growth(), True)])
def test_a_graph_that_is_larger_than_allowed_is_not_used(
    job: Job, rules_file: Path, growth: Growth, is_used: bool
) -> None:
    """Its text alone is longer than that of the input."""
    write_rules(rules_file, models.rewrite("(Abs (Abs x))", "(Abs (Neg (Neg (Neg (Neg x)))))", "longer"))
    report = run(replace(job, max_growth=growth), FakeRuntime({"Neg": 0.1, "Abs": 50.0}))
    assert (report.status is Status.OPTIMIZED) == is_used
    if not is_used:
        assert "larger than the input, and 0 are allowed (--max-growth)" in report.reason


def test_a_run_leaves_nothing_in_the_memory_of_the_process(job: Job) -> None:
    def alive() -> Counter[str]:
        gc.collect()
        kinds = (type(each) for each in gc.get_objects())
        return Counter(kind.__qualname__ for kind in kinds if str(kind.__module__).startswith(("eqsat.", "ir.")))

    run(job, FakeRuntime(PRICES))
    before = alive()
    for _ in range(2):
        run(job, FakeRuntime(PRICES))
    assert alive() - before == Counter()


@pytest.mark.parametrize("prices", list(Prices))
def test_a_report_says_where_prices_came_from(job: Job, prices: Prices) -> None:
    job = replace(job, prices=prices)
    first = run(job, FakeRuntime(PRICES))
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]
    counts = first.prices
    assert counts is not None
    assert counts.num_measured + counts.num_assumed == 4
    assert (counts.num_cached, counts.num_failed) == (0, 0)
    assert (counts.num_assumed == 0) is (prices is not Prices.NEEDED)
    again = run(job, FakeRuntime(PRICES)).prices
    assert again is not None
    assert again.num_measured == 0
    assert again.num_cached == counts.num_measured


def test_what_another_model_cost_is_learnt_from(job: Job, tmp_path: Path) -> None:
    run(replace(job, prices=Prices.ALL), FakeRuntime(PRICES))
    operators = ["Neg", "Neg", "Relu"]
    nodes = [models.node(operator, f"v{i}", f"v{i + 1}") for i, operator in enumerate(operators)]
    other = models.save(tmp_path / "other.onnx", models.make(nodes, [("v0", [2, 4])], [("v3", [2, 4])]))
    job = replace(job, input_path=str(other), prices=Prices.NEEDED)
    alone, runtime = FakeRuntime(PRICES), FakeRuntime(PRICES)
    run(replace(job, cost_db=str(tmp_path / "empty.sqlite")), alone)
    run(job, runtime)
    assert kept(job) == ["Identity", "Relu"]
    assert runtime.num_priced < alone.num_priced


@pytest.mark.parametrize("whole", [{"Relu": 9000.0}, {"Abs": 20.0}])
def test_a_gain_that_drowns_in_noise_is_none(job: Job, whole: dict[str, float]) -> None:
    report = run(job, FakeRuntime(PRICES, whole_us={"Relu": 90_000.0}, interval=0.01))
    assert report.status is Status.UNCHANGED
    assert kept(job) is None
    assert "no graph is clearly faster than the input (the best one: x1.001 [0.991, 1.011])" in report.reason


def test_a_slower_model_is_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FakeRuntime):
        @override
        def time_us(self, contender: Contender) -> float:
            return 100.0 if contender.path.name == "model.onnx" else 125.0

    report = run(job, Slow(PRICES))
    assert report.status is Status.UNCHANGED
    assert "x0.800 [0.799, 0.801]" in report.reason
    assert report.latency is None
    assert kept(job) is None


def test_what_runs_like_the_input_needs_no_measurement(job: Job) -> None:
    runtime = FakeRuntime(PRICES)
    runtime.fingerprint = lambda _: "all the same"
    report = run(job, runtime)
    assert report.status is Status.UNCHANGED
    assert report.reason == told(Why.SAME_KERNELS)
    assert runtime.compared == []


def test_no_rule_no_gain(job: Job, rules_file: Path) -> None:
    write_rules(rules_file, models.rewrite("(Sin (Sin x))", "(Sin x)", "sin-twice"))
    runtime = FakeRuntime(PRICES)
    report = run(job, runtime)
    assert (report.status, report.reason) == (Status.UNCHANGED, told(Why.NO_RULE))
    assert runtime.num_priced == 0


def test_rules_that_are_always_applied_are_enough(job: Job, rules_file: Path) -> None:
    write_rules(rules_file, '(rewrite (Abs (Abs x)) (Abs x) :ruleset simp :name "abs-twice")')
    report = run(job, FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Neg", "Neg", "Relu", "Abs", "Tanh"]


class StartsOver(Search):
    """Applies nothing, and starts over from the graph as it is."""

    @override
    def run(self, arena: Arena, budget: SearchBudget) -> Outcome:
        again = arena.restarted(cheapest(arena, budget).choice)
        return Outcome(stop_reason=EndReason.NO_GAIN, num_steps=0, num_applied=0, session=again.session)


def test_what_was_always_applied_is_not_lost_with_a_new_start(job: Job, rules_file: Path) -> None:
    write_rules(rules_file, '(rewrite (Abs (Abs x)) (Abs x) :ruleset simp :name "abs-twice")')
    searches = {"starts-over": lambda _: StartsOver()}
    runtime = FakeRuntime(PRICES).as_runtime()
    report = optimize(
        replace(job, search="starts-over"), lambda _: None, runtime=runtime, clock=lambda: 0.0, searches=searches
    )
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Neg", "Neg", "Relu", "Abs", "Tanh"]


# --- unsound rules ------------------------------------------------------------------------------------------------


def test_an_ill_typed_rule_is_named_and_the_others_go_on(job: Job, rules_file: Path) -> None:
    write_rules(rules_file, TWICE, ILL_TYPED)
    report = run(job, FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Abs", "Tanh"]
    assert any("rule relu-transpose is unsound and was switched off" in line for line in report.warnings)


def little_room(job: Job) -> Job:
    """Room for one e-node beside the model's own seven, and new starts where it ends."""
    return replace(job, search="saturate", search_options={"restarts": "8"}, budget=Budget(max_enodes=8))


def test_the_rules_of_every_start_are_behind_the_result(job: Job) -> None:
    report = run(little_room(job), FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]
    assert {rule.name: rule.applied for rule in report.rules} == {"neg-twice": 1, "abs-twice": 1}
    assert report.egraph is not None
    assert report.egraph.num_enodes <= 8


def test_a_wrong_rule_of_an_earlier_start_is_named(job: Job, rules_file: Path) -> None:
    write_rules(rules_file, WRONG, TWICE, CEIL)
    report = run(little_room(job), FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]
    (warning,) = report.warnings
    assert warning.startswith("rule relu-sigmoid was left out: a graph was refused: output 'y' differs by")


def test_a_wrong_rule_is_named_and_the_others_go_on(job: Job, rules_file: Path) -> None:
    write_rules(rules_file, TWICE, CEIL, WRONG)
    report = run(job, FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]
    (warning,) = report.warnings
    assert warning.startswith("rule relu-sigmoid was left out: a graph was refused: output 'y' differs by")
    assert {rule.name for rule in report.rules} == {"neg-twice", "abs-twice"}


def test_a_wrong_union_of_what_the_model_has_is_found_too(job: Job, rules_file: Path, tmp_path: Path) -> None:
    # Both sides are in the model already: the rule makes no e-node that an extraction could do without.
    nodes = [
        models.node("Neg", "x", "a"),
        models.node("Neg", "a", "b"),
        models.node("Relu", "b", "y"),
        models.node("Sigmoid", "b", "z"),
    ]
    both = models.make(nodes, [("x", [2, 3])], [("y", [2, 3]), ("z", [2, 3])])
    models.save(Path(job.input_path), both)
    write_rules(rules_file, TWICE, WRONG)
    report = run(job, FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Sigmoid"]
    (warning,) = report.warnings
    assert warning.startswith("rule relu-sigmoid was left out: a graph was refused: output")


def test_only_wrong_rules_leave_the_input(job: Job, rules_file: Path) -> None:
    write_rules(rules_file, WRONG)
    report = run(job, FakeRuntime(PRICES))
    assert report.status is Status.UNCHANGED
    assert kept(job) is None
    assert any("relu-sigmoid" in line for line in (report.reason, *report.warnings))


def test_an_ill_typed_rule_that_is_always_applied_is_a_rules_error(job: Job, rules_file: Path) -> None:
    nodes = [models.node("Relu", "x", "y"), models.node("Transpose", "x", "z")]
    outputs: list[models.Value] = [("y", [2, 3]), ("z", [3, 2])]
    models.save(Path(job.input_path), models.make(nodes, [("x", [2, 3])], outputs))
    write_rules(
        rules_file,
        '(rule ((= y (Relu x)) (= z (Transpose x p))) ((union y z)) :ruleset simp :name "relu-is-transpose")',
    )
    with pytest.raises(RulesError, match=r"the rules contradict the types of .*model\.onnx"):
        run(job, FakeRuntime(PRICES))


def refuse_last(monkeypatch: pytest.MonkeyPatch, refused_seed: int) -> None:
    from eqsat.verify.verify import check as real

    def check(
        trials: Trials, candidate: Path, *, float_class: FloatClass, settings: SessionSettings | None = None
    ) -> Verification:
        found = real(trials, candidate, float_class=float_class, settings=settings)
        is_refused = trials.seed == refused_seed
        return replace(found, is_equal=False, reason=Reason.DIFFERENT) if is_refused else found

    monkeypatch.setattr("eqsat.pipeline.finals.check", check)


def test_a_result_that_fails_the_last_check_is_an_error(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_last(monkeypatch, job.seed + 1)
    said = r"model.onnx: different; nothing was written; leave out rules with --skip-rules \(abs-twice, neg-twice\)"
    with pytest.raises(VerificationError, match=said):
        run(job, FakeRuntime(PRICES))
    assert kept(job) is None


# --- kept early, ended in time ------------------------------------------------------------------------------------


def test_the_first_gain_is_kept_before_anything_else_is_tried(job: Job) -> None:
    runtime = FakeRuntime({**PRICES, "Tanh": 20.0})
    seen: list[list[str] | None] = []
    runtime.on_compare = lambda: seen.append(kept(job))
    run(job, runtime)
    assert seen[0] is None
    assert seen[1] == ["Identity", "Relu", "Abs", "Tanh"]


@pytest.mark.parametrize("num_comparisons", [1, 2])
def test_what_was_kept_outlives_an_end_in_the_middle(job: Job, num_comparisons: int) -> None:
    runtime = FakeRuntime(PRICES)
    count = 0

    def interrupt() -> None:
        nonlocal count
        count += 1
        if count > num_comparisons:
            raise KeyboardInterrupt

    runtime.on_compare = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(job, runtime)
    best = read_best(job.scratch_dir)
    assert best is not None
    assert best.report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]


def test_a_runtime_that_fails_in_the_end_leaves_what_was_kept(job: Job) -> None:
    runtime = FakeRuntime(PRICES)
    runtime.stop_reason = StopReason.NUM_PAIRS
    count = 0

    def crash() -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise MeasurementError("the child died")

    runtime.on_compare = crash
    report = run(job, runtime)
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]
    assert any("the result could not be measured: the child died" in line for line in report.warnings)


def test_a_runtime_that_never_measures_leaves_the_input(job: Job) -> None:
    runtime = FakeRuntime(PRICES)

    def crash() -> None:
        raise MeasurementError("the child died")

    runtime.on_compare = crash
    report = run(job, runtime)
    assert (report.status, report.reason) == (Status.UNCHANGED, told(Why.NOT_MEASURED, "the child died"))
    assert any("the child died" in line for line in report.warnings)


def test_an_input_that_does_not_run_is_said_to_be_one(job: Job) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx: the input itself does not run: .*Neg"):
        run(job, FakeRuntime(PRICES, failing=frozenset({"Neg"})))


def test_an_input_that_no_child_survives_is_kept(job: Job) -> None:
    runtime = FakeRuntime(PRICES)

    def crash(model: onnx.ModelProto) -> str:
        raise ChildCrashedError("ONNX Runtime crashed")

    runtime.fingerprint = crash
    report = run(job, runtime)
    assert (report.status, report.verified) == (Status.UNCHANGED, False)
    assert report.reason.startswith("the input itself does not run: ONNX Runtime crashed")


def test_an_input_that_is_broken_ends_the_run(job: Job) -> None:
    runtime = FakeRuntime(PRICES)

    def refuse(model: onnx.ModelProto) -> str:
        raise BrokenModelError("not a valid ONNX model (why)")

    runtime.fingerprint = refuse
    with pytest.raises(InvalidModelError, match=r"model\.onnx: not a valid ONNX model \(why\)"):
        run(job, runtime)
    assert read_best(job.scratch_dir) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: setattr(model, "ir_version", 99), "IR version 99 is not known"),
        (lambda model: setattr(model.opset_import[0], "version", 99), "opset 99 is not known"),
        (lambda model: model.graph.ClearField("output"), "the graph has no output"),
    ],
)
def test_an_input_that_runs_and_cannot_be_rewritten_is_kept(
    change: Callable[[onnx.ModelProto], None], reason: str, job: Job
) -> None:
    proto = model()
    change(proto)
    models.save(Path(job.input_path), proto)
    report = run(job, FakeRuntime(PRICES))
    assert report.status is Status.UNCHANGED
    assert reason in report.reason
    assert kept(job) is None


def test_every_stage_ends_at_its_share(job: Job) -> None:
    now = [0.0]
    runtime = FakeRuntime(PRICES)
    priced_at: list[float] = []
    compared_at: list[float] = []

    def pass_price() -> None:
        priced_at.append(now[0])
        now[0] += 25.0

    def pass_comparison() -> None:
        compared_at.append(now[0])
        now[0] += 30.0

    runtime.on_price, runtime.on_compare = pass_price, pass_comparison
    report = run(replace(job, prices=Prices.ALL, budget=Budget(time_s=100.0)), runtime, clock=lambda: now[0])
    assert priced_at == [0.0, 25.0], "prices end at 40 % of the time"
    assert report.status is Status.OPTIMIZED
    assert len(compared_at) == 2


def test_a_budget_that_is_gone_gives_the_input_back(job: Job) -> None:
    ticks = iter(range(0, 100_000, 50))
    report = run(replace(job, budget=Budget(time_s=1.0)), FakeRuntime(PRICES), clock=lambda: float(next(ticks)))
    assert report.status is Status.UNCHANGED
    assert report.reason == told(Why.SEARCH_TIME, "0 s of 1 s")


def test_a_search_that_gains_nothing_says_so(job: Job) -> None:
    dear = {**PRICES, "Neg": 0.0, "Abs": 0.0}
    report = run(replace(job, search="greedy"), FakeRuntime(dear))
    assert report.reason == told(Why.NO_CHEAPER)


# --- session options ----------------------------------------------------------------------------------------------


class Tunable(FakeRuntime):
    """Faster without ONNX Runtime's own passes."""

    @override
    def time_us(self, contender: Contender) -> float:
        is_plain = contender.settings == SessionSettings(threads=1)
        return super().time_us(contender) * (1.0 if is_plain else 0.5)


def test_session_options_are_recorded_in_the_file(job: Job) -> None:
    report = run(job, Tunable(PRICES))
    assert report.session is not None
    assert report.latency is not None
    assert report.session.speedup == pytest.approx(2 * report.latency.speedup)
    best = read_best(job.scratch_dir)
    assert best is not None
    assert best.model_path is not None
    metadata = {each.key: each.value for each in onnx.load_model(best.model_path).metadata_props}
    assert metadata["eqsat.graph_optimization_level"] == report.session.graph_optimization_level
    assert best.report.session == report.session


def test_no_finalist_is_left_in_the_scratch_folder_but_the_winner(job: Job) -> None:
    run(job, FakeRuntime(PRICES))
    assert len(list(Path(job.scratch_dir).glob("finalist-*"))) == 1


@pytest.mark.parametrize("search", ["saturate", "greedy", "random"])
def test_every_search_gets_there(job: Job, search: str) -> None:
    report = run(replace(job, search=search), FakeRuntime(PRICES))
    assert report.status is Status.OPTIMIZED
    assert kept(job) == ["Identity", "Relu", "Abs", "Tanh"]


def test_measuring_does_not_use_up_the_time_of_a_search(job: Job) -> None:
    now = [0.0]
    runtime = FakeRuntime(PRICES)

    def pass_price() -> None:
        now[0] += 8.0

    runtime.on_price = pass_price
    report = run(replace(job, search="greedy", budget=Budget(time_s=100.0)), runtime, clock=lambda: now[0])
    assert report.egraph is not None
    assert report.egraph.stop_reason == "no_gain"
    assert report.status is Status.OPTIMIZED

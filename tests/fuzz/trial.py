"""One random model: from the file through the e-graph to rewritten models that nobody verified, which are judged."""

from __future__ import annotations

import math
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np
import onnx
import onnx_ir

from eqsat.egraph.build import build
from eqsat.egraph.rebuild import rebuild
from eqsat.egraph.restart import origins_of
from eqsat.egraph.session import Session
from eqsat.errors import EqsatError
from eqsat.rules import FloatClass, RuleBook, RuleKind, load_rules
from eqsat.runtime import MeasurementError, Runtime
from eqsat.runtime.batch import ModelRun
from eqsat.verify.inputs import input_specs, random_feeds
from eqsat.verify.sensitivity import output_sensitivities
from eqsat.verify.sizes import contradiction, default_sizes
from ir.assembly import assemble
from ir.availability import available_operators
from ir.reader import read
from tests.fuzz.extraction import by_random_order, by_random_prices
from tests.fuzz.feeds import ORDINARY_SIZES, SIZES, Draw, feeds_of
from tests.fuzz.generator import Sample
from tests.fuzz.growing import FLOATS
from tests.fuzz.judging import Run, difference, instrumented, largest_of
from tests.fuzz.running import Answer, run_all

if TYPE_CHECKING:
    from eqsat.egraph.enode import ENode
    from eqsat.egraph.view import Candidate
    from ir.graph import Graph

MAX_ROUNDS: Final = 4
MAX_CANDIDATES: Final = 120
MAX_ENODES: Final = 1_500

_ORDER: Final = tuple(FloatClass)

_NO_KERNEL: Final = "Could not find an implementation"


class Kind(StrEnum):
    """What can be wrong."""

    INTERNAL = "internal error"
    CRASH = "a crash of the process"
    ILL_TYPED = "rule made another type"
    INVALID = "ONNX's checker refuses the result"
    REFUSED = "ONNX Runtime refuses the result"
    NO_KERNEL = "ONNX Runtime has no kernel for the result"
    """No fault: a run prices such a node, finds that it cannot be had, and does not choose it."""
    DIFFERENT = "other results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: What.
        detail: The same in words.
        rules: Rules behind the rewritten model.
        draw: Kind of the numbers that showed it.
        sizes: Sizes of the symbols that showed it.
    """

    kind: Kind
    detail: str
    rules: tuple[str, ...] = ()
    draw: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_fault(self) -> bool:
        """True for what a run could not mend by itself."""
        return self.kind is not Kind.NO_KERNEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a trial found.

    Attributes:
        is_valid: True where a plain session ran the model at some size.
        num_extractions: Different models that were written from its e-graph.
        num_runs: Runs of them that were compared.
        rules: Rules that were applied.
        findings: What is wrong; the first of each rewritten model.
    """

    is_valid: bool
    num_extractions: int = 0
    num_runs: int = 0
    rules: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a model is rewritten.

    Attributes:
        is_strict: True without rules that assume finite values; NaN and infinities go in then.
        has_provider_operators: Whether operators that only ONNX Runtime knows may be made.
        share: One of this many equal shares of the rules that may be chosen takes part, with all others.
        num_extractions: Models written from the e-graph.
    """

    is_strict: bool
    has_provider_operators: bool
    share: int = 1
    num_extractions: int = 4


@cache
def _shipped() -> RuleBook:
    return load_rules()


@cache
def rules_at(opset: int, setting: Setting, part: int) -> RuleBook:
    """Return the rules of a setting, or one part of them."""
    operators = available_operators(opset, has_provider_operators=setting.has_provider_operators)
    book = _shipped().select(available_operators=operators, is_strict=setting.is_strict)
    kept = (
        rule
        for rule in book.rules
        if rule.kind is not RuleKind.OPT or zlib.crc32(rule.entry.encode()) % setting.share == part
    )
    return replace(book, rules=tuple(kept))


def setting_of(seed: int) -> Setting:
    """Return how the model of a seed is rewritten."""
    return Setting(is_strict=seed % 2 == 0, has_provider_operators=seed % 3 == 0)


def try_model(  # what a trial depends on
    sample: Sample, setting: Setting, seed: int, runtime: Runtime, folder: Path, rules: RuleBook | None = None
) -> Result:
    """Rewrite a model at random and judge what comes out.

    Args:
        sample: The model.
        setting: How it is rewritten.
        seed: Of the choices and the inputs.
        runtime: Runs the models.
        folder: Existing folder for files.
        rules: Other rules than those of the setting.
    """
    return _Trial(sample, setting, seed, runtime, folder, rules).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rewritten:
    model: bytes
    rules: tuple[str, ...]
    floats: FloatClass


@final
class _Trial:
    def __init__(
        self, sample: Sample, setting: Setting, seed: int, runtime: Runtime, folder: Path, rules: RuleBook | None
    ) -> None:
        self.rules = rules
        self.sample = sample
        self.setting = setting
        self.seed = seed
        self.runtime = runtime
        self.path = folder / "model.onnx"
        self.target = folder / "rewritten.onnx"
        self.findings: list[Finding] = []
        self.applied: frozenset[str] = frozenset()

    def run(self) -> Result:
        plans = list(self._plans())
        model = self.sample.model.SerializeToString()
        originals = run_all(self.runtime, [ModelRun(model=model, feeds=feeds) for _, _, feeds in plans])
        if all(isinstance(answer, MeasurementError) for answer in originals):
            return Result(is_valid=False)
        self.path.write_bytes(model)
        try:
            graph = read(self.path)
            self._inputs(graph)
            session = self._session(graph)
            rewritten = list(self._extractions(session))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
            self.findings.append(Finding(kind=Kind.INTERNAL, detail=_place(error)))
            return Result(is_valid=True, rules=self.applied, findings=tuple(self.findings))
        num_runs = self._judge(graph, plans, originals, rewritten)
        return Result(
            is_valid=True,
            num_extractions=len(rewritten),
            num_runs=num_runs,
            rules=self.applied,
            findings=tuple(self.findings),
        )

    def _plans(self) -> Iterator[tuple[Draw, Mapping[str, int], dict[str, np.ndarray]]]:
        """The inputs to run the model on."""
        inputs = self.sample.inputs
        used = {dim for each in inputs.values() for dim in (*each.type.dims, each.bound) if isinstance(dim, str)}
        has_floats = any(each.type.dtype in FLOATS for each in inputs.values())
        plans = [(Draw.ORDINARY, sizes) for sizes in (SIZES if used else SIZES[:1])]
        if has_floats:
            draws = [Draw.HUGE, Draw.TINY, Draw.MIXED, *([Draw.NAN, Draw.INFINITE] if self.setting.is_strict else [])]
            plans += [(draw, ORDINARY_SIZES) for draw in draws]
        for number, (draw, sizes) in enumerate(plans):
            named = {name: size for name, size in sizes.items() if name in used}
            yield draw, named, feeds_of(inputs, sizes, draw, np.random.default_rng((self.seed, number)))

    def _inputs(self, graph: Graph) -> None:
        """Draw inputs as a run does: no graph may be too odd for that."""
        try:
            specs = input_specs(graph, {})
            random_feeds(graph, specs, np.random.default_rng(self.seed), default_sizes(graph, {}))
        except EqsatError:
            return

    def _session(self, graph: Graph) -> Session:
        rules = self.rules or rules_at(graph.opset, self.setting, self.seed % self.setting.share)
        session = Session(graph, rules)
        rng = np.random.default_rng((self.seed, 1_000))
        for _ in range(MAX_ROUNDS):
            candidates = session.candidates()
            if not candidates or session.size().num_enodes > MAX_ENODES:
                break
            session.apply(_some(candidates, rng), max_enodes=MAX_ENODES)
        self.applied = frozenset(session.applied)
        for rule, why in session.refused.items():
            self.findings.append(Finding(kind=Kind.ILL_TYPED, detail=why, rules=(rule,)))
        return session

    def _extractions(self, session: Session) -> Iterator[_Rewritten]:
        rng = np.random.default_rng((self.seed, 2_000))
        made = sorted({origin.rule for origin in session.mirror.origins.values()})
        seen: set[bytes] = set()
        for number in range(self.setting.num_extractions):
            if number % 3 == 1:
                choice = by_random_order(session, rng)
            else:
                wanted = [str(rng.choice(made))] if made and number % 3 == 2 else []
                choice = by_random_prices(session, rng, wanted)
            rewritten = self._written(session, choice, is_folded=number == 0)
            if rewritten.model not in seen:
                seen.add(rewritten.model)
                yield rewritten

    def _written(self, session: Session, choice: Mapping[int, ENode], *, is_folded: bool) -> _Rewritten:
        rebuilt = rebuild(session, choice)
        origins: Counter[str] = origins_of(session, rebuilt)
        if is_folded:
            build(session, choice, self.runtime, self.target)
            model = self.target.read_bytes()
        else:
            assembled = assemble(session.graph, rebuilt.nodes, rebuilt.constants, rebuilt.types)
            model = onnx_ir.to_proto(assembled).SerializeToString()
        classes = [session.rules.rule(name).floats for name in origins]
        if not self.setting.is_strict:
            classes.append(FloatClass.FINITE)  # of rules that are always applied nobody says where they were
        floats = max(classes, key=_ORDER.index, default=FloatClass.EXACT)
        return _Rewritten(model=model, rules=tuple(sorted(origins)), floats=floats)

    # --- the judgement --------------------------------------------------------------------------------------

    def _judge(
        self,
        graph: Graph,
        plans: Sequence[tuple[Draw, Mapping[str, int], dict[str, np.ndarray]]],
        originals: Sequence[Answer],
        rewritten: Sequence[_Rewritten],
    ) -> int:
        is_clean = _is_clean(self.sample.model)
        insides = self._insides(graph, plans)
        num_runs = 0
        for each in rewritten:
            if is_clean:
                proto = onnx.ModelProto.FromString(each.model)
                why = _refusal(proto)
                if why:
                    self.findings.append(Finding(kind=Kind.INVALID, detail=why, rules=each.rules))
                    continue
            answers = run_all(self.runtime, [ModelRun(model=each.model, feeds=feeds) for _, _, feeds in plans])
            for (draw, sizes, feeds), original, inside, answer in zip(plans, originals, insides, answers, strict=True):
                symbols = {graph.symbols.intern(name): size for name, size in sizes.items()}
                if isinstance(original, MeasurementError) or contradiction(graph, symbols, original):
                    continue
                num_runs += 1
                largest = max(largest_of(feeds), largest_of(original), inside)
                run = Run(
                    path=self.path,
                    draw=draw,
                    feeds=feeds,
                    outputs=original,
                    sensitivities=output_sensitivities(graph, symbols),
                    is_regular=math.isfinite(largest),
                    largest=largest,
                )
                kind, why = Kind.NO_KERNEL if _NO_KERNEL in str(answer) else Kind.REFUSED, str(answer)
                if not isinstance(answer, MeasurementError):
                    kind, why = Kind.DIFFERENT, difference(run, answer, each.floats, self.runtime)
                if why:
                    self.findings.append(Finding(kind=kind, detail=why, rules=each.rules, draw=draw, sizes=sizes))
                    break
        return num_runs

    def _insides(
        self, graph: Graph, plans: Sequence[tuple[Draw, Mapping[str, int], dict[str, np.ndarray]]]
    ) -> list[float]:
        """The largest float on the way, for each of the inputs; infinite where nobody can tell."""
        model = instrumented(self.sample.model, {name: type_.dtype for name, type_ in graph.types.items()})
        answers = run_all(self.runtime, [ModelRun(model=model, feeds=feeds) for _, _, feeds in plans])
        return [math.inf if isinstance(answer, MeasurementError) else largest_of(answer) for answer in answers]


def _some(candidates: Sequence[Candidate], rng: np.random.Generator) -> list[Candidate]:
    if len(candidates) <= MAX_CANDIDATES:
        return list(candidates)
    chosen = sorted(int(place) for place in rng.permutation(len(candidates))[:MAX_CANDIDATES])
    return [candidates[place] for place in chosen]


def _place(error: Exception) -> str:
    """An error and where it was raised, as one line."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {str(error)[:300]}{where}"


def _is_clean(model: onnx.ModelProto) -> bool:
    return not _refusal(model)


def _refusal(model: onnx.ModelProto) -> str:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        return str(error).strip()[:300]
    return ""

"""Exact DAG extraction with the CP-SAT solver; the only module that imports ortools.

The model has one Boolean for every e-node (it is chosen) and every e-class (it is needed):

* a needed e-class has exactly one chosen e-node, any other e-class none;
* a child that every e-node of an e-class uses is needed with the e-class; for any other child, the chosen e-nodes of
  one e-class that use it number at most one, and only if the child is needed;
* a choice has no cycle. Cycles of two and three e-classes are cut from the start. Longer ones are rare, so that the
  first rounds leave them out, look at the choice and cut the cycles in it. If that does not end soon, every e-class
  inside a strongly connected component gets a level, and an e-node may only be chosen above the levels of its children.

The objective counts price in units of 1e-11 of the starting selection's price, and one unit for each e-node, so that
equal prices go to the selection of fewer e-nodes. Prices are rounded down, hence the bound holds for the true prices.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, final

from eqsat.extraction.cycles import CyclePart, chosen_cycles, cycle_part, short_cycles
from eqsat.extraction.greedy import greedy_dag
from eqsat.extraction.problem import ExtractionProblem, Selection, select
from eqsat.extraction.prune import prune

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_UNITS_OF_START = 1e11
_MAX_SHORT_CYCLES = 20_000
_MAX_RELAXED_ROUNDS = 4
_RELAXED_SHARE = 0.6


class ExtractionStatus(Enum):
    """How good the selection is known to be."""

    OPTIMAL = "optimal"
    """No selection is cheaper, by more than the resolution of the objective."""
    FEASIBLE = "feasible"
    """Cheaper than the selection at the start; a limit came before a proof."""
    HINT_ONLY = "hint_only"
    """The selection at the start (the hint or the greedy one); a limit came before anything better."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionResult:
    """A selection and what is known about it.

    Attributes:
        selection: The cheapest selection found.
        bound_us: No selection costs less than this, in microseconds.
        gap: ``(cost - bound) / cost``, zero for a proved optimum up to the objective's resolution.
        status: How good the selection is known to be.
        seconds: Wall-clock time of the whole call.
        num_cuts: Cycles cut from the model.
        num_rounds: Times that the solver ran; zero where pruning or the greedy choice settled the matter.
    """

    selection: Selection
    bound_us: float
    gap: float
    status: ExtractionStatus
    seconds: float
    num_cuts: int
    num_rounds: int


def solve(
    problem: ExtractionProblem,
    *,
    time_limit_s: float,
    hint: Selection | None = None,
    num_workers: int = 1,
    seed: int = 0,
    work_limit: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> ExtractionResult:
    """Return the cheapest selection that can be found within the limits.

    With one worker the result depends on nothing but the arguments, as long as the wall-clock limit is not what ends
    the search; a ``work_limit`` can end it earlier, and at the same point on every machine.

    Args:
        problem: The priced e-graph.
        time_limit_s: Wall-clock seconds.
        hint: A selection to start from; the result is never dearer. The greedy selection is a start in any case.
        num_workers: Threads of the solver; more than one makes the result depend on their timing.
        seed: Seed of the solver.
        work_limit: Limit in the solver's own deterministic unit, which is of the order of a second.
        clock: Seconds, growing.

    Raises:
        NoSelectionError: A root has no finite, acyclic selection.
        ValueError: The hint is cyclic, or takes an e-node that may not be chosen.
    """
    began = clock()
    pruned = prune(problem)
    small = pruned.problem
    start = greedy_dag(small)
    if hint is not None:
        repriced = select(problem, hint.choice)
        if repriced.cost_us == math.inf:
            message = "the hint takes an e-node that may not be chosen"
            raise ValueError(message)
        start = min(pruned.lower(repriced), start, key=_merit)
    if small.num_enodes == small.num_classes:  # nothing to choose
        best, bound_us, is_proved, num_cuts, num_rounds = start, start.cost_us, True, 0, 0
    else:
        search = _Search(small, start, num_workers=num_workers, seed=seed)
        search.run(time_limit_s=time_limit_s - (clock() - began), work_limit=work_limit, clock=clock)
        best, bound_us, is_proved = search.best, min(search.bound_us, search.best.cost_us), search.is_proved
        num_cuts, num_rounds = search.num_cuts, search.num_rounds
    if is_proved:
        status = ExtractionStatus.OPTIMAL
    elif best.cost_us < start.cost_us:
        status = ExtractionStatus.FEASIBLE
    else:
        status = ExtractionStatus.HINT_ONLY
    return ExtractionResult(
        selection=pruned.lift(best),
        bound_us=bound_us,
        gap=(best.cost_us - bound_us) / best.cost_us if best.cost_us > 0 else 0.0,
        status=status,
        seconds=clock() - began,
        num_cuts=num_cuts,
        num_rounds=num_rounds,
    )


def _merit(selection: Selection) -> tuple[float, int]:
    return selection.cost_us, len(selection.choice)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _RoundEnd:
    """What one run of the solver took (its deterministic unit), and the cycles in the choice it came to."""

    work: float
    num_cycles: int


@final
class _Search:
    """The solver's model of one pruned problem, and the best that is known so far."""

    def __init__(self, problem: ExtractionProblem, start: Selection, *, num_workers: int, seed: int) -> None:
        self.best = start
        self.bound_us = 0.0
        self.is_proved = False
        self.num_cuts = 0
        self.num_rounds = 0
        self._problem = problem
        self._num_workers = num_workers
        self._seed = seed
        self._unit_us = start.cost_us / _UNITS_OF_START
        self._part = cycle_part(problem)
        self._model = _Model(problem, self._part, start.cost_us)
        for cycle in islice(short_cycles(self._part), _MAX_SHORT_CYCLES):
            self._cut(cycle)

    def run(self, *, time_limit_s: float, work_limit: float, clock: Callable[[], float]) -> None:
        """Solve until the optimum is proved or a limit is met: first without levels, then with them."""
        began = clock()
        work = 0.0
        has_cycles = bool(self._part.edges)
        share = _RELAXED_SHARE if has_cycles else 1.0
        for _ in range(_MAX_RELAXED_ROUNDS):
            left_s = share * time_limit_s - (clock() - began)
            left_work = share * work_limit - work
            if left_s <= 0 or left_work <= 0:
                break
            end = self._round(left_s, left_work)
            work += end.work
            if self.is_proved or not end.num_cycles:
                break
        left_s = time_limit_s - (clock() - began)
        left_work = work_limit - work
        if has_cycles and not self.is_proved and left_s > 0 and left_work > 0:
            self._model.add_levels()
            self._round(left_s, left_work)

    def _round(self, time_limit_s: float, work_limit: float) -> _RoundEnd:
        """Run the solver once and take in what it found."""
        from ortools.sat.python import cp_model

        solver = cp_model.CpSolver()
        solver.parameters.max_time_in_seconds = time_limit_s
        solver.parameters.max_deterministic_time = work_limit
        solver.parameters.num_workers = self._num_workers
        solver.parameters.random_seed = self._seed
        solver.parameters.linearization_level = 2
        solver.parameters.catch_sigint_signal = False
        self._model.hint(self.best)
        status = solver.solve(self._model.model)
        self.num_rounds += 1
        work = float(solver.response_proto.deterministic_time)
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
            message = f"the extraction model is at fault: CP-SAT calls it {solver.status_name(status)}"
            raise RuntimeError(message)
        units = solver.best_objective_bound - self._problem.num_classes  # one unit for each e-node is no price
        self.bound_us = max(self.bound_us, units * self._unit_us)
        if status == cp_model.UNKNOWN:
            return _RoundEnd(work=work, num_cycles=0)
        choice = self._model.choice(solver)
        cycles = chosen_cycles(self._problem, choice)
        for cycle in cycles:
            self._cut(cycle)
        if not cycles:
            self.best = min(self.best, select(self._problem, choice), key=_merit)
            self.is_proved = status == cp_model.OPTIMAL
        return _RoundEnd(work=work, num_cycles=len(cycles))

    def _cut(self, cycle: tuple[int, ...]) -> None:
        self._model.cut(cycle)
        self.num_cuts += 1


@final
class _Model:
    """The CP-SAT model: variables, constraints, objective."""

    def __init__(self, problem: ExtractionProblem, part: CyclePart, start_cost_us: float) -> None:
        from ortools.sat.python import cp_model

        self.model = cp_model.CpModel()
        self._problem = problem
        self._part = part
        self._is_chosen = [self.model.new_bool_var("") for _ in range(problem.num_enodes)]
        self._is_needed = [self.model.new_bool_var("") for _ in range(problem.num_classes)]
        for eclass, members in enumerate(problem.members()):
            self._add_class(eclass, members)
        for root in problem.roots:
            self.model.add(self._is_needed[root] == 1)
        for enode, cost_us in enumerate(problem.cost_us):
            if cost_us > start_cost_us:
                self.model.add(self._is_chosen[enode] == 0)
        shares = (cost_us / start_cost_us if cost_us <= start_cost_us else 0.0 for cost_us in problem.cost_us)
        units = [1 + int(share * _UNITS_OF_START) for share in shares]
        self.model.minimize(cp_model.LinearExpr.weighted_sum(self._is_chosen, units))

    def _add_class(self, eclass: int, members: list[int]) -> None:
        children = self._problem.children
        is_needed = self._is_needed[eclass]
        self.model.add_exactly_one([*(self._is_chosen[enode] for enode in members), ~is_needed])
        shared = set(children[members[0]]).intersection(*(children[enode] for enode in members[1:]))
        for child in sorted(shared):
            self.model.add_implication(is_needed, self._is_needed[child])
        by_child: dict[int, list[int]] = {}
        for enode in members:
            for child in children[enode]:
                if child not in shared:
                    by_child.setdefault(child, []).append(enode)
        for child, enodes in by_child.items():
            self.model.add(sum(self._is_chosen[enode] for enode in enodes) <= self._is_needed[child])

    def cut(self, cycle: tuple[int, ...]) -> None:
        """Forbid that every e-class of a cycle chooses an e-node that uses the next one."""
        following = (*cycle[1:], cycle[0])
        enodes = [
            enode for eclass, child in zip(cycle, following, strict=True) for enode in self._part.edges[eclass][child]
        ]
        self.model.add(sum(self._is_chosen[enode] for enode in enodes) <= len(cycle) - 1)

    def add_levels(self) -> None:
        """Forbid every cycle: a chosen e-node lies above its children in the same component."""
        level: dict[int, cp_model.IntVar] = {}
        for eclass, by_child in self._part.edges.items():
            for end in (eclass, *by_child):
                if end not in level:
                    level[end] = self.model.new_int_var(0, self._part.component_size[end] - 1, "")
            for child, enodes in by_child.items():
                uses = self._is_chosen[enodes[0]]
                if len(enodes) > 1:
                    uses = self.model.new_bool_var("")
                    self.model.add(sum(self._is_chosen[enode] for enode in enodes) == uses)
                self.model.add(level[eclass] >= level[child] + 1).only_enforce_if(uses)

    def hint(self, selection: Selection) -> None:
        """Tell the solver where to start."""
        self.model.clear_hints()  # type: ignore[no-untyped-call]  # ortools leaves this one method untyped
        chosen = selection.enodes
        for enode, variable in enumerate(self._is_chosen):
            self.model.add_hint(variable, enode in chosen)
        for eclass, variable in enumerate(self._is_needed):
            self.model.add_hint(variable, eclass in selection.choice)

    def choice(self, solver: cp_model.CpSolver) -> Mapping[int, int]:
        """Return the e-node by needed e-class in the solver's solution."""
        return {
            self._problem.node_class[enode]: enode
            for enode, variable in enumerate(self._is_chosen)
            if solver.boolean_value(variable)
        }

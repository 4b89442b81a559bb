"""From a session to an observation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, final

import numpy as np

from eqsat.egglog.schema import HANDLES
from rl.env.columns import COUNT_SCALE, LOG_SCALE, NUM_OWN, NUM_STATIC, NUM_TYPE, enode_row, rule_features, type_row
from rl.env.observation import (
    FIRST_CANDIDATE,
    NUM_CANDIDATE_FEATURES,
    NUM_ECLASS_FEATURES,
    NUM_ENODE_FEATURES,
    NUM_POSITIONS,
    NUM_RULE_BUCKETS,
    NUM_SLOTS,
    Observation,
    bucket,
)

if TYPE_CHECKING:
    from eqsat.egraph.groups import Group
    from eqsat.egraph.session import Session
    from eqsat.extraction.problem import Selection
    from rl.env.tracker import Entry, Snapshot

MAX_BOUND_MEMBERS: Final = 16
"""Candidates of a group whose bindings become edges; a group's members bind look-alikes."""


@final
class _Rows:
    """Rows of numbers that are only ever added."""

    def __init__(self, width: int) -> None:
        self._array = np.zeros((256, width), np.float32)
        self.count = 0

    def copy(self) -> _Rows:
        other = _Rows(self._array.shape[1])
        other._array = self._array.copy()
        other.count = self.count
        return other

    def extend(self, rows: Sequence[tuple[float, ...]]) -> None:
        if not rows:
            return
        count = self.count + len(rows)
        if count > len(self._array):
            grown = np.zeros((2 * count, self._array.shape[1]), np.float32)
            grown[: self.count] = self._array[: self.count]
            self._array = grown
        self._array[self.count : count] = rows
        self.count = count

    def replace(self, number: int, row: tuple[float, ...]) -> None:
        self._array[number] = row

    def at(self, numbers: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self._array[numbers]
        return rows


@final
class Observer:
    """Makes the observations of one session; what does not change about an e-node or a rule, it works out once.

    As with the tracker whose snapshots it is given: where the session is undone, go on with a :meth:`copy` made before.
    """

    def __init__(self, session: Session, sizes: Mapping[int, int]) -> None:
        """Observe a session.

        Args:
            session: The e-graph.
            sizes: Size of every symbol of the model's inputs.
        """
        self._session = session
        self._sizes = sizes
        self._enodes = _Rows(NUM_STATIC + 1)
        self._types = _Rows(NUM_TYPE)
        self._untyped: list[int] = []
        self._rules: dict[int, _RuleFacts] = {}

    def copy(self) -> Observer:
        """Return an observer that knows the same and does not change with this one."""
        other = Observer(self._session, self._sizes)
        other._enodes = self._enodes.copy()
        other._types = self._types.copy()
        other._untyped = list(self._untyped)
        other._rules = self._rules
        return other

    def observe(self, snapshot: Snapshot, selection: Selection, groups: Sequence[Group]) -> Observation:
        """Return what the agent sees.

        Args:
            snapshot: The session as it is now.
            selection: The current extraction.
            groups: The candidates on offer, one action each.
        """
        self._learn(snapshot.entries)
        graph = _Indices(snapshot)
        extracted = _Extracted(snapshot, selection, graph)
        binding_edges, binding_slots = self._bindings(groups, graph.dense)
        mask = np.ones(FIRST_CANDIDATE + len(groups), np.bool_)
        numbers = np.fromiter((entry.number for entry in snapshot.entries), np.int64, len(snapshot.entries))
        static = self._enodes.at(numbers)
        return Observation(
            enode_operator=static[:, -1].astype(np.int64),
            enode_features=self._enode_features(static[:, :NUM_STATIC], snapshot, graph, extracted),
            eclass_features=self._eclass_features(snapshot, graph, extracted),
            candidate_rule=np.array([self._rule(each).bucket for each in groups], np.int64),
            candidate_features=self._candidate_features(groups, binding_edges, extracted),
            member_edges=np.stack([np.arange(len(numbers)), graph.eclasses]),
            child_edges=np.stack([graph.children, graph.readers]),
            child_positions=graph.positions,
            binding_edges=binding_edges,
            binding_slots=binding_slots,
            root_eclasses=graph.dense[np.unique(np.array(self._session.roots(), np.int64))],
            action_mask=mask,
        )

    def _learn(self, entries: Sequence[Entry]) -> None:
        """Work out the rows of e-nodes and e-classes that are new."""
        new = sorted((entry for entry in entries if entry.number >= self._enodes.count), key=lambda entry: entry.number)
        origins = self._session.mirror.origins
        self._enodes.extend([enode_row(entry.enode, is_made=entry.enode in origins) for entry in new])
        types = self._session.mirror.types
        for handle in self._untyped:
            self._types.replace(handle, type_row(types[handle], self._sizes))
        first = self._types.count
        self._types.extend([type_row(type_, self._sizes) for type_ in types[first:]])
        self._untyped += range(first, len(types))
        self._untyped = [handle for handle in self._untyped if not types[handle]]

    def _bindings(self, groups: Sequence[Group], dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the edges from e-classes to candidates, and the number of the variable of each."""
        canonical = self._session.mirror.canonical
        eclasses: list[int] = []
        slots: list[int] = []
        counts: list[int] = []
        for each in groups:
            rule = self._rule(each)
            members = each.candidates[:MAX_BOUND_MEMBERS]
            eclasses += [canonical[member.bindings[column]] for member in members for column in rule.columns]  # type: ignore[index]
            slots += rule.slots * len(members)
            counts.append(len(rule.slots) * len(members))
        candidates = np.repeat(np.arange(len(groups)), counts)
        edges = np.stack([dense[np.array(eclasses, np.int64)], candidates])
        return edges, np.array(slots, np.int64)

    def _enode_features(
        self, static: np.ndarray, snapshot: Snapshot, graph: _Indices, extracted: _Extracted
    ) -> np.ndarray:
        features = np.zeros((len(static), NUM_ENODE_FEATURES), np.float32)
        features[:, :NUM_STATIC] = static
        cost_us = np.array(snapshot.problem.cost_us[: len(static)])
        is_finite = np.isfinite(cost_us)
        cost_us[~is_finite] = 0.0
        columns = (
            np.log1p(cost_us) / LOG_SCALE,
            np.minimum(cost_us / extracted.total_us, 1.0),
            ~is_finite,
            extracted.is_enode,
            graph.has_cluster,
            np.log1p(graph.num_members[graph.eclasses]) / COUNT_SCALE,
        )
        for offset, column in enumerate(columns):
            features[:, NUM_STATIC + offset] = column
        return features

    def _eclass_features(self, snapshot: Snapshot, graph: _Indices, extracted: _Extracted) -> np.ndarray:
        count = len(graph.handles)
        features = np.zeros((count, NUM_ECLASS_FEATURES), np.float32)
        features[:, :NUM_TYPE] = self._types.at(graph.handles)
        constants = snapshot.constants
        depth = extracted.depth
        is_root = np.zeros(count)
        is_root[graph.dense[np.array(self._session.roots(), np.int64)]] = 1.0
        columns = (
            np.fromiter((handle in constants for handle in snapshot.starts), np.float32, count),
            np.log1p(graph.num_members) / COUNT_SCALE,
            np.log1p(np.bincount(graph.children, minlength=count)) / COUNT_SCALE,
            extracted.is_eclass,
            np.log1p(np.bincount(graph.children, extracted.is_enode[graph.readers], count)) / COUNT_SCALE,
            np.log1p(depth) / LOG_SCALE,
            depth / max(depth.max(initial=0.0), 1.0),
            extracted.share,
            is_root,
        )
        for offset, column in enumerate(columns):
            features[:, NUM_TYPE + offset] = column
        return features

    def _candidate_features(
        self, groups: Sequence[Group], binding_edges: np.ndarray, extracted: _Extracted
    ) -> np.ndarray:
        features = np.zeros((len(groups), NUM_CANDIDATE_FEATURES), np.float32)
        if not groups:
            return features
        features[:, NUM_OWN:] = [self._rule(each).features for each in groups]
        bound, index = binding_edges
        num_bound = np.maximum(np.bincount(index, minlength=len(groups)), 1)
        applied = self._session.applied
        columns = (
            np.log1p([len(each.candidates) for each in groups]) / COUNT_SCALE,
            np.log1p([applied[each.rule] for each in groups]) / COUNT_SCALE,
            np.bincount(index, extracted.is_eclass[bound], len(groups)) / num_bound,
            np.bincount(index, extracted.share[bound], len(groups)) / num_bound,
        )
        for offset, column in enumerate(columns):
            features[:, offset] = column
        return features

    def _rule(self, each: Group) -> _RuleFacts:
        number = each.candidates[0].rule
        known = self._rules.get(number)
        if known is None:
            gated = self._session.rule_of(each.candidates[0])
            columns = [column for column, sort in enumerate(gated.sorts) if sort in HANDLES]
            known = self._rules[number] = _RuleFacts(
                bucket=bucket(each.rule, NUM_RULE_BUCKETS),
                features=rule_features(gated),
                columns=columns,
                slots=[min(column, NUM_SLOTS - 1) for column in columns],
            )
        return known


@dataclass(frozen=True, slots=True, kw_only=True)
class _RuleFacts:
    """What is the same for all candidates of a rule: its bucket, its features, and the variables that are e-classes."""

    bucket: int
    features: np.ndarray
    columns: list[int]
    slots: list[int]


@final
class _Indices:
    """The e-graph in numbers without gaps."""

    def __init__(self, snapshot: Snapshot) -> None:
        entries = snapshot.entries
        self.handles = np.fromiter(snapshot.starts, np.int64, len(snapshot.starts))
        self.dense = np.full(snapshot.problem.num_classes, -1)
        self.dense[self.handles] = np.arange(len(self.handles))
        self.eclasses = self.dense[np.array(snapshot.eclasses, np.int64)]
        self.num_members = np.bincount(self.eclasses, minlength=len(self.handles))
        counts = np.fromiter((len(entry.enode.children) for entry in entries), np.int64, len(entries))
        flat = chain.from_iterable(entry.enode.children for entry in entries)
        self.children = self.dense[np.fromiter(flat, np.int64, int(counts.sum()))]
        self.readers = np.repeat(np.arange(len(entries)), counts)
        firsts = np.cumsum(counts) - counts
        self.positions = np.minimum(np.arange(len(self.children)) - firsts[self.readers], NUM_POSITIONS - 1)
        self.has_cluster = np.zeros(len(entries), np.float32)
        self.has_cluster[snapshot.outers] = 1.0


@final
class _Extracted:
    """The current extraction: which e-nodes and e-classes are in it, at what price and depth."""

    def __init__(self, snapshot: Snapshot, selection: Selection, graph: _Indices) -> None:
        problem, count = snapshot.problem, len(graph.handles)
        self.total_us = max(selection.cost_us, math.ulp(1.0))
        self.is_enode = np.zeros(len(snapshot.entries), np.float32)
        self.is_eclass = np.zeros(count, np.float32)
        self.share = np.zeros(count)
        self.depth = np.zeros(count)
        depth: dict[int, int] = {}
        for eclass, chosen in selection.choice.items():
            is_work = problem.cost_us[chosen] > 0
            depth[eclass] = max((depth[child] for child in problem.children[chosen]), default=0) + is_work
        for eclass, place in snapshot.places(selection.choice):
            self.is_enode[place] = 1.0
            self.is_eclass[graph.dense[eclass]] = 1.0
        chosen_eclasses = graph.dense[np.fromiter(selection.choice, np.int64, len(selection.choice))]
        prices = np.array([problem.cost_us[chosen] for chosen in selection.choice.values()])
        self.share[chosen_eclasses] = prices / self.total_us
        self.depth[chosen_eclasses] = np.fromiter(depth.values(), np.int64, len(depth))

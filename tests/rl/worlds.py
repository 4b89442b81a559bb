"""Small tasks for environments: tiny models, a few rules, prices by table."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import onnx
from typing_extensions import override

from eqsat.egraph.session import Session
from eqsat.prices.micro import Cluster, MicroMaker
from eqsat.search.interface import Arena, Surroundings
from eqsat.verify.sizes import default_sizes
from ir.reader import read
from rl.env.environment import EGraphEnv, Settings
from rl.env.observation import FIRST_CANDIDATE, Observation
from rl.env.prices import PriceSource, TablePrices
from rl.env.scene import priced_problem
from rl.env.space import ActionSpace
from rl.env.tasks import Task
from tests.pipeline import models

NEG_TWICE = models.rewrite("(Neg (Neg x))", "(Identity x)", "neg-twice")
IDENTITY = '(rewrite (Identity x) x :ruleset opt :name "identity-away")'
ABS = models.rewrite("(Neg x)", "(Abs x)", "neg-abs")
UPHILL = models.rewrite("(Neg x)", "(Tanh (Tanh x))", "neg-tanh")
IMPOSSIBLE = models.rewrite("(Neg x)", "(MatMul x x)", "neg-matmul")
MERGE = models.rewrite("(Add (MatMul x a) (MatMul x b))", "(MatMul x (Add a b))", "matmul-distributes")
RELU = models.rewrite("(Relu x)", "(Max (Cons x (Cons x (Nil))))", "relu-max")
GROW = models.rewrite("(Abs x)", "(Neg (Neg (Abs (Neg (Neg x)))))", "abs-grows")


def task(folder: Path, model: onnx.ModelProto, *forms: str, name: str = "tiny") -> Task:
    """A task of a model; environments in several processes may make the same one at once."""
    folder.mkdir(exist_ok=True)
    graph = read(models.save(Path(mkdtemp(dir=folder)) / f"{name}.onnx", model))
    return Task(
        name=name, graph=graph, rules=models.rules(*forms), prices=TablePrices(), sizes=default_sizes(graph, {})
    )


def chain_task(folder: Path, length: int = 4, *, name: str = "chain") -> Task:
    return task(folder, models.chain(length), NEG_TWICE, IDENTITY, ABS, name=name)


def branches(num_blocks: int = 2, size: int = 64) -> onnx.ModelProto:
    """``x -> relu(x a + x b)``, again and again: each block can do with one product."""
    constants: dict[str, np.ndarray] = {}
    nodes = []
    source = "x"
    for block in range(num_blocks):
        target = "y" if block == num_blocks - 1 else f"r{block}"
        for side in "ab":
            constants[f"{side}{block}"] = models.weights(size, size, seed=len(constants))
            nodes.append(models.node("MatMul", f"{source} {side}{block}", f"{side}x{block}"))
        nodes.append(models.node("Add", f"ax{block} bx{block}", f"s{block}"))
        nodes.append(models.node("Relu", f"s{block}", target))
        source = target
    return models.make(nodes, [("x", [4, size])], [("y", [4, size])], constants)


def branch_task(folder: Path, num_blocks: int = 2, *, name: str = "branches") -> Task:
    return task(folder, branches(num_blocks), MERGE, RELU, name=name)


def env_of(folder: Path) -> EGraphEnv:
    """An environment of two tasks; importable, so that a process can make it."""
    return EGraphEnv([chain_task(folder / "chain"), branch_task(folder / "branches")], Settings(max_steps=6))


class ByOperator(PriceSource):
    """Prices by operator alone."""

    @override
    def price(self, session: Session, clusters: Sequence[Cluster], maker: MicroMaker) -> Mapping[Cluster, float]:
        return {
            cluster: sum(100.0 if each.operator == "MatMul" else 10.0 for each in cluster.enodes)
            for cluster in clusters
        }


def arena_of(task: Task, times: Iterator[float] | None = None) -> tuple[Arena, list[str]]:
    """An arena of a task's model with its prices, and what the search has told."""
    session = Session(task.graph, task.rules)
    told: list[str] = []

    ticks = times or itertools.repeat(0.0)
    arena = Arena(
        session=session,
        build_problem=lambda current: priced_problem(replace(task, prices=ByOperator()), current),
        clock=lambda: next(ticks),
        rng=random.Random(0),
        on_progress=told.append,
        surroundings=Surroundings(sizes=task.sizes, provider=task.provider, price=ByOperator().price),
    )
    return arena, told


def allowed(observation: Observation) -> list[int]:
    return [int(action) for action in np.flatnonzero(observation.action_mask)]


def action_of(env: EGraphEnv, rule: str) -> int:
    """The first action that applies a rule."""
    return next(FIRST_CANDIDATE + index for index, each in enumerate(env.look.groups) if each.rule == rule)


class FirstCandidate(ActionSpace):  # type: ignore[misc]
    """Samples the first candidate, which the tasks here allow for at least two steps."""

    @override
    def sample(self, mask: np.ndarray | None = None, probability: np.ndarray | None = None) -> np.int64:
        return np.int64(FIRST_CANDIDATE)

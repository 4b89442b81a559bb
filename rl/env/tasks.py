"""What an episode is about: one model, its rules and its prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eqsat.runtime.settings import CPU_PROVIDER
from eqsat.verify.sizes import default_sizes, resolved_shapes
from ir.availability import available_operators
from ir.inner_sizes import inner_sizes
from ir.reader import read

if TYPE_CHECKING:
    from pathlib import Path

    from eqsat.rules.book import RuleBook
    from ir.graph import Graph
    from rl.env.prices import PriceSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One model to optimise.

    Attributes:
        name: Unique among the tasks of an environment.
        graph: The model.
        rules: The rules, selected for the model's opset and the target already.
        prices: What e-nodes cost.
        sizes: Size to price at, for every symbol of the model's inputs.
        provider: Whose fusions count.
    """

    name: str
    graph: Graph
    rules: RuleBook
    prices: PriceSource
    sizes: Mapping[int, int]
    provider: str = CPU_PROVIDER


def read_task(
    path: Path,
    rules: RuleBook,
    prices: PriceSource,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    provider: str = CPU_PROVIDER,
    has_provider_operators: bool = True,
) -> Task:
    """Return the task of a model file, named after it.

    Args:
        path: ONNX file.
        rules: Every rule that may be used; those that the model's opset cannot say are left out.
        prices: What e-nodes cost.
        input_shapes: Shape to price at, for inputs with symbolic dimensions.
        provider: Whose fusions count.
        has_provider_operators: False allows standard ONNX operators only.

    Raises:
        InvalidModelError: The model cannot be read.
        UnsupportedInputError: An input has no shape to price at.
    """
    graph = read(path)
    available = available_operators(graph.opset, has_provider_operators=has_provider_operators)
    return Task(
        name=path.stem,
        graph=graph,
        rules=rules.select(available_operators=available),
        prices=prices,
        sizes=inner_sizes(graph, default_sizes(graph, resolved_shapes(graph, input_shapes or {}))),
        provider=provider,
    )

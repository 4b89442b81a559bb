"""A schema of a dozen operators, and rules read and gated against it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eqsat.egglog.commands import Command, EGraph, Location, parse, run
from eqsat.rules import Program, RuleBook, declare, gate, read_rules

SCHEMA = """
(datatype*
  (Tensor (Input String) (Const i64) (Absent) (Out Multi i64)
          (Relu Tensor) (Neg Tensor) (Erf Tensor) (Gelu Tensor) (Add Tensor Tensor) (Mul Tensor Tensor)
          (MatMul Tensor Tensor) (Sub Tensor Tensor) (Reshape Tensor Dims) (Transpose Tensor IVec)
          (Concat TList i64) (Bias Tensor Tensor))
  (Multi (Split Tensor i64 IVec))
  (TList (Nil) (Cons Tensor TList))
  (Dims (S1 i64) (S2 i64 i64))
  (sort IVec (Vec i64)) (sort TVec (Vec Tensor)))
(function shape (Tensor) Dims :no-merge)
(function rank (Tensor) i64 :no-merge)
(relation near (Tensor f64))
(relation finite (Tensor))
(relation root (Tensor))
"""

HEADER = "; SOURCE algebra\n; FLOATS exact\n"


@pytest.fixture
def schema() -> list[Command]:
    """The parsed schema."""
    return parse(EGraph(), SCHEMA, Location("schema.egg", 1, 1))


@pytest.fixture
def book() -> Callable[[str], RuleBook]:
    """Reads one rule, or several, under a header that says as little as may be."""

    def read(*forms: str) -> RuleBook:
        return read_rules([("\n".join(HEADER + form for form in forms), "r.egg")])

    return read


@pytest.fixture
def gated(book: Callable[..., RuleBook], schema: list[Command]) -> Callable[..., Program]:
    """Reads and gates rules, with Add and Mul commutative."""

    def gate_them(*forms: str) -> Program:
        return gate(book(*forms), schema, commutative=frozenset({"Add", "Mul"}))

    return gate_them


@pytest.fixture
def declared(schema: list[Command]) -> Callable[[Program], EGraph]:
    """Runs a program in a new e-graph that has the schema."""

    def run_it(program: Program) -> EGraph:
        egraph = EGraph()
        run(egraph, *schema)
        declare(egraph, program)
        return egraph

    return run_it

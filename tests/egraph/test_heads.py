"""The primitives of a rule's right side give what egglog's own give."""

from __future__ import annotations

import pytest

from eqsat.egglog.commands import Command, EgglogError, EGraph, Location, RuleCommand, parse, run
from eqsat.egraph.expressions import ValueReader
from eqsat.egraph.heads import UndefinedError, evaluate_head
from eqsat.egraph.mirror import Mirror
from eqsat.rules import Signatures
from ir.graph import AttributeValue
from ir.inference import TypeInference
from ir.types import Symbols

PLACE = Location("probe", 1, 1)
SCHEMA = "(sort IVec (Vec i64)) (relation whole (i64)) (relation real (f64)) (relation vector (IVec))"

BIG = 2**62 + 1
NUMBERS = (-7, -2, -1, 0, 1, 3, 8, BIG, -BIG)
REALS = ("-2.5", "-0.5", "0.0", "0.3", "2.0", "1e200")
VECTORS = ("(vec-empty)", "(vec-of 1)", "(vec-of 4 5 6)")

WHOLE = [
    *(
        f"({name} {one} {two})"
        for name in ("+", "-", "*", "/", "%", "min", "max")
        for one in NUMBERS
        for two in NUMBERS
    ),
    *(f"(abs {one})" for one in NUMBERS),
    *(f"(to-i64 {one})" for one in REALS[:-1]),
    *(f"(vec-length {one})" for one in VECTORS),
    *(f"(vec-get {one} {index})" for one in VECTORS for index in (-1, 0, 2, 3)),
]
REAL = [
    *(f"({name} {one} {two})" for name in ("+", "-", "*", "min", "max") for one in REALS for two in REALS[:-1]),
    *(f"(/ {one} {two})" for one in REALS for two in REALS if float(two)),
    *(f"({name} {one})" for name in ("abs", "neg") for one in REALS),
    *(f"(to-f64 {one})" for one in NUMBERS),
]
VECTOR = [
    *VECTORS,
    *(f"(vec-append {one} {two})" for one in VECTORS for two in VECTORS),
    *(f"(vec-push {one} 9)" for one in VECTORS),
    *(f"(vec-pop {one})" for one in VECTORS[1:]),
    *(f"(vec-set {one} {index} 9)" for one in VECTORS for index in (0, 2)),
    *(f"(vec-remove {one} {index})" for one in VECTORS for index in (0, 2)),
]


def _value(egraph: EGraph, signatures: Signatures, relation: str, sort: str) -> AttributeValue:
    (row,) = egraph.freeze().functions[relation].rows
    return ValueReader(egraph, signatures).attribute(sort, row.inputs[0])


@pytest.mark.parametrize(
    ("relation", "sort", "terms"), [("whole", "i64", WHOLE), ("real", "f64", REAL), ("vector", "IVec", VECTOR)]
)
def test_primitives_are_those_of_egglog(relation: str, sort: str, terms: list[str]) -> None:
    parser = EGraph()
    schema = parse(parser, SCHEMA, PLACE)
    signatures = Signatures.of(schema)
    differences: list[tuple[str, object, object]] = []
    for term in terms:
        egglogs = _by_egglog(schema, signatures, relation, sort, term)
        mine = _by_heads(parser, schema, signatures, relation, sort, term)
        if egglogs != mine:
            differences.append((term, egglogs, mine))
    assert not differences


def test_numbers_that_are_not_finite_are_no_attributes() -> None:
    schema = parse(EGraph(), SCHEMA, PLACE)
    assert _by_heads(EGraph(), schema, Signatures.of(schema), "real", "f64", "(* 1e200 1e200)") is None


def _by_egglog(schema: list[Command], signatures: Signatures, relation: str, sort: str, term: str) -> object:
    egraph = EGraph()
    run(egraph, *schema)
    try:
        run(egraph, *parse(egraph, f"({relation} {term})", PLACE))
    except EgglogError:
        return None
    return _value(egraph, signatures, relation, sort)


def _by_heads(
    parser: EGraph, schema: list[Command], signatures: Signatures, relation: str, sort: str, term: str
) -> object:
    (command,) = parse(parser, f"(rule () (({relation} {term})))", PLACE)
    assert isinstance(command, RuleCommand)
    draft = Mirror(inference=TypeInference(18, Symbols())).draft("")
    try:
        evaluation = evaluate_head(command.rule.head, {}, draft, signatures)
    except UndefinedError:
        return None
    egraph = EGraph()
    run(egraph, *schema, *evaluation.commands)
    return _value(egraph, signatures, relation, sort)

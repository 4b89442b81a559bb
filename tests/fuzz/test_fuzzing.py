"""The random models themselves: what they are made of, and that a fault is found and made small."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx.parser
import pytest

from eqsat.egraph.session import Session
from eqsat.rules import RuleBook, read_rules
from eqsat.runtime import Runtime
from ir.reader import graph_of
from tests.egraph.sessions import HEADER
from tests.fuzz.extraction import by_random_order, by_random_prices
from tests.fuzz.generator import ROWS, Sample, operators_of, random_model
from tests.fuzz.growing import F32, Growing, Input, RefusedError, Type
from tests.fuzz.kernels import Kernels
from tests.fuzz.shrink import shrink
from tests.fuzz.trial import Kind, Setting, try_model

STRICT: Final = Setting(is_strict=True, has_provider_operators=False)
LOOSE: Final = Setting(is_strict=False, has_provider_operators=False)


def sample_of(body: str, **inputs: tuple[int | str, ...]) -> Sample:
    """Return a model of float32 inputs."""
    formals = ", ".join(f"float[{', '.join(map(str, shape))}] {name}" for name, shape in inputs.items())
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> g ({formals}) => (y) {{ {body} }}')
    return Sample(model=model, inputs={name: Input(type=Type(F32, shape)) for name, shape in inputs.items()})


def wrong(*forms: str) -> RuleBook:
    return read_rules([("\n".join(HEADER + form for form in forms), "wrong.egg")])


@pytest.mark.parametrize("name", ROWS)
def test_every_row_adds_its_operator(name: str, kernels: Kernels) -> None:
    for attempt in range(60):
        opset = (9, 13, 18, 20, 23, 24)[attempt % 6]
        grow = Growing(rng=np.random.default_rng(attempt), opset=opset, kernels=kernels)
        try:
            ROWS[name](grow)
        except RefusedError:
            continue
        found = {node.op_type for node in grow.nodes}
        if name.islower() and (grow.nodes or grow.inputs):
            return
        if name in found:
            return
    pytest.fail(f"{name} was never added")


def test_there_are_enough_operators() -> None:
    assert len([name for name in ROWS if not name.islower()]) >= 150


def test_a_seed_is_a_model(kernels: Kernels) -> None:
    for seed in (3, 4):
        one, two = (random_model(seed, kernels).model.SerializeToString() for _ in range(2))
        assert one == two
    assert random_model(3, kernels).model != random_model(4, kernels).model


def test_random_models_are_odd(kernels: Kernels) -> None:
    models = [random_model(seed, kernels).model for seed in range(200)]
    names = [name for model in models for node in model.graph.node for name in node.output]
    assert any(not name for name in names)
    assert any(not name.isascii() for name in names)
    assert any("\x1b" in name for name in names)
    assert any(model.functions for model in models)
    assert len(set().union(*map(operators_of, models))) > 100
    used = [{name for node in model.graph.node for name in node.input} for model in models]
    unused = [
        [name for node in model.graph.node for name in node.output if name not in inputs]
        for model, inputs in zip(models, used, strict=True)
    ]
    assert any(len(ends) > len(model.graph.output) for ends, model in zip(unused, models, strict=True))


@pytest.mark.parametrize(
    ("form", "setting", "body", "shape", "kind"),
    [
        ('(rewrite (Tanh x) (Sigmoid x) :ruleset opt :name "w")', LOOSE, "y = Tanh (x)", ("N", 3), Kind.DIFFERENT),
        (  # right at the ordinary size, which is 2
            '(rewrite (Softmax x a) (Sigmoid x) :ruleset opt :name "w")',
            LOOSE,
            "z = Sub (x, x) y = Softmax <axis = 0> (z)",
            ("M",),
            Kind.DIFFERENT,
        ),
        (  # right for finite numbers
            '(rewrite (IsNaN x) (Less x x) :ruleset opt :name "w")',
            STRICT,
            "y = IsNaN (x)",
            (4, 5),
            Kind.DIFFERENT,
        ),
        (  # a square is as good as an absolute value until it overflows
            '(rewrite (Abs x) (Sqrt (Mul x x)) :ruleset opt :name "w")',
            LOOSE,
            "y = Abs (x)",
            (2, 3),
            Kind.DIFFERENT,
        ),
    ],
)
def test_a_wrong_rule_is_found(
    form: str,
    setting: Setting,
    body: str,
    shape: tuple[int | str, ...],
    kind: Kind,
    runtime: Runtime,
    tmp_path: Path,
) -> None:
    sample = sample_of(body, x=shape)
    right = try_model(sample, setting, 0, runtime, tmp_path, rules=read_rules([]))
    assert right.is_valid
    assert not right.findings
    result = try_model(sample, setting, 0, runtime, tmp_path, rules=wrong(form))
    assert kind in {finding.kind for finding in result.findings}


def test_what_shows_a_fault_is_made_small(runtime: Runtime, tmp_path: Path) -> None:
    body = "a = Exp (x) b = Mul (a, z) c = Tanh (b) d = Add (c, z) e = Relu (d) y = Add (e, a)"
    sample = sample_of(body, x=("N", 3), z=("N", 3))
    rules = wrong('(rewrite (Tanh x) (Sigmoid x) :ruleset opt :name "w")')

    def shows(smaller: Sample) -> bool:
        return bool(try_model(smaller, LOOSE, 0, runtime, tmp_path, rules=rules).findings)

    small = shrink(sample, shows)
    assert [node.op_type for node in small.model.graph.node] == ["Tanh"]


def test_random_choices_cover_every_root_without_cycles(kernels: Kernels) -> None:
    import onnx_ir

    graph = graph_of(onnx_ir.from_proto(random_model(3, kernels).model))
    session = Session(graph, read_rules([]))
    for choice in (
        by_random_order(session, np.random.default_rng(0)),
        by_random_prices(session, np.random.default_rng(0)),
    ):
        order: dict[int, int] = {handle: place for place, handle in enumerate(choice)}
        for handle in session.roots():
            assert handle in order
        for handle, enode in choice.items():
            children = {session.mirror.canonical[child] for child in enode.children}
            assert all(order[child] < order[handle] for child in children)

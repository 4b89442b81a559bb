"""Every reason says what happened and what to try next, and is only said where it is so."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import onnx.helper
import pytest

from eqsat.cli.run import app
from eqsat.pipeline.reasons import Why, told, why_refused
from eqsat.runtime import Runtime, SessionFailedError, SessionSettings
from tests.verify.models import FLOAT, node, save


@pytest.fixture(scope="module")
def flags() -> frozenset[str]:
    import typer

    return frozenset(flag for each in typer.main.get_command(app).params for flag in each.opts)


@pytest.mark.parametrize("why", list(Why))
def test_a_reason_is_followed_by_one_thing_to_try(why: Why, flags: frozenset[str]) -> None:
    line = told(why, "the detail")
    what, _, advice = line.rpartition("; ")
    assert what
    assert advice
    assert "{}" not in line
    assert set(re.findall(r"--[a-z-]+", line)) <= flags


def test_a_detail_is_shown_as_it_is() -> None:
    assert told(Why.INPUT_FAILS, "{braces} and {}").startswith(
        "the input itself does not run on the inputs tried: {braces} and {}; give inputs"
    )


def refusal(path: Path) -> tuple[Why, str]:
    with Runtime() as runtime, pytest.raises(SessionFailedError) as caught:
        runtime.outputs(path, {}, SessionSettings())
    return why_refused(str(caught.value))


def test_what_the_runtime_does_not_know_is_named(tmp_path: Path) -> None:
    foreign = node("Swirl", "x", "y", domain="com.example")
    path = save(tmp_path / "m.onnx", [foreign], [("x", FLOAT, (2,))], [("y", FLOAT, (2,))])
    model = onnx.load(path)
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 3))
    onnx.save_model(model, path)
    assert refusal(path) == (Why.UNKNOWN_OPERATOR, "the operator Swirl of the domain 'com.example'")
    path = save(tmp_path / "m.onnx", [node("Swirl", "x", "y")], [("x", FLOAT, (2,))], [("y", FLOAT, (2,))], opset=16)
    assert refusal(path) == (Why.UNKNOWN_OPERATOR, "the operator Swirl in opset 16")


def test_a_newer_model_is_told_by_its_version(tmp_path: Path) -> None:
    relu = [node("Relu", "x", "y")]
    path = save(tmp_path / "m.onnx", relu, [("x", FLOAT, (2,))], [("y", FLOAT, (2,))], opset=99)
    assert refusal(path) == (Why.NEWER_VERSION, "opset 99")
    path = save(tmp_path / "m.onnx", relu, [("x", FLOAT, (2,))], [("y", FLOAT, (2,))])
    model = onnx.load(path)
    model.ir_version = 77
    onnx.save_model(model, path)
    why, detail = refusal(path)
    assert why is Why.NEWER_VERSION
    assert detail.startswith("IR version 77, where ")


def test_a_missing_kernel_is_no_missing_operator() -> None:
    message = (
        "ONNX Runtime refuses the model: NOT_IMPLEMENTED : Could not find an implementation for Relu(14) node with"
    )
    assert why_refused(message) == (Why.NO_KERNEL, "the operator Relu of opset 14 with these types")

"""``python -m eqsat.run --rules`` with a file that means harm: nothing outside is touched, and the run ends in time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import eqsat

TIMEOUT_S = 600.0

HEADER = "; SOURCE algebra\n; FLOATS exact\n"
RULE = HEADER + '(rewrite (Neg (Tanh x)) (Tanh (Neg x)) :when ({}) :ruleset opt :name "own")\n'

ENDLESS = (
    "(relation steps (Tensor i64))\n"
    '(rule ((= y (Relu x))) ((steps y 0)) :ruleset facts :name "own-first")\n'
    '(rule ((steps x n) (> n -1)) ((steps x (+ n 1))) :ruleset facts :name "own-next")\n' + RULE.format("(steps x n)")
)
MILLION = (
    "(relation spot (Tensor i64))\n(relation twin (Tensor i64 i64))\n"
    '(rule ((= y (Relu x))) ((spot y 0)) :ruleset facts :name "own-first")\n'
    '(rule ((spot x i) (< i 1000)) ((spot x (+ i 1))) :ruleset facts :name "own-next")\n'
    '(rule ((spot x i) (spot x j)) ((twin x i j)) :ruleset facts :name "own-twin")\n' + RULE.format("(twin x i j)")
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "xy"]
    nodes = [
        helper.make_node(*node) for node in (("Relu", ["x"], ["r"]), ("Tanh", ["r"], ["t"]), ("Neg", ["t"], ["y"]))
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    path = tmp_path / "chain.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def optimise(model: Path, text: str) -> subprocess.CompletedProcess[str]:
    rules = model.with_name("own.egg")
    rules.write_text(text)
    scratch = model.parent / "scratch"
    scratch.mkdir()
    root = Path(eqsat.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "eqsat.run", str(model), "--rules", str(rules), "--time-budget", "8s", "--threads", "1"],
        capture_output=True,
        encoding="utf-8",
        cwd=model.parent,
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(scratch)},
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(py-exec \"open('harm', 'w')\")\n", "`py-exec` may not stand in a rules file"),
        ('(output "harm" (Relu x))\n', "`output` may not stand in a rules file"),
        ('(include "/etc/passwd")\n', "`include` may not stand in a rules file"),
        (f"(rule ((= y {'(Relu ' * 100_000}x{')' * 100_000})) ())\n", "nested more than 200 deep"),
    ],
    ids=["py-exec", "output", "include", "deep"],
)
def test_what_acts_is_refused_with_one_line(model: Path, text: str, said: str) -> None:
    done = optimise(model, text)
    assert done.returncode == 4
    (line,) = (line for line in done.stderr.splitlines() if not line.startswith("load: "))
    assert said in line
    assert not done.stdout
    assert {file.name for file in model.parent.iterdir()} == {"chain.onnx", "own.egg", "scratch"}


@pytest.mark.slow
@pytest.mark.parametrize("text", [ENDLESS, MILLION], ids=["endless", "million"])
def test_what_does_not_end_is_ended(model: Path, text: str) -> None:
    done = optimise(model, text)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert {file.name for file in model.parent.iterdir()} == {"chain.onnx", "chain.opt.onnx", "own.egg", "scratch"}
    onnx.checker.check_model(model.with_name("chain.opt.onnx"))

"""Write a rule, check it, and use it: ``python examples/own_rule.py``.

The rule says that the quotient of exponentials is the operator Tanh. That holds for finite values alone, since
``exp(x)`` overflows where tanh is 1: the float class says ``finite``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper

import eqsat

RULE = """\
; SOURCE    tanh(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x))
; FLOATS    finite
; INSTANCE  x[A,B] | (let p (Exp x)) (let m (Exp (Neg x))) (Div (Sub p m) (Add p m))
; NEAR-MISS x[A,B] | (let p (Exp x)) (let m (Exp (Neg x))) (Div (Add p m) (Sub p m))
(rewrite (Div (Sub (Exp x) (Exp (Neg x))) (Add (Exp x) (Exp (Neg x)))) (Tanh x)
  :ruleset opt :name "own-tanh")
"""


def quotient() -> onnx.ModelProto:
    """Return a model that has tanh written out."""
    nodes = [
        helper.make_node("Exp", ["x"], ["p"]),
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("Exp", ["n"], ["m"]),
        helper.make_node("Sub", ["p", "m"], ["above"]),
        helper.make_node("Add", ["p", "m"], ["below"]),
        helper.make_node("Div", ["above", "below"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [512, 512]) for name in "xy"]
    graph = helper.make_graph(nodes, "quotient", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def main() -> None:
    """Print what the check says of the rule, and what it does on a model."""
    parser = argparse.ArgumentParser(description="Check and use a rule of one's own.")
    parser.add_argument("--seconds", type=float, default=30.0, help="time budget")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "own.egg"
        path.write_text(RULE, encoding="utf-8")
        subprocess.run([sys.executable, "-m", "eqsat", "rules", "check", str(path)], check=True)
        result = eqsat.optimize(quotient(), rules=[path], threads=1, budget=eqsat.Budget(time_s=seconds))
        print(result.report)


if __name__ == "__main__":
    main()

"""A peer that fails, hangs or is missing is a row of the results, never the end of the benchmark."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from bench.peers import PEERS, Outcome, Peer, run_command

BY_NAME = {peer.name: peer for peer in PEERS}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two Identity nodes and a Relu: something that every peer can remove."""
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Identity", ["b"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.mark.parametrize("name", ["onnxslim", "onnxscript"])
def test_a_peer_writes_its_version(name: str, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.onnx"
    result = BY_NAME[name].optimize(model, target)
    assert (result.outcome, result.message) == (Outcome.WRITTEN, "")
    assert [node.op_type for node in onnx.load(target).graph.node] == ["Relu"]


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_writes_a_model(peer: Peer, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.onnx"
    assert peer.optimize(model, target, model_type="bert").outcome is Outcome.WRITTEN
    onnx.checker.check_model(target)


@pytest.mark.parametrize("name", ["ort", "ort-basic", "ort-disabled"])
def test_a_setting_of_ort_leaves_the_model_as_it_is(name: str, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.onnx"
    assert BY_NAME[name].optimize(model, target).outcome is Outcome.WRITTEN
    assert target.read_bytes() == model.read_bytes()


def test_a_failure_is_told_with_its_last_line(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"no model")
    result = BY_NAME["onnxscript"].optimize(garbage, tmp_path / "out.onnx")
    assert result.outcome is Outcome.FAILED
    assert "Error" in result.message
    assert "\n" not in result.message


def test_a_peer_that_is_too_slow_is_killed(model: Path, tmp_path: Path) -> None:
    result = BY_NAME["onnxslim"].optimize(model, tmp_path / "out.onnx", timeout_s=0.01)
    assert (result.outcome, result.message) == (Outcome.TIMED_OUT, "killed after 0.01 s")


def test_a_peer_that_is_not_installed_says_how_to_get_it(model: Path, tmp_path: Path) -> None:
    result = Peer(name="onnxslim", package="no-such-package").optimize(model, tmp_path / "out.onnx")
    assert (result.outcome, result.message) == (Outcome.NOT_INSTALLED, "pip install no-such-package")


def test_a_model_of_no_type_is_not_offered_to_the_transformers_tool(model: Path, tmp_path: Path) -> None:
    result = BY_NAME["ort-transformers"].optimize(model, tmp_path / "out.onnx")
    assert result.outcome is Outcome.NOT_SUPPORTED
    assert not (tmp_path / "out.onnx").exists()


def test_a_crash_is_told_by_its_signal() -> None:
    ended = run_command([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"], timeout_s=60)
    assert ended.exit_code == -signal.SIGSEGV
    assert ended.message == "died of SIGSEGV"


def test_a_silent_failure_is_told_by_its_exit_code() -> None:
    ended = run_command([sys.executable, "-c", "raise SystemExit(9)"], timeout_s=60)
    assert (ended.exit_code, ended.message) == (9, "exit code 9")

"""``eqsat rules``: what the commands print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx
import onnx.helper
import pytest

import eqsat.cli.console
import eqsat.cli.rules
from eqsat.authoring.soundness.verdict import Level
from eqsat.authoring.tools import judging
from eqsat.authoring.tools.isolation import Limits
from eqsat.authoring.tools.judging import Judged, Order
from eqsat.cli.face import call
from eqsat.rules import load_rules

HEADER = "; SOURCE    by definition\n; FLOATS    exact\n; INSTANCE  x[A,B] | (Relu (Relu x))\n"
RELU = '(rewrite (Relu (Relu x)) (Relu x) :ruleset simp :name "own-relu")\n'
WRONG = '(rewrite (Relu x) (Neg x) :ruleset opt :name "own-wrong")\n'


def run(*arguments: object) -> int:
    return call(eqsat.cli.rules.app, [str(each) for each in arguments])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line on stderr, which is an error; nothing is on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("eqsat: error: ")
    return line


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.egg"
    path.write_text(f";; SECTION algebra\n{HEADER}{RELU}{HEADER}{WRONG}")
    return path


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> list[Order]:
    """A stand-in that finds every rule tested but those whose name says that they are wrong."""
    orders: list[Order] = []

    def judge_all(order: Order, limits: Limits) -> Iterator[Judged]:
        orders.append(order)
        for name in order.names:
            if "wrong" in name:
                yield Judged(rule=name, level=None, num_instances=3, reason="the sides differ", script="print(1)\n")
            else:
                yield Judged(rule=name, level=Level.TESTED, num_instances=order.num_instances)

    monkeypatch.setattr(judging, "judge_all", judge_all)
    return orders


# --- list and show ------------------------------------------------------------------------------------------------


def test_rules_are_listed_a_line_each(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--rules", own) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["rule", "ruleset", "group", "floats", "soundness", "source"]
    assert ["own-relu", "simp", "algebra", "exact", "", "by definition"] in lines
    assert all(line[1] != "facts" for line in lines)


def test_the_list_may_be_narrowed(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--rules", own, "--ruleset", "simp", "--group", "algebra", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["ruleset"] for row in found} == {"simp"}
    assert {row["group"] for row in found} == {"algebra"}
    assert {"name": "own-relu", "place": f"{own}:5"}.items() <= found[-1].items()


def test_a_rule_is_shown_with_its_header_and_both_sides(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "relu.svg"
    assert run("show", "own-relu", "--rules", own, "--svg", picture) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{own}:5:1: own-relu\n")
    for text in ("; SOURCE    by definition", RELU.strip(), "==>", "┌"):
        assert text in out
    assert out.count("│ Relu │") == 3
    ET.fromstring(picture.read_text())  # noqa: S314


def test_both_directions_have_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.egg"
    path.write_text(HEADER + '(birewrite (Neg (Relu x)) (Min (Cons (Neg x) (Nil))) :ruleset opt :name "own-both")\n')
    assert run("show", "own-both", "--rules", path) == 0
    assert "and back: own-both-rev" in capsys.readouterr().out


# --- check and test -----------------------------------------------------------------------------------------------


def test_a_sound_file_is_one_line(judge: list[Order], own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.write_text(HEADER + RELU)
    assert run("check", own, "--num-instances", 7, "--seed", 5) == 0
    assert capsys.readouterr().out == "1 rule: 1 tested\n"
    assert judge == [Order(files=(str(own),), names=("own-relu",), num_instances=7, seed=5)]


def test_an_unsound_rule_is_a_line_with_its_counterexample(
    judge: list[Order], own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", own, "--scripts", tmp_path / "scripts") == 4
    script = tmp_path / "scripts" / "own-wrong.py"
    assert capsys.readouterr().out == f"{own}:9:1: own-wrong: the sides differ; run {script}\n"
    assert script.read_text() == "print(1)\n"


def test_without_a_folder_the_counterexample_is_named(
    judge: list[Order], own: Path, temp_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", own) == 4
    path = Path(capsys.readouterr().out.split("; run ")[1].strip())
    assert path.read_text() == "print(1)\n"


def test_what_the_text_says_comes_first(judge: list[Order], own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.write_text(HEADER + RELU.replace("(Relu x) :ruleset", "(Relu q) :ruleset"))
    assert run("check", own) == 4
    assert capsys.readouterr().out == f"{own}:4:32: own-relu: `q` is not bound by the left side\n"
    assert judge == []


def test_findings_as_json(judge: list[Order], own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", own, "--json") == 4
    found = json.loads(capsys.readouterr().out)
    assert [rule["level"] for rule in found["rules"]] == ["tested", None]
    (complaint,) = found["complaints"]
    assert {"file": str(own), "line": 9, "column": 1, "rule": "own-wrong"}.items() <= complaint.items()


def test_the_text_alone_may_be_checked(judge: list[Order], own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", own, "--static") == 0
    assert capsys.readouterr().out == "2 rules: nothing is wrong with their text\n"
    assert judge == []


def test_one_rule_is_judged(judge: list[Order], own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", "own-relu", "--rules", own, "--num-instances", 9) == 0
    assert capsys.readouterr().out.startswith("own-relu: tested\n  both sides are equal at 9 random instances\n")
    assert run("test", "own-wrong", "--rules", own, "--script", tmp_path / "show.py") == 4
    assert "own-wrong: refused: the sides differ" in capsys.readouterr().out
    assert (tmp_path / "show.py").read_text() == "print(1)\n"


# --- with a model -------------------------------------------------------------------------------------------------


def test_why_not_says_what_is_missing(own: Path, model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own.write_text(HEADER + RELU.replace("(Relu (Relu x))", "(Relu (Tanh x))"))
    assert run("why-not", "own-relu", model_path, "--rules", own) == 0
    assert capsys.readouterr().out.splitlines() == [
        "own-relu takes no part on this model: the model has no Tanh, and no rule that takes part makes one",
        "own-relu comes closest at `y` (Relu): 1 of 2 demands are met",
        "  but `x` is an input of the model; the rule wants a Tanh",
    ]
    assert run("why-not", "own-relu", model_path, "--rules", own, "--node", "y", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["places"][0]["missing"] == ["`x` is an input of the model; the rule wants a Tanh"]


def test_operators_are_listed_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("operators") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "operator\tin a rule\tfor example\trules"
    assert any(line.startswith("Softmax\t(Softmax x axis)\t(Softmax x -1)\t") for line in lines)
    assert run("operators", "Gather") == 0
    assert capsys.readouterr().out.startswith("(Gather x y axis)\n")
    assert run("operators", "Gather", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "Gather"
    assert run("operators", "Gahter") == 2
    assert "did you mean 'Gather'" in capsys.readouterr().err


def test_a_shape_that_is_given_is_known_to_a_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rule asks for numbers above zero, and the model has symbols."""
    path = tmp_path / "own.egg"
    path.write_text(
        "; SOURCE x\n; FLOATS exact\n(rewrite (Relu (Neg x)) (Relu (Neg x))\n"
        '  :when ((= (shape x) (S2 a b)) (> a 1) (> b 6)) :ruleset opt :name "own-shape")\n'
    )
    node = onnx.helper.make_node
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", "m"]) for name in ("x", "z")]
    graph = onnx.helper.make_graph([node("Neg", ["x"], ["y"]), node("Relu", ["y"], ["z"])], "g", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save_model(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "m.onnx")
    answers = []
    for shapes in (
        (),
        ("--input-shape", "x:5,7"),
        ("--input-shape", "n=5", "--input-shape", "m=7"),
        ("--input-shape", "1,7"),
    ):
        assert run("why-not", "own-shape", tmp_path / "m.onnx", "--rules", path, *shapes, "--json") == 0
        (found,) = json.loads(capsys.readouterr().out)
        answers.append(bool(found["matches"]))
    assert answers == [False, True, True, False]
    assert run("why-not", "own-shape", tmp_path / "m.onnx", "--rules", path, "--input-shape", "q=3") == 2
    assert "there are the inputs x" in capsys.readouterr().err
    assert run("new", "--from", tmp_path / "m.onnx", "--nodes", "z,y", "--input-shape", "n=4") == 0


def test_stats_count_what_was_applied(own: Path, model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stats", model_path, "--rules", own, "--no-prices") == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["rule", "matches", "applied", "time", "e-nodes", "gain"]
    assert any(line[0] == "own-wrong" for line in lines)


def test_a_new_rule_starts_from_a_model(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "--from", model_path, "--nodes", "y,z", "--name", "relu-twice") == 0
    out = capsys.readouterr().out
    assert "(rewrite (Relu (Relu x))\n         right-side" in out
    assert ':name "relu-twice"' in out


def test_new_rules_are_proposed_as_entries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("infer", "--operators", "Relu", "--max-operators", 2, "--derivable", "--time-limit", "30s") == 0
    out, err = capsys.readouterr()
    assert err.endswith("left out: numbers, 2 operators: not enumerated\n1 rule found\n")
    assert "follows from the rules that are there" in out
    path = tmp_path / "found.egg"
    path.write_text(out)
    assert run("check", path, "--static") == 0


# --- ends ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "gelu-erff"), 2, "there is no rule 'gelu-erff'; did you mean 'gelu-erf'"),
        (("list", "--ruleset", "moon"), 2, "there is no ruleset 'moon' (there are: facts, opt, simp)"),
        (("list", "--group", "moon"), 2, "there is no group 'moon'"),
        (("check", "--time-limit", "soon"), 2, "soon"),
        (("check", "a.egg", "--record"), 2, "--record"),
        (("why-not", "gelu-erf", "missing.onnx"), 3, "missing.onnx does not exist"),
        (("bench", "gelu-erf", "missing.onnx"), 3, "missing.onnx does not exist"),
        (("stats", "missing.onnx"), 3, "missing.onnx does not exist"),
        (("new", "--from", "missing.onnx", "--nodes", "a"), 3, "missing.onnx does not exist"),
        (("new", "--nodes", "a"), 2, "--from"),
        (("infer", "--operators", "Moon"), 2, "no terms can be made of Moon"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    assert run(*arguments) == code
    assert said in one_line(capsys)


def test_a_node_that_is_not_there_is_one_line(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "--from", model_path, "--nodes", "nowhere") == 2
    assert "the model has no node `nowhere`" in one_line(capsys)


def test_a_broken_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.egg"
    path.write_text("(rewrite (Relu x)\n")
    assert run("list", "--rules", path) == 4
    assert f"{path}:1:" in one_line(capsys)


def test_the_commands_are_part_of_eqsat(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(eqsat.cli.console.app, ["rules", "show", load_rules().rules[-1].entry]) == 0
    assert call(eqsat.cli.console.app, ["rules", "--help"]) == 0
    out = capsys.readouterr().out
    for command in ("list", "show", "operators", "check", "test", "why-not", "stats", "bench", "new", "infer"):
        assert command in out
    assert call(eqsat.cli.rules.app, []) == 0


def test_an_interruption_is_one_line(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def judge_all(order: Order, limits: Limits) -> Iterator[Judged]:
        yield from ()
        raise KeyboardInterrupt

    monkeypatch.setattr(judging, "judge_all", judge_all)
    assert run("check", own) == 130
    assert "interrupted" in one_line(capsys)


# --- files that mean harm -----------------------------------------------------------------------------------------


ENDLESS = (
    "(relation steps (Tensor i64))\n"
    '(rule ((= y (Relu x))) ((steps y 0)) :ruleset facts :name "own-first")\n'
    '(rule ((steps x n) (> n -1)) ((steps x (+ n 1))) :ruleset facts :name "own-next")\n'
    + HEADER
    + '(rewrite (Relu (Tanh x)) x :when ((steps x n)) :ruleset opt :name "own-endless")\n'
)


MILLION = (
    "(relation spot (Tensor i64))\n(relation twin (Tensor i64 i64))\n"
    '(rule ((= y (Relu x))) ((spot y 0)) :ruleset facts :name "own-first")\n'
    '(rule ((spot x i) (< i 1000)) ((spot x (+ i 1))) :ruleset facts :name "own-next")\n'
    '(rule ((spot x i) (spot x j)) ((twin x i j)) :ruleset facts :name "own-twin")\n'
    + HEADER
    + "(rewrite (Relu (Tanh x)) (Tanh (Relu x))\n"
    '  :when ((= y (Relu (Tanh x))) (twin y i j)) :ruleset opt :name "own-many")\n'
)
"""Each match of the rule is a million."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(py-exec \"open('harm', 'w')\")\n", "`py-exec` may not stand in a rules file"),
        ('(output "harm" (Relu x))\n', "`output` may not stand in a rules file"),
        ('(input steps "/etc/passwd")\n', "`input` may not stand in a rules file"),
        ('(include "/etc/passwd")\n', "`include` may not stand in a rules file"),
        ("(run-schedule (saturate (run)))\n", "`run-schedule` may not stand in a rules file"),
        (f"(rule ((= y {'(Relu ' * 100_000}x{')' * 100_000})) ())\n", "nested more than 200 deep"),
        (ENDLESS, "own-endless: judging it came to no end within 6 s"),
        (MILLION, "own-many: judging it "),
    ],
    ids=["py-exec", "output", "input", "include", "schedule", "deep", "endless", "million"],
)
def test_a_hostile_file_has_no_effect_and_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own.egg"
    path.write_text(text)
    assert run("check", path, "--time-limit", "6s", "--memory-limit", "1GiB") == 4
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path}:")
    assert said in line
    assert [file.name for file in tmp_path.iterdir()] == ["own.egg"]

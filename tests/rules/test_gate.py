from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from eqsat.egglog.commands import (
    Command,
    EgglogError,
    EGraph,
    Location,
    RuleCommand,
    parse,
    run,
    run_once,
    saturate,
)
from eqsat.egglog.schema import schema_text
from eqsat.errors import RulesError
from eqsat.rules import NOOP, Program, RuleBook, RuleKind, declare, gate, load_rules
from ir.operators import OPERATORS


def lines(program: Program) -> list[str]:
    return [
        re.sub(r"\s+", " ", str(command)).replace(" )", ")").replace(" (Absent)", " (Absent)")
        for command in program.commands
    ]


def test_golden_program_of_a_rewrite(gated: Callable[..., Program]) -> None:
    program = gated(
        '(rewrite (Reshape (Add a (Neg b)) (S2 n m)) (Reshape (Sub a b) (S1 (* n m))) :ruleset opt :name "flatten")'
    )
    assert lines(program) == [
        "(ruleset facts)",
        "(ruleset simp)",
        "(ruleset noop)",
        "(ruleset find/flatten)",
        "(relation Add~ (Tensor Tensor Tensor))",
        '(rule ((= y (Add x0 x1))) ((Add~ x0 x1 y) (Add~ x1 x0 y)) :ruleset facts :name "view-Add")',
        "(relation Mul~ (Tensor Tensor Tensor))",
        '(rule ((= y (Mul x0 x1))) ((Mul~ x0 x1 y) (Mul~ x1 x0 y)) :ruleset facts :name "view-Mul")',
        "(relation match/flatten (Tensor Tensor Tensor i64))",
        "(relation noop/flatten (Tensor Tensor Tensor i64))",
        "(rule ((= root_ (Reshape view0_ (S2 n m))) (= made0_ (* n m)) (Add~ a (Neg b) view0_))"
        ' ((match/flatten root_ a b made0_)) :ruleset find/flatten :name "match/flatten")',
        "(rule ((match/flatten root_ a b made0_) (= root_ (Reshape (Sub a b) (S1 made0_))))"
        ' ((noop/flatten root_ a b made0_)) :ruleset noop :name "noop/flatten")',
    ]
    (gated_rule,) = program.gated
    assert gated_rule.variables == ("root_", "a", "b", "made0_")
    assert gated_rule.sorts == ("Tensor", "Tensor", "Tensor", "i64")
    assert (gated_rule.match, gated_rule.noop, gated_rule.match_ruleset) == (
        "match/flatten",
        "noop/flatten",
        "find/flatten",
    )


def test_golden_program_of_several_roots(gated: Callable[..., Program]) -> None:
    program = gated(
        """(rule ((= y1 (MatMul x w1)) (= y2 (MatMul x w2)) (= w1 (Const k1)) (= w2 (Const k2)) (< k1 k2)
               (= (shape w1) (S2 n a)) (= (shape w2) (S2 n b)))
         ((let axis (- (rank x) 1))
          (let m (Split (MatMul x (Concat (Cons w1 (Cons w2 (Nil))) 1)) axis (vec-of a b)))
          (union y1 (Out m 0)) (union y2 (Out m 1)) (finite y1) (set (rank y1) 2))
         :ruleset opt :name "merge")"""
    )
    split = "(Split (MatMul x (Concat (Cons w1 (Cons w2 (Nil))) 1)) axis (vec-of a b))"
    columns = "x w1 w2 axis a b y1 y2"
    assert lines(program)[-2:] == [
        "(rule ((= y1 (MatMul x w1)) (= y2 (MatMul x w2)) (= w1 (Const k1)) (= w2 (Const k2)) (< k1 k2)"
        " (= (shape w1) (S2 n a)) (= (shape w2) (S2 n b)) (= axis (- (rank x) 1)))"
        f' ((match/merge {columns})) :ruleset find/merge :name "match/merge")',
        f"(rule ((match/merge {columns}) (= m {split}) (= y1 (Out m 0)) (= y2 (Out m 1)) (finite y1)"
        f' (= (rank y1) 2)) ((noop/merge {columns})) :ruleset noop :name "noop/merge")',
    ]
    assert program.gated[0].sorts == ("Tensor", "Tensor", "Tensor", "i64", "i64", "i64", "Tensor", "Tensor")


def test_the_other_kinds_run_as_they_are(gated: Callable[..., Program]) -> None:
    program = gated(
        '(rewrite (Neg (Neg x)) x :ruleset simp :name "neg-neg")',
        '(rule ((= y (Reshape x (S1 n)))) ((set (rank y) (shape-rank x))) :ruleset facts :name "known")',
        "(function shape-rank (Tensor) i64 :merge (min old new))",
    )
    assert program.gated == ()
    assert lines(program)[-2:] == [
        '(rule ((= root_ (Neg (Neg x)))) ((union root_ x)) :ruleset simp :name "neg-neg")',
        "(rule ((= y (Reshape x (S1 n))) (= made0_ (shape-rank x))) ((set (rank y) made0_))"
        ' :ruleset facts :name "known")',
    ]
    assert lines(program)[3] == "(function shape-rank (Tensor) i64 :merge (min old new))"


def test_rulesets_of_the_schema_are_not_declared_again(book: Callable[..., RuleBook], schema: list[Command]) -> None:
    schema += parse(EGraph(), "(ruleset facts)", Location("s", 1, 1))
    program = gate(book(), schema)
    egraph = EGraph()
    run(egraph, *schema)
    declare(egraph, program)
    assert lines(program)[0] == "(ruleset simp)"


class Toy:
    """An e-graph with a gated program, addressed by the text of its terms."""

    def __init__(self, egraph: EGraph, program: Program, *commands: str) -> None:
        self.egraph = egraph
        self.program = program
        self.add(*commands)

    def add(self, *commands: str) -> None:
        run(self.egraph, *parse(self.egraph, "\n".join(commands), Location("toy", 1, 1)))

    def step(self) -> None:
        run(self.egraph, saturate(RuleKind.FACTS), saturate(RuleKind.SIMP), saturate(RuleKind.FACTS))
        for rule in self.program.gated:
            run(self.egraph, run_once(rule.match_ruleset))
        run(self.egraph, run_once(NOOP))

    def count(self, relation: str) -> int:
        return len(self.egraph.freeze().functions[relation].rows)

    def choose(self, name: str, *terms: str) -> None:
        """Do what the head of a rule says, its variables being these terms."""
        (gated,) = (each for each in self.program.gated if each.rule.name == name)
        texts = dict(zip(gated.variables, terms, strict=True))
        head = " ".join(map(str, gated.head))
        pattern = "|".join(map(re.escape, texts))
        self.add(re.sub(rf"(?<![\w~-])(?:{pattern})(?![\w~-])", lambda found: texts[found[0]], head))

    def holds(self, fact: str) -> bool:
        try:
            self.add(f"(check {fact})")
        except EgglogError:
            return False
        return True


@pytest.fixture
def toy(declared: Callable[[Program], EGraph], gated: Callable[..., Program]) -> Callable[..., Toy]:
    def make(rules: list[str], *commands: str) -> Toy:
        program = gated(*rules)
        return Toy(declared(program), program, *commands)

    return make


X, Y, Z = (f'(Input "{name}")' for name in "xyz")
SUB = '(rewrite (Add a (Neg b)) (Sub a b) :ruleset opt :name "add-neg")'


def test_nothing_is_applied_that_was_not_chosen(toy: Callable[..., Toy]) -> None:
    graph = toy([SUB], f"(Add {X} (Neg {Y}))")
    graph.step()
    assert graph.count("match/add-neg") == 1
    assert graph.count("noop/add-neg") == 0
    assert not graph.holds(f"(Sub {X} {Y})")
    graph.choose("add-neg", f"(Add {X} (Neg {Y}))", X, Y)
    assert graph.holds(f"(= (Sub {X} {Y}) (Add {X} (Neg {Y})))")
    graph.step()
    assert graph.count("match/add-neg") == graph.count("noop/add-neg") == 1


def test_only_the_candidate_chosen_is_applied(toy: Callable[..., Toy]) -> None:
    graph = toy([SUB], f"(Add {X} (Neg {Y}))", f"(Add {Z} (Neg {Y}))")
    graph.step()
    assert graph.count("match/add-neg") == 2
    graph.choose("add-neg", f"(Add {Z} (Neg {Y}))", Z, Y)
    assert graph.holds(f"(Sub {Z} {Y})")
    assert not graph.holds(f"(Sub {X} {Y})")


@pytest.mark.parametrize("term", [f"(Add {X} (Neg {Y}))", f"(Add (Neg {Y}) {X})"])
def test_a_commutative_operator_matches_in_both_orders(toy: Callable[..., Toy], term: str) -> None:
    graph = toy([SUB], term)
    graph.step()
    assert graph.count("match/add-neg") == 1
    graph.choose("add-neg", term, X, Y)
    assert graph.holds(f"(= {term} (Sub {X} {Y}))")


@pytest.mark.parametrize("first", [f"{X} (Mul {Y} (Erf {Z}))", f"(Mul {Y} (Erf {Z})) {X}", f"(Mul (Erf {Z}) {Y}) {X}"])
def test_nested_products_match_in_every_order(toy: Callable[..., Toy], first: str) -> None:
    graph = toy(
        ['(rewrite (Mul x (Mul h (Erf z))) (Bias x z) :when ((near h 0.5)) :ruleset opt :name "half")'],
        f"(Mul {first})",
        f"(near {Y} 0.5)",
    )
    graph.step()
    assert graph.count("match/half") == 1


def test_a_call_that_stays_plain_still_matches_any_order(toy: Callable[..., Toy]) -> None:
    rules = ['(rewrite (Mul (Add a b) c) (Add (Mul a c) (Mul b c)) :ruleset opt :name "distribute")']
    graph = toy(rules, f"(Mul {Z} (Add {X} {Y}))")
    graph.step()
    assert graph.count("match/distribute") == 1


def test_a_candidate_binds_only_what_its_head_uses(toy: Callable[..., Toy]) -> None:
    rule = '(rule ((= y (Add (Neg a) (Erf b)))) ((union y (Relu y))) :ruleset opt :name "few")'
    graph = toy([rule], f"(let s (Add (Neg {X}) (Erf {Y})))", f"(union s (Add (Neg {Z}) (Erf {Y})))")
    graph.step()
    assert graph.program.gated[0].variables == ("y",)
    assert graph.count("match/few") == 1


def test_a_candidate_is_a_noop_only_when_all_of_its_head_holds(toy: Callable[..., Toy]) -> None:
    rule = """(rule ((= y (Neg x)) (= z (Erf x))) ((let r (Relu x)) (union y r) (union z r) (finite r))
               :ruleset opt :name "three")"""
    graph = toy([rule], f"(Neg {X})", f"(Erf {X})", f"(union (Neg {X}) (Relu {X}))", f"(union (Erf {X}) (Relu {X}))")
    graph.step()
    assert (graph.count("match/three"), graph.count("noop/three")) == (1, 0)
    graph.add(f"(finite (Relu {X}))")
    graph.step()
    assert graph.count("noop/three") == 1


def test_a_computation_that_fails_is_no_match(toy: Callable[..., Toy]) -> None:
    rule = '(rewrite (Reshape x (S2 n m)) (Reshape x (S1 (/ n m))) :ruleset opt :name "divide")'
    graph = toy([rule], f"(Reshape {X} (S2 6 0))", f"(Reshape {Y} (S2 6 2))")
    graph.step()
    assert graph.count("match/divide") == 1
    graph.choose("divide", f"(Reshape {Y} (S2 6 2))", Y, "3")
    assert graph.holds(f"(= (Reshape {Y} (S2 6 2)) (Reshape {Y} (S1 3)))")


def test_a_head_may_look_facts_up_and_an_unknown_fact_is_no_match(toy: Callable[..., Toy]) -> None:
    rule = '(rewrite (Neg x) (Reshape (Relu x) (shape x)) :ruleset opt :name "look")'
    graph = toy([rule], f"(Neg {X})", f"(Neg {Y})", f"(set (shape {Y}) (S1 4))")
    graph.step()
    assert graph.count("match/look") == 1
    graph.choose("look", f"(Neg {Y})", Y, "(S1 4)")
    assert graph.holds(f"(= (Neg {Y}) (Reshape (Relu {Y}) (S1 4)))")


def test_both_directions_of_a_birewrite_are_gated_and_undo_each_other(toy: Callable[..., Toy]) -> None:
    graph = toy(['(birewrite (Neg (Erf x)) (Erf (Neg x)) :ruleset opt :name "swap")'], f"(Erf (Neg {X}))")
    graph.step()
    assert (graph.count("match/swap"), graph.count("match/swap-rev")) == (0, 1)
    graph.choose("swap-rev", f"(Erf (Neg {X}))", X)
    graph.step()
    assert [graph.count(name) for name in ("match/swap", "noop/swap", "noop/swap-rev")] == [1, 1, 1]


def test_staged_facts_and_simplification_run_without_being_chosen(toy: Callable[..., Toy]) -> None:
    rules = [
        "(relation doubled (Tensor Tensor))",
        '(rule ((= y (Add x x))) ((doubled y x)) :ruleset facts :name "doubled-add")',
        '(rewrite (Neg (Neg x)) x :ruleset simp :name "neg-neg")',
        '(rule ((doubled y x)) ((union y (Bias x x))) :ruleset opt :name "use")',
    ]
    graph = toy(rules, f"(Add {X} (Neg (Neg {X})))")
    graph.step()
    assert graph.holds(f"(= {X} (Neg (Neg {X})))")
    assert graph.count("match/use") == 1


def test_egglog_errors_are_placed_in_the_rules_file(
    book: Callable[..., RuleBook], schema: list[Command], gated: Callable[..., Program]
) -> None:
    program = gated('(rewrite (Neg x) x :ruleset opt :name "a")')
    with pytest.raises(EgglogError):
        declare(EGraph(), program)
    egraph = EGraph()
    run(egraph, *[command for command in schema if "finite" not in str(command)])
    rule = '(rule ((= y (Neg x))\n  (finite x)) ((union y x)) :ruleset opt :name "a")'
    with pytest.raises(RulesError, match=r"^r\.egg:4:3: Unbound function finite$"):
        declare(egraph, gate(book(rule), schema))


def test_the_same_rules_make_the_same_program(gated: Callable[..., Program]) -> None:
    rules = [SUB, '(rewrite (Neg (Neg x)) x :ruleset simp :name "neg-neg")']
    assert lines(gated(*rules)) == lines(gated(*rules))


def test_the_rules_that_ship_are_accepted_by_the_schema_that_ships() -> None:
    egraph = EGraph()
    schema = parse(egraph, schema_text(), Location("schema.egg", 1, 1))
    commutative = frozenset(name for name, operator in OPERATORS.items() if operator.is_commutative)
    program = gate(load_rules(), schema, commutative=commutative)
    run(egraph, *schema)
    declare(egraph, program)
    names = [command.rule.name for command in program.commands if isinstance(command, RuleCommand)]
    assert len(names) == len(set(names))
    assert {f"view-{name}" for name in commutative} <= set(names)
    assert all(command.rule.ruleset for command in program.commands if isinstance(command, RuleCommand))

from __future__ import annotations

from pathlib import Path

import pytest

from eqsat.egglog.commands import Location
from eqsat.errors import RulesError, UsageError
from eqsat.rules import DropReason, FloatClass, RuleKind, load_rules, read_rules, shipped_rules_path

ENTRY = """
;; SECTION layout

; SOURCE    (A B)^T
;           = B^T A^T
; REQUIRES  both of rank 2
; FLOATS    reassociates
; INSTANCE  a=f32[2,3] b=f32[3,4]
; INSTANCE  a=f64[1,1]
; NEAR-MISS a of rank 3
(birewrite (Transpose (MatMul a b) (vec-of 1 0))
           (MatMul (Transpose b (vec-of 1 0)) (Transpose a (vec-of 1 0)))
  :when ((= 2 (rank a)) (near b 0.5)) :ruleset opt :name "matmul-transpose")
"""


def rule(header: str, form: str) -> str:
    return "".join(f"; {line}\n" for line in header.split("|") if line) + form


def simple(name: str, floats: str = "exact", made: str = "Neg") -> str:
    return rule(f"SOURCE s|FLOATS {floats}", f'(rewrite (Relu x) ({made} x) :ruleset opt :name "{name}")\n')


def test_an_entry_says_all_about_both_directions() -> None:
    forth, back = read_rules([(ENTRY, "r.egg")]).rules
    assert (forth.name, back.name) == ("matmul-transpose", "matmul-transpose-rev")
    assert forth.entry == back.entry == "matmul-transpose"
    assert forth.kind is RuleKind.OPT
    assert forth.group == "layout"
    assert forth.source == "(A B)^T = B^T A^T"
    assert forth.requires == "both of rank 2"
    assert forth.floats is FloatClass.REASSOCIATES
    assert forth.instances == ("a=f32[2,3] b=f32[3,4]", "a=f64[1,1]")
    assert forth.near_misses == ("a of rank 3",)
    assert forth.location == Location("r.egg", 11, 1)
    assert forth.literals == (0.5,)
    assert forth.operators_matched == {"Transpose", "MatMul"}
    assert forth.operators_made == frozenset()
    assert str(back.body[0]) == "(= root_ (MatMul (Transpose b (vec-of 1 0)) (Transpose a (vec-of 1 0))))"
    assert [str(action) for action in back.head] == ["(union root_ (Transpose (MatMul a b) (vec-of 1 0)))"]


def test_a_group_of_its_own_wins_over_the_section() -> None:
    text = ";; SECTION one\n\n" + rule("SOURCE s|FLOATS exact|GROUP two", simple("a").split("\n", 2)[2])
    assert read_rules([(text, "r")]).rules[0].group == "two"


def test_operators_made_are_those_the_left_side_lacks() -> None:
    (found,) = read_rules([(simple("a", made="Gelu"), "r")]).rules
    assert found.operators_matched == {"Relu"}
    assert found.operators_made == {"Gelu"}


def test_facts_need_only_a_name() -> None:
    text = '(relation even (Tensor))\n(rule ((= y (Relu x))) ((even y)) :ruleset facts :name "even-relu")'
    found = read_rules([(text, "r")])
    assert found.rules[0].floats is FloatClass.EXACT
    assert [declaration.name for declaration in found.declarations] == ["even"]


REWRITE = '(rewrite (Relu x) x :ruleset opt :name "n")'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (REWRITE, "r:1:1: this rewrite has no `; SOURCE` comment above it"),
        (rule("SOURCE s", REWRITE), "r:2:1: this rewrite has no `; FLOATS` comment above it"),
        (rule("SOURCE s|FLOATS exactly", REWRITE), "r:2:1: `exactly` is no float class; write one of: exact, rounds"),
        (rule("SOURCE s|FLOATS exact", "\n" + REWRITE), "r:4:1: this rewrite has no `; SOURCE`"),
        (rule("SOURCE s|FLOATS", REWRITE), "r:2:1: `FLOATS` says nothing"),
        (rule("SOURCE s|SOURCE t|FLOATS exact", REWRITE), "r:2:1: `SOURCE` stands here for the second time"),
        (rule("REQIURES  x|SOURCE s|FLOATS exact", REWRITE), "r:1:1: `REQIURES` is no key; the keys are: FLOATS,"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace(":name", ":nam")), "r:3:1: could not parse rewrite options"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace(' :name "n"', "")), "r:3:1: this rewrite has no `:name`"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace('"n"', '"N_1"')), "r:3:1: `N_1` is no name such as"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace("opt", "best")), "r:3:1: `n` is in ruleset `best`; give it one"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace(":ruleset opt ", "")), "r:3:1: `n` is in no ruleset; give it"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace("opt", "facts")), "r:3:1: `n` rewrites; ruleset facts takes"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace("(Relu x) x", "x\n (Relu x)")), "r:3:10: the side that is matc"),
        (rule("SOURCE s|FLOATS exact", REWRITE.replace("x", "x_")), "r:3:16: `x_`: variables do not end in `_`"),
        (simple("n") + simple("n"), "r:6:1: `n` is already declared at r:3:1"),
        (ENTRY + simple("matmul-transpose-rev"), "r:16:1: `matmul-transpose-rev` is already declared at r:11:1"),
        ("(relation a ())\n (relation a ())", "r:2:2: `a` is already declared at r:1:1"),
    ],
)
def test_a_broken_entry_is_refused_where_it_is_broken(text: str, message: str) -> None:
    with pytest.raises(RulesError) as caught:
        read_rules([(text, "r")])
    assert str(caught.value).startswith(message)


def test_prose_is_no_key() -> None:
    text = "; ONNX has no such operator.\n" + simple("a")
    assert read_rules([(text, "r")]).rules[0].source == "s"


def test_selection_says_why_each_rule_was_dropped() -> None:
    grouped = rule("SOURCE s|FLOATS exact|GROUP odd", simple("e").split("\n", 2)[2])
    texts = [simple("a"), simple("b", "finite"), simple("c", "approximates"), simple("d", made="Gelu"), grouped]
    book = read_rules([("".join(texts) + ENTRY, "r")])
    chosen = book.select(
        skip=("odd", "matmul-transpose"), is_strict=True, available_operators=frozenset({"Neg", "Relu"})
    )
    assert [rule.name for rule in chosen.rules] == ["a"]
    assert {name: drop.reason for name, drop in chosen.dropped.items()} == {
        "b": DropReason.ASSUMES_FINITE,
        "c": DropReason.NOT_ENABLED,
        "d": DropReason.UNAVAILABLE,
        "e": DropReason.SKIPPED,
        "matmul-transpose": DropReason.SKIPPED,
        "matmul-transpose-rev": DropReason.SKIPPED,
    }
    assert str(chosen.dropped["d"]) == "makes an operator that is not available here: Gelu"
    assert [rule.name for rule in book.select(enable=("c",), skip=("matmul-transpose-rev",)).rules] == [
        "a",
        "b",
        "c",
        "d",
        "e",
        "matmul-transpose",
    ]
    assert book.select(skip=("opt",)).rules == ()
    assert book.dropped == {}


def test_a_tier_is_off_until_it_or_its_rule_is_named() -> None:
    tiered = [rule("SOURCE s|FLOATS exact|TIER wide", simple(name).split("\n", 2)[2]) for name in ("a", "b")]
    book = read_rules([("".join(tiered) + simple("c"), "r")])
    assert [each.tier for each in book.rules] == ["wide", "wide", ""]
    chosen = book.select()
    assert [each.name for each in chosen.rules] == ["c"]
    assert str(chosen.dropped["a"]) == "is in a tier that is not switched on: wide"
    assert [each.name for each in book.select(enable=("wide",)).rules] == ["a", "b", "c"]
    assert [each.name for each in book.select(enable=("b",)).rules] == ["b", "c"]


def test_list_cells_and_shapes_are_always_available() -> None:
    text = rule("SOURCE s|FLOATS exact", '(rewrite (Relu x) (Neg (Reshape x (S1 2))) :ruleset opt :name "a")')
    book = read_rules([(text, "r")])
    assert len(book.select(available_operators=frozenset({"Neg", "Reshape"})).rules) == 1


@pytest.mark.parametrize("argument", ["skip", "enable"])
def test_a_name_that_no_rule_answers_to_is_an_error(argument: str) -> None:
    book = read_rules([(simple("a"), "r")])
    with pytest.raises(UsageError, match="no rule, group or ruleset 'aa'"):
        book.select(**{argument: ("aa",)})  # type: ignore[arg-type]


def test_literals_of_all_rules_come_in_order() -> None:
    second = simple("a").replace("x) :ruleset", "x) :when ((near x -2.0) (near x 0.5)) :ruleset")
    assert read_rules([(ENTRY + second, "r")]).literals == (-2.0, 0.5)


def test_rules_are_found_by_name_and_kind() -> None:
    book = read_rules([(simple("a") + ENTRY, "r")])
    assert book.rule("matmul-transpose-rev").name == "matmul-transpose-rev"
    with pytest.raises(KeyError):
        book.rule("b")
    assert len(book.of_kind(RuleKind.OPT)) == 3
    assert book.of_kind(RuleKind.SIMP) == ()


def test_files_add_up(tmp_path: Path) -> None:
    (tmp_path / "mine.egg").write_text(simple("a-rule-of-mine"))
    shipped = load_rules()
    both = load_rules([tmp_path / "mine.egg"])
    assert [rule.name for rule in both.rules] == [*(rule.name for rule in shipped.rules), "a-rule-of-mine"]
    assert [rule.name for rule in load_rules([str(tmp_path / "mine.egg")], include_shipped=False).rules] == [
        "a-rule-of-mine"
    ]
    assert shipped_rules_path().name == "rules.egg"

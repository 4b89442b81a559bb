from __future__ import annotations

import pytest

from eqsat.egglog.commands import (
    EgglogError,
    EGraph,
    Location,
    RuleCommand,
    assert_fact,
    call,
    int_lit,
    location_of,
    parse,
    run,
    run_once,
    saturate,
    set_value,
    var,
)

START = Location("folder/some file.egg", 10, 5)


def test_a_parse_error_is_placed_in_the_file() -> None:
    with pytest.raises(EgglogError) as caught:
        parse(EGraph(), "(rule ((= a b c)) ())", START)
    assert caught.value.location == Location("some file.egg", 10, 12)
    assert caught.value.message == "usage: (= <expr> <expr>)"


def test_a_type_error_on_a_later_line_keeps_its_own_column() -> None:
    egraph = EGraph()
    run(egraph, *parse(egraph, "(relation r (i64))", START))
    with pytest.raises(EgglogError) as caught:
        run(egraph, *parse(egraph, "(rule ((r x))\n   ((r y)))", START))
    assert caught.value.location == Location("some file.egg", 11, 8)
    assert caught.value.message == "Unbound symbol y"
    assert not caught.value.is_fatal


def test_terms_know_their_place_and_built_ones_have_none() -> None:
    (command,) = parse(EGraph(), "(rule ((r x))\n   ((r y)))", START)
    assert isinstance(command, RuleCommand)
    assert location_of(command.rule.span) == START
    assert location_of(command.rule.head[0].span) == Location(START.file, 11, 5)
    assert location_of(var("x").span) is None


def test_a_panic_is_an_ordinary_exception() -> None:
    egraph = EGraph()
    rule = parse(egraph, '(rule ((r x)) ((r x)) :name "twice")', START)
    run(egraph, *parse(egraph, "(relation r (i64))", START), *rule)
    with pytest.raises(EgglogError, match="'twice' was already present") as caught:
        run(egraph, *rule)
    assert caught.value.is_fatal


def test_other_exceptions_pass_through() -> None:
    with pytest.raises(TypeError):
        run(EGraph(), "no command")  # type: ignore[arg-type]


def test_a_failed_computation_says_which() -> None:
    egraph = EGraph()
    run(egraph, *parse(egraph, "(relation r (i64)) (ruleset s)", START))
    run(egraph, *parse(egraph, "(rule ((r x)) ((r (/ 1 x))) :ruleset s)", START))
    with pytest.raises(EgglogError, match="call of primitive / failed"):
        run(egraph, assert_fact(call("r", int_lit(0))), run_once("s"))


def test_commands_can_be_built() -> None:
    egraph = EGraph()
    run(egraph, *parse(egraph, "(function f (i64) i64 :merge (max old new)) (ruleset s)", START))
    run(egraph, *parse(egraph, "(rule ((= y (f 0)) (< y 5)) ((set (f 0) (+ y 1))) :ruleset s)", START))
    run(egraph, set_value("f", [int_lit(0)], int_lit(2)), saturate("s"))
    rows = egraph.freeze().functions["f"].rows
    assert [egraph.value_to_i64(row.output) for row in rows] == [5]

"""``eqsat rules`` and ``python -m eqsat.rules``: arguments, what is printed, exit codes; the work is elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from eqsat.cli.face import HELP_NAMES, InterruptedRunError
from eqsat.cli.printing import has_lines, print_json, print_rows, say
from eqsat.cli.rules_on_model import bench, new, stats, why_not
from eqsat.cli.rules_screen import print_complaints
from eqsat.cli.rules_shared import (
    GRACE_S,
    Json,
    MemoryLimit,
    Name,
    Rules,
    Threads,
    TimeLimit,
    limits_of,
    only,
)
from eqsat.errors import RulesError, UsageError
from eqsat.pipeline import output
from eqsat.text import arguments
from eqsat.text.shown import console, echo

if TYPE_CHECKING:
    from eqsat.authoring.tools.complaints import Complaint
    from eqsat.authoring.tools.isolation import Limits
    from eqsat.authoring.tools.judging import Judged, Order

_OPERATORS: Final = "MatMul,Add,Mul,Transpose,Concat,Relu"
"""What terms are made of where nobody says."""


app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP_NAMES)


@app.callback(invoke_without_command=True)
def commands(context: typer.Context) -> None:
    """List, draw, check, test, explain, measure and write rules; docs/tutorial-rules.md shows how."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


# --- list and show --------------------------------------------------------------------------------------------


@app.command("list")
def list_rules(
    rules: Rules = None,
    ruleset: Annotated[
        list[str] | None, typer.Option(metavar="NAMES", help="Only these rulesets: facts, simp, opt.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option(metavar="NAMES", help="Only these groups.")] = None,
    json: Json = False,
) -> int:
    """List the rules: ruleset, group, float class, soundness, source.

    Without --ruleset the rules that only state facts are left out. Soundness is what the last check found for exactly
    this text: proved, tested, or nothing where the rule was changed since.
    """
    from eqsat.authoring.soundness.record import levels
    from eqsat.authoring.tools.catalogue import read_book, rows

    book = read_book(rules or ())
    wanted = arguments.split_names(ruleset or ("simp", "opt"))
    found = rows(book, levels(book), rulesets=wanted, groups=arguments.split_names(group or ()))
    if json:
        print_json([row.to_fields() for row in found])
        return 0
    headings = ("rule", "ruleset", "group", "floats", "soundness", "source")
    cells = [(row.name, row.ruleset, row.group, row.floats, row.level, row.source) for row in found]
    out = console(is_stderr=False)
    print_rows(out, headings, cells, num_left=len(headings))
    if out.is_terminal:
        say(out, f"{len(found)} rules")
    return 0


@app.command("show")
def show(
    name: Name,
    rules: Rules = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the picture to an SVG file too.")] = None,
) -> int:
    """Draw a rule: what it looks for, and what it makes of that.

    Values flow from top to bottom. A box is an operator; a dotted box is a fact, a relation that other rules of the
    file state, and "python -m eqsat.rules list --ruleset facts" lists those. What stands below the drawing must hold
    too.
    """
    from eqsat.authoring.soundness.record import levels
    from eqsat.authoring.tools.catalogue import find, header_lines, read_book
    from eqsat.authoring.tools.schema import signatures_of
    from eqsat.authoring.tools.sides import example_side, left_side, right_side
    from eqsat.authoring.tools.terminal import as_ascii, draw, side_by_side
    from eqsat.authoring.tools.vector import svg as picture

    book = read_book(rules or ())
    signatures = signatures_of(book)
    directions = find(book, name)
    out = console(is_stderr=False)
    rule = directions[0]
    level = levels(book).get(rule.name)
    say(out, f"{rule.location}: {rule.name}{f' ({level.value})' if level else ''}")
    for line in (*header_lines(rule), rule.text):
        say(out, line)
    left, right = left_side(rule, signatures), right_side(rule, signatures)
    lines = ["", *side_by_side(draw(left), draw(right), out.width), ""]
    lines += [f"where {note}" for note in left.notes]
    lines += [f"then  {note}" for note in right.notes]
    if len(directions) > 1:
        lines.append(f"and back: {directions[1].name}")
    example = example_side(rule, signatures)
    if example is not None:
        lines += ["", "for example at:", "", *draw(example)]
    for line in lines:
        say(out, line if has_lines(out) else as_ascii(line))
    if svg is not None:
        output.write_text(svg, picture(rule.name, left, right))
        say(out, f"wrote {svg}")
    return 0


@app.command("operators")
def operators(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One operator.  [default: all]", show_default=False)
    ] = None,
    rules: Rules = None,
    json: Json = False,
) -> int:
    """List the operators that rules may speak of, and how; with NAME say all that is known of one.

    A question mark stands behind an input that may be (Absent).
    """
    from eqsat.authoring.tools.catalogue import read_book
    from eqsat.authoring.tools.operators import operator_row, operator_rows, told

    book = read_book(rules or ())
    if name is not None:
        row = operator_row(name, book)
        if json:
            print_json(row.to_fields())
            return 0
        out = console(is_stderr=False)
        for line in told(row):
            say(out, line)
        return 0
    found = operator_rows(book)
    if json:
        print_json([each.to_fields() for each in found])
        return 0
    headings = ("operator", "in a rule", "for example", "rules")
    cells = [(each.name, each.form, each.example, str(len(each.rules))) for each in found]
    print_rows(console(is_stderr=False), headings, cells, num_left=3)
    return 0


# --- check and test -------------------------------------------------------------------------------------------


@app.command("check")
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Rules files.  [default: the one that ships]", show_default=False),
    ] = None,
    num_instances: Annotated[int, typer.Option(min=1, help="Random instances of each rule.")] = 200,
    scripts: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where counterexamples go.  [default: a new temporary folder]"),
    ] = None,
    static: Annotated[bool, typer.Option("--static", help="Run nothing: leave soundness out.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Judge what soundness.json does not know yet, and write it there.")
    ] = False,
    time_limit: Annotated[str, typer.Option(metavar="TIME", help="Time for each rule: 90, 90s or 10m.")] = "120s",
    memory_limit: MemoryLimit = "6GiB",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random instances.")] = 0,
    json: Json = False,
) -> int:
    """Check rules files: first what they say, then whether it is so.

    Every fault is a line, file:line:column: rule: reason, and the exit code is 4 where there is one. What is looked
    for: what no rules file may hold, unknown names, wrong sorts, unbound variables, names used twice, rules that can
    never match, rules that explode, tables that are joined by nothing; then random instances of every left side, both
    sides of which must be equal. For an unsound rule the smallest failing instance is written as a program that shows
    it.
    """
    from eqsat.authoring.tools.check import prepare
    from eqsat.authoring.tools.recording import Recording

    limits = limits_of(time_limit, memory_limit)
    checked = prepare(tuple(files or ()))
    if record and files:
        raise UsageError("--record is for the rules that ship: it takes no FILE")
    out = console(is_stderr=False)
    complaints = list(checked.complaints)
    judged: list[Judged] = []
    records = Recording(checked.book) if record and not checked.num_errors else None
    order = checked.order(num_instances, seed)
    if records is not None:
        order = replace(order, names=records.missing(order.names))
    if not json:
        print_complaints(out, complaints)
    for each in _judged(order, limits) if not (checked.num_errors or static) else ():
        judged.append(each)
        if records is not None:
            records.take(each)
        found: Complaint | None
        if each.is_sound:
            found = checked.warning(each)
        else:
            scripts = _script_folder(scripts, each)
            found = checked.complaint(each, _write_script(scripts, each))
        if found is not None:
            complaints.append(found)
            print_complaints(out, () if json else (found,))
    num_errors = sum(each.is_error for each in complaints)
    if json:
        print_json({"complaints": _fields(complaints), "rules": _fields(judged)})
    elif not num_errors:
        known = records.levels() if records is not None else [each.level for each in judged if each.level is not None]
        say(out, checked.summary(known))
    if records is not None:
        records.write()
        say(console(is_stderr=True), f"wrote {records.path}")
    return RulesError.exit_code if num_errors else 0


def _fields(found: Sequence[Complaint | Judged]) -> list[Mapping[str, object]]:
    return [each.to_fields() for each in found]


def _script_folder(folder: Path | None, judged: Judged) -> Path | None:
    """Return where counterexamples go: a temporary folder once there is one to write."""
    if folder is None and judged.script:
        return Path(tempfile.mkdtemp(prefix="eqsat-counterexamples-"))
    return folder


def _judged(order: Order, limits: Limits) -> Iterator[Judged]:
    """Judge rules, with a line on stderr that says how far it is where somebody watches."""
    from eqsat.authoring.tools.judging import judge_all

    err = console(is_stderr=True)
    total = len(order.names)
    with err.status("judging") if err.is_terminal else nullcontext() as status:
        try:
            for number, judged in enumerate(judge_all(order, limits), start=1):
                if status is None:
                    yield judged
                else:
                    status.stop()  # what is printed about the rule stands in a line of its own
                    yield judged
                    status.update(f"judged {number} of {total}: {judged.rule}")
                    status.start()
        except KeyboardInterrupt:
            raise InterruptedRunError("interrupted; what was printed before stands") from None


def _write_script(folder: Path | None, judged: Judged) -> Path | None:
    if folder is None or not judged.script:
        return None
    output.make_folder(folder)
    path = folder / f"{judged.rule}.py"
    output.write_text(path, judged.script)
    return path


@app.command("test")
def judge_rule(
    name: Name,
    rules: Rules = None,
    num_instances: Annotated[int, typer.Option(min=1, help="Random instances.")] = 200,
    script: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the counterexample, if there is one, to FILE.")
    ] = None,
    time_limit: TimeLimit = "120s",
    memory_limit: MemoryLimit = "6GiB",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random instances.")] = 0,
    json: Json = False,
) -> int:
    """Judge one rule, and say what it was judged by.

    Random instances of its left side are drawn: sizes, broadcasts, element types, symbols, sizes of zero, and infinity
    and NaN where the float class promises them. Both sides are evaluated in a finite field (proved) and as
    floating-point numbers (tested).
    """
    from eqsat.authoring.tools.catalogue import find, read_book
    from eqsat.authoring.tools.judging import Order, told

    limits = limits_of(time_limit, memory_limit)
    files = tuple(str(path) for path in rules or ())
    names = tuple(rule.name for rule in find(read_book(rules or ()), name))
    order = Order(files=files, names=names, num_instances=num_instances, seed=seed)
    judged = list(_judged(order, limits))
    out = console(is_stderr=False)
    wrong = [each for each in judged if not each.is_sound]
    shown = next((each.script for each in wrong if each.script), "")
    if json:
        print_json([each.to_fields() for each in judged])
    else:
        for each in judged:
            for line in told(each):
                say(out, line)
        if shown and script is None:
            say(out, "--script FILE writes the program that shows it")
    if shown and script is not None:
        output.write_text(script, shown)
    return RulesError.exit_code if wrong else 0


# --- about a model --------------------------------------------------------------------------------------------

app.command("why-not")(why_not)
app.command("stats")(stats)
app.command("bench")(bench)
app.command("new")(new)


@app.command("infer")
def infer(
    operators: Annotated[list[str] | None, typer.Option(metavar="NAMES", help="Operators of the terms.")] = None,
    max_operators: Annotated[int, typer.Option(min=1, max=4, help="Operators of one side.")] = 3,
    rules: Rules = None,
    derivable: Annotated[bool, typer.Option("--derivable", help="Show what the rules at hand derive too.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Measure both sides, and rank by the gain.")] = False,
    threads: Threads = 0,
    time_limit: TimeLimit = "300s",
    memory_limit: MemoryLimit = "3GiB",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    json: Json = False,
) -> int:
    """Propose new rules over some operators.

    Small terms are enumerated and compared at random points; what is equal, does not follow from the rules at hand and
    is judged to be sound is printed as entries for a rules file.
    """
    from eqsat.authoring.tools.proposing import Wish, propose

    limits = limits_of(time_limit, memory_limit)
    wish = Wish(
        operators=arguments.split_names(operators or (_OPERATORS,)),
        files=tuple(rules or ()),
        max_operators=max_operators,
        time_limit_s=limits.time_s,
        keeps_derivable=derivable,
        is_measured=measure,
        threads=threads,
        seed=seed,
    )
    err = console(is_stderr=True)
    with err.status("looking for rules") if err.is_terminal else nullcontext():
        found = only(propose, wish, limits=replace(limits, time_s=limits.time_s + 2 * GRACE_S))
    if json:
        print_json(found.to_fields())
        return 0
    for each in found.rules:
        echo(each.entry())
    for cut in found.cuts:
        say(err, f"left out: {cut}")
    say(err, f"{len(found.rules)} {'rule' if len(found.rules) == 1 else 'rules'} found")
    return 0


@app.command("docs")
def docs(
    page: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where the page goes.  [default: stdout]")
    ] = None,
    is_of_operators: Annotated[bool, typer.Option("--operators", help="The page about operators.")] = False,
) -> int:
    """Write the page about the rules that ship, docs/rules.md, or about operators, docs/operators.md."""
    from eqsat.authoring.tools.operators import operators_page
    from eqsat.authoring.tools.page import rules_page

    text = operators_page() if is_of_operators else rules_page()
    if page is None:
        echo(text, has_end=False)
    else:
        output.write_text(page, text)
    return 0

"""The commands of ``eqsat rules`` about a model: why a rule does not match, what rules do there, a rule to complete."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from eqsat.cli.printing import print_json, say
from eqsat.cli.rules_screen import print_stats, print_why_not
from eqsat.cli.rules_shared import (
    InputShape,
    Json,
    MemoryLimit,
    Model,
    Name,
    Provider,
    Rules,
    Threads,
    TimeLimit,
    limits_of,
    only,
    setting_of,
)
from eqsat.pipeline import output
from eqsat.text import arguments
from eqsat.text.shown import console, echo


def why_not(
    name: Name,
    model: Model,
    rules: Rules = None,
    node: Annotated[
        str, typer.Option(metavar="NAME", help="Node or value at which the rule is expected.  [default: anywhere]")
    ] = "",
    after: Annotated[
        list[str] | None, typer.Option(metavar="NAMES", help="Rules or groups to apply first, wherever they match.")
    ] = None,
    places: Annotated[int, typer.Option(min=1, help="Closest places to show.")] = 1,
    input_shape: InputShape = None,
    time_limit: TimeLimit = "120s",
    memory_limit: MemoryLimit = "6GiB",
    json: Json = False,
) -> int:
    """Say why a rule does not match a model: the closest place, and what is missing there.

    Names are those of the model. A fact that is not known does not hold, and the answer says which one it was: "the
    shape of `x` is not known".
    """
    from eqsat.authoring.tools.catalogue import find, read_book
    from eqsat.authoring.tools.models import explain

    limits = limits_of(time_limit, memory_limit)
    output.check_input(model)
    directions = find(read_book(rules or ()), name)
    found = [
        only(
            explain,
            tuple(rules or ()),
            rule.name,
            model,
            node,
            arguments.split_names(after or ()),
            places,
            arguments.parse_input_shapes(input_shape or ()),
            limits=limits,
        )
        for rule in directions
    ]
    if json:
        print_json([asdict(each) for each in found])
        return 0
    out = console(is_stderr=False)
    for each in found:
        print_why_not(out, each)
    return 0


def stats(
    model: Model,
    rules: Rules = None,
    prices: Annotated[
        bool, typer.Option("--prices/--no-prices", help="Measure prices, for what each rule gains.")
    ] = True,
    provider: Provider = None,
    threads: Threads = 0,
    input_shape: InputShape = None,
    max_enodes: Annotated[int, typer.Option(min=1, help="E-nodes at which no more rules are applied.")] = 50_000,
    cost_db: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Price database.  [default: in the user's cache folder]")
    ] = None,
    time_limit: TimeLimit = "180s",
    memory_limit: MemoryLimit = "6GiB",
    json: Json = False,
) -> int:
    """Say what each rule does on a model.

    Every rule is applied wherever it matches, again and again. Shown are its matches, its applications, the time that
    they took, the e-nodes that they added, and the gain: what the cheapest graph would cost more, by measured prices,
    without the forms that this rule made. Only "bench" measures what a rule is worth in the whole model.
    """
    from eqsat.authoring.tools.models import count

    setting, limits = setting_of(model, rules, provider, threads, input_shape, time_limit, memory_limit)
    setting = replace(setting, max_enodes=max_enodes, cost_db="" if cost_db is None else str(cost_db))
    found = only(partial(count, has_prices=prices), setting, limits=limits)
    if json:
        print_json(asdict(found))
        return 0
    print_stats(console(is_stderr=False), found)
    return 0


def bench(
    name: Name,
    model: Model,
    rules: Rules = None,
    provider: Provider = None,
    threads: Threads = 0,
    input_shape: InputShape = None,
    time_limit: TimeLimit = "120s",
    memory_limit: MemoryLimit = "6GiB",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the inputs and of every order.")] = 0,
    json: Json = False,
) -> int:
    """Measure what a rule alone is worth on a model.

    The model is written with the rule's forms wherever they fit, and without; both are checked to compute the same and
    are measured against each other in pairs of fresh sessions. Printed is the ratio of latencies, with its 95 %
    interval.
    """
    from eqsat.authoring.tools.bench import told as measured_lines
    from eqsat.authoring.tools.catalogue import find, read_book
    from eqsat.authoring.tools.models import measure

    setting, limits = setting_of(model, rules, provider, threads, input_shape, time_limit, memory_limit)
    directions = find(read_book(rules or ()), name)
    found = [only(measure, replace(setting, seed=seed), rule.name, limits=limits) for rule in directions]
    if json:
        print_json([asdict(each) for each in found])
        return 0
    out = console(is_stderr=False)
    for each in found:
        for line in measured_lines(each):
            say(out, line)
    return 0


def new(
    source: Annotated[
        Path, typer.Option("--from", metavar="MODEL", help="The model with the pattern in it.", show_default=False)
    ],
    nodes: Annotated[
        list[str],
        typer.Option(metavar="NAMES", help="Nodes of the left side, by their names or outputs.", show_default=False),
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the rule.")] = "my-rule",
    input_shape: InputShape = None,
    time_limit: TimeLimit = "120s",
    memory_limit: MemoryLimit = "6GiB",
) -> int:
    """Print a rule to complete: its left side is a part of a model.

    What the nodes read is a variable, a constant of one element is a number, and the conditions that may be needed are
    comments. What is left to write is the right side, and why it is equal.
    """
    from eqsat.authoring.tools.models import write_template

    limits = limits_of(time_limit, memory_limit)
    output.check_input(source)
    shapes = arguments.parse_input_shapes(input_shape or ())
    text = only(write_template, source, arguments.split_names(nodes), name, shapes, limits=limits)
    echo(text, has_end=False)
    return 0
